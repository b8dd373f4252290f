"""The kubelets of all nodes: they pull, start, probe, restart and stop containers as the rulebook says."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from midwatch.sandbox.cluster.behaviours import CannotCreate, CannotPull, Rulebook, Run
from midwatch.sandbox.cluster.logbook import Logbook
from midwatch.sandbox.cluster.loop import Simulation
from midwatch.sandbox.cluster.podstatus import summarise
from midwatch.sandbox.cluster.recorder import Recorder
from midwatch.sandbox.objects import Obj, digest_name, stamp
from midwatch.sandbox.store import DELETED, Change, Key, Record


@dataclass(slots=True)
class _Container:
    """What a kubelet remembers of one container: its run's number and its failures in a row."""

    run: int = 0
    failures: int = 0
    started: float = 0.0


@dataclass(slots=True)
class _Pod:
    key: Key
    containers: dict[str, _Container] = field(default_factory=dict)
    stopping: bool = False


class Kubelets:
    """All kubelets. ``down`` are the nodes whose kubelet has stopped: their pods stay as they were."""

    def __init__(self, simulation: Simulation, rulebook: Rulebook, logs: Logbook, recorder: Recorder) -> None:
        self._sim = simulation
        self._rules = rulebook
        self._logs = logs
        self._recorder = recorder
        self._pods: dict[str, _Pod] = {}
        self.down: set[str] = set()

    def concerns(self, change: Change) -> Iterable[Key]:
        record = change.record
        if record.pod is None:
            return ()
        if change.kind == DELETED:
            self._pods.pop(record.uid, None)
            self._logs.forget(record.uid)
            return ()
        known = record.uid in self._pods
        return (record.key,) if record.pod.node and (not known or record.pod.deleting) else ()

    def sync(self, key: Key) -> None:
        record = self._sim.store.get(key)
        if record is None or record.pod is None or not record.pod.node or record.pod.node in self.down:
            return
        state = self._pods.get(record.uid)
        if state is None:
            state = self._pods[record.uid] = _Pod(key)
            if record.pod.active and record.pod.phase == "Pending":
                self._admit(record, state)
            else:
                self._adopt(record, state)
        if record.pod.deleting and not state.stopping:
            state.stopping = True
            pod = record.obj()
            grace = float(pod["metadata"].get("deletionGracePeriodSeconds") or 0)
            for container in pod["spec"]["containers"]:
                self._event(pod, "Killing", f"Stopping container {container['name']}", container["name"])
            self._sim.after(min(grace, self._sim.pace.stop), lambda: self._stopped(key, record.uid))

    def disturb(self, record: Record) -> None:
        """The world changed under a running pod: each running container meets the behaviour it would have now."""
        state = self._pods.get(record.uid)
        pod = record.obj()
        if state is None or record.pod is None or record.pod.deleting:
            return
        for status in pod["status"].get("containerStatuses") or []:
            if "running" in status["state"]:
                container = _spec_of(pod, status["name"])
                behaviour = self._rules.decide(pod, container)
                if isinstance(behaviour, Run):
                    self._live(record.key, record.uid, container["name"], behaviour, fresh=False)

    def resume(self, node: str) -> None:
        """A kubelet is back: it takes up its pods where they are."""
        self.down.discard(node)
        for record in self._sim.store.on_node(node):
            if (state := self._pods.get(record.uid)) is not None:
                state.stopping = False
            self._sim.sync_later(self, record.key)
            pod = record.obj()
            if record.pod is not None and record.pod.deleting:
                continue
            if any("running" in item["state"] for item in pod["status"].get("containerStatuses") or []):
                for status in pod["status"]["containerStatuses"]:
                    status["ready"] = "running" in status["state"]
                summarise(pod, self._sim.clock.now())
                self._sim.store.replace(record, pod)

    # a pod's life

    def _adopt(self, record: Record, state: _Pod) -> None:
        """A pod that already ran before anyone looked (seeded)."""
        pod = record.obj()
        now = self._sim.clock.now()
        for container in pod["spec"]["containers"]:
            state.containers[container["name"]] = _Container(run=1, started=now)

    def _admit(self, record: Record, state: _Pod) -> None:
        pod, now = record.obj(), self._sim.clock.now()
        ip = _pod_ip(record)
        pod["status"] |= {
            "hostIP": _host_ip(pod["spec"]["nodeName"]),
            "podIP": ip,
            "podIPs": [{"ip": ip}],
            "startTime": stamp(now),
            "qosClass": _qos(pod),
        }
        groups = {"containerStatuses": "ContainerCreating"}
        if pod["spec"].get("initContainers"):
            groups = {"initContainerStatuses": "PodInitializing", "containerStatuses": "PodInitializing"}
            pod["status"]["initContainerStatuses"] = [
                _finished(container, now) for container in pod["spec"]["initContainers"]
            ]
            for container in pod["spec"]["initContainers"]:
                self._logs.begin(record.uid, container["name"], [(now, f"{container['name']}: done")])
        pod["status"]["containerStatuses"] = [
            _waiting(container, groups["containerStatuses"]) for container in pod["spec"]["containers"]
        ]
        summarise(pod, now)
        self._sim.store.replace(record, pod)
        for container in pod["spec"]["containers"]:
            state.containers[container["name"]] = _Container()
            self._event(pod, "Pulling", f'Pulling image "{container["image"]}"', container["name"])
            self._later(self._sim.pace.pull, record.key, record.uid, container["name"], self._begin)

    def _stopped(self, key: Key, uid: str) -> None:
        record = self._sim.store.get(key)
        if record is None or record.uid != uid or record.pod is None or record.pod.node in self.down:
            return
        if not record.obj()["metadata"].get("finalizers"):
            self._sim.store.delete(record)

    # a container's life

    def _begin(self, key: Key, uid: str, name: str) -> None:
        """Pull and create; the behaviour is decided anew at every start."""
        record = self._sim.store.get(key)
        if record is None:
            return
        pod = record.obj()
        container = _spec_of(pod, name)
        behaviour = self._rules.decide(pod, container)
        if isinstance(behaviour, CannotPull):
            self._pull_failed(key, uid, name, behaviour)
        elif isinstance(behaviour, CannotCreate):
            self._state(key, uid, name, {"waiting": {"reason": behaviour.reason, "message": behaviour.message}})
            self._event(pod, "Failed", f"Error: {behaviour.message}", name, warning=True)
            self._later(self._sim.pace.reschedule, key, uid, name, self._begin)
        else:
            self._start(key, uid, name, pod, behaviour)

    def _pull_failed(self, key: Key, uid: str, name: str, failure: CannotPull) -> None:
        record = self._sim.store.get(key)
        if record is None:
            return
        pod, state = record.obj(), self._pods[uid].containers[name]
        image = _spec_of(pod, name)["image"]
        state.failures += 1
        message = f"rpc error: code = NotFound desc = {failure.message}"
        self._event(pod, "Failed", f'Failed to pull image "{image}": {message}', name, warning=True)
        self._event(pod, "Failed", "Error: ErrImagePull", name, warning=True)
        self._state(key, uid, name, {"waiting": {"reason": "ErrImagePull", "message": message}})
        delay = self._sim.pace.delay(state.failures)
        self._later(delay / 4, key, uid, name, lambda k, u, n: self._pull_waits(k, u, n, message))
        self._later(delay, key, uid, name, self._begin)

    def _pull_waits(self, key: Key, uid: str, name: str, message: str) -> None:
        record = self._sim.store.get(key)
        if record is None:
            return
        pod = record.obj()
        image = _spec_of(pod, name)["image"]
        waiting = {
            "reason": "ImagePullBackOff",
            "message": f'Back-off pulling image "{image}": ErrImagePull: {message}',
        }
        self._event(pod, "BackOff", f'Back-off pulling image "{image}"', name)
        self._event(pod, "Failed", "Error: ImagePullBackOff", name, warning=True)
        self._state(key, uid, name, {"waiting": waiting})

    def _start(self, key: Key, uid: str, name: str, pod: Obj, behaviour: Run) -> None:
        now = self._sim.clock.now()
        state = self._pods[uid].containers[name]
        if state.run == 0:
            image = _spec_of(pod, name)["image"]
            self._event(pod, "Pulled", f'Successfully pulled image "{image}" in 412ms (412ms including waiting)', name)
        self._event(pod, "Created", f"Created container: {name}", name)
        self._event(pod, "Started", f"Started container {name}", name)
        again = state.run > 0
        state.run += 1
        state.started = now

        def running(status: Obj) -> None:
            if again:
                status["restartCount"] += 1
            status["containerID"] = f"containerd://{digest_name([uid, name, state.run], 40)}"
            status["imageID"] = f"{status['image'].rpartition(':')[0]}@sha256:{digest_name(status['image'], 40)}"
            status["state"] = {"running": {"startedAt": stamp(now)}}
            status["started"] = True
            status["ready"] = False

        self._change(key, uid, name, running)
        self._live(key, uid, name, behaviour, fresh=True)

    def _live(self, key: Key, uid: str, name: str, behaviour: Run, *, fresh: bool) -> None:
        """Let a running container follow a behaviour from now on."""
        state = self._pods[uid].containers.setdefault(name, _Container())
        state.run += 1
        now = self._sim.clock.now()
        span = behaviour.exit_after or behaviour.ready_after or 0.5
        step = span / max(len(behaviour.logs), 1)
        lines = [(now + step * index, text) for index, text in enumerate(behaviour.logs)]
        if fresh:
            self._logs.begin(uid, name, lines, behaviour.beat if behaviour.exit_after is None else "")
        elif behaviour.exit_after is not None:
            self._logs.append(uid, name, lines)
        if behaviour.exit_after is not None:
            self._later(behaviour.exit_after, key, uid, name, lambda k, u, n: self._exited(k, u, n, behaviour))
        if behaviour.ready_after is None:
            self._later(0, key, uid, name, lambda k, u, n: self._probe(k, u, n, behaviour))
        elif behaviour.exit_after is None or behaviour.ready_after < behaviour.exit_after:
            self._later(behaviour.ready_after, key, uid, name, self._ready)

    def _ready(self, key: Key, uid: str, name: str) -> None:
        self._change(key, uid, name, lambda status: status.update(ready=True))

    def _probe(self, key: Key, uid: str, name: str, behaviour: Run) -> None:
        """A readiness probe that fails, again and again."""
        record = self._sim.store.get(key)
        if record is None:
            return
        self._change(key, uid, name, lambda status: status.update(ready=False))
        self._event(record.obj(), "Unhealthy", f"Readiness probe failed: {behaviour.probe}", name, warning=True)
        self._later(self._sim.pace.probe, key, uid, name, lambda k, u, n: self._probe(k, u, n, behaviour))

    def _exited(self, key: Key, uid: str, name: str, behaviour: Run) -> None:
        record = self._sim.store.get(key)
        if record is None:
            return
        pod, state, now = record.obj(), self._pods[uid].containers[name], self._sim.clock.now()
        self._logs.end(uid, name)
        terminated: Obj = {
            "exitCode": behaviour.exit_code,
            "reason": behaviour.exit_reason,
            "startedAt": stamp(state.started),
            "finishedAt": stamp(now),
            "containerID": f"containerd://{digest_name([uid, name, state.run], 40)}",
        }
        if behaviour.message:
            terminated["message"] = behaviour.message
        policy = pod["spec"].get("restartPolicy", "Always")
        again = policy == "Always" or (policy == "OnFailure" and behaviour.exit_code != 0)
        state.failures = 1 if now - state.started > self._sim.pace.backoff_reset else state.failures + 1

        def ended(status: Obj) -> None:
            status |= {"ready": False, "started": False}
            status["state"] = {"terminated": terminated}
            if again:
                status["lastState"] = {"terminated": terminated}

        self._change(key, uid, name, ended)
        if not again:
            return
        if state.failures == 1:
            self._later(self._sim.pace.restart, key, uid, name, self._begin)
            return
        self._later(self._sim.pace.restart, key, uid, name, self._back_off)

    def _back_off(self, key: Key, uid: str, name: str) -> None:
        record = self._sim.store.get(key)
        if record is None:
            return
        pod, state = record.obj(), self._pods[uid].containers[name]
        place = f"{key.name}_{key.namespace}({uid})"
        failures = state.failures - 1
        claimed = self._sim.pace.claimed(failures)
        message = f"back-off {claimed} restarting failed container={name} pod={place}"
        self._state(key, uid, name, {"waiting": {"reason": "CrashLoopBackOff", "message": message}})
        self._event(pod, "BackOff", f"Back-off restarting failed container {name} in pod {place}", name, warning=True)
        self._later(self._sim.pace.delay(failures), key, uid, name, self._begin)

    # helpers

    def _later(self, seconds: float, key: Key, uid: str, name: str, action: Callable[[Key, str, str], None]) -> None:
        """Act on this run of this container in so many seconds, unless it is over by then or the kubelet is down."""
        state = self._pods[uid].containers[name]
        run = state.run

        def act() -> None:
            record = self._sim.store.get(key)
            pod = self._pods.get(uid)
            if record is None or record.uid != uid or record.pod is None or pod is None or pod.stopping:
                return
            if pod.containers[name].run != run:
                return
            if record.pod.node in self.down:
                # A stopped kubelet does nothing; it goes on with this once it is back.
                self._sim.after(self._sim.pace.probe, act)
                return
            action(key, uid, name)

        self._sim.after(seconds, act)

    def _state(self, key: Key, uid: str, name: str, new: Obj) -> None:
        def change(status: Obj) -> None:
            status |= {"state": new, "ready": False, "started": False}

        self._change(key, uid, name, change)

    def _change(self, key: Key, uid: str, name: str, change: Callable[[Obj], object]) -> None:
        record = self._sim.store.get(key)
        if record is None or record.uid != uid:
            return
        pod = record.obj()
        status = next(item for item in pod["status"]["containerStatuses"] if item["name"] == name)
        change(status)
        summarise(pod, self._sim.clock.now())
        self._sim.store.replace(record, pod)

    def _event(self, pod: Obj, reason: str, message: str, container: str, *, warning: bool = False) -> None:
        record = self._recorder.warning if warning else self._recorder.normal
        host = pod["spec"].get("nodeName", "")
        record(pod, reason, message, source="kubelet", host=host, field=f"spec.containers{{{container}}}")


