"""StatefulSets, DaemonSets and disruption budgets: enough to keep their pods and tell their state."""

from __future__ import annotations

from collections.abc import Iterable

from midwatch.sandbox.cluster.loop import Simulation
from midwatch.sandbox.cluster.recorder import Recorder
from midwatch.sandbox.cluster.replicas import count_ready, make_pod, stop_pod
from midwatch.sandbox.cluster.scheduler import schedulable
from midwatch.sandbox.objects import Obj, controller_of, copy, dig, digest_name, set_condition
from midwatch.sandbox.schema import DAEMONSETS, NODES, PDBS, PODS, STATEFULSETS, Resource
from midwatch.sandbox.selectors import labels_match
from midwatch.sandbox.store import DELETED, Change, Key, Record

_REVISION = "controller-revision-hash"


def owner_key(change: Change, resource: Resource) -> Iterable[Key]:
    """The key of the owner of a changed pod, if it is of that kind; or of the changed object itself."""
    record = change.record
    if record.key.resource is resource:
        return () if change.kind == DELETED else (record.key,)
    if record.pod is None or not record.owner:
        return ()
    if change.previous is not None and change.kind != DELETED and change.previous.pod == record.pod:
        return ()
    owner = controller_of(record.obj())
    if owner is None or owner["kind"] != resource.kind:
        return ()
    return (Key(resource, record.key.namespace, owner["name"]),)


def _active(records: Iterable[Record]) -> list[Record]:
    return [record for record in records if record.pod is not None and record.pod.active]


class StatefulSets:
    """Pods with numbers, made one after the other and replaced from the highest number down."""

    def __init__(self, simulation: Simulation, recorder: Recorder) -> None:
        self._sim = simulation
        self._recorder = recorder

    def concerns(self, change: Change) -> Iterable[Key]:
        return owner_key(change, STATEFULSETS)

    def sync(self, key: Key) -> None:
        record = self._sim.store.get(key)
        if record is None:
            return
        statefulset = record.obj()
        revision = f"{key.name}-{digest_name(statefulset['spec']['template'], 10)}"
        pods = {pod.key.name: pod for pod in self._sim.store.owned(record.uid, PODS)}
        wanted = [f"{key.name}-{number}" for number in range(statefulset["spec"]["replicas"])]
        self._step(statefulset, wanted, pods, revision)
        pods = {pod.key.name: pod for pod in self._sim.store.owned(record.uid, PODS)}
        self._report(key, _active(pods.values()), revision)

    def _step(self, statefulset: Obj, wanted: list[str], pods: dict[str, Record], revision: str) -> None:
        """One move: make the first missing pod, else remove a surplus one, else replace an outdated one."""
        for number, name in enumerate(wanted):
            if (pod := pods.get(name)) is None:
                labels = {
                    "statefulset.kubernetes.io/pod-name": name,
                    "apps.kubernetes.io/pod-index": str(number),
                    _REVISION: revision,
                }
                template = copy(statefulset["spec"]["template"])
                template["spec"] |= {"hostname": name, "subdomain": statefulset["spec"].get("serviceName", "")}
                make_pod(self._sim.store, statefulset, template, name=name, labels=labels)
                message = f"create Pod {name} in StatefulSet {statefulset['metadata']['name']} successful"
                self._recorder.normal(statefulset, "SuccessfulCreate", message, source="statefulset-controller")
                return
            if pod.pod is None or not pod.pod.ready:
                if pod.labels.get(_REVISION) != revision:
                    stop_pod(self._sim, pod)
                return
        surplus = sorted(set(pods) - set(wanted), key=lambda name: int(name.rpartition("-")[2]), reverse=True)
        outdated = [name for name in reversed(wanted) if pods[name].labels.get(_REVISION) != revision]
        for name in (*surplus, *outdated)[:1]:
            stop_pod(self._sim, pods[name])

    def _report(self, key: Key, pods: list[Record], revision: str) -> None:
        record = self._sim.store.get(key)
        if record is None:
            return
        obj = record.obj()
        updated = sum(pod.labels.get(_REVISION) == revision for pod in pods)
        ready = count_ready(pods, self._sim.clock.now())
        before = dig(obj, "status.currentRevision") or revision
        done = updated == len(pods) == obj["spec"]["replicas"]
        obj["status"] = {
            "observedGeneration": obj["metadata"]["generation"],
            "replicas": len(pods),
            "readyReplicas": ready,
            "availableReplicas": ready,
            "currentReplicas": updated if done or before == revision else len(pods) - updated,
            "updatedReplicas": updated,
            "currentRevision": revision if done else before,
            "updateRevision": revision,
            "collisionCount": 0,
        }
        self._sim.store.replace(record, obj)


