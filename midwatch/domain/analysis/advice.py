"""What to do about a root cause: the playbook to propose, what was ruled out, what to look at next, prevention."""

import msgspec

from midwatch.domain.analysis.changes import Change
from midwatch.domain.conditions.catalogue import condition
from midwatch.domain.diagnosis import Finding
from midwatch.domain.logs.report import Hit
from midwatch.domain.objects import meta
from midwatch.domain.objects.cluster import Node, ResourceQuota
from midwatch.domain.objects.pods import Pod
from midwatch.domain.objects.quantities import quantity
from midwatch.domain.objects.view import ClusterView
from midwatch.domain.objects.workloads import Deployment, ReplicaSet
from midwatch.domain.refs import ObjectRef

_WORKLOADS = ("Deployment", "StatefulSet", "DaemonSet")
_PREVENTION = {
    "oom_killed": "Alert on memory near its limit, and set limits from measured use.",
    "image_pull": "Let delivery check that the image exists before it rolls out; pin images by digest.",
    "missing_configmap": "Ship configuration with the workload that needs it, and check references before delivery.",
    "missing_secret": "Ship secrets with the workload that needs them, and check references before delivery.",
    "crashloop": "Let the process wait for its dependencies with a timeout, and test a start with them away.",
    "unschedulable": "Keep spare capacity, or scale nodes automatically.",
    "failed_create": "Alert on quotas above 80 %, and review admission rules with the teams they bind.",
    "pvc_pending": "Check storage classes in delivery.",
    "node_not_ready": "Spread replicas over nodes, and guard them with disruption budgets.",
    "node_pressure": "Set requests and limits, so that the scheduler knows what fits.",
    "probe_failure": "Test probes with realistic start times and load.",
    "progress_deadline_exceeded": "Roll out to a few pods first, and go back automatically.",
    "job_failed": "Alert on the first failed run, and make runs repeatable.",
}


class Proposal(msgspec.Struct, frozen=True, kw_only=True):
    """A playbook with parameters for an object, or advice alone."""

    subject: ObjectRef
    action: str
    playbook: str = ""
    parameters: dict[str, str] = {}


def proposal(view: ClusterView, root: Finding, change: Change | None) -> Proposal:
    """What to propose. A guilty rollout is taken back, whatever it broke; else the condition's own playbook."""
    entry = condition(root.condition)
    action = entry.remediation if entry else ""
    top = root.top_owner
    if top.kind not in _WORKLOADS:
        return Proposal(subject=root.subject, action=action)
    named = entry.playbook if entry else ""
    back = top.kind == "Deployment" and _revisions(view, top) > 1
    if change is not None and change.guilty and change.previous and back:
        return Proposal(
            subject=top, action=f"Roll {top.name} back to the revision before {change.revision or 'the newest'}.",
            playbook="rollback-deployment",
        )  # fmt: skip
    if named == "raise-memory-limit":
        limited = _memory_limited(view, root)
        return Proposal(
            subject=top,
            action=f"Raise the memory limit of {top.name} (twice the present one), then look for a leak.",
            playbook=named if limited else "",
            parameters={"factor": "2"} if limited else {},
        )
    if named == "rollback-deployment" and not back:
        return Proposal(subject=top, action=action)
    if named == "restart-workload":
        action = f"Restart the pods of {top.name} one after another; if that does not help: {action}."
    return Proposal(subject=top, action=action, playbook=named)


def _revisions(view: ClusterView, top: ObjectRef) -> int:
    item = view.find(Deployment, top.namespace, top.name)
    return sum(isinstance(child, ReplicaSet) for child in view.children(item)) if item else 0


def _memory_limited(view: ClusterView, root: Finding) -> bool:
    pod = view.find(Pod, root.subject.namespace, root.subject.name) if root.subject.kind == "Pod" else None
    return pod is None or any(box.resources.limits.get("memory") for box in pod.spec.containers)


def ruled_out(view: ClusterView, root: Finding, related: tuple[Finding, ...], change: Change | None) -> tuple[str, ...]:
    """Other usual causes that were looked at and are not it. Says nothing of what was not seen."""
    seen = {finding.family for finding in (root, *related)}
    said: list[str] = []
    pods = _pods(view, root)
    nodes = [node for pod in pods if (node := view.find(Node, "", pod.spec.node_name))]
    if nodes and not {"node_not_ready", "node_pressure"} & seen and all(_well(node) for node in nodes):
        said.append("The nodes its pods are on are ready and under no pressure.")
    started = [
        status
        for pod in pods
        for status in pod.status.container_statuses
        if status.state.running or status.restart_count
    ]
    if started and "oom_killed" not in seen:
        said.append("No container of it was killed for memory.")
    if started and "image_pull" not in seen:
        said.append("Its image is there: containers were started from it.")
    if pods and all(pod.spec.node_name for pod in pods) and "unschedulable" not in seen:
        said.append("Scheduling: every pod of it has a node.")
    space = root.subject.namespace
    quotas = list(view.each(ResourceQuota, space)) if space else []
    if quotas and "failed_create" not in seen and all(_room(quota) for quota in quotas):
        said.append("The namespace's quotas have room.")
    sets = root.top_owner.kind == "Deployment" and _revisions(view, root.top_owner)
    if sets and change is None:
        said.append("No rollout of it happened in the two hours before.")
    return tuple(said)


def _pods(view: ClusterView, root: Finding) -> tuple[Pod, ...]:
    for ref in (root.subject, root.top_owner):
        item = view.get(ref.kind, ref.namespace, ref.name)
        if isinstance(item, Pod):
            return (item,)
        if item is not None and (below := view.pods_of(item)):
            return below
    return ()


def _well(node: Node) -> bool:
    ready = meta.condition(node.status.conditions, "Ready")
    others = [entry for entry in node.status.conditions if entry.type.endswith(("Pressure", "Unavailable"))]
    return ready is not None and ready.status == "True" and all(entry.status == "False" for entry in others)


def _room(quota: ResourceQuota) -> bool:
    return all(
        (quantity(quota.status.used.get(key)) or 0) < (quantity(hard) or 0) for key, hard in quota.status.hard.items()
    )


def next_checks(root: Finding, log: Hit | None) -> tuple[str, ...]:
    """Commands and looks that would confirm or refute the cause, best first."""
    ref, top = root.subject, root.top_owner
    space = f" -n {ref.namespace}" if ref.namespace else ""
    checks = [f"kubectl{space} describe {ref.kind.lower()} {ref.name}"]
    if ref.kind == "Pod":
        previous = " --previous" if root.family in ("crashloop", "oom_killed", "nonzero_exit", "init_failure") else ""
        checks.append(f"kubectl{space} logs {ref.name} --all-containers{previous}")
    if top.kind in _WORKLOADS:
        checks.append(f"kubectl{space} rollout history {top.kind.lower()}/{top.name}")
    if ref.kind == "Node":
        checks.append(f"kubectl get pods -A -o wide --field-selector spec.nodeName={ref.name}")
    entry = condition(root.condition)
    if entry is not None:
        checks.append(f"Gather: {', '.join(entry.evidence)}.")
    return tuple(dict.fromkeys([*(log.checks if log else ()), *checks]))[:6]


def prevention(root: Finding) -> str:
    """One sentence on how not to meet this again; empty where there is nothing useful to say."""
    return _PREVENTION.get(root.family, "")
