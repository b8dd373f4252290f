"""Which signals are of one cause: where a signal belongs, and what an incident may take over. Pure.

Two failures are one incident when one explains the other, and that takes three things: the one stands on what the
other is about (a pod on its node), the one is of a kind that the other brings about (a lost node makes pods unready, it
does not make them crash), and it did not begin before. Everything else stays apart.
"""

from collections.abc import Iterable, Iterator
from datetime import datetime, timedelta
from enum import IntEnum

import msgspec

from midwatch.domain.approvals import ApprovalOutcome
from midwatch.domain.conditions import CATALOGUE
from midwatch.domain.ids import IncidentId, IncidentKey
from midwatch.domain.incidents import Incident, Member
from midwatch.domain.reasons import Reason
from midwatch.domain.refs import ObjectRef
from midwatch.domain.signals import Signal

SLACK = timedelta(minutes=5)
"""How long before its cause was seen an effect may have been seen: sources look at different times."""


class Depth(IntEnum):
    """How deep down a cause lies; a deeper one explains what stands on it, never the other way."""

    NODE = 0
    VOLUME = 1
    QUOTA = 2
    WORKLOAD = 3
    SURFACE = 4


_DEPTHS = {
    "Node": Depth.NODE,
    "PersistentVolumeClaim": Depth.VOLUME,
    "PersistentVolume": Depth.VOLUME,
    "ResourceQuota": Depth.QUOTA,
    **dict.fromkeys(
        ("Deployment", "StatefulSet", "DaemonSet", "ReplicaSet", "ReplicationController", "Job", "CronJob", "Pod"),
        Depth.WORKLOAD,
    ),
}

_SHORT = frozenset(
    {
        *("DeploymentReplicasShort", "DeploymentUnavailable", "ProgressDeadlineExceeded", "DaemonSetNotReady"),
        *("StatefulSetReplicasShort", "StatefulSetRolloutStuck", "PodNotReady", "PodPending", "FailedScheduling"),
        *("ServiceNoEndpoints", "ServiceEndpointsUnready", "PDBBlocksDisruption", "HPAUnableToScale"),
        *("HPAMetricsUnavailable", "APIServiceDown", "WebhookNoReceiver", "TargetDown", "JobRunningLong"),
        *("EtcdTrouble", "ControlPlaneDown", "AlertmanagerTrouble", "PrometheusTrouble", "MetricsExporterTrouble"),
    }
)
"""What follows when pods of something are not there."""

_NODE_LOST = frozenset({"NodeNotReady", "NodeUnreachable", "NodeNetworkUnavailable", "KubeletTrouble", "PodOnLostNode"})
_ON_NODES = ("Pod", "Node", "Instance")
_BARE = ("Node", "Instance", "Service", "Target", "Namespace", "Alert")

