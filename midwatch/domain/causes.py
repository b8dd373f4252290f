"""What brings about what, and how deep it lies: the knowledge that grouping decides by. Pure tables."""

from datetime import datetime
from enum import IntEnum

import msgspec

from midwatch.domain.conditions import CATALOGUE
from midwatch.domain.ids import IncidentKey
from midwatch.domain.incidents import Incident
from midwatch.domain.refs import ObjectRef


class Depth(IntEnum):
    """How deep down a cause lies; a deeper one explains what stands on it, never the other way."""

    NODE = 0
    VOLUME = 1
    QUOTA = 2
    WORKLOAD = 3
    SURFACE = 4


DEPTHS = {
    "Node": Depth.NODE,
    "PersistentVolumeClaim": Depth.VOLUME,
    "PersistentVolume": Depth.VOLUME,
    "ResourceQuota": Depth.QUOTA,
    **dict.fromkeys(
        ("Deployment", "StatefulSet", "DaemonSet", "ReplicaSet", "ReplicationController", "Job", "CronJob", "Pod"),
        Depth.WORKLOAD,
    ),
}

SHORT = frozenset(
    {
        *("DeploymentReplicasShort", "DeploymentUnavailable", "ProgressDeadlineExceeded", "DaemonSetNotReady"),
        *("StatefulSetReplicasShort", "StatefulSetRolloutStuck", "PodNotReady", "PodPending", "FailedScheduling"),
        *("ServiceNoEndpoints", "ServiceEndpointsUnready", "PDBBlocksDisruption", "HPAUnableToScale"),
        *("HPAMetricsUnavailable", "APIServiceDown", "WebhookNoReceiver", "TargetDown", "JobRunningLong"),
        *("EtcdTrouble", "ControlPlaneDown", "AlertmanagerTrouble", "PrometheusTrouble", "MetricsExporterTrouble"),
    }
)
"""What follows when pods of something are not there."""

NODE_LOST = frozenset({"NodeNotReady", "NodeUnreachable", "NodeNetworkUnavailable", "KubeletTrouble", "PodOnLostNode"})
ON_NODES = ("Pod", "Node", "Instance")
BARE = ("Node", "Instance", "Service", "Target", "Namespace", "Alert")

BRINGS: dict[Depth, tuple[tuple[frozenset[str], frozenset[str]], ...]] = {
    Depth.NODE: (
        (
            NODE_LOST,
            SHORT
            | {"PodOnLostNode", "PodStuckTerminating", "PodEvicted", "ReadinessProbeFailing", "FailedAttachVolume"}
            | {"DaemonSetMisscheduled", "JobPodsFailing", "KubeletTrouble"},
        ),
        (
            frozenset({"NodeMemoryPressure", "NodeDiskPressure", "NodePIDPressure"}),
            frozenset({"PodEvicted"}),
        ),
    ),
    Depth.VOLUME: (
        (
            frozenset({"PVCPending", "StorageClassMissing", "PVCLost", "PVFailed", "FailedScheduling"}),
            SHORT | {"PVCPending", "StorageClassMissing", "PVFailed", "FailedMount", "FailedAttachVolume"},
        ),
    ),
    Depth.QUOTA: (
        (
            frozenset({"QuotaExceeded", "QuotaFull", "FailedCreate"}),
            SHORT | {"FailedCreate", "QuotaExceeded", "JobPodsFailing"},
        ),
    ),
}
"""What brings about what, by where the cause lies. ``FailedScheduling`` stands for every sub-cause after its slash."""


class Trouble(msgspec.Struct, frozen=True):
    """What a signal or a member says, as far as causes are concerned."""

    cluster: str
    condition: str
    subject: ObjectRef
    about: tuple[ObjectRef, ...]
    began: datetime


def cause_key(cluster: str, ref: ObjectRef) -> IncidentKey:
    """The key of an incident whose cause is this object."""
    return IncidentKey("|".join((cluster, DEPTHS.get(ref.kind, Depth.SURFACE).name.lower(), ref.path)))


def depth_of(incident: Incident) -> Depth:
    """How deep an incident's cause lies; one that a rule groups in its own way lies at the surface."""
    if incident.key != cause_key(incident.cluster, incident.owner):
        return Depth.SURFACE
    return DEPTHS.get(incident.owner.kind, Depth.SURFACE)


def base_of(condition: str) -> str:
    """A condition without its sub-cause."""
    return condition.split("/", maxsplit=1)[0]


KNOWN = frozenset(base_of(id_) for id_ in CATALOGUE if id_ != "UnknownAlert")
