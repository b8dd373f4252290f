"""The scheduler: binds pending pods to the node with the most room, or says why none fits."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

from midwatch.sandbox.cluster.loop import Simulation
from midwatch.sandbox.cluster.recorder import Recorder
from midwatch.sandbox.objects import Obj, dig, set_condition
from midwatch.sandbox.podfacts import pod_requests
from midwatch.sandbox.quantities import bytes_of, millicores
from midwatch.sandbox.schema import NODES
from midwatch.sandbox.store import DELETED, Change, Key


class Scheduler:
    """One scheduler for all pods without a node."""

    def __init__(self, simulation: Simulation, recorder: Recorder) -> None:
        self._sim = simulation
        self._recorder = recorder
        self._waiting: dict[Key, None] = {}

    def concerns(self, change: Change) -> Iterable[Key]:
        record = change.record
        if record.key.resource is NODES:
            return tuple(self._waiting)
        if record.pod is None:
            return ()
        if change.kind == DELETED:
            self._waiting.pop(record.key, None)
            return tuple(self._waiting) if record.pod.node else ()
        return () if record.pod.node or change.previous is not None else (record.key,)

    def sync(self, key: Key) -> None:
        record = self._sim.store.get(key)
        if record is None or record.pod is None or record.pod.node or not record.pod.active:
            self._waiting.pop(key, None)
            return
        pod = record.obj()
        if pod["spec"].get("schedulingGates"):
            set_condition(pod, "PodScheduled", "False", self._sim.clock.now(), reason="SchedulingGated")
            self._sim.store.replace(record, pod)
            return
        node, message = self._choose(pod)
        now = self._sim.clock.now()
        if node:
            self._waiting.pop(key, None)
            pod["spec"]["nodeName"] = node
            set_condition(pod, "PodScheduled", "True", now)
            place = f"{key.namespace}/{key.name}"
            self._recorder.normal(
                pod, "Scheduled", f"Successfully assigned {place} to {node}", source="default-scheduler"
            )
        else:
            set_condition(pod, "PodScheduled", "False", now, reason="Unschedulable", message=message)
            self._recorder.warning(pod, "FailedScheduling", message, source="default-scheduler")
            if key not in self._waiting:
                self._waiting[key] = None
            self._sim.sync_later(self, key, self._sim.pace.reschedule)
        self._sim.store.replace(record, pod)

    def _choose(self, pod: Obj) -> tuple[str, str]:
        """The best node, or an empty name and the reasons of all nodes in the scheduler's words."""
        cpu, memory = pod_requests(pod["spec"])
        best, best_free = "", -1
        why: Counter[str] = Counter()
        total = helpless = 0
        for record in self._sim.store.scan(NODES):
            total += 1
            node = record.obj()
            if (obstacle := _obstacle(node, pod)) is not None:
                why[obstacle] += 1
                helpless += 1
                continue
            free_cpu = millicores(dig(node, "status.allocatable.cpu"))
            free_memory = bytes_of(dig(node, "status.allocatable.memory"))
            slots = int(dig(node, "status.allocatable.pods") or 110)
            for other in self._sim.store.on_node(record.key.name):
                if other.pod is not None and other.pod.phase not in ("Succeeded", "Failed"):
                    free_cpu -= other.pod.cpu
                    free_memory -= other.pod.memory
                    slots -= 1
            short = [
                reason
                for reason, lacking in (
                    ("Insufficient cpu", cpu > free_cpu),
                    ("Insufficient memory", memory > free_memory),
                    ("Too many pods", slots < 1),
                )
                if lacking
            ]
            why.update(short)
            if not short and free_memory > best_free:
                best, best_free = record.key.name, free_memory
        if best:
            return best, ""
        return "", _message(total, helpless, why)


def _message(total: int, helpless: int, why: Counter[str]) -> str:
    if not total:
        return "no nodes available to schedule pods"
    reasons = ", ".join(f"{count} {reason}" for reason, count in sorted(why.items()))
    victims = total - helpless
    preemption = ", ".join(
        filter(
            None,
            (
                f"{victims} No preemption victims found for incoming pod" if victims else "",
                f"{helpless} Preemption is not helpful for scheduling" if helpless else "",
            ),
        )
    )
    return f"0/{total} nodes are available: {reasons}. preemption: 0/{total} nodes are available: {preemption}."


def _obstacle(node: Obj, pod: Obj) -> str | None:
    """What keeps the pod off the node whatever room there is."""
    spec = pod["spec"]
    tolerations = spec.get("tolerations") or []
    if node["spec"].get("unschedulable") and not _tolerated(
        "node.kubernetes.io/unschedulable", "", "NoSchedule", tolerations
    ):
        return "node(s) were unschedulable"
    for taint in node["spec"].get("taints") or []:
        key, value, effect = taint["key"], taint.get("value", ""), taint["effect"]
        if key == "node.kubernetes.io/unschedulable":
            continue
        if effect in ("NoSchedule", "NoExecute") and not _tolerated(key, value, effect, tolerations):
            return f"node(s) had untolerated taint {{{key}: {value}}}"
    labels = node["metadata"].get("labels") or {}
    wanted = dict(spec.get("nodeSelector") or {})
    if any(labels.get(name) != value for name, value in wanted.items()):
        return "node(s) didn't match Pod's node affinity/selector"
    return None


def _tolerated(key: str, value: str, effect: str, tolerations: list[Obj]) -> bool:
    for item in tolerations:
        if item.get("effect") not in (None, "", effect):
            continue
        if item.get("operator") == "Exists":
            if item.get("key") in (None, "", key):
                return True
        elif item.get("key") == key and item.get("value", "") == value:
            return True
    return False


def schedulable(node: Obj, pod: Obj) -> bool:
    """Whether a pod that goes to every node belongs on this one."""
    return _obstacle(node, pod) is None
