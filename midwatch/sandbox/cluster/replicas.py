"""What every controller with pods shares: making pods from a template, and choosing which one goes."""

from __future__ import annotations

from collections.abc import Iterable

from midwatch.sandbox.cluster.loop import Simulation
from midwatch.sandbox.objects import Obj, copy, owner_reference, stamp
from midwatch.sandbox.schema import PODS
from midwatch.sandbox.store import Record, Store


def make_pod(store: Store, owner: Obj, template: Obj, *, name: str = "", labels: Obj | None = None) -> Record:
    """Create one pod of a template, controlled by ``owner``."""
    spec = copy(template["spec"])
    for key in ("node.kubernetes.io/not-ready", "node.kubernetes.io/unreachable"):
        tolerations = spec.setdefault("tolerations", [])
        if not any(item.get("key") == key for item in tolerations):
            tolerations.append({"key": key, "operator": "Exists", "effect": "NoExecute", "tolerationSeconds": 300})
    meta = template.get("metadata") or {}
    metadata: Obj = {
        "namespace": owner["metadata"]["namespace"],
        "labels": {**(meta.get("labels") or {}), **(labels or {})},
        "ownerReferences": [owner_reference(owner)],
    }
    if name:
        metadata["name"] = name
    else:
        metadata["generateName"] = f"{owner['metadata']['name']}-"
    if meta.get("annotations"):
        metadata["annotations"] = dict(meta["annotations"])
    return store.create(PODS, {"metadata": metadata, "spec": spec, "status": {"phase": "Pending"}})


def stop_pod(simulation: Simulation, record: Record) -> None:
    """Begin a graceful deletion; a pod without a node, or one that is over, goes at once."""
    if record.pod is None or record.pod.deleting:
        return
    if not record.pod.node or not record.pod.active:
        simulation.store.delete(record)
        return
    pod = record.obj()
    grace = int(pod["spec"].get("terminationGracePeriodSeconds", 30))
    pod["metadata"]["deletionTimestamp"] = stamp(simulation.clock.now() + grace)
    pod["metadata"]["deletionGracePeriodSeconds"] = grace
    simulation.store.replace(record, pod)


def first_to_go(pods: Iterable[Record]) -> list[Record]:
    """Pods in the order in which they are given up: without node, pending, not ready, youngest."""

    def worth(record: Record) -> tuple[bool, bool, bool, int]:
        facts = record.pod
        assert facts is not None
        return bool(facts.node), facts.phase == "Running", facts.ready, -record.version

    return sorted(pods, key=worth)


def count_ready(pods: Iterable[Record], now: float, min_ready: float = 0.0) -> int:
    """How many are ready, and have been for ``min_ready`` seconds."""
    return sum(
        1 for item in pods if item.pod is not None and item.pod.ready and now - item.pod.ready_since >= min_ready
    )
