"""Objects as an API server sends them, made short."""

from datetime import UTC, datetime, timedelta
from typing import Any

from midwatch.domain.conditions import Detection, detect, detect_object
from midwatch.domain.diagnosis import Finding
from midwatch.domain.objects import ClusterView, parse_snapshot
from midwatch.domain.refs import Severity

NOW = datetime(2026, 5, 1, 12, 0, tzinfo=UTC)
Json = dict[str, Any]


def ago(seconds: float) -> str:
    return (NOW - timedelta(seconds=seconds)).isoformat()


def meta(name: str, **fields: Any) -> Json:
    return {"name": name, "namespace": "shop", "uid": f"uid-{name}", "creationTimestamp": ago(3600), **fields}


def container(name: str = "app", *, ready: bool = False, restarts: int = 0, **states: Any) -> Json:
    """A container's status: ``waiting``, ``running`` or ``terminated`` is its state, ``last`` the one before."""
    last = states.pop("last", None)
    return {
        "name": name,
        "ready": ready,
        "restartCount": restarts,
        "state": states,
        "lastState": {"terminated": last} if last else {},
    }


def pod(
    name: str = "web-7d9f8b6c5d-abcde",
    *,
    phase: str = "Running",
    ready: bool = False,
    unready_for: float = 600,
    containers: tuple[Json, ...] = (),
    owner: str = "web-7d9f8b6c5d",
    spec: Json | None = None,
    conditions: tuple[Json, ...] = (),
    **status: Any,
) -> Json:
    owners = [{"kind": "ReplicaSet", "name": owner, "uid": f"uid-{owner}", "controller": True}] if owner else []
    labels = {"app": "web", "pod-template-hash": owner.rpartition("-")[2]} if owner else {"app": "web"}
    said = {"type": "Ready", "status": "True" if ready else "False", "lastTransitionTime": ago(unready_for)}
    node = {} if phase == "Pending" and not containers else {"nodeName": "node-1"}
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": meta(name, labels=labels, ownerReferences=owners),
        "spec": {
            "containers": [{"name": "app", "image": "web:1", "resources": {"limits": {"memory": "256Mi"}}}],
            **node,
            **(spec or {}),
        },
        "status": {
            "phase": phase,
            "startTime": ago(3600),
            "conditions": [said, *conditions],
            "containerStatuses": list(containers),
            **status,
        },
    }


def healthy_pod(name: str = "web-7d9f8b6c5d-fffff", **fields: Any) -> Json:
    up = container(ready=True, running={"startedAt": ago(3000)})
    return pod(name, ready=True, containers=(up,), **fields)


def replica_set(
    name: str = "web-7d9f8b6c5d", deployment: str = "web", *, revision: int = 1, born: float = 3600
) -> Json:
    return {
        "kind": "ReplicaSet",
        "metadata": meta(
            name,
            creationTimestamp=ago(born),
            labels={"pod-template-hash": name.rpartition("-")[2]},
            annotations={"deployment.kubernetes.io/revision": str(revision)},
            ownerReferences=[
                {"kind": "Deployment", "name": deployment, "uid": f"uid-{deployment}", "controller": True}
            ],
        ),
        "spec": {"replicas": 2, "template": {"spec": {"containers": [{"name": "app", "image": f"web:{revision}"}]}}},
        "status": {"replicas": 2},
    }


def deployment(
    name: str = "web", *, wanted: int = 2, available: int = 2, conditions: tuple[Json, ...] = (), **status: Any
) -> Json:
    return {
        "kind": "Deployment",
        "metadata": meta(name, generation=3),
        "spec": {
            "replicas": wanted,
            "selector": {"matchLabels": {"app": name}},
            "template": {"metadata": {"labels": {"app": name}}},
        },
        "status": {
            "observedGeneration": 3,
            "replicas": wanted,
            "updatedReplicas": wanted,
            "readyReplicas": available,
            "availableReplicas": available,
            "conditions": list(conditions),
            **status,
        },
    }


def node(name: str = "node-1", *, ready: str = "True", conditions: tuple[Json, ...] = (), **spec: Any) -> Json:
    said = {"type": "Ready", "status": ready, "reason": "Kubelet", "lastTransitionTime": ago(120)}
    return {
        "kind": "Node",
        "metadata": {"name": name, "uid": f"uid-{name}"},
        "spec": spec,
        "status": {"conditions": [said, *conditions], "allocatable": {"pods": "110"}},
    }


def event(kind: str, name: str, reason: str, message: str, *, age: float = 30, count: int = 3) -> Json:
    return {
        "kind": "Event",
        "metadata": {"name": f"{name}.{reason}.{age}", "namespace": "shop"},
        "type": "Warning",
        "reason": reason,
        "message": message,
        "count": count,
        "firstTimestamp": ago(age + 300),
        "lastTimestamp": ago(age),
        "involvedObject": {"kind": kind, "name": name, "namespace": "shop"},
    }


def view(*items: Json) -> ClusterView:
    return ClusterView.of(parse_snapshot(items))


def seen(*items: Json, info: bool = False) -> tuple[Finding, ...]:
    """What a snapshot shows, at warning and above unless ``info``."""
    found = detect(view(*items), NOW)
    return tuple(each for each in found if info or each.severity is not Severity.INFO)


def ids(*items: Json, info: bool = False) -> list[str]:
    return sorted(finding.condition for finding in seen(*items, info=info))


def live(*items: Json, now: datetime = NOW) -> Detection:
    """What a watch that follows the cluster says of the first object."""
    around = view(*items)
    first = parse_snapshot(items[:1])[0]
    return detect_object(around, first, now)


def live_ids(*items: Json, now: datetime = NOW) -> list[str]:
    return sorted(finding.condition for finding in live(*items, now=now).findings)
