"""Evidence around one incident: the objects beside its subject, their events, and the logs of what is broken."""

import asyncio
import time
from collections.abc import Iterable, Sequence

import msgspec

from midwatch.adapters.kubernetes.client import ApiConnection
from midwatch.domain.errors import MidwatchError
from midwatch.domain.incidents import Incident
from midwatch.domain.masking import mask
from midwatch.services.investigation import Look, Sight

_CORE, _APPS = "/api/v1", "/apis/apps/v1"
_METADATA = "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1"
_NAMESPACED = (
    ("Pod", f"{_CORE}/namespaces/{{ns}}/pods", ""),
    ("Event", f"{_CORE}/namespaces/{{ns}}/events", ""),
    ("Service", f"{_CORE}/namespaces/{{ns}}/services", ""),
    ("Endpoints", f"{_CORE}/namespaces/{{ns}}/endpoints", ""),
    # Names are enough to say what is missing; contents stay where they are.
    ("ConfigMap", f"{_CORE}/namespaces/{{ns}}/configmaps", _METADATA),
    ("Secret", f"{_CORE}/namespaces/{{ns}}/secrets", _METADATA),
    ("PersistentVolumeClaim", f"{_CORE}/namespaces/{{ns}}/persistentvolumeclaims", ""),
    ("ResourceQuota", f"{_CORE}/namespaces/{{ns}}/resourcequotas", ""),
    ("Deployment", f"{_APPS}/namespaces/{{ns}}/deployments", ""),
    ("ReplicaSet", f"{_APPS}/namespaces/{{ns}}/replicasets", ""),
    ("StatefulSet", f"{_APPS}/namespaces/{{ns}}/statefulsets", ""),
    ("DaemonSet", f"{_APPS}/namespaces/{{ns}}/daemonsets", ""),
    ("Job", "/apis/batch/v1/namespaces/{ns}/jobs", ""),
)
_PAGE = 500
_PODS_READ, _TAIL, _LOG_BYTES = 3, 400, 256_000
_OUTPUT = 4_000


class _Named(msgspec.Struct, frozen=True, rename="camel"):
    name: str = ""
    namespace: str = ""


class _Container(msgspec.Struct, frozen=True, rename="camel"):
    name: str = ""
    ready: bool = False
    restart_count: int = 0


class _PodStatus(msgspec.Struct, frozen=True, rename="camel"):
    phase: str = ""
    container_statuses: list[_Container] = []
    init_container_statuses: list[_Container] = []


class _Pod(msgspec.Struct, frozen=True):
    metadata: _Named = _Named()
    status: _PodStatus = _PodStatus()


class _List(msgspec.Struct, frozen=True):
    items: list[msgspec.Raw] = []


class KubernetesGatherer:
    """Reads what stands around an incident, side by side; a read that fails becomes a failed look."""

    def __init__(self, connection: ApiConnection) -> None:
        self._connection = connection

    async def gather(self, incident: Incident) -> Sight:
        """Objects of the incident's namespace and its nodes, then logs of at most three broken pods."""
        wanted = list(_reads(incident))
        answers = await asyncio.gather(*(self._list(kind, path, accept) for kind, path, accept in wanted))
        objects = tuple(item for found, _ in answers for item in found)
        broken = _broken_pods(incident, objects)
        logs = await asyncio.gather(
            *(
                self._log(pod, container.name, previous)
                for pod in broken
                for container in (*pod.status.init_container_statuses, *pod.status.container_statuses)
                for previous in ((False, True) if container.restart_count else (False,))
            )
        )
        return Sight(
            objects=objects,
            logs={name: text for name, text, _ in logs if text},
            looks=(*(look for _, look in answers), *(look for _, _, look in logs)),
        )

    async def _list(self, kind: str, path: str, accept: str) -> tuple[tuple[tuple[str, bytes], ...], Look]:
        began = time.perf_counter()
        try:
            body = await self._connection.get(path, {"limit": _PAGE}, timeout_s=10, accept=accept)
            items = tuple((kind, bytes(item)) for item in msgspec.json.decode(body, type=_List).items)
        except (MidwatchError, msgspec.MsgspecError) as error:
            return (), _look("kubernetes.list", path, str(error), began, ok=False)
        shown = f"{len(items)} of {kind}: " + b", ".join(item for _, item in items).decode("utf-8", "replace")
        return items, _look("kubernetes.list", path, shown, began)

    async def _log(self, pod: _Pod, container: str, previous: bool) -> tuple[str, str, Look]:
        began = time.perf_counter()
        meta = pod.metadata
        path = f"{_CORE}/namespaces/{meta.namespace}/pods/{meta.name}/log"
        params: dict[str, str | int] = {"container": container, "tailLines": _TAIL, "limitBytes": _LOG_BYTES}
        if previous:
            params["previous"] = "true"
        name = f"{meta.name}/{container}" + ("/previous" if previous else "")
        try:
            text = mask((await self._connection.get(path, params, timeout_s=10)).decode("utf-8", "replace"))
        except MidwatchError as error:
            return name, "", _look("kubernetes.log", name, str(error), began, ok=False)
        return name, text, _look("kubernetes.log", name, text, began)


def _look(tool: str, asked: str, answer: str, began: float, *, ok: bool = True) -> Look:
    took_ms = round((time.perf_counter() - began) * 1000, 1)
    cut = answer if len(answer) <= _OUTPUT else f"{answer[: _OUTPUT // 2]} … {answer[-_OUTPUT // 2 :]}"
    return Look(tool=tool, input=asked, output=mask(cut), ok=ok, took_ms=took_ms)


def _reads(incident: Incident) -> Iterable[tuple[str, str, str]]:
    namespaces = {ref.namespace for ref in (incident.subject, incident.owner) if ref.namespace}
    for namespace in sorted(namespaces):
        for kind, path, accept in _NAMESPACED:
            yield kind, path.format(ns=namespace), accept
    yield "Node", f"{_CORE}/nodes", ""
    if not namespaces:
        yield "PersistentVolume", f"{_CORE}/persistentvolumes", ""
        yield "Event", f"{_CORE}/namespaces/default/events", ""


def _broken_pods(incident: Incident, objects: Sequence[tuple[str, bytes]]) -> tuple[_Pod, ...]:
    """Pods that are members of the incident, then others of its owner that are not ready or have restarted."""
    members = {member.subject.name for member in incident.members if member.subject.kind == "Pod"}
    prefix = f"{incident.owner.name}-"
    pods = []
    for kind, body in objects:
        if kind != "Pod":
            continue
        try:
            pod = msgspec.json.decode(body, type=_Pod)
        except msgspec.MsgspecError:
            continue  # an odd pod has no logs worth the trouble; the analyser reads it leniently
        troubled = any(not each.ready or each.restart_count for each in pod.status.container_statuses)
        if pod.metadata.name in members or (pod.metadata.name.startswith(prefix) and troubled):
            pods.append(pod)
    pods.sort(key=lambda pod: (pod.metadata.name not in members, -_restarts(pod), pod.metadata.name))
    return tuple(pods[:_PODS_READ])


def _restarts(pod: _Pod) -> int:
    return sum(each.restart_count for each in pod.status.container_statuses)
