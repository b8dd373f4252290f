"""The catalogue: every condition by its id, one vocabulary for watcher, rules, analyser, playbooks and documents."""

from types import MappingProxyType

from midwatch.domain.conditions.alert_entries import WATCHERS
from midwatch.domain.conditions.entries_cluster import COMMONS, NETWORKING, NODES, STORING
from midwatch.domain.conditions.entries_pods import PODS
from midwatch.domain.conditions.entries_workloads import WORKLOADS
from midwatch.domain.conditions.entry import Condition
from midwatch.domain.diagnosis import Finding

ALL: tuple[Condition, ...] = (*PODS, *WORKLOADS, *NETWORKING, *STORING, *NODES, *COMMONS, *WATCHERS)

CATALOGUE = MappingProxyType({entry.id: entry for entry in ALL})
"""Every condition by id."""

_CLASS_OF_OWNER = {
    **dict.fromkeys(("Deployment", "StatefulSet", "DaemonSet", "ReplicaSet", "Job", "CronJob", "Pod"), "workload"),
    "Node": "node",
    "PersistentVolumeClaim": "volume",
    "PersistentVolume": "volume",
    "ResourceQuota": "quota",
}


def condition(id_: str) -> Condition | None:
    """The entry of this id, or of the part before its slash; ``None`` for a word that is no condition."""
    return CATALOGUE.get(id_) or CATALOGUE.get(id_.split("/", maxsplit=1)[0])


def failure_class(finding: Finding) -> str:
    """What makes findings on one top owner one incident.

    What the owner is decides: a Service without endpoints whose pods crash is part of the workload's trouble, and pods
    that wait for a node, a volume or a quota are part of its.
    """
    entry = condition(finding.condition)
    return _CLASS_OF_OWNER.get(finding.top_owner.kind) or (entry.failure_class if entry else "workload")
