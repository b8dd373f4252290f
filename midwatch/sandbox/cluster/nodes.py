"""Nodes: heartbeats while the kubelet lives, and what the node controller does once it is silent."""

from __future__ import annotations

from collections.abc import Iterable

from midwatch.sandbox.cluster.kubelet import Kubelets
from midwatch.sandbox.cluster.loop import Simulation
from midwatch.sandbox.cluster.recorder import Recorder
from midwatch.sandbox.cluster.replicas import stop_pod
from midwatch.sandbox.objects import Obj, condition, controller_of, micro_stamp, set_condition, stamp
from midwatch.sandbox.schema import LEASES, NODES
from midwatch.sandbox.store import Change, Key

_UNREACHABLE = "node.kubernetes.io/unreachable"
_UNSCHEDULABLE = "node.kubernetes.io/unschedulable"
_SILENT = {"reason": "NodeStatusUnknown", "message": "Kubelet stopped posting node status."}
_SOURCE = "node-controller"
_HEARTBEATS_UP_TO = 50
"""Nodes; larger clusters (benchmarks) are not worth the noise of their heartbeats."""


class Nodes:
    """Heartbeats, the node lifecycle controller, and the taint that cordoning brings."""

    def __init__(self, simulation: Simulation, kubelets: Kubelets, recorder: Recorder) -> None:
        self._sim = simulation
        self._kubelets = kubelets
        self._recorder = recorder

    def start(self) -> None:
        """Begin the heartbeats."""
        if self._sim.store.count(NODES) <= _HEARTBEATS_UP_TO:
            self._sim.after(self._sim.pace.heartbeat, self._beat)

    def concerns(self, change: Change) -> Iterable[Key]:
        return (change.record.key,) if change.record.key.resource is NODES else ()

    def sync(self, key: Key) -> None:
        """Cordoned nodes carry a taint."""
        record = self._sim.store.get(key)
        if record is None:
            return
        node = record.obj()
        taints: list[Obj] = [t for t in node["spec"].get("taints") or [] if t["key"] != _UNSCHEDULABLE]
        if node["spec"].get("unschedulable"):
            since = next((t for t in node["spec"].get("taints") or [] if t["key"] == _UNSCHEDULABLE), None)
            added = stamp(self._sim.clock.now())
            taints.append(since or {"key": _UNSCHEDULABLE, "effect": "NoSchedule", "timeAdded": added})
        _set_taints(node, taints)
        self._sim.store.replace(record, node)

    def stop_kubelet(self, name: str) -> None:
        """The node falls silent: unknown after a grace, its pods evicted after another."""
        self._kubelets.down.add(name)
        self._sim.after(self._sim.pace.node_grace, lambda: self._lost(name))

    def start_kubelet(self, name: str) -> None:
        """The node is back."""
        if name not in self._kubelets.down:
            return
        record = self._sim.store.get(Key(NODES, "", name))
        self._kubelets.resume(name)
        if record is None:
            return
        node, now = record.obj(), self._sim.clock.now()
        _set_taints(node, [t for t in node["spec"].get("taints") or [] if t["key"] != _UNREACHABLE])
        healthy(node, now)
        self._sim.store.replace(record, node)
        self._recorder.normal(node, "NodeReady", f"Node {name} status is now: NodeReady", source="kubelet", host=name)

    def _lost(self, name: str) -> None:
        record = self._sim.store.get(Key(NODES, "", name))
        if record is None or name not in self._kubelets.down:
            return
        node, now = record.obj(), self._sim.clock.now()
        for item in node["status"]["conditions"]:
            set_condition(node, item["type"], "Unknown", now, **_SILENT)
        taints = [t for t in node["spec"].get("taints") or [] if t["key"] != _UNREACHABLE]
        taints += [
            {"key": _UNREACHABLE, "effect": effect, "timeAdded": stamp(now)} for effect in ("NoSchedule", "NoExecute")
        ]
        _set_taints(node, taints)
        self._sim.store.replace(record, node)
        self._recorder.normal(node, "NodeNotReady", f"Node {name} status is now: NodeNotReady", source=_SOURCE)
        for pod_record in self._sim.store.on_node(name):
            pod = pod_record.obj()
            ready = condition(pod, "Ready")
            if ready is not None and ready["status"] == "True":
                set_condition(pod, "Ready", "False", now)
                self._sim.store.replace(pod_record, pod)
                self._recorder.warning(pod, "NodeNotReady", "Node is not ready", source=_SOURCE)
        self._sim.after(self._sim.pace.node_eviction, lambda: self._evict(name))

    def _evict(self, name: str) -> None:
        if name not in self._kubelets.down:
            return
        for record in self._sim.store.on_node(name):
            pod = record.obj()
            owner = controller_of(pod)
            if owner is not None and owner["kind"] == "DaemonSet":
                continue
            place = f"{record.key.namespace}/{record.key.name}"
            message = f"Marking for deletion Pod {place}"
            self._recorder.normal(pod, "TaintManagerEviction", message, source="taint-eviction-controller")
            stop_pod(self._sim, record)

    def _beat(self) -> None:
        now = self._sim.clock.now()
        for record in list(self._sim.store.scan(NODES)):
            if record.key.name in self._kubelets.down:
                continue
            lease = self._sim.store.get(Key(LEASES, "kube-node-lease", record.key.name))
            if lease is not None:
                obj = lease.obj()
                obj["spec"]["renewTime"] = micro_stamp(now)
                self._sim.store.replace(lease, obj)
            node = record.obj()
            for item in node["status"]["conditions"]:
                item["lastHeartbeatTime"] = stamp(now)
            self._sim.store.replace(record, node)
        self._sim.after(self._sim.pace.heartbeat, self._beat)


def healthy(node: Obj, now: float) -> None:
    """Set a node's conditions to those of a healthy one."""
    for kind, reason, message in (
        ("MemoryPressure", "KubeletHasSufficientMemory", "kubelet has sufficient memory available"),
        ("DiskPressure", "KubeletHasNoDiskPressure", "kubelet has no disk pressure"),
        ("PIDPressure", "KubeletHasSufficientPID", "kubelet has sufficient PID available"),
    ):
        set_condition(node, kind, "False", now, reason=reason, message=message)
    set_condition(node, "Ready", "True", now, reason="KubeletReady", message="kubelet is posting ready status")
    for item in node["status"]["conditions"]:
        item["lastHeartbeatTime"] = stamp(now)


def _set_taints(node: Obj, taints: list[Obj]) -> None:
    if taints:
        node["spec"]["taints"] = taints
    else:
        node["spec"].pop("taints", None)
