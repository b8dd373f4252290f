"""Conditions of pods no node takes, with the reason the scheduler gives per node."""

import re
from dataclasses import dataclass

from midwatch.domain.conditions.look import Look, shown, told
from midwatch.domain.objects.cluster import PersistentVolumeClaim
from midwatch.domain.objects.meta import condition
from midwatch.domain.objects.pods import Pod
from midwatch.domain.refs import ObjectRef


@dataclass(frozen=True)
class Objection:
    """What the scheduler may say against nodes: its pattern, our id and our words."""

    pattern: re.Pattern[str]
    suffix: str
    sentence: str


_OBJECTIONS = tuple(
    Objection(re.compile(pattern, re.IGNORECASE), suffix, sentence)
    for pattern, suffix, sentence in (
        (
            r"persistentvolumeclaim|volume node affinity|unbound|volume\(s\)|max volume count|persistent volumes",
            "Volume",
            "its PersistentVolumeClaim (PVC) is not bound, or its volume fits no node",
        ),
        (r"insufficient (nvidia\.com|amd\.com|\S*gpu)", "InsufficientGPU", "too few GPUs are free"),
        (r"insufficient cpu", "InsufficientCPU", "too little CPU is free for its requests"),
        (r"insufficient memory", "InsufficientMemory", "too little memory is free for its requests"),
        (r"insufficient ephemeral-storage", "InsufficientStorage", "too little local storage is free"),
        (r"too many pods", "TooManyPods", "nodes are at their pod capacity"),
        (r"anti-affinity|pod affinity", "AntiAffinity", "pod affinity or anti-affinity rules forbid the nodes"),
        (r"topology spread", "TopologySpread", "topology spread constraints forbid the nodes"),
        (
            r"node affinity|node selector|node\(s\) didn't match",
            "NodeSelector",
            "no node matches its node selector or affinity",
        ),
        (r"free ports|host ?port", "HostPort", "the host port is taken"),
        (r"untolerated taint|had taint|taints? that the pod", "Taints", "nodes have taints it does not tolerate"),
        (r"unschedulable|cordon", "Cordoned", "nodes are cordoned"),
    )
)


def objections(text: str) -> tuple[Objection, ...]:
    """Everything a scheduler's message says against nodes, the most specific reason first."""
    text = re.sub(r"(?i)preemption:.*", "", text)
    return tuple(objection for objection in _OBJECTIONS if objection.pattern.search(text))


def unscheduled(look: Look, item: Pod) -> bool:
    """Report a pod that waits for a node. Whether it does (then nothing else can be wrong with it yet)."""
    if item.spec.node_name or item.status.phase not in ("Pending", ""):
        return False
    scheduled = condition(item.status.conditions, "PodScheduled")
    if item.spec.scheduling_gates or (scheduled is not None and scheduled.reason == "SchedulingGated"):
        gates = ", ".join(gate.name for gate in item.spec.scheduling_gates)
        look.report(
            "SchedulingGated", item, f"It waits behind: {gates or 'a gate'}.", since=item.metadata.creation_timestamp
        )
        return True
    refused = scheduled is not None and (
        scheduled.status == "False" or (scheduled.status != "True" and scheduled.reason == "Unschedulable")
    )
    events = look.warnings(item, "FailedScheduling")
    if not refused and not events:
        return False
    message = scheduled.message if scheduled is not None and refused and scheduled.message else ""
    message = message or (events[-1].text if events else "")
    said = objections(message)
    id_ = f"FailedScheduling/{said[0].suffix}" if said else "FailedScheduling"
    why = "; ".join(objection.sentence for objection in said) or "the scheduler gives no reason we know"
    claim = _waiting_claim(look, item) if said and said[0].suffix == "Volume" else None
    look.report(
        id_,
        item,
        f"The pod stays pending, no node takes it: {why}.",
        since=(scheduled.last_transition_time if scheduled else None) or (events[0].began_at if events else None),
        evidence=[shown(item, "status.conditions[PodScheduled]", message)] if refused else [told(events[-1])],
        owners=(claim,) if claim else None,
    )
    return True


def _waiting_claim(look: Look, item: Pod) -> ObjectRef | None:
    """The claim the pod waits for, where it is seen and not bound: then the claim is the trouble, not the workload."""
    for volume in item.spec.volumes:
        if volume.persistent_volume_claim is None:
            continue
        claim = look.view.find(PersistentVolumeClaim, item.namespace, volume.persistent_volume_claim.claim_name)
        if claim is not None and claim.status.phase == "Pending":
            return claim.ref
    return None
