"""Conditions of nodes."""

import re
from datetime import timedelta

from midwatch.domain.conditions.look import Look, shown, told
from midwatch.domain.diagnosis import Evidence
from midwatch.domain.objects.cluster import Node
from midwatch.domain.objects.meta import StatusCondition, condition
from midwatch.domain.objects.quantities import quantity

_PRESSURES = {
    "MemoryPressure": ("NodeMemoryPressure", "memory"),
    "DiskPressure": ("NodeDiskPressure", "disk"),
    "PIDPressure": ("NodePIDPressure", "process ids"),
    "NetworkUnavailable": ("NodeNetworkUnavailable", "network"),
}
_PROBLEM = re.compile(
    r"(?i)problem|deadlock|corrupt|unhealthy|readonly|read-only|frequent|hung|failure|failed|error|oom|down$|unreachable"
    r"|degraded|blocked|leak|outof|broken|notready"
)
_WELL = re.compile(r"(?i)^(ready|.*(healthy|ok|available|isvoter|isup))$")
FLAPS = 3
"""Changes to not ready within a quarter of an hour that count as flapping."""
NEARLY_FULL = 1.0
"""The share of a node's pod places that counts as full."""


def node(look: Look, item: Node) -> None:
    """A node: down, short of something, broken, flapping, full or cordoned."""
    entries = item.status.conditions
    ready = condition(entries, "Ready")
    if ready is not None and ready.status != "True":
        _down(look, item, ready)
    for type_, (id_, what) in _PRESSURES.items():
        states = [entry for entry in entries if entry.type == type_]
        entry = next((entry for entry in states if entry.status == "True"), None)
        if entry is not None:
            look.report(
                id_,
                item,
                f"The node reports {type_}: it is short of {what}.",
                since=entry.last_transition_time,
                evidence=[_seen(item, entry)],
            )
    for entry in entries:
        named = entry.type not in _PRESSURES and entry.type != "Ready"
        if named and entry.status == "True" and _PROBLEM.search(entry.type) and not _WELL.match(entry.type):
            look.report(
                "NodeProblem",
                item,
                f"The node reports {entry.type} ({entry.reason or 'no reason given'}).",
                since=entry.last_transition_time,
                evidence=[_seen(item, entry)],
            )
    if ready is None or ready.status == "True":
        _flapping(look, item)
        _full(look, item)
    if item.spec.unschedulable and item.metadata.uid:
        taint = next((taint for taint in item.spec.taints if taint.key == "node.kubernetes.io/unschedulable"), None)
        look.report("NodeCordoned", item, "It takes no new pods.", since=taint.time_added if taint else None)


def _down(look: Look, item: Node, ready: StatusCondition) -> None:
    pods = len(look.view.pods_on(item.name))
    on_it = f" {pods} pods are on it." if pods else ""
    since, seen = ready.last_transition_time, [_seen(item, ready)]
    seen += [told(event) for event in look.warnings(item, "NodeNotReady")[-1:]]
    if ready.status == "Unknown":
        summary = f"The kubelet stopped reporting, so the node counts as not ready, its state is unknown.{on_it}"
        look.report("NodeUnreachable", item, summary, since=since, evidence=seen)
    else:
        why = f" ({ready.reason})" if ready.reason else ""
        look.report(
            "NodeNotReady",
            item,
            f"The kubelet reports that the node is not ready{why}.{on_it}",
            since=since,
            evidence=seen,
        )


def _flapping(look: Look, item: Node) -> None:
    # The node controller tells a change to not ready by a Normal event, so the type of the event says nothing here.
    lost = [event for event in look.view.events(item) if event.reason == "NodeNotReady"]
    fresh = [event for event in lost if look.within(event.at, timedelta(minutes=15))]
    if sum(event.times for event in fresh) >= FLAPS:
        look.report(
            "NodeFlapping",
            item,
            "It became not ready several times in a quarter of an hour.",
            since=fresh[0].began_at,
            evidence=[told(fresh[-1])],
        )


def _full(look: Look, item: Node) -> None:
    room = quantity(item.status.allocatable.get("pods") or item.status.capacity.get("pods"))
    pods = [pod for pod in look.view.pods_on(item.name) if not pod.finished]
    if room and len(pods) >= room * NEARLY_FULL:
        look.report(
            "NodeAtPodCapacity",
            item,
            f"{len(pods)} pods run on it, and {int(room)} is its capacity.",
            evidence=[shown(item, "status.allocatable.pods", int(room))],
        )


def _seen(item: Node, entry: StatusCondition) -> Evidence:
    return shown(item, f"status.conditions[{entry.type}]", f"{entry.status} {entry.reason} {entry.message}".strip())
