"""A node of 110 pods is lost: what the watch and Alertmanager say of it, and two failures that have nothing to do with
it. Made of objects and alert bodies, read by the watch's own detectors and the webhook's own parser."""

import json
from collections.abc import Sequence
from datetime import datetime, timedelta
from itertools import count

import msgspec

from midwatch.domain.ids import SignalId
from midwatch.domain.objects import parse_object
from midwatch.domain.objects.standing import standing
from midwatch.domain.objects.view import ClusterView
from midwatch.domain.refs import ObjectRef
from midwatch.domain.signals import Signal, SignalStatus
from midwatch.services.watch_ports import KindState
from midwatch.services.watching import Watching
from serve.schemas.alertmanager import parse_alerts
from serve.schemas.meaning import meaning_of_alert
from tests.fakes.runtime import CountingIds, ManualClock
from tests.unit.conditions.objects import NOW, Json, ago, container, healthy_pod, node, pod

CLUSTER = "alpha"
LOST, WELL, LOST_ADDRESS = "worker-7", "worker-1", "10.0.0.7"
WORKLOADS = 22
PODS_EACH = 5
PATIENCE_S = 90
KINDS = ("Node", "Pod", "ReplicaSet", "Deployment", "DaemonSet", "Service", "EndpointSlice", "Event")


def tag(name: str) -> str:
    return f"{name}-5d8c7b9f6d"


def workload(name: str, *, wanted: int, available: int, down_for: float = 300) -> list[Json]:
    owner = {"kind": "Deployment", "name": name, "uid": f"uid-{name}", "controller": True}
    state = "True" if available else "False"
    said = {"type": "Available", "status": state, "lastTransitionTime": ago(down_for)}
    meta = {"namespace": "shop", "creationTimestamp": ago(9000), "generation": 1}
    status = {"replicas": wanted, "updatedReplicas": wanted, "availableReplicas": available, "observedGeneration": 1}
    template = {"metadata": {"labels": {"app": name}}}
    return [
        {
            "kind": "Deployment",
            "metadata": {**meta, "name": name, "uid": f"uid-{name}"},
            "spec": {"replicas": wanted, "selector": {"matchLabels": {"app": name}}, "template": template},
            "status": {**status, "conditions": [said]},
        },
        {
            "kind": "ReplicaSet",
            "metadata": {**meta, "name": tag(name), "uid": f"uid-{tag(name)}", "ownerReferences": [owner]},
            "spec": {"replicas": wanted},
            "status": {"replicas": wanted},
        },
    ]


def on(item: Json, name: str, node_name: str) -> Json:
    item["metadata"]["labels"] = {"app": name, "pod-template-hash": tag(name).rpartition("-")[2]}
    item["spec"]["nodeName"] = node_name
    return item


def service(name: str) -> list[Json]:
    ends = {"addresses": ["10.1.0.9"], "conditions": {"ready": False}}
    return [
        {
            "kind": "Service",
            "metadata": {"name": name, "namespace": "shop", "uid": f"uid-svc-{name}"},
            "spec": {"selector": {"app": name}, "ports": [{"port": 80}]},
        },
        {
            "kind": "EndpointSlice",
            "metadata": {"name": f"{name}-x", "namespace": "shop", "labels": {"kubernetes.io/service-name": name}},
            "endpoints": [ends],
        },
    ]


def estate() -> list[Json]:
    """The lost node takes all pods of most workloads, and one of three of the rest."""
    items: list[Json] = [node(LOST, ready="Unknown"), node(WELL)]
    items[0]["status"]["conditions"][0]["lastTransitionTime"] = ago(300)
    for number in range(WORKLOADS):
        name = f"web{number}"
        spread = number % 4 == 0
        items += workload(name, wanted=PODS_EACH + 2 * spread, available=2 * spread)
        for place in range(PODS_EACH):
            items.append(on(pod(f"{tag(name)}-lost{place}", owner=tag(name), unready_for=300), name, LOST))
        for place in range(2 * spread):
            items.append(on(healthy_pod(f"{tag(name)}-well{place}", owner=tag(name)), name, WELL))
        if not spread:
            items += service(name)
    crashed = {"exitCode": 1, "reason": "Error", "startedAt": ago(40), "finishedAt": ago(30)}
    crashing = container(waiting={"reason": "CrashLoopBackOff"}, restarts=4, last=crashed)
    pulling = container(waiting={"reason": "ImagePullBackOff", "message": "manifest unknown: not found"})
    for name, state in (("pay", crashing), ("img", pulling)):
        items += workload(name, wanted=1, available=0, down_for=200)
        items.append(on(pod(f"{tag(name)}-bad", owner=tag(name), containers=(state,), unready_for=200), name, WELL))
    return items


