"""A whole cluster, or one namespace, read once: every kind that conditions are seen on, and the logs of broken pods."""

import asyncio
from collections.abc import Sequence
from typing import Any

import msgspec

from midwatch.adapters.kubernetes.client import ApiConnection
from midwatch.adapters.kubernetes.reflector import Resource
from midwatch.adapters.kubernetes.source import resources
from midwatch.domain.errors import NotFound, Permanent
from midwatch.domain.masking import mask

_PAGE = 500
_PODS_READ, _TAIL, _LOG_BYTES, _AT_ONCE = 25, 400, 256_000, 8

RawObject = dict[str, Any]
"""An object as the API server gives it."""


class Snapshot(msgspec.Struct, frozen=True):
    """``unread`` are the sentences of the API server about what may not be read."""

    objects: list[RawObject]
    logs: dict[str, str]
    unread: tuple[str, ...] = ()


class _Meta(msgspec.Struct, frozen=True):
    more: str = msgspec.field(name="continue", default="")


class _List(msgspec.Struct, frozen=True):
    items: list[RawObject] | None = None
    metadata: _Meta = _Meta()


async def take_snapshot(connection: ApiConnection, namespaces: Sequence[str] = ()) -> Snapshot:
    """Read everything side by side. Kinds that the cluster does not serve or that may not be read are left out.

    Raises ``Transient`` when the API server does not answer.
    """
    gate = asyncio.Semaphore(_AT_ONCE)

    async def read(resource: Resource) -> tuple[list[RawObject], str]:
        async with gate:
            return await _listed(connection, resource)

    answers = await asyncio.gather(*(read(resource) for resource in resources(namespaces)))
    objects = [item for items, _ in answers for item in items]

    async def log(pod: RawObject, container: str, previous: bool) -> tuple[str, str]:
        async with gate:
            return await _log(connection, pod, container, previous)

    wanted = [each for pod in _broken(objects) for each in _containers(pod)]
    texts = await asyncio.gather(*(log(*each) for each in wanted))
    return Snapshot(objects, {name: text for name, text in texts if text}, tuple(said for _, said in answers if said))


async def _listed(connection: ApiConnection, resource: Resource) -> tuple[list[RawObject], str]:
    found: list[RawObject] = []
    params: dict[str, str | int] = {"limit": _PAGE}
    if resource.field_selector:
        params["fieldSelector"] = resource.field_selector
    while True:
        try:
            page = msgspec.json.decode(await connection.get(resource.path, params), type=_List)
        except NotFound:
            return found, ""
        except Permanent as error:
            return found, error.message
        found += [{"kind": resource.kind} | item for item in page.items or ()]
        if not page.metadata.more:
            return found, ""
        params["continue"] = page.metadata.more


def _broken(objects: Sequence[RawObject]) -> list[RawObject]:
    """Pods that are not well, the most restarted first."""
    pods = [item for item in objects if item["kind"] == "Pod" and any(True for _ in _containers(item))]
    return sorted(pods, key=_restarts, reverse=True)[:_PODS_READ]


def _statuses(pod: RawObject) -> list[RawObject]:
    status = pod.get("status") or {}
    return [*(status.get("initContainerStatuses") or ()), *(status.get("containerStatuses") or ())]


def _restarts(pod: RawObject) -> int:
    return sum(int(each.get("restartCount") or 0) for each in _statuses(pod))


def _containers(pod: RawObject) -> list[tuple[RawObject, str, bool]]:
    """The logs worth reading: of containers that are not ready or have restarted, their last life too."""
    wanted = []
    for each in _statuses(pod):
        done = (each.get("state") or {}).get("terminated") or {}
        troubled = not each.get("ready") and done.get("exitCode") != 0
        if troubled or each.get("restartCount"):
            wanted.append((pod, str(each.get("name")), False))
        if each.get("restartCount"):
            wanted.append((pod, str(each.get("name")), True))
    return wanted


async def _log(connection: ApiConnection, pod: RawObject, container: str, previous: bool) -> tuple[str, str]:
    meta = pod["metadata"]
    path = f"/api/v1/namespaces/{meta['namespace']}/pods/{meta['name']}/log"
    params: dict[str, str | int] = {"container": container, "tailLines": _TAIL, "limitBytes": _LOG_BYTES}
    name = f"{meta['name']}/{container}"
    if previous:
        params["previous"] = "true"
        name += "/previous"
    try:
        return name, mask((await connection.get(path, params)).decode("utf-8", "replace"))
    except (NotFound, Permanent):
        return name, ""  # a container that never ran has no log, and that is known from its status
