"""The cluster as the chat looks at it: the read tools of our server, called in this process, and pods in short."""

import asyncio
from datetime import timedelta

from midwatch.adapters.mcp.kubernetes.api import Json, Kube
from midwatch.adapters.mcp.kubernetes.observe import pod_seen
from midwatch.adapters.mcp.kubernetes.read import ClusterReader, age_of, in_short
from midwatch.services.chat.sight import PodLine
from midwatch.services.runtime import Clock

_MOST_PODS = 5000
_STARTING = ("ContainerCreating", "PodInitializing", "")
_GRACE = timedelta(seconds=60)
"""How long a new pod may take to be ready before it counts as being in trouble."""


class ClusterSight:
    """See :class:`midwatch.services.chat.sight.Sight`."""

    def __init__(self, kube: Kube, clock: Clock) -> None:
        self._kube, self._clock, self._reader = kube, clock, ClusterReader(kube, clock)

    async def pods(self, namespace: str) -> tuple[PodLine, ...]:
        found = await self._kube.list("Pod", namespace, limit=_MOST_PODS)
        return tuple(self._line(document) for document in found)

    async def table(self, kind: str, namespace: str) -> str:
        return await self._reader.list_objects(kind, namespace, "", "")

    async def describe(self, kind: str, name: str, namespace: str) -> str:
        return await self._reader.describe(kind, name, namespace)

    async def events(self, namespace: str, name: str) -> str:
        return await self._reader.events(namespace, name)

    async def logs(self, namespace: str, pod: str, *, previous: bool, tail: int) -> str:
        return await self._reader.logs(namespace, pod, "", previous=previous, tail=tail)

    async def top(self, what: str, namespace: str) -> str:
        return await self._reader.top(what, namespace)

    async def places(self, name: str, kinds: tuple[str, ...], namespace: str) -> tuple[tuple[str, str], ...]:
        lists = await asyncio.gather(
            *(self._kube.list(kind, namespace, fields=f"metadata.name={name}", limit=100) for kind in kinds)
        )
        return tuple(
            (kind, str(item["metadata"].get("namespace", "")))
            for kind, items in zip(kinds, lists, strict=True)
            for item in items
            if item["metadata"]["name"] == name
        )

    def _line(self, document: Json) -> PodLine:
        seen, meta = pod_seen(document), document["metadata"]
        age = age_of(meta, self._clock.now())
        done = seen.phase == "Succeeded" or seen.deleting
        state = "Terminating" if seen.deleting else seen.waiting or seen.phase
        starting = seen.waiting in _STARTING and not seen.restarts and age is not None and age < _GRACE
        bad = not done and (seen.phase in ("Failed", "Unknown") or not (seen.ready or starting))
        return PodLine(
            namespace=str(meta.get("namespace", "")),
            name=seen.name,
            state=state,
            ready=seen.ready or done,
            restarts=seen.restarts,
            age=in_short(age),
            bad=bad,
        )
