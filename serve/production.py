"""The edge as it runs in the house: real stores, actors by name, and their health and metrics gathered."""

import asyncio
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Protocol

from ray.exceptions import RayError

from actors import clients, names
from midwatch.bootstrap import prepare_resources
from midwatch.bootstrap.channels import doors_of
from midwatch.bootstrap.serving import alertmanager_of, open_cache, shared_rate_limiter
from midwatch.domain.errors import MidwatchError
from midwatch.processes import settle_collector
from midwatch.settings import Settings
from midwatch.telemetry import Family, Metrics, exposition, set_up_logging
from midwatch.tokens import token_in
from serve.dependencies import Edge, Limits, Subsystem

_HEALTH_KEPT_S, _ANSWER_S, _PATIENCE_S = 1.0, 2.0, 10.0


@asynccontextmanager
async def open_edge(settings: Settings) -> AsyncIterator[Edge]:
    """One replica's edge. The store may be away: requests then answer 503 until it is back."""
    set_up_logging("edge", level=settings.log_level, folder=settings.log_dir)
    async with prepare_resources(settings, owner="edge") as resources, open_cache(settings) as cache:
        metrics = Metrics()
        probe = Probe(settings, (Part("store", resources.database, required=True), Part("redis", cache)))
        token = settings.api_token.get_secret_value() if settings.api_token else token_in(settings.token_file)[0]
        rate = shared_rate_limiter(cache)
        settle_collector()
        bells = clients.ActorBells(settings.active_channels)
        yield Edge(
            inbox=resources.stores.inbox,
            journal=resources.stores.journal,
            clicks=resources.stores.clicks,
            silences=resources.stores.silences,
            users=resources.users(),
            audit=resources.stores.audit,
            heartbeats=resources.stores.heartbeats,
            pauses=resources.stores.pauses,
            conversations=resources.stores.conversations,
            shadows=resources.stores.shadows,
            spend=resources.stores.spend,
            day_budget=settings.day_budget,
            tool_servers=clients.tool_servers,
            clock=resources.clock,
            ids=resources.ids,
            bells=bells,
            doors=doors_of(resources, bells, bells.heard, clients.tell, rate),
            token=token,
            cluster=settings.clusters[0],
            aliases=settings.aliases,
            health=probe.health,
            scrape=lambda: _scraped(metrics),
            rate=rate,
            limits=Limits(
                max_body_bytes=settings.max_body_bytes,
                inbox_depth=settings.inbox_limit,
                requests_per_minute=settings.rate_limit_per_minute,
                chat_session_s=settings.chat_session_s + settings.chat_grace_s,
            ),
            alertmanager=alertmanager_of(settings),
            metrics=metrics,
        )


class Checked(Protocol):
    """Something that can be asked whether it answers."""

    async def health(self) -> None:
        """Return when it does, raise ``Transient`` when it does not."""
        ...


@dataclass(frozen=True)
class Part:
    """A part of the house that is no actor. ``required``: without it the edge takes no requests."""

    name: str
    checked: Checked
    required: bool = False

    async def look(self) -> Subsystem:
        """How it stands now."""
        try:
            await self.checked.health()
        except MidwatchError as error:
            return Subsystem(name=self.name, ok=False, detail=str(error), required=self.required)
        return Subsystem(name=self.name, ok=True, required=self.required)


class Probe:
    """The health of every part, asked for at most once a second however many look."""

    def __init__(self, settings: Settings, parts: Sequence["Part"]) -> None:
        self._settings, self._parts = settings, tuple(parts)
        self._lock = asyncio.Lock()
        self._directory = clients.Directory()
        self._answers: dict[str, tuple[dict[str, object], float]] = {}
        self._known: tuple[Subsystem, ...] = ()
        self._asked = 0.0

    async def health(self) -> tuple[Subsystem, ...]:
        async with self._lock:
            if time.monotonic() - self._asked > _HEALTH_KEPT_S:
                self._known, self._asked = await self._ask(), time.monotonic()
            return self._known

    async def _ask(self) -> tuple[Subsystem, ...]:
        expected = names.house(self._settings)
        answers = asyncio.gather(*(self._actor(name) for name in expected))
        parts = await asyncio.gather(*(part.look() for part in self._parts))
        return (*parts, *await answers)

    async def _actor(self, name: str) -> Subsystem:
        """An actor's word, or its last one for a while: on a busy machine a late answer is no alarm."""
        answer = await self._directory.health(name, _ANSWER_S)
        if answer is not None:
            self._answers[name] = (answer, time.monotonic())
        last, when = self._answers.get(name, (None, 0.0))
        return _subsystem(name, last if time.monotonic() - when < _PATIENCE_S else None)


def _subsystem(name: str, answer: dict[str, object] | None) -> Subsystem:
    if answer is None:
        return Subsystem(name=name, ok=False, detail="does not answer")
    return Subsystem(name=name, ok=bool(answer["ok"]), detail=str(answer["error"] or answer.get("detail") or ""))


async def _scraped(own: Metrics) -> bytes:
    try:
        everyone = await clients.everyone()
    except RayError:
        everyone = ()
    gathered = await asyncio.gather(*(clients.scrape(name) for name in everyone))
    by_actor: dict[str, tuple[Family, ...] | None] = dict(zip(everyone, gathered, strict=True))
    return exposition({**by_actor, "edge": own.families()})
