"""The edge as it runs in the house: real stores, actors by name, and their health and metrics gathered."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from urllib.parse import urlsplit

from ray.exceptions import RayError

from actors import clients, names
from midwatch.bootstrap import Resources, prepare_resources
from midwatch.domain.errors import MidwatchError
from midwatch.settings import Settings
from midwatch.telemetry import Family, Metrics, exposition, set_up_logging
from midwatch.tokens import token_in
from serve.dependencies import Edge, Limits, Subsystem
from serve.limits import LocalRateLimiter

_HEALTH_KEPT_S = 1.0


@asynccontextmanager
async def open_edge(settings: Settings) -> AsyncIterator[Edge]:
    """One replica's edge. The store may be away: requests then answer 503 until it is back."""
    set_up_logging("edge", level=settings.log_level, folder=settings.log_dir)
    async with prepare_resources(settings, owner="edge") as resources:
        metrics = Metrics()
        probe = Probe(settings, resources)
        token = settings.api_token.get_secret_value() if settings.api_token else token_in(settings.token_file)[0]
        yield Edge(
            inbox=resources.stores.inbox,
            journal=resources.stores.journal,
            clicks=resources.stores.clicks,
            clock=resources.clock,
            ids=resources.ids,
            bells=clients.ActorBells(),
            token=token,
            cluster=settings.clusters[0],
            health=probe.health,
            scrape=lambda: _scraped(metrics),
            rate=LocalRateLimiter(),
            limits=Limits(
                max_body_bytes=settings.max_body_bytes,
                inbox_depth=settings.inbox_limit,
                requests_per_minute=settings.rate_limit_per_minute,
            ),
            metrics=metrics,
        )


class Probe:
    """The health of every part, asked for at most once a second however many look."""

    def __init__(self, settings: Settings, resources: Resources) -> None:
        self._settings, self._resources = settings, resources
        self._lock = asyncio.Lock()
        self._known: tuple[Subsystem, ...] = ()
        self._asked = 0.0

    async def health(self) -> tuple[Subsystem, ...]:
        async with self._lock:
            if time.monotonic() - self._asked > _HEALTH_KEPT_S:
                self._known, self._asked = await self._ask(), time.monotonic()
            return self._known

    async def _ask(self) -> tuple[Subsystem, ...]:
        expected = names.house(self._settings)
        answers = await asyncio.gather(*(clients.health(name) for name in expected))
        actors = (_subsystem(name, answer) for name, answer in zip(expected, answers, strict=True))
        return (await self._store(), await self._sessions(), *actors)

    async def _store(self) -> Subsystem:
        try:
            await self._resources.database.health()
            return Subsystem(name="store", ok=True, required=True)
        except MidwatchError as error:
            return Subsystem(name="store", ok=False, detail=str(error), required=True)

    async def _sessions(self) -> Subsystem:
        """A socket that answers; only sessions pause without it."""
        url = urlsplit(self._settings.redis_url.get_secret_value() if self._settings.redis_url else "")
        try:
            async with asyncio.timeout(1):
                opening = (
                    asyncio.open_unix_connection(url.path)
                    if url.scheme == "unix"
                    else asyncio.open_connection(url.hostname, url.port or 6379)
                )
                _, writer = await opening
                writer.close()
            return Subsystem(name="redis", ok=True)
        except (OSError, TimeoutError) as error:
            return Subsystem(name="redis", ok=False, detail=f"{type(error).__name__}: sessions pause")


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
