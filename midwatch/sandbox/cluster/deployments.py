"""The Deployment controller: revisions as ReplicaSets, rolling updates, and the conditions people wait for."""

from __future__ import annotations

import math
from collections.abc import Iterable

from midwatch.sandbox.cluster.loop import Simulation
from midwatch.sandbox.cluster.recorder import Recorder
from midwatch.sandbox.objects import (
    Obj,
    condition,
    controller_of,
    copy,
    digest_name,
    owner_reference,
    seconds_of,
    set_condition,
    stamp,
)
from midwatch.sandbox.schema import DEPLOYMENTS, PODS, REPLICASETS
from midwatch.sandbox.selectors import labels_match
from midwatch.sandbox.store import DELETED, Change, Key, Record

_SOURCE = "deployment-controller"
_HASH = "pod-template-hash"
REVISION = "deployment.kubernetes.io/revision"
_DESIRED = "deployment.kubernetes.io/desired-replicas"
_MAXIMUM = "deployment.kubernetes.io/max-replicas"
_OWN = (REVISION, _DESIRED, _MAXIMUM, "deployment.kubernetes.io/revision-history")
_NOT_COPIED = (*_OWN, "kubectl.kubernetes.io/last-applied-configuration")


class Deployments:
    """Keeps each Deployment's ReplicaSets as its template and strategy want them."""

    def __init__(self, simulation: Simulation, recorder: Recorder) -> None:
        self._sim = simulation
        self._recorder = recorder

    def concerns(self, change: Change) -> Iterable[Key]:
        record = change.record
        if record.key.resource is DEPLOYMENTS:
            return () if change.kind == DELETED else (record.key,)
        if record.key.resource is REPLICASETS:
            owner = controller_of(record.obj())
            if owner is not None:
                return (Key(DEPLOYMENTS, record.key.namespace, owner["name"]),) if owner["kind"] == "Deployment" else ()
            return tuple(item.key for item in self._sim.store.scan(DEPLOYMENTS, record.key.namespace))
        return ()

    def sync(self, key: Key) -> None:
        record = self._sim.store.get(key)
        if record is None:
            return
        deployment = record.obj()
        if deployment["metadata"].get("deletionTimestamp"):
            return
        sets = self._adopt(deployment)
        new = self._current(deployment, sets)
        if new is None and deployment["spec"].get("paused"):
            self._report(key, None, sets)
            return
        if new is None:
            new = self._create(deployment, sets)
            sets.append(new)
        new = self._revise(key, new, sets)
        record = self._sim.store.get(key)
        if record is None:
            return
        deployment = record.obj()
        old = [item for item in sets if item.key != new.key]
        if deployment["spec"].get("paused"):
            self._scale(deployment, new, deployment["spec"]["replicas"])
        elif deployment["spec"]["strategy"]["type"] == "Recreate":
            self._recreate(deployment, new, old)
        else:
            self._roll(deployment, new, old)
        self._tidy(deployment, old)
        self._report(key, new, self._fresh(sets))

    # revisions

    def _adopt(self, deployment: Obj) -> list[Record]:
        uid, selector = deployment["metadata"]["uid"], deployment["spec"]["selector"]
        sets = self._sim.store.owned(uid, REPLICASETS)
        for record in list(self._sim.store.scan(REPLICASETS, deployment["metadata"]["namespace"])):
            if not record.owner and labels_match(selector, record.labels):
                obj = record.obj()
                obj["metadata"]["ownerReferences"] = [owner_reference(deployment)]
                sets.append(self._sim.store.replace(record, obj))
        return sets

    def _current(self, deployment: Obj, sets: list[Record]) -> Record | None:
        """The ReplicaSet of the present template: an earlier revision when the template went back to it."""
        wanted = _bare(deployment["spec"]["template"])
        return next((item for item in sets if _bare(item.obj()["spec"]["template"]) == wanted), None)

    def _create(self, deployment: Obj, sets: list[Record]) -> Record:
        template = copy(deployment["spec"]["template"])
        name = deployment["metadata"]["name"]
        namespace = deployment["metadata"]["namespace"]
        digest = digest_name(_bare(template), 10)
        while self._sim.store.get(Key(REPLICASETS, namespace, f"{name}-{digest}")) is not None:
            digest = digest_name([digest], 10)
        labels = {**(template.setdefault("metadata", {}).get("labels") or {}), _HASH: digest}
        template["metadata"]["labels"] = labels
        selector = copy(deployment["spec"]["selector"])
        selector.setdefault("matchLabels", {})[_HASH] = digest
        replicaset = {
            "metadata": {
                "name": f"{name}-{digest}",
                "namespace": namespace,
                "labels": dict(labels),
                "annotations": _copied_annotations(deployment) | {REVISION: str(_last_revision(sets) + 1)},
                "ownerReferences": [owner_reference(deployment)],
            },
            "spec": {"replicas": 0, "selector": selector, "template": template},
            "status": {"replicas": 0},
        }
        for field in ("minReadySeconds",):
            if field in deployment["spec"]:
                replicaset["spec"][field] = deployment["spec"][field]
        return self._sim.store.create(REPLICASETS, replicaset)

    def _revise(self, key: Key, new: Record, sets: list[Record]) -> Record:
        """Number the present revision; one that came back gets the next number."""
        obj = new.obj()
        last = _last_revision([item for item in sets if item.key != new.key])
        annotations = obj["metadata"].setdefault("annotations", {})
        record = self._sim.store.get(key)
        if record is None:
            return new
        deployment = record.obj()
        if int(annotations.get(REVISION, "0")) <= last:
            annotations |= {REVISION: str(last + 1)}
        for name, value in _copied_annotations(deployment).items():
            annotations[name] = value
        annotations[_DESIRED] = str(deployment["spec"]["replicas"])
        annotations[_MAXIMUM] = str(deployment["spec"]["replicas"] + _surge(deployment["spec"]))
        new = self._sim.store.replace(new, obj)
        deployment["metadata"].setdefault("annotations", {})[REVISION] = annotations[REVISION]
        self._sim.store.replace(record, deployment)
        return new

    # scaling

    def _roll(self, deployment: Obj, new: Record, old: list[Record]) -> None:
        spec = deployment["spec"]
        desired = spec["replicas"]
        sizes = {item.key: _size(item) for item in (new, *old)}
        total = sum(sizes.values())
        if sizes[new.key] != desired:
            room = desired + _surge(spec) - total
            target = desired if sizes[new.key] > desired else min(desired, sizes[new.key] + max(0, room))
            new = self._scale(deployment, new, target)
        if not any(sizes[item.key] for item in old):
            return
        floor = desired - _unavailable(spec)
        current = self._fresh([new, *old])
        new, old = current[0], current[1:]
        pods = sum(_size(item) for item in current)
        new_missing = _size(new) - _available(new)
        room = pods - floor - new_missing
        if room <= 0:
            return
        # First what was not available anyway, then as much as the floor allows.
        for item in old:
            broken = min(_size(item) - _available(item), max(0, room))
            if broken > 0:
                self._scale(deployment, item, _size(item) - broken)
                room -= broken
        old = self._fresh(old)
        # Sizes are what was asked for, availability is what was last reported: never trust the second beyond the first.
        spare = min(room, sum(min(_available(item), _size(item)) for item in (new, *old)) - floor)
        for item in sorted(old, key=lambda record: record.version):
            drop = min(_size(item), max(0, spare))
            if drop > 0:
                self._scale(deployment, item, _size(item) - drop)
                spare -= drop

    def _recreate(self, deployment: Obj, new: Record, old: list[Record]) -> None:
        for item in old:
            self._scale(deployment, item, 0)
        if not any(self._sim.store.owned(item.uid, PODS) for item in old):
            self._scale(deployment, new, deployment["spec"]["replicas"])

    def _scale(self, deployment: Obj, record: Record, size: int) -> Record:
        before = _size(record)
        if before == size:
            return record
        obj = record.obj()
        obj["spec"]["replicas"] = size
        direction = "up" if size > before else "down"
        message = f"Scaled {direction} replica set {record.key.name} from {before} to {size}"
        self._recorder.normal(deployment, "ScalingReplicaSet", message, source=_SOURCE)
        return self._sim.store.replace(record, obj)

    def _tidy(self, deployment: Obj, old: list[Record]) -> None:
        """Forget revisions beyond the history limit."""
        idle = [item for item in self._fresh(old) if not _size(item) and not self._sim.store.owned(item.uid, PODS)]
        idle.sort(key=_revision)
        for item in idle[: max(0, len(idle) - deployment["spec"].get("revisionHistoryLimit", 10))]:
            self._sim.store.delete(item)

    def _fresh(self, records: list[Record]) -> list[Record]:
        found = (self._sim.store.get(item.key) for item in records)
        return [record for record in found if record is not None]

    # status

    def _report(self, key: Key, new: Record | None, sets: list[Record]) -> None:
        record = self._sim.store.get(key)
        if record is None:
            return
        deployment, now = record.obj(), self._sim.clock.now()
        spec, before = deployment["spec"], deployment.get("status") or {}
        desired = spec["replicas"]
        current = next((item for item in sets if new is not None and item.key == new.key), None)
        counts = {
            "replicas": sum(_count(item, "replicas") for item in sets),
            "updatedReplicas": _count(current, "replicas") if current else 0,
            "readyReplicas": sum(_count(item, "readyReplicas") for item in sets),
            "availableReplicas": sum(_available(item) for item in sets),
        }
        total = max(counts["replicas"], sum(_size(item) for item in sets))
        counts["unavailableReplicas"] = max(0, total - counts["availableReplicas"])
        status: Obj = {"observedGeneration": deployment["metadata"]["generation"]}
        status |= {name: count for name, count in counts.items() if count}
        status["conditions"] = before.get("conditions") or []
        deployment["status"] = status
        enough = counts["availableReplicas"] >= desired - _unavailable(spec)
        for kind in ("Available",):
            reason = "MinimumReplicasAvailable" if enough else "MinimumReplicasUnavailable"
            has = "has" if enough else "does not have"
            message = f"Deployment {has} minimum availability."
            set_condition(deployment, kind, "True" if enough else "False", now, reason=reason, message=message)
        if current is not None:
            self._progress(key, deployment, before, current, now)
        self._sim.store.replace(record, deployment)

    def _progress(self, key: Key, deployment: Obj, before: Obj, current: Record, now: float) -> None:
        status, desired = deployment["status"], deployment["spec"]["replicas"]
        name = current.key.name
        complete = all(
            status.get(field, 0) == desired for field in ("replicas", "updatedReplicas", "availableReplicas")
        )
        previous = condition({"status": before}, "Progressing")
        known = previous["reason"] if previous else ""
        same_set = bool(previous) and f'"{name}"' in previous["message"] if previous else False
        if complete:
            message = f'ReplicaSet "{name}" has successfully progressed.'
            if known != "NewReplicaSetAvailable" or not same_set:
                _progressing(deployment, "True", "NewReplicaSetAvailable", message, now)
            return
        moved = any(
            status.get(field, 0) > before.get(field, 0)
            for field in ("updatedReplicas", "readyReplicas", "availableReplicas")
        ) or status.get("replicas", 0) - status.get("updatedReplicas", 0) < before.get("replicas", 0) - before.get(
            "updatedReplicas", 0
        )
        fresh = not same_set
        if fresh or (moved and known != "NewReplicaSetAvailable"):
            reason = "ReplicaSetUpdated" if previous else "NewReplicaSetCreated"
            message = f'ReplicaSet "{name}" is progressing.' if previous else f'Created new replica set "{name}"'
            _progressing(deployment, "True", reason, message, now)
            self._sim.sync_later(self, key, deployment["spec"]["progressDeadlineSeconds"] + 1.0)
            return
        if known in ("NewReplicaSetAvailable", "ProgressDeadlineExceeded") or previous is None:
            return
        waited = now - seconds_of(previous["lastUpdateTime"])
        deadline = deployment["spec"]["progressDeadlineSeconds"]
        if waited > deadline and not deployment["spec"].get("paused"):
            message = f'ReplicaSet "{name}" has timed out progressing.'
            _progressing(deployment, "False", "ProgressDeadlineExceeded", message, now)


