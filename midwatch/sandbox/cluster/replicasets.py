"""The ReplicaSet controller: as many pods as wanted, and orphans adopted."""

from __future__ import annotations

from collections.abc import Iterable

from midwatch.sandbox.cluster.loop import Simulation
from midwatch.sandbox.cluster.recorder import Recorder
from midwatch.sandbox.cluster.replicas import count_ready, first_to_go, make_pod, stop_pod
from midwatch.sandbox.objects import Obj, controller_of, owner_reference
from midwatch.sandbox.schema import PODS, REPLICASETS
from midwatch.sandbox.selectors import labels_match
from midwatch.sandbox.store import DELETED, Change, Key, Record

_SOURCE = "replicaset-controller"


class ReplicaSets:
    """Keeps each ReplicaSet at its number of pods."""

    def __init__(self, simulation: Simulation, recorder: Recorder) -> None:
        self._sim = simulation
        self._recorder = recorder

    def concerns(self, change: Change) -> Iterable[Key]:
        record = change.record
        if record.key.resource is REPLICASETS:
            return () if change.kind == DELETED else (record.key,)
        if record.pod is None:
            return ()
        previous = change.previous
        if (
            previous is not None
            and change.kind != DELETED
            and previous.pod == record.pod
            and previous.labels == record.labels
        ):
            return ()
        return self._owners(record)

    def _owners(self, pod: Record) -> Iterable[Key]:
        owner = controller_of(pod.obj())
        if owner is not None:
            return (Key(REPLICASETS, pod.key.namespace, owner["name"]),) if owner["kind"] == "ReplicaSet" else ()
        # An orphan may find a home.
        return tuple(item.key for item in self._sim.store.scan(REPLICASETS, pod.key.namespace))

    def sync(self, key: Key) -> None:
        record = self._sim.store.get(key)
        if record is None:
            return
        replicaset = record.obj()
        if replicaset["metadata"].get("deletionTimestamp"):
            return
        pods = self._adopt(replicaset)
        wanted = replicaset["spec"].get("replicas", 1)
        if len(pods) < wanted:
            for _ in range(wanted - len(pods)):
                pod = make_pod(self._sim.store, replicaset, replicaset["spec"]["template"])
                pods.append(pod)
                self._recorder.normal(replicaset, "SuccessfulCreate", f"Created pod: {pod.key.name}", source=_SOURCE)
        for pod in first_to_go(pods)[: max(0, len(pods) - wanted)]:
            stop_pod(self._sim, pod)
            pods.remove(pod)
            self._recorder.normal(replicaset, "SuccessfulDelete", f"Deleted pod: {pod.key.name}", source=_SOURCE)
        self._report(key, pods)

    def _adopt(self, replicaset: Obj) -> list[Record]:
        """The active pods of the set: its own, and orphans that match; pods that no longer match are let go."""
        uid, selector = replicaset["metadata"]["uid"], replicaset["spec"]["selector"]
        mine = []
        for pod in self._sim.store.owned(uid, PODS):
            if labels_match(selector, pod.labels):
                mine.append(pod)
            else:
                obj = pod.obj()
                obj["metadata"]["ownerReferences"] = [r for r in obj["metadata"]["ownerReferences"] if r["uid"] != uid]
                self._sim.store.replace(pod, obj)
        for pod in list(self._sim.store.scan(PODS, replicaset["metadata"]["namespace"])):
            if not pod.owner and labels_match(selector, pod.labels) and pod.pod is not None and pod.pod.active:
                obj = pod.obj()
                obj["metadata"].setdefault("ownerReferences", []).append(owner_reference(replicaset))
                mine.append(self._sim.store.replace(pod, obj))
        return [pod for pod in mine if pod.pod is not None and pod.pod.active]

    def _report(self, key: Key, pods: list[Record]) -> None:
        record = self._sim.store.get(key)
        if record is None:
            return
        replicaset, now = record.obj(), self._sim.clock.now()
        min_ready = replicaset["spec"].get("minReadySeconds", 0)
        ready = count_ready(pods, now)
        available = count_ready(pods, now, min_ready)
        counts = {"fullyLabeledReplicas": len(pods), "readyReplicas": ready, "availableReplicas": available}
        status: Obj = {
            "replicas": len(pods),
            **{name: count for name, count in counts.items() if count},
            "observedGeneration": replicaset["metadata"]["generation"],
        }
        replicaset["status"] = status
        self._sim.store.replace(record, replicaset)
        if min_ready and available < ready:
            self._sim.sync_later(self, key, min_ready)