class DaemonSets:
    """One pod on every node that takes it."""

    def __init__(self, simulation: Simulation, recorder: Recorder) -> None:
        self._sim = simulation
        self._recorder = recorder

    def concerns(self, change: Change) -> Iterable[Key]:
        if change.record.key.resource is NODES:
            return tuple(record.key for record in self._sim.store.scan(DAEMONSETS))
        return owner_key(change, DAEMONSETS)

    def sync(self, key: Key) -> None:
        record = self._sim.store.get(key)
        if record is None:
            return
        daemonset = record.obj()
        template = copy(daemonset["spec"]["template"])
        revision = digest_name(template, 10)
        tolerations = template["spec"].setdefault("tolerations", [])
        for what in ("not-ready", "unreachable", "unschedulable", "disk-pressure", "memory-pressure"):
            tolerations.append({"key": f"node.kubernetes.io/{what}", "operator": "Exists"})
        pods = _active(self._sim.store.owned(record.uid, PODS))
        placed = {pod.pod.node: pod for pod in pods if pod.pod is not None}
        nodes = [node.obj() for node in self._sim.store.scan(NODES)]
        wanted = {node["metadata"]["name"] for node in nodes if schedulable(node, {"spec": template["spec"]})}
        for name in sorted(wanted - set(placed)):
            template["spec"]["nodeName"] = name
            pod = make_pod(self._sim.store, daemonset, template, labels={_REVISION: revision})
            message = f"Created pod: {pod.key.name}"
            self._recorder.normal(daemonset, "SuccessfulCreate", message, source="daemonset-controller")
        for name in set(placed) - wanted:
            stop_pod(self._sim, placed[name])
        outdated = [pod for name, pod in sorted(placed.items()) if pod.labels.get(_REVISION) != revision]
        if outdated and all(pod.pod is not None and pod.pod.ready for pod in pods) and len(placed) == len(wanted):
            stop_pod(self._sim, outdated[0])
        self._report(key, wanted, revision)

    def _report(self, key: Key, wanted: set[str], revision: str) -> None:
        record = self._sim.store.get(key)
        if record is None:
            return
        pods = _active(self._sim.store.owned(record.uid, PODS))
        ready = count_ready(pods, self._sim.clock.now())
        obj = record.obj()
        obj["status"] = {
            "observedGeneration": obj["metadata"]["generation"],
            "desiredNumberScheduled": len(wanted),
            "currentNumberScheduled": len(pods),
            "numberMisscheduled": 0,
            "numberReady": ready,
            "numberAvailable": ready,
            "updatedNumberScheduled": sum(pod.labels.get(_REVISION) == revision for pod in pods),
        }
        if unavailable := len(wanted) - ready:
            obj["status"]["numberUnavailable"] = unavailable
        self._sim.store.replace(record, obj)


class Budgets:
    """Counts what each PodDisruptionBudget allows."""

    def __init__(self, simulation: Simulation) -> None:
        self._sim = simulation

    def concerns(self, change: Change) -> Iterable[Key]:
        record = change.record
        if record.key.resource is PDBS:
            return () if change.kind == DELETED else (record.key,)
        if record.pod is None or (change.previous is not None and change.previous.pod == record.pod):
            return ()
        return tuple(
            budget.key
            for budget in self._sim.store.scan(PDBS, record.key.namespace)
            if labels_match(dig(budget.obj(), "spec.selector"), record.labels)
        )

    def sync(self, key: Key) -> None:
        record = self._sim.store.get(key)
        if record is None:
            return
        budget = record.obj()
        spec = budget["spec"]
        found = [
            pod for pod in self._sim.store.scan(PODS, key.namespace) if labels_match(spec.get("selector"), pod.labels)
        ]
        pods = _active(found)
        healthy = count_ready(pods, self._sim.clock.now())
        if "minAvailable" in spec:
            desired = _share(spec["minAvailable"], len(pods))
        else:
            desired = max(0, len(pods) - _share(spec.get("maxUnavailable", 0), len(pods)))
        budget["status"] = {
            "conditions": dig(budget, "status.conditions") or [],
            "currentHealthy": healthy,
            "desiredHealthy": desired,
            "expectedPods": len(pods),
            "disruptionsAllowed": max(0, healthy - desired),
            "observedGeneration": budget["metadata"]["generation"],
        }
        allowed = healthy > desired
        reason = "SufficientPods" if allowed else "InsufficientPods"
        set_condition(budget, "DisruptionAllowed", str(allowed), self._sim.clock.now(), reason=reason)
        for item in budget["status"]["conditions"]:
            item["message"] = ""  # required of this kind, and empty
        self._sim.store.replace(record, budget)


def _share(value: object, total: int) -> int:
    text = str(value)
    return -(-total * int(text[:-1]) // 100) if text.endswith("%") else int(text)
