"""What can be read: text for a model or a person, masked and cut to size."""

from datetime import UTC, datetime, timedelta
from typing import Any

import yaml

from midwatch.adapters.mcp.kubernetes.api import Json, Kube
from midwatch.adapters.mcp.kubernetes.changes import REVISION
from midwatch.adapters.mcp.kubernetes.masking import masked, masked_text
from midwatch.adapters.mcp.kubernetes.observe import LiveCluster, pod_seen
from midwatch.adapters.mcp.kubernetes.pointers import read
from midwatch.domain.errors import NotFound, Permanent
from midwatch.domain.refs import ObjectRef
from midwatch.services.runtime import Clock

MAX_CHARS = 48_000
_MAX_ROWS = 200


class ClusterReader:
    """Read tools over one cluster."""

    def __init__(self, kube: Kube, clock: Clock) -> None:
        self._kube, self._clock = kube, clock
        self._live = LiveCluster(kube)

    async def list_objects(self, kind: str, namespace: str, labels: str, fields: str) -> str:
        """One line an object: name, state, age."""
        found = await self._kube.list(kind, namespace, labels=labels, fields=fields, limit=_MAX_ROWS)
        if not found:
            return f"no {kind} found" + (f" in namespace {namespace}" if namespace else "")
        rows = [self._row(item) for item in found]
        more = [f"(the first {_MAX_ROWS}; narrow it by namespace or labels)"] if len(found) >= _MAX_ROWS else []
        return cut("\n".join([*rows, *more]))

    async def get(self, kind: str, name: str, namespace: str) -> str:
        """The whole object as YAML."""
        return cut(as_yaml(masked(await self._one(kind, name, namespace))))

    async def describe(self, kind: str, name: str, namespace: str) -> str:
        """The object in short, with its owners, pods and events."""
        document = await self._one(kind, name, namespace)
        seen = await self._live.observe(ObjectRef(kind, name, namespace))
        parts = [f"{kind} {namespace + '/' if namespace else ''}{name}, {self._row(document)}"]
        if seen is not None:
            parts.append(f"owners: {', '.join(map(str, seen.owners)) or 'none'}")
            if seen.desired:
                parts.append(
                    f"replicas: {seen.desired} desired, {seen.updated} updated, {seen.ready} ready, "
                    f"{seen.available} available"
                )
            for pod in seen.pods:
                state = pod.waiting or pod.phase
                parts.append(f"pod {pod.name}: ready={pod.ready} restarts={pod.restarts} {state}")
        shown = masked(document)
        parts.append(as_yaml({name: shown[name] for name in ("spec", "status") if name in shown}))
        parts.append("events:\n" + await self.events(namespace, name))
        return cut("\n".join(parts))

    async def events(self, namespace: str, name: str) -> str:
        """Events, newest last; of one object where a name is given."""
        fields = f"involvedObject.name={name}" if name else ""
        found = await self._kube.list("Event", namespace, fields=fields, limit=500)
        found = tuple(sorted(found, key=_when))[-100:]
        lines = [
            f"{_when(item)} {item.get('type', '')} {item.get('reason', '')} x{item.get('count') or 1} "
            f"{read(item, '/involvedObject/kind')}/{read(item, '/involvedObject/name')}: {item.get('message', '')}"
            for item in found
        ]
        return cut(masked_text("\n".join(lines))) or "no events"

    async def logs(self, namespace: str, pod: str, container: str, *, previous: bool, tail: int) -> str:
        """The last lines of a log; ``previous`` is the run before the last restart."""
        text = await self._kube.logs(pod, namespace, container=container, previous=previous, tail=min(tail, 2000))
        return cut(masked_text(text), keep_end=True) or "the log is empty"

    async def top(self, what: str, namespace: str) -> str:
        """Present use of CPU and memory of nodes or pods."""
        kind = {"nodes": "NodeMetrics", "pods": "PodMetrics"}.get(what)
        if kind is None:
            raise Permanent(f"top shows nodes or pods, not {what!r}")
        try:
            found = await self._kube.list(kind, namespace if kind == "PodMetrics" else "")
        except NotFound as error:
            raise NotFound(
                "this cluster has no metrics API (metrics-server is not installed): no usage figures"
            ) from error
        return cut("\n".join(_usage(item) for item in found)) or "no figures"

    async def rollout_history(self, kind: str, name: str, namespace: str) -> str:
        """Revisions with their images, newest last."""
        await self._one(kind, name, namespace)
        seen = await self._live.observe(ObjectRef(kind, name, namespace))
        if seen is None or not seen.revisions:
            return f"no history is kept for {kind} {name}"
        lines = [
            f"revision {item.number}{' (present)' if item.number == seen.revision else ''}: {item.ready} ready, "
            f"images {', '.join(item.images)}{f', {item.change}' if item.change else ''}"
            for item in sorted(seen.revisions, key=lambda item: item.number)
        ]
        return "\n".join(lines)

    async def _one(self, kind: str, name: str, namespace: str) -> Json:
        document = await self._kube.get(kind, name, namespace)
        if document is None:
            where = f" in namespace {namespace}" if namespace else ""
            raise NotFound(f"there is no {kind} {name!r}{where}; list_objects shows what there is")
        return {"kind": kind, **document}

    def _row(self, item: Json) -> str:
        meta = item["metadata"]
        place = f"{meta['namespace']}/" if meta.get("namespace") else ""
        return f"{place}{meta['name']}  {_state(item)}  {in_short(age_of(meta, self._clock.now()))}"


