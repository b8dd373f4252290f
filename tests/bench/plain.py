"""The edge without Ray, over the in-memory store: what plain uvicorn serves in a comparison."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from fastapi import FastAPI

from midwatch.adapters.system import SystemClock, SystemIds, SystemSecrets
from midwatch.domain.incidents import Work
from midwatch.services.limiting import LocalRateLimiter
from midwatch.services.users import Users
from serve.api import build_api
from serve.dependencies import Edge, Limits, Subsystem
from tests.fakes.stores import MemoryStore


class _Silence:
    def signals(self) -> None: ...

    def clicks(self) -> None: ...

    def work(self, work: Work) -> None: ...

    def changed(self) -> None: ...


def create() -> FastAPI:
    """For ``uvicorn --factory tests.bench.plain:create``."""
    return build_api(_edge)


@asynccontextmanager
async def _edge() -> AsyncIterator[Edge]:
    store, clock = MemoryStore(), SystemClock()

    async def health() -> tuple[Subsystem, ...]:
        return ()

    async def scrape() -> bytes:
        return b""

    yield Edge(
        inbox=store.inbox,
        journal=store.journal,
        clicks=store.clicks,
        silences=store.silences,
        pauses=store.pauses,
        shadows=store.shadows,
        spend=store.spend,
        heartbeats=store.heartbeats,
        conversations=store.conversations,
        users=Users(store.users, clock, SystemIds(), SystemSecrets()),
        audit=store.audit,
        clock=clock,
        ids=SystemIds(),
        bells=_Silence(),
        token="measured without",
        cluster="bench",
        health=health,
        needed=health,
        scrape=scrape,
        rate=LocalRateLimiter(),
        limits=Limits(requests_per_minute=10_000_000),
    )