def _spec_of(pod: Obj, name: str) -> Obj:
    container: Obj = next(item for item in pod["spec"]["containers"] if item["name"] == name)
    return container


def _waiting(container: Obj, reason: str) -> Obj:
    return {
        "name": container["name"],
        "image": container["image"],
        "imageID": "",
        "ready": False,
        "started": False,
        "restartCount": 0,
        "state": {"waiting": {"reason": reason}},
        "lastState": {},
    }


def _finished(container: Obj, now: float) -> Obj:
    times = {"startedAt": stamp(now), "finishedAt": stamp(now)}
    return _waiting(container, "") | {
        "ready": True,
        "imageID": f"sha256:{digest_name(container['image'], 40)}",
        "state": {"terminated": {"exitCode": 0, "reason": "Completed", **times}},
    }


def _pod_ip(record: Record) -> str:
    number = int(record.uid.replace("-", "")[:6], 16)
    return f"10.244.{number >> 8 & 255}.{number & 255 or 1}"


def _host_ip(node: str) -> str:
    digits = "".join(letter for letter in node if letter.isdigit())
    return f"10.0.0.{10 + int(digits or 0) % 240}"


def _qos(pod: Obj) -> str:
    resources = [container.get("resources") or {} for container in pod["spec"]["containers"]]
    if not any(item.get("requests") or item.get("limits") for item in resources):
        return "BestEffort"
    same = all(item.get("limits") and item.get("requests", item["limits"]) == item["limits"] for item in resources)
    return "Guaranteed" if same else "Burstable"
