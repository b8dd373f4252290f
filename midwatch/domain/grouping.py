"""Which signals are of one cause: where a signal belongs, and what an incident may take over. Pure.

Two failures are one incident when one explains the other, and that takes three things: the one stands on what the
other is about (a pod on its node), the one is of a kind that the other brings about (a lost node makes pods unready, it
does not make them crash), and it did not begin before. Everything else stays apart.
"""

from collections.abc import Iterable
from datetime import datetime, timedelta

import msgspec

from midwatch.domain.approvals import ApprovalOutcome
from midwatch.domain.board import Board, Cause
from midwatch.domain.causes import (
    BARE,
    BRINGS,
    DEPTHS,
    KNOWN,
    NODE_LOST,
    ON_NODES,
    SHORT,
    Depth,
    Trouble,
    base_of,
    cause_key,
    depth_of,
)
from midwatch.domain.ids import IncidentId, IncidentKey
from midwatch.domain.incidents import Incident, Member
from midwatch.domain.reasons import Reason
from midwatch.domain.refs import ObjectRef
from midwatch.domain.rules import Rule, group_key
from midwatch.domain.signals import Signal

SLACK = timedelta(minutes=5)
"""How long before its cause was seen an effect may have been seen: sources look at different times."""


class Place(msgspec.Struct, frozen=True):
    """Where a signal belongs: an open incident to join, or (``None``) the key under which to open one; and why."""

    incident: Incident | None
    key: IncidentKey
    reason: Reason


def home_key(signal: Signal) -> IncidentKey:
    """What a signal is grouped by when nothing explains it. Alerts and the watch must agree about quotas."""
    if signal.owner.kind == "ResourceQuota":
        return cause_key(signal.cluster, signal.owner)
    return signal.incident_key


def group_of(signal: Signal, rule: Rule) -> IncidentKey:
    """What a signal is grouped by under its rule, where nothing explains it."""
    return group_key(rule, signal) or home_key(signal)


def depth_of_signal(signal: Signal) -> Depth:
    """How deep the cause lies that a signal by itself speaks of."""
    if home_key(signal) != cause_key(signal.cluster, signal.owner):
        return Depth.SURFACE
    return DEPTHS.get(signal.owner.kind, Depth.SURFACE)


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
    effect = base_of(trouble.condition)
    if cause.depth is Depth.WORKLOAD:
        return min(cause.since.values(), default=None) if effect in SHORT else None
    # An alert that no table knows says nothing of its kind: of what runs on a lost node it is taken as an effect.
    stray = cause.depth is Depth.NODE and effect not in KNOWN and trouble.subject.kind in ON_NODES
    for causes, effects in BRINGS[cause.depth]:
        if effect in effects or (stray and causes is NODE_LOST):
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
    if signal.subject.kind in BARE and (instance := signal.labels.get("instance")):
        found.append(ObjectRef("Node", host_of(instance)))
    if signal.subject.kind in BARE and (pod := signal.labels.get("pod")) and (space := signal.labels.get("namespace")):
        found.append(ObjectRef("Pod", pod, space))
    return tuple(dict.fromkeys(found))


def host_of(instance: str) -> str:
    """The host of ``host:port``; an IPv6 address stands in brackets."""
    host, _, port = instance.rpartition(":")
    return (host if host and port.isdigit() else instance).strip("[]")


def _trouble_of_member(incident: Incident, member: Member) -> Trouble:
    about = (member.subject, *member.related)
    return Trouble(incident.cluster, member.condition, member.subject, about, member.first_at)
