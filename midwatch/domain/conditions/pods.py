"""Conditions of pods: the order in which a pod's troubles are looked at, and those of the pod as a whole."""

from datetime import datetime, timedelta

from midwatch.domain.conditions import containers, scheduling
from midwatch.domain.conditions.look import Look, shown
from midwatch.domain.objects.cluster import Node
from midwatch.domain.objects.meta import condition
from midwatch.domain.objects.pods import Pod
from midwatch.domain.objects.view import template_hash
from midwatch.domain.objects.workloads import Deployment

TERMINATION_SLACK = timedelta(seconds=60)
"""How long past its grace period a deleted pod may still be seen."""


def pod(look: Look, item: Pod) -> None:
    """One pod. The first explanation that holds is reported; its consequences are not reported beside it."""
    if _plainly_well(item):
        hygiene(look, item)
        return
    before = len(look.findings)
    if item.metadata.deletion_timestamp is not None:
        _terminating(look, item)
    elif (node := _lost_node(look, item)) is not None:
        _on_lost_node(look, item, node)
    elif item.status.phase == "Succeeded":
        return
    elif item.status.phase == "Failed":
        _failed(look, item)
    elif not scheduling.unscheduled(look, item) and not containers.troubled(look, item):
        containers.unready(look, item)
    if len(look.findings) > before and superseded(look, item):
        del look.findings[before:]
    hygiene(look, item)


def _plainly_well(item: Pod) -> bool:
    """The quick way out for the great majority: running, ready, never restarted."""
    return (
        item.status.phase == "Running"
        and item.metadata.deletion_timestamp is None
        and all(status.ready and not status.restart_count for status in item.status.container_statuses)
        and _is_ready(item)
    )


def hygiene(look: Look, item: Pod) -> None:
    """What is not broken but should not be."""
    for container in item.spec.containers:
        if container.security_context.privileged and not look.live:
            look.report("PrivilegedContainer", item, f"Container {container.name} asks for all privileges of its node.")


def superseded(look: Look, item: Pod) -> bool:
    """Whether a pod is a remnant of an older revision whose Deployment is complete without it."""
    tag = template_hash(item)
    top = look.view.top(item)
    owner = look.view.find(Deployment, item.namespace, top.name) if tag and top.kind == "Deployment" else None
    if owner is None:
        return False
    wanted = 1 if owner.spec.replicas is None else owner.spec.replicas
    if owner.status.available_replicas < wanted or owner.status.replicas > wanted:
        return False
    others = [other for other in look.view.pods_of(owner) if template_hash(other) not in ("", tag)]
    born = item.metadata.creation_timestamp
    younger = [other for other in others if born and (other.metadata.creation_timestamp or born) > born]
    return len([other for other in younger if _is_ready(other)]) >= max(wanted, 1)


def _is_ready(item: Pod) -> bool:
    ready = condition(item.status.conditions, "Ready")
    return ready is not None and ready.status == "True"


def _terminating(look: Look, item: Pod) -> None:
    # The API server sets deletionTimestamp to the end of the grace period, not to the moment of the request.
    due = item.metadata.deletion_timestamp
    if due is None:
        return
    held = ", ".join(item.metadata.finalizers)
    why = f"Finalizers hold it: {held}." if held else "Its containers, or its node, have not confirmed their end."
    if look.now < due + TERMINATION_SLACK:  # a long grace period lies in the future, and is meant
        look.again(due + TERMINATION_SLACK)
        return
    look.report(
        "PodStuckTerminating",
        item,
        f"The pod was deleted but is still there, past its grace period. {why}",
        since=due,
        evidence=[shown(item, "metadata.deletionTimestamp", due.isoformat())],
    )


def _lost_node(look: Look, item: Pod) -> Node | None:
    """The pod's node where that is not ready and took the pod with it."""
    ready = condition(item.status.conditions, "Ready")
    if not item.spec.node_name or item.status.phase == "Succeeded" or (ready is not None and ready.status == "True"):
        return None
    node = look.view.find(Node, "", item.spec.node_name)
    state = condition(node.status.conditions, "Ready") if node else None
    return node if state is not None and state.status != "True" else None


def _on_lost_node(look: Look, item: Pod, node: Node) -> None:
    ready = condition(item.status.conditions, "Ready")
    look.report(
        "PodOnLostNode",
        item,
        f"Node {node.name}, where the pod was running, is not ready.",
        since=ready.last_transition_time if ready else None,
        evidence=[shown(node, "status.conditions[Ready]", "not True")],
        owners=(node.ref,),
    )


def _failed(look: Look, item: Pod) -> None:
    if _controlled_by(look, item, "Job"):
        return  # a Job counts its failures itself and says so when they are too many
    reason = item.status.reason
    since = _ended_at(item)
    told_by = [shown(item, "status.reason", f"{reason} {item.status.message}".strip())]
    if reason == "Evicted":
        if look.live and not look.within(since, timedelta(hours=1)):
            return  # what remains of an eviction lies about for ever; it is news for an hour
        what = next(
            (name for name in ("memory", "ephemeral-storage", "disk", "pid") if name in item.status.message), ""
        )
        short = f" The node was short of {what}." if what else ""
        look.report(
            "PodEvicted", item, f"The kubelet put the pod out of its node.{short}", since=since, evidence=told_by
        )
    elif reason == "Preempting":
        look.report("PodPreempted", item, "A pod of higher priority took its place.", since=since, evidence=told_by)
    elif reason == "DeadlineExceeded":
        look.report("PodDeadlineExceeded", item, "It was ended at its deadline.", since=since, evidence=told_by)
    elif not containers.ended(look, item):
        said = f" with reason {reason}" if reason else ""
        look.report("PodFailed", item, f"The pod ended in phase Failed{said}.", since=since, evidence=told_by)


def _ended_at(item: Pod) -> datetime | None:
    ends = [status.state.terminated.finished_at for status in item.status.container_statuses if status.state.terminated]
    known = [end for end in ends if end is not None]
    ready = condition(item.status.conditions, "Ready")
    return max(known) if known else (ready.last_transition_time if ready else None) or item.status.start_time


def _controlled_by(look: Look, item: Pod, kind: str) -> bool:
    return any(owner.kind == kind for owner in look.view.owners(item)[:1])
