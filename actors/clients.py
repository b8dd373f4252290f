"""Handles of the other actors, typed, in one file: rings that never fail, and calls that raise our own errors."""

import asyncio
import logging
from collections.abc import Awaitable, Iterable, Mapping
from contextlib import suppress
from typing import Any, Protocol, TypeVar, cast

import ray
from ray.exceptions import RayError

from actors import names
from midwatch.domain.incidents import Work
from midwatch.domain.servers import ToolServers
from midwatch.services.messaging import Place
from midwatch.telemetry import Family

log = logging.getLogger(__name__)

R_co = TypeVar("R_co", covariant=True)


class Remote(Protocol[R_co]):
    """A method of an actor, called with ``.remote()`` and awaited."""

    def remote(self) -> Awaitable[R_co]: ...


class Handle(Protocol):
    """What every actor answers to: the methods of :class:`actors.lifecycle.Resident`."""

    @property
    def wake(self) -> Remote[None]: ...

    @property
    def health(self) -> Remote[dict[str, object]]: ...

    @property
    def metrics(self) -> Remote[tuple[Family, ...]]: ...


_DESK = {
    Work.INVESTIGATE: names.RCA_POOL,
    Work.PLAN: names.PLAYBOOK_EXECUTOR,
    Work.ASK: names.APPROVAL_BROKER,
    Work.AWAIT: names.APPROVAL_BROKER,
    Work.EXECUTE: names.PLAYBOOK_EXECUTOR,
    Work.SETTLE: names.RULE_ENGINE,
    Work.REFINE: names.RCA_POOL,
}


_SILENT = (RayError, ValueError, TimeoutError)
"""Not made yet, dead, restarting, or too busy to answer."""
_TELL_S = 10.0
_DETACHED: Mapping[str, Any] = {
    "lifetime": "detached",
    "get_if_exists": True,
    "max_restarts": -1,
    "max_concurrency": 1000,
    "num_cpus": 0,
}


class Directory:
    """Handles found once and kept: finding one asks Ray's control store."""

    def __init__(self) -> None:
        self._handles: dict[str, Handle] = {}

    async def handle(self, name: str) -> Handle:
        """The handle of a named actor. Raises ``ValueError`` when there is none."""
        if name not in self._handles:
            self._handles[name] = await find(name)
        return self._handles[name]

    def forget(self, name: str) -> None:
        """The actor died for good, or another bears its name now: find it again next time."""
        self._handles.pop(name, None)

    async def health(self, name: str, timeout_s: float) -> dict[str, object] | None:
        """An actor's word on its health, or ``None`` when it does not answer in time."""
        try:
            async with asyncio.timeout(timeout_s):
                return await (await self.handle(name)).health.remote()
        except (RayError, ValueError):
            self.forget(name)
            return None
        except TimeoutError:
            return None


class ActorBells:
    """Rings actors by name. A ring is one-way: an actor that is away finds its work at its next sweep.

    To each actor one ring at a time is under way, and one more follows for all that was stored meanwhile: a flood of
    alerts does not become a flood of rings.
    """

    def __init__(self, channels: Iterable[str] = ("console",)) -> None:
        self._channels = tuple(names.channel_gateway(channel) for channel in channels)
        self._directory = Directory()
        self._rings: dict[str, asyncio.Task[None]] = {}
        self._again: set[str] = set()

    def signals(self) -> None:
        self._ring(names.RULE_ENGINE)

    def clicks(self) -> None:
        self._ring(names.APPROVAL_BROKER)

    def work(self, work: Work) -> None:
        self._ring(_DESK[work])

    def changed(self) -> None:
        for name in self._channels:
            self._ring(name)

    def heard(self, channel: str) -> None:
        """A message came in: the channel's gateway has somebody to answer."""
        self._ring(names.channel_gateway(channel))

    def _ring(self, name: str) -> None:
        if name in self._rings:
            self._again.add(name)
            return
        self._rings[name] = asyncio.ensure_future(self._rung(name))
        self._rings[name].add_done_callback(lambda ring: self._rung_out(name, ring))

    def _rung_out(self, name: str, ring: asyncio.Task[None]) -> None:
        del self._rings[name]
        if name in self._again:
            self._again.discard(name)
            if not ring.cancelled():  # else this process is ending
                self._ring(name)

    async def _rung(self, name: str) -> None:
        try:
            await (await self._directory.handle(name)).wake.remote()
        except (RayError, ValueError) as error:
            # Dead, restarting or not made yet. The row that the ring was about is stored; the sweep finds it.
            self._directory.forget(name)
            log.debug("ring not heard", extra={"to": name, "error": type(error).__name__})


def make(kind: type, options: Mapping[str, Any], *arguments: object) -> Handle:
    """An actor of a plain class, or the one that bears its name already. Blocks until Ray has registered it."""
    remote: Any = ray.remote  # its overloads lose a class that is passed as a value
    return cast("Handle", remote(kind).options(namespace=names.NAMESPACE, **_DETACHED, **options).remote(*arguments))


async def find(name: str) -> Handle:
    """The handle of a named actor. Raises ``ValueError`` when there is none. Asks Ray off the event loop."""
    handle: Any = await asyncio.to_thread(ray.get_actor, name, namespace=names.NAMESPACE)
    return cast("Handle", handle)


def end(handle: Handle) -> None:
    """End an actor for good. Blocks until Ray knows."""
    gone: Any = handle
    ray.kill(gone, no_restart=True)


async def tell(place: Place, channel_user: str, text: str) -> None:
    """Have a channel's gateway tell one person something, if it is there: a courtesy."""
    with suppress(*_SILENT):
        gateway: Any = await find(names.channel_gateway(place.channel))
        async with asyncio.timeout(_TELL_S):
            await gateway.tell.remote(place, channel_user, text)


async def scrape(actor: str, timeout_s: float = 1.0) -> tuple[Family, ...] | None:
    """What an actor counts, or ``None`` when it does not answer in time."""
    try:
        async with asyncio.timeout(timeout_s):
            return await (await find(actor)).metrics.remote()
    except _SILENT:
        return None


async def health(actor: str, timeout_s: float = 1.0) -> dict[str, object] | None:
    """An actor's word on its health, or ``None`` when it does not answer in time."""
    return await Directory().health(actor, timeout_s)


async def everyone() -> tuple[str, ...]:
    """Names of all our actors, whoever they are today (watchers and workers come and go)."""
    found = await asyncio.to_thread(ray.util.list_named_actors, all_namespaces=True)
    return tuple(sorted(item["name"] for item in found if item["namespace"] == names.NAMESPACE))


async def tool_servers(timeout_s: float = 2.0) -> tuple[ToolServers, ...]:
    """The tool servers of each worker that answers in time and has started any."""
    try:
        workers = [name for name in await everyone() if names.is_rca_worker(name)]
    except _SILENT:
        return ()

    async def ask(name: str) -> ToolServers | None:
        try:
            worker: Any = await find(name)
            async with asyncio.timeout(timeout_s):
                return ToolServers(name, await worker.tool_servers.remote())
        except _SILENT:
            return None

    answers = await asyncio.gather(*(ask(name) for name in workers))
    return tuple(answer for answer in answers if answer is not None and answer.servers)