_BRINGS: dict[Depth, tuple[tuple[frozenset[str], frozenset[str]], ...]] = {
    Depth.NODE: (
        (
            _NODE_LOST,
            _SHORT
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
            _SHORT | {"PVCPending", "StorageClassMissing", "PVFailed", "FailedMount", "FailedAttachVolume"},
        ),
    ),
    Depth.QUOTA: (
        (
            frozenset({"QuotaExceeded", "QuotaFull", "FailedCreate"}),
            _SHORT | {"FailedCreate", "QuotaExceeded", "JobPodsFailing"},
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


class Place(msgspec.Struct, frozen=True):
    """Where a signal belongs: an open incident to join, or (``None``) the key under which to open one; and why."""

    incident: Incident | None
    key: IncidentKey
    reason: Reason


Word = tuple[str, str]
"""A kind of word and the word: what an incident is found by."""
MEMBER, SUBJECT, ABOUT = _KINDS_OF_WORDS = ("member", "subject", "about")


class Cause(msgspec.Struct, frozen=True):
    """An open incident as a possible cause: since when each condition fires in it, and on which objects.

    ``bereft`` are the workloads that its pods belong to: those miss what they have lost. ``words`` are what it is
    found by.
    """

    incident: Incident
    depth: Depth
    since: dict[str, datetime]
    subjects: frozenset[str]
    bereft: frozenset[str]
    words: frozenset[Word]


class Board:
    """The incidents that are open, found by key, by member and by what their members are about."""

    def __init__(self, incidents: Iterable[Incident] = ()) -> None:
        self._causes: dict[IncidentId, Cause] = {}
        self._keys: dict[IncidentKey, IncidentId] = {}
        self._found: dict[str, dict[tuple[str, str], dict[IncidentId, None]]] = {kind: {} for kind in _KINDS_OF_WORDS}
        for incident in incidents:
            self.put(incident)

    def __iter__(self) -> Iterator[Incident]:
        return iter([cause.incident for cause in self._causes.values()])

    def get(self, incident_id: IncidentId) -> Incident | None:
        cause = self._causes.get(incident_id)
        return cause.incident if cause else None

    def cause(self, incident_id: IncidentId) -> Cause | None:
        return self._causes.get(incident_id)

    def put(self, incident: Incident) -> None:
        """An incident as it stands now; one that is over leaves the board."""
        if incident.state.final:
            self.drop(incident.id)
            return
        before, now = self._causes.get(incident.id), cause_of(incident)
        self._causes[incident.id] = now
        self._keys[incident.key] = incident.id
        self._index(incident, before.words if before else frozenset(), now.words)

    def drop(self, incident_id: IncidentId) -> None:
        """Forget an incident."""
        cause = self._causes.pop(incident_id, None)
        if cause is None:
            return
        if self._keys.get(cause.incident.key) == incident_id:
            del self._keys[cause.incident.key]
        self._index(cause.incident, cause.words, frozenset())

    def _index(self, incident: Incident, before: frozenset[Word], now: frozenset[Word]) -> None:
        """Move an incident from the words it was found by to those it is found by now."""
        for kind, word in before - now:
            held = self._found[kind].get((incident.cluster, word), {})
            held.pop(incident.id, None)
            if not held:
                self._found[kind].pop((incident.cluster, word), None)
        for kind, word in now - before:
            self._found[kind].setdefault((incident.cluster, word), {})[incident.id] = None

    def _by(self, kind: str, cluster: str, word: str) -> Iterable[IncidentId]:
        return self._found[kind].get((cluster, word), ())

    def of_key(self, key: IncidentKey) -> Incident | None:
        return self.get(self._keys[key]) if key in self._keys else None

    def holding(self, cluster: str, identity: str) -> tuple[Incident, ...]:
        """The incidents of which this is an active member."""
        return tuple(self._causes[id_].incident for id_ in self._by(MEMBER, cluster, identity))

    def holding_episode(self, signal: Signal) -> tuple[Incident, ...]:
        """The incidents of which this episode is an active member."""
        return tuple(
            incident
            for incident in self.holding(signal.cluster, signal.identity)
            if (member := incident.member(signal.identity)) is not None and member.episode == signal.episode
        )

    def standing_on(self, cause: Cause) -> tuple[Incident, ...]:
        """Incidents with a member that stands on what the cause is about, or that shares an object with it."""
        cluster = cause.incident.cluster
        found = dict.fromkeys(self._by(ABOUT, cluster, cause.incident.owner.path))
        for path in cause.subjects | cause.bereft:
            found |= dict.fromkeys(self._by(SUBJECT, cluster, path))
        found.pop(cause.incident.id, None)
        return tuple(self._causes[id_].incident for id_ in found)

    def near(self, trouble: Trouble) -> tuple[Cause, ...]:
        """Incidents about something the trouble stands on, or that know its subject already; the deepest first."""
        keys = (cause_key(trouble.cluster, ref) for ref in trouble.about if ref.kind in _DEPTHS)
        about = [self._keys[key] for key in keys if key in self._keys]
        known = self._by(ABOUT, trouble.cluster, trouble.subject.path)
        return tuple(sorted((self._causes[id_] for id_ in {*about, *known}), key=lambda cause: cause.depth))


def cause_of(incident: Incident) -> Cause:
    """What an open incident may explain others by, and what it is found by."""
    since: dict[str, datetime] = {}
    subjects: set[str] = set()
    bereft: set[str] = set()
    words: set[Word] = set()
    for member in incident.active:
        base = _base(member.condition)
        since[base] = min(since.get(base, member.first_at), member.first_at)
        path = member.subject.path
        subjects.add(path)
        words |= {(MEMBER, member.identity), (SUBJECT, path), (ABOUT, path)}
        for ref in member.related:
            words.add((ABOUT, ref.path))
            if member.subject.kind == "Pod" and _DEPTHS.get(ref.kind) is Depth.WORKLOAD:
                bereft.add(ref.path)
    return Cause(incident, depth_of(incident), since, frozenset(subjects), frozenset(bereft), frozenset(words))


def home_key(signal: Signal) -> IncidentKey:
    """What a signal is grouped by when nothing explains it. Alerts and the watch must agree about quotas."""
    if signal.owner.kind == "ResourceQuota":
        return cause_key(signal.cluster, signal.owner)
    return signal.incident_key


def cause_key(cluster: str, ref: ObjectRef) -> IncidentKey:
    """The key of an incident whose cause is this object."""
    return IncidentKey("|".join((cluster, _DEPTHS.get(ref.kind, Depth.SURFACE).name.lower(), ref.path)))


def depth_of(incident: Incident) -> Depth:
    """How deep an incident's cause lies; one that a rule groups in its own way lies at the surface."""
    if incident.key != cause_key(incident.cluster, incident.owner):
        return Depth.SURFACE
    return _DEPTHS.get(incident.owner.kind, Depth.SURFACE)


def depth_of_signal(signal: Signal) -> Depth:
    """How deep the cause lies that a signal by itself speaks of."""
    if home_key(signal) != cause_key(signal.cluster, signal.owner):
        return Depth.SURFACE
    return _DEPTHS.get(signal.owner.kind, Depth.SURFACE)


def place(signal: Signal, board: Board, grouped: IncidentKey | None = None) -> Place:
    """Where a firing signal belongs. ``grouped`` is the key of a rule that groups in its own way."""
    held = board.holding(signal.cluster, signal.identity)
    if held:
        return Place(held[0], held[0].key, Reason.JOINED_OPEN_INCIDENT)
    if grouped is not None:
        same = board.of_key(grouped)
        return Place(same, grouped, Reason.JOINED_OPEN_INCIDENT if same else Reason.RULE_MATCHED)
    trouble = trouble_of(signal)
    own = depth_of_signal(signal)
    for cause in board.near(trouble):
        if cause.depth < own and explains(cause, trouble):
            return Place(cause.incident, cause.incident.key, Reason.CAUSE_IS_OPEN)
    key = home_key(signal)
    known = board.of_key(key)
    return Place(known, key, Reason.JOINED_OPEN_INCIDENT if known else Reason.RULE_MATCHED)


def adoptees(incident_id: IncidentId, board: Board) -> tuple[Incident, ...]:
    """The open incidents of which everything that still fires follows from this one's cause.

    What a person has spoken about, or what is being acted on, is left alone.
    """
    cause = board.cause(incident_id)
    if cause is None or cause.depth is Depth.SURFACE:
        return ()
    return tuple(
        child
        for child in board.standing_on(cause)
        if depth_of(child) > cause.depth
        and may_be_adopted(child)
        and all(explains(cause, _trouble_of_member(child, member)) for member in child.active)
    )


def may_be_adopted(incident: Incident) -> bool:
    """Whether an incident may end by becoming part of another one."""
    approval = incident.approval
    undecided = approval is None or approval.outcome in (ApprovalOutcome.VOID, ApprovalOutcome.EXPIRED)
    asked = approval is not None and approval.outcome is None and not approval.votes
    grouped = not incident.key.endswith(f"|{incident.owner.path}")  # by a rule's own wish
    return bool(incident.active) and incident.execution is None and (undecided or asked) and not grouped


def may_reopen(ended: Incident, signals: Iterable[Signal]) -> bool:
    """Whether an incident that is over may be taken up again for these signals.

    It must have recovered by itself, without any act of ours, and at least one of the same conditions fires again.
    """
    by_itself = ended.state.final and ended.reason is Reason.SIGNALS_CLEARED and ended.execution is None
    known = {(member.source, member.condition) for member in ended.members}
    return by_itself and ended.into is None and any((each.source, each.condition) in known for each in signals)


def explains(cause: Cause, trouble: Trouble) -> bool:
    """Whether an open incident is the reason for a trouble."""
    if cause.depth is Depth.SURFACE or cause.incident.cluster != trouble.cluster:
        return False
    path = cause.incident.owner.path
    subject = trouble.subject.path
    known = subject in cause.subjects or subject in cause.bereft
    if not known and not any(ref.path == path for ref in trouble.about):
        return False
    began = _began(cause, trouble)
    return began is not None and trouble.began >= began - SLACK


def _began(cause: Cause, trouble: Trouble) -> datetime | None:
    """Since when the cause has been such that the trouble follows from it; ``None`` where it does not."""
    effect = _base(trouble.condition)
    if cause.depth is Depth.WORKLOAD:
        return min(cause.since.values(), default=None) if effect in _SHORT else None
    # An alert that no table knows says nothing of its kind: of what runs on a lost node it is taken as an effect.
    stray = cause.depth is Depth.NODE and effect not in _KNOWN and trouble.subject.kind in _ON_NODES
    for causes, effects in _BRINGS[cause.depth]:
        if effect in effects or (stray and causes is _NODE_LOST):
            seen = [since for condition, since in cause.since.items() if condition in causes]
            if seen:
                return min(seen)
    return None


def trouble_of(signal: Signal) -> Trouble:
    """What a signal says of causes."""
    about = (signal.subject, signal.owner, *signal.related)
    return Trouble(signal.cluster, signal.condition, signal.subject, about, signal.starts_at)


def related_of(signal: Signal) -> tuple[ObjectRef, ...]:
    """What a member of an incident keeps of a signal's surroundings."""
    owner = () if signal.owner == signal.subject else (signal.owner,)
    return tuple(dict.fromkeys((*owner, *signal.related)))


def named_objects(signal: Signal) -> tuple[ObjectRef, ...]:
    """The objects whose surroundings matter, as an alert's labels name them.

    The ``instance`` of an alert about a workload is that of the exporter that told of it, not of what is in trouble.
    """
    nodes = (signal.labels.get(label) for label in ("exported_node", "node", "kubernetes_node"))
    found = [signal.subject, *(ObjectRef("Node", name) for name in nodes if name)]
    if signal.subject.kind in _BARE and (instance := signal.labels.get("instance")):
        found.append(ObjectRef("Node", host_of(instance)))
    if signal.subject.kind in _BARE and (pod := signal.labels.get("pod")) and (space := signal.labels.get("namespace")):
        found.append(ObjectRef("Pod", pod, space))
    return tuple(dict.fromkeys(found))


def host_of(instance: str) -> str:
    """The host of ``host:port``; an IPv6 address stands in brackets."""
    host, _, port = instance.rpartition(":")
    return (host if host and port.isdigit() else instance).strip("[]")


def _trouble_of_member(incident: Incident, member: Member) -> Trouble:
    about = (member.subject, *member.related)
    return Trouble(incident.cluster, member.condition, member.subject, about, member.first_at)


def _base(condition: str) -> str:
    return condition.split("/", maxsplit=1)[0]


_KNOWN = frozenset(_base(id_) for id_ in CATALOGUE if id_ != "UnknownAlert")