def _progressing(deployment: Obj, status: str, reason: str, message: str, now: float) -> None:
    set_condition(deployment, "Progressing", status, now, reason=reason, message=message)
    found = condition(deployment, "Progressing")
    if found is not None:
        found["lastUpdateTime"] = stamp(now)


def _bare(template: Obj) -> Obj:
    """A template without the hash label the controller adds."""
    bare = copy(template)
    metadata = bare.get("metadata") or {}
    metadata.pop("creationTimestamp", None)
    (metadata.get("labels") or {}).pop(_HASH, None)
    bare["metadata"] = metadata
    return bare


def _copied_annotations(deployment: Obj) -> Obj:
    annotations = deployment["metadata"].get("annotations") or {}
    return {name: value for name, value in annotations.items() if name not in _NOT_COPIED}


def _revision(record: Record) -> int:
    return int((record.obj()["metadata"].get("annotations") or {}).get(REVISION, "0"))


def _last_revision(sets: list[Record]) -> int:
    return max((_revision(item) for item in sets), default=0)


def _size(record: Record) -> int:
    return int(record.obj()["spec"].get("replicas", 0))


def _count(record: Record, field: str) -> int:
    return int((record.obj().get("status") or {}).get(field, 0))


def _available(record: Record) -> int:
    return _count(record, "availableReplicas")


def _amount(value: object, total: int, *, up: bool) -> int:
    if isinstance(value, str) and value.endswith("%"):
        exact = total * int(value[:-1]) / 100
        return math.ceil(exact) if up else int(exact)
    return int(str(value))


def _surge(spec: Obj) -> int:
    rolling = spec["strategy"].get("rollingUpdate")
    return _amount(rolling["maxSurge"], spec["replicas"], up=True) if rolling else 0


def _unavailable(spec: Obj) -> int:
    """How many may be missing; never zero together with the surge, or nothing could ever move."""
    rolling = spec["strategy"].get("rollingUpdate")
    if not rolling:
        return 0
    amount = _amount(rolling["maxUnavailable"], spec["replicas"], up=False)
    return min(int(spec["replicas"]), amount if amount or _surge(spec) else 1)
