"""One edge over the in-memory store, spoken to through HTTP without sockets."""

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any, cast

import httpx2
import pytest

from midwatch.domain.errors import Transient
from midwatch.domain.incidents import Work
from midwatch.services.brakes import PauseBook
from midwatch.services.limiting import LocalRateLimiter
from midwatch.services.ports import AuditTrail, ClickBox, Inbox, Journal, SilenceBook
from midwatch.services.users import Users
from serve.api import build_api
from serve.dependencies import Edge, Limits, Subsystem
from tests.fakes.runtime import CountingIds
from tests.fakes.stores import MemoryStore
from tests.fakes.users import CountingSecrets
from tests.unit.edge.scenes import T0

TOKEN = "the-night-watch-token"  # a made-up one


class EdgeClock:
    """Stands still but for sleeping, which moves it on at once and lets other tasks run."""

    def __init__(self, start: datetime) -> None:
        self.at = start

    def now(self) -> datetime:
        return self.at

    async def sleep(self, seconds: float) -> None:
        self.at += timedelta(seconds=seconds)
        await asyncio.sleep(0)


@dataclass
class CountedBells:
    rung: list[str] = field(default_factory=list)

    def signals(self) -> None:
        self.rung.append("signals")

    def clicks(self) -> None:
        self.rung.append("clicks")

    def work(self, work: Work) -> None:
        self.rung.append(str(work))

    def changed(self) -> None:
        self.rung.append("changed")


class Breakable:
    """A port that can be made to go away, as a store does."""

    def __init__(self, port: object) -> None:
        self._port, self.away = port, False

    def __getattr__(self, name: str) -> Any:
        if self.away:
            raise Transient("the store is away: postgresql://midwatch:hunter2@db/midwatch", 3.0)
        return getattr(self._port, name)


@dataclass
class House:
    """Everything behind the edge, for a test to look at and to break."""

    store: MemoryStore
    clock: EdgeClock
    bells: CountedBells
    parts: list[Subsystem]
    limits: Limits
    edge: Edge = field(init=False)
    ports: list[Breakable] = field(init=False)

    def __post_init__(self) -> None:
        async def health() -> tuple[Subsystem, ...]:
            return tuple(self.parts)

        async def needed() -> tuple[Subsystem, ...]:
            return tuple(part for part in self.parts if part.required)

        async def scrape() -> bytes:
            return b'# TYPE midwatch_actor_up gauge\nmidwatch_actor_up{actor="watcher"} 1.0\n'

        store = self.store
        ports = [
            Breakable(port)
            for port in (store.inbox, store.journal, store.clicks, store.silences, store.audit, store.pauses)
        ]
        self.ports, (inbox, journal, clicks, silences, audit, pauses) = ports, ports
        self.edge = Edge(
            inbox=cast("Inbox", inbox),
            journal=cast("Journal", journal),
            clicks=cast("ClickBox", clicks),
            silences=cast("SilenceBook", silences),
            heartbeats=store.heartbeats,
            users=Users(store.users, self.clock, CountingIds(900), CountingSecrets()),
            audit=cast("AuditTrail", audit),
            pauses=cast("PauseBook", pauses),
            conversations=store.conversations,
            shadows=store.shadows,
            spend=store.spend,
            clock=self.clock,
            ids=CountingIds(),
            bells=self.bells,
            token=TOKEN,
            cluster="lab",
            health=health,
            needed=needed,
            scrape=scrape,
            rate=LocalRateLimiter(),
            limits=self.limits,
        )

    def break_store(self, *, away: bool = True) -> None:
        """From now on every look at the store fails as it does while PostgreSQL is gone."""
        for port in self.ports:
            port.away = away

    def change(self, **fields: Any) -> None:
        """Another port in place of the present one; before the first request."""
        self.edge = replace(self.edge, **fields)


@pytest.fixture
def house() -> House:
    store_health = Subsystem(name="store", ok=True, required=True)
    watcher = Subsystem(name="watcher lab", ok=True, detail="14 kinds, 96 objects")
    limits = Limits(max_body_bytes=64 * 1024, inbox_depth=50, requests_per_minute=1000, judgement_s=1.0)
    return House(MemoryStore(), EdgeClock(T0 + timedelta(seconds=30)), CountedBells(), [store_health, watcher], limits)


Opener = Callable[..., Coroutine[Any, Any, httpx2.AsyncClient]]


@pytest.fixture
async def opened(house: House) -> AsyncIterator[Opener]:
    """Opens clients of the house's edge: ``await opened()`` bears the token, ``opened(token="")`` does not."""

    @asynccontextmanager
    async def edge() -> AsyncIterator[Edge]:
        yield house.edge

    app = build_api(edge)
    clients: list[httpx2.AsyncClient] = []
    lifespan = app.router.lifespan_context(app)
    running = False

    async def client(*, token: str = TOKEN, raise_errors: bool = True) -> httpx2.AsyncClient:
        nonlocal running
        if not running:
            await lifespan.__aenter__()
            running = True
        transport = httpx2.ASGITransport(app=app, raise_app_exceptions=raise_errors, client=("127.0.0.1", 4711))
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        made = httpx2.AsyncClient(transport=transport, base_url="http://midwatch.test", headers=headers)
        clients.append(made)
        return made

    yield client
    for made in clients:
        await made.aclose()
    if running:
        await lifespan.__aexit__(None, None, None)


@pytest.fixture
async def api(opened: Opener) -> httpx2.AsyncClient:
    """A client with the token."""
    return await opened()


@pytest.fixture
async def browser(opened: Opener) -> httpx2.AsyncClient:
    """A client that is logged in to the console and has no token."""
    client = await opened(token="")
    answer = await client.post("/login", data={"token": TOKEN})
    assert answer.status_code == 303, answer.text
    return client
