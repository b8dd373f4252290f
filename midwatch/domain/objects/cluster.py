"""What pods stand on: nodes, namespaces, quotas, storage, configuration, rights; and the events that tell of them."""

from datetime import datetime

import msgspec

from midwatch.domain.objects.meta import Base, NamedRef, Part, Quantity, StatusCondition, Time
from midwatch.domain.objects.workloads import ClaimSpec


class Taint(Part, frozen=True):
    key: str = ""
    effect: str = ""
    time_added: Time = None


class NodeSpec(Part, frozen=True):
    unschedulable: bool = False
    taints: tuple[Taint, ...] = ()


class NodeStatus(Part, frozen=True):
    conditions: tuple[StatusCondition, ...] = ()
    capacity: dict[str, Quantity] = msgspec.field(default_factory=dict)
    allocatable: dict[str, Quantity] = msgspec.field(default_factory=dict)


class Node(Base, frozen=True):
    spec: NodeSpec = NodeSpec()
    status: NodeStatus = NodeStatus()


class PhaseStatus(Part, frozen=True):
    phase: str = ""
    reason: str = ""
    message: str = ""
    conditions: tuple[StatusCondition, ...] = ()


class Namespace(Base, frozen=True):
    status: PhaseStatus = PhaseStatus()


class QuotaStatus(Part, frozen=True):
    hard: dict[str, Quantity] = msgspec.field(default_factory=dict)
    used: dict[str, Quantity] = msgspec.field(default_factory=dict)


class QuotaSpec(Part, frozen=True):
    hard: dict[str, Quantity] = msgspec.field(default_factory=dict)


class ResourceQuota(Base, frozen=True):
    spec: QuotaSpec = QuotaSpec()
    status: QuotaStatus = QuotaStatus()


class PersistentVolumeClaim(Base, frozen=True):
    spec: ClaimSpec = ClaimSpec()
    status: PhaseStatus = PhaseStatus()


class VolumeSpec(Part, frozen=True):
    claim_ref: NamedRef | None = None
    storage_class_name: str = ""
    persistent_volume_reclaim_policy: str = ""


class PersistentVolume(Base, frozen=True):
    spec: VolumeSpec = VolumeSpec()
    status: PhaseStatus = PhaseStatus()


class StorageClass(Base, frozen=True):
    provisioner: str = ""
    volume_binding_mode: str = ""


class ConfigMap(Base, frozen=True):
    """A ConfigMap's keys; its values are never kept."""

    keys: tuple[str, ...] = ()


class Secret(Base, frozen=True):
    """A Secret's type, keys and, for a TLS pair, when its certificate ends. Its values are never kept."""

    type: str = ""
    keys: tuple[str, ...] = ()
    not_after: datetime | None = None


class ServiceAccount(Base, frozen=True):
    image_pull_secrets: tuple[NamedRef, ...] = ()


class PolicyRule(Part, frozen=True):
    verbs: tuple[str, ...] = ()
    resources: tuple[str, ...] = ()
    resource_names: tuple[str, ...] = ()


class Role(Base, frozen=True):
    rules: tuple[PolicyRule, ...] = ()


class ClusterRole(Base, frozen=True):
    rules: tuple[PolicyRule, ...] = ()


class RoleBinding(Base, frozen=True):
    role_ref: NamedRef = NamedRef()
    subjects: tuple[NamedRef, ...] = ()


class ClusterRoleBinding(Base, frozen=True):
    role_ref: NamedRef = NamedRef()
    subjects: tuple[NamedRef, ...] = ()


class EventSource(Part, frozen=True):
    component: str = ""
    host: str = ""


class EventSeries(Part, frozen=True):
    count: int = 0
    last_observed_time: Time = None


class Event(Base, frozen=True):
    """Of either API: ``involvedObject`` and ``message`` in core/v1, ``regarding`` and ``note`` in events.k8s.io."""

    type: str = ""
    reason: str = ""
    message: str = ""
    note: str = ""
    count: int | None = None
    first_timestamp: Time = None
    last_timestamp: Time = None
    event_time: Time = None
    series: EventSeries | None = None
    involved_object: NamedRef = NamedRef()
    regarding: NamedRef = NamedRef()
    source: EventSource = EventSource()

    @property
    def about(self) -> NamedRef:
        return self.involved_object if self.involved_object.name else self.regarding

    @property
    def text(self) -> str:
        return self.message or self.note

    @property
    def times(self) -> int:
        """How often it happened."""
        return max(self.count or 1, self.series.count if self.series else 1)

    @property
    def at(self) -> datetime | None:
        """When it last happened."""
        series = self.series.last_observed_time if self.series else None
        return series or self.last_timestamp or self.event_time or self.first_timestamp

    @property
    def began_at(self) -> datetime | None:
        """When it first happened."""
        return self.first_timestamp or self.event_time or self.last_timestamp