def age_of(meta: Json, now: datetime) -> timedelta | None:
    """How long ago an object was made, where its metadata say."""
    if not meta.get("creationTimestamp"):
        return None
    return now - datetime.fromisoformat(str(meta["creationTimestamp"])).astimezone(UTC)


def in_short(age: timedelta | None) -> str:
    """``3d``, ``5h``, ``12m``, ``40s``; empty for an age that is not known."""
    if age is None:
        return ""
    seconds = max(0, int(age.total_seconds()))
    for size, unit in ((86400, "d"), (3600, "h"), (60, "m")):
        if seconds >= size:
            return f"{seconds // size}{unit}"
    return f"{seconds}s"


def cut(text: str, *, keep_end: bool = False) -> str:
    """At most ``MAX_CHARS``, saying what was left out."""
    if len(text) <= MAX_CHARS:
        return text
    left = len(text) - MAX_CHARS
    return f"({left} characters left out)\n{text[-MAX_CHARS:]}" if keep_end else f"{text[:MAX_CHARS]}\n({left} more)"


def as_yaml(document: Any) -> str:
    """YAML for people."""
    return str(yaml.safe_dump(document, sort_keys=False, default_flow_style=False, width=120))


def _state(item: Json) -> str:
    status = item.get("status") or {}
    if item["kind"] == "Pod":
        pod = pod_seen(item)
        return f"{pod.waiting or pod.phase} ready={pod.ready} restarts={pod.restarts}"
    if "readyReplicas" in status or "replicas" in status:
        wanted = read(item, "/spec/replicas")
        return f"{status.get('readyReplicas', 0)}/{wanted if wanted is not None else 1} ready"
    ready = [c.get("status") for c in status.get("conditions") or () if c.get("type") == "Ready"]
    if ready:
        cordoned = " cordoned" if read(item, "/spec/unschedulable") else ""
        return f"Ready={ready[0]}{cordoned}"
    revision = read(item, REVISION)
    return str(status.get("phase") or (f"revision {revision}" if revision else ""))


def _when(item: Json) -> str:
    return str(item.get("lastTimestamp") or item.get("eventTime") or read(item, "/metadata/creationTimestamp") or "")


def _usage(item: Json) -> str:
    meta = item["metadata"]
    place = f"{meta['namespace']}/" if meta.get("namespace") else ""
    parts = item.get("containers") or [{"name": "", "usage": item.get("usage") or {}}]
    shown = [f"{part['name']} cpu={part['usage'].get('cpu')} memory={part['usage'].get('memory')}" for part in parts]
    return f"{place}{meta['name']}  {'; '.join(shown)}"
