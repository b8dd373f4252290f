"""What an object stands on and could fail by, besides its owners: its node, its claims, the workload it serves."""

from collections.abc import Iterable

from midwatch.domain.objects.cluster import Node, PersistentVolume, PersistentVolumeClaim
from midwatch.domain.objects.meta import Base, condition
from midwatch.domain.objects.pods import Pod
from midwatch.domain.objects.view import ClusterView
from midwatch.domain.objects.workloads import HorizontalPodAutoscaler, PodDisruptionBudget
from midwatch.domain.refs import ObjectRef

_WORKLOADS = frozenset({"Deployment", "StatefulSet", "DaemonSet", "ReplicaSet", "Job"})


def standing(view: ClusterView, subject: ObjectRef, owner: ObjectRef) -> tuple[ObjectRef, ...]:
    """For a pod its workload, node and claims; for a workload what its unready pods have in common; else the workload.

    ``owner`` is the top owner of ``subject`` as a verdict named it, for objects that have none in the owner graph.
    """
    item = view.get(subject.kind, subject.namespace, subject.name)
    match item:
        case Pod():
            return _unique((view.top(item), *_node_of(item), *_claims(item)), subject, owner)
        case PersistentVolume():
            claim = item.spec.claim_ref
            return (ObjectRef("PersistentVolumeClaim", claim.name, claim.namespace),) if claim else ()
        case HorizontalPodAutoscaler():
            target = item.spec.scale_target_ref
            below = view.get(target.kind, item.namespace, target.name)
        case PodDisruptionBudget():
            pods = view.pods_selected(item.namespace, item.spec.selector) if item.spec.selector else ()
            tops = {view.top(pod) for pod in pods}
            top = tops.pop() if len(tops) == 1 else None
            below = view.get(top.kind, top.namespace, top.name) if top else None
        case _ if subject.kind in _WORKLOADS:
            below = item
        case _:
            below = view.get(owner.kind, owner.namespace, owner.name)
    if below is None or below.kind not in _WORKLOADS:
        return ()
    return _unique((below.ref, *_in_common(view, below)), subject, owner)


def _in_common(view: ClusterView, workload: Base) -> tuple[ObjectRef, ...]:
    """The one node of all its unready pods (or several, when all of them are lost), and the one claim they wait for."""
    unready = [pod for pod in view.pods_of(workload) if not _ready(pod)]
    nodes = _unique(ref for pod in unready for ref in _node_of(pod))
    if len(nodes) > 1 and not all(_lost(view, ref) for ref in nodes):
        nodes = ()
    waiting = [[ref for ref in _claims(pod) if _pending(view, ref)] for pod in unready]
    claims = _unique(refs[0] for refs in waiting if refs)
    return (*nodes, *(claims if len(claims) == 1 and all(waiting) else ()))


def _ready(pod: Pod) -> bool:
    ready = condition(pod.status.conditions, "Ready")
    return pod.status.phase == "Succeeded" or (ready is not None and ready.status == "True")


def _lost(view: ClusterView, ref: ObjectRef) -> bool:
    node = view.find(Node, "", ref.name)
    state = condition(node.status.conditions, "Ready") if node else None
    return state is not None and state.status != "True"


def _pending(view: ClusterView, ref: ObjectRef) -> bool:
    claim = view.find(PersistentVolumeClaim, ref.namespace, ref.name)
    return claim is not None and claim.status.phase != "Bound"


def _node_of(pod: Pod) -> tuple[ObjectRef, ...]:
    return (ObjectRef("Node", pod.spec.node_name),) if pod.spec.node_name else ()


def _claims(pod: Pod) -> tuple[ObjectRef, ...]:
    return tuple(
        ObjectRef("PersistentVolumeClaim", volume.persistent_volume_claim.claim_name, pod.namespace)
        for volume in pod.spec.volumes
        if volume.persistent_volume_claim
    )


def _unique(refs: Iterable[ObjectRef], *without: ObjectRef) -> tuple[ObjectRef, ...]:
    known = {ref.path for ref in without}
    return tuple({ref.path: ref for ref in refs if ref.path not in known}.values())