async def watched(items: Sequence[Json]) -> tuple[list[Signal], ClusterView]:
    """What the watch says of these objects, and its view."""
    taken: list[Signal] = []

    class Door:
        async def accept(self, signals: Sequence[Signal]) -> None:
            taken.extend(signals)

    class Nothing:
        scopes = ()

        async def resolved_since(self, episode: str) -> bool:
            return False

    clock = ManualClock(NOW)
    watching = Watching(CLUSTER, Nothing(), Door(), Nothing(), clock, CountingIds(start=500_000))  # type: ignore[arg-type]
    for item in items:
        parsed = parse_object(item)
        assert parsed is not None
        watching.put(parsed)
    for kind in KINDS:
        watching.state(kind, "", KindState.SYNCED)
    await watching._look_around()
    clock.advance(PATIENCE_S)  # what cannot say since when it lasts is held for a while
    await watching._look_around()
    return taken, watching.view


def alert(name: str, *, began: datetime | None = None, resolved: bool = False, **labels: str) -> Json:
    starts = (began or NOW - timedelta(seconds=120)).isoformat()
    return {
        "status": "resolved" if resolved else "firing",
        "labels": {"alertname": name, "severity": "warning", **labels},
        "annotations": {"summary": f"{name} fires"},
        "startsAt": starts,
        "endsAt": NOW.isoformat() if resolved else "0001-01-01T00:00:00Z",
    }


_numbers = count(900_000)


def posted(*alerts: Json, at: datetime = NOW) -> list[Signal]:
    """The signals of a webhook body with these alerts."""
    body = json.dumps({"version": "4", "status": "firing", "alerts": list(alerts)}).encode()
    ids = (f"{next(_numbers):08x}-0000-7000-8000-00000000a1e7" for _ in count())
    return list(parse_alerts(body, now=at, new_id=lambda: next(ids), cluster=CLUSTER, meaning=meaning_of_alert).signals)


def alerts() -> list[Json]:
    """The usual rule sets about a lost node: the node, its kubelet, its exporters, its pods and their workloads."""
    found = [
        alert("KubeNodeNotReady", node=LOST, severity="critical"),
        alert("KubeNodeUnreachable", node=LOST),
        alert("KubeletDown", instance=f"{LOST_ADDRESS}:10250"),
        alert("KubeletInstanceUnreachable", instance=f"{LOST_ADDRESS}:10250"),
        alert("TargetDown", instance=f"{LOST_ADDRESS}:9100", job="node-exporter", namespace="monitoring"),
        alert("NodeMemoryHighUtilization", instance=f"{LOST_ADDRESS}:9100"),
        alert("HostGoneQuiet", instance=f"{LOST_ADDRESS}:9100"),
    ]
    for number in range(WORKLOADS):
        name = f"web{number}"
        found.append(alert("KubeDeploymentReplicasMismatch", namespace="shop", deployment=name, instance="10.9.9.9:80"))
        for place in range(PODS_EACH):
            labels = {"namespace": "shop", "pod": f"{tag(name)}-lost{place}"}
            found += [
                alert("KubePodNotReady", **labels),
                alert("KubeContainerWaiting", container="app", **labels),
                alert("PodSilent", **labels),
            ]
    bad = {"namespace": "shop", "pod": f"{tag('pay')}-bad"}
    found += [alert("KubePodCrashLooping", **bad), alert("KubePodNotReady", **bad)]
    found.append(alert("KubeContainerWaiting", namespace="shop", pod=f"{tag('img')}-bad"))
    return found


async def inputs() -> tuple[list[Signal], "Api"]:
    """Everything that comes in, each alert thrice as Alertmanager repeats itself, and the API server to ask."""
    if not _MADE:
        watch, view = await watched(estate())
        _MADE.append(([*watch, *(signal for _ in range(3) for signal in posted(*alerts()))], view))
    signals, view = _MADE[0]
    return list(signals), Api(view)


_MADE: list[tuple[list[Signal], ClusterView]] = []


class Api:
    """Owners and surroundings from a view, as the API server would tell them."""

    def __init__(self, view: ClusterView) -> None:
        self.view = view
        self.asked = 0

    async def top_owner(self, cluster: str, subject: ObjectRef) -> ObjectRef:
        self.asked += 1
        if subject.kind in ("Node", "Instance"):
            return self._node(subject)
        item = self.view.get(subject.kind, subject.namespace, subject.name)
        return self.view.top(item) if item else subject

    async def standing(self, cluster: str, named: Sequence[ObjectRef]) -> tuple[ObjectRef, ...]:
        found: list[ObjectRef] = []
        for ref in named:
            found += [self._node(ref)] if ref.kind == "Node" else standing(self.view, ref, ref) * (ref.kind == "Pod")
        return tuple(found)

    def _node(self, ref: ObjectRef) -> ObjectRef:
        return ObjectRef("Node", LOST) if ref.name == LOST_ADDRESS else ref


def over(signal: Signal, number: int, at: datetime) -> Signal:
    """The resolved signal of a firing one."""
    return msgspec.structs.replace(
        signal, id=SignalId(f"{number:08x}-over"), status=SignalStatus.RESOLVED, received_at=at, ends_at=at
    )
