"""An edge in a thread of its own, on loopback, for tests that need a real socket."""

import asyncio
import socket
import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from datetime import UTC, datetime, timedelta

import uvicorn

from midwatch.adapters.system import SystemClock, SystemIds, SystemSecrets
from midwatch.domain import events as ev
from midwatch.domain.approvals import Choice
from midwatch.services.limiting import LocalRateLimiter
from midwatch.services.users import Users
from serve.api import build_api
from serve.dependencies import Edge, Limits, Subsystem
from tests.fakes.stores import MemoryStore
from tests.unit.edge import scenes
from tests.unit.edge.conftest import CountedBells

TOKEN = "token-of-the-night"  # a made-up one


class Night:
    """An edge in a thread of its own, with a broker that judges as the real one does."""

    def __init__(self) -> None:
        self.store = MemoryStore()
        self.parts = [Subsystem(name="store", ok=True, required=True)]
        self.clicks: list[tuple[Choice, str]] = []
        self.users = Users(self.store.users, SystemClock(), SystemIds(), SystemSecrets())
        self.loop = asyncio.new_event_loop()
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        config = uvicorn.Config(build_api(self._edge), log_level="warning", timeout_graceful_shutdown=1)
        self._server = uvicorn.Server(config)
        self._thread = threading.Thread(target=self._run)

    def __enter__(self) -> "Night":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.should_exit = True
        self._thread.join(5)
        self._listener.close()

    def _run(self) -> None:
        asyncio.set_event_loop(self.loop)
        self.loop.run_until_complete(self._server.serve(sockets=[self._listener]))
        self.loop.close()

    def tell(self, incident_id: str, *chapters: list[ev.AnyEvent]) -> None:
        began = datetime.now(UTC) - timedelta(minutes=2)
        telling = scenes.told(self.store.journal, incident_id, *chapters, began=began)
        asyncio.run_coroutine_threadsafe(telling, self.loop).result(5)

    @asynccontextmanager
    async def _edge(self) -> AsyncIterator[Edge]:
        async def health() -> tuple[Subsystem, ...]:
            return tuple(self.parts)

        async def needed() -> tuple[Subsystem, ...]:
            return tuple(part for part in self.parts if part.required)

        async def scrape() -> bytes:
            return b""

        broker = asyncio.create_task(self._judge())
        yield Edge(
            inbox=self.store.inbox,
            journal=self.store.journal,
            clicks=self.store.clicks,
            silences=self.store.silences,
            pauses=self.store.pauses,
            shadows=self.store.shadows,
            spend=self.store.spend,
            heartbeats=self.store.heartbeats,
            conversations=self.store.conversations,
            users=self.users,
            audit=self.store.audit,
            clock=SystemClock(),
            ids=SystemIds(),
            bells=CountedBells(),
            token=TOKEN,
            cluster="lab",
            health=health,
            needed=needed,
            scrape=scrape,
            rate=LocalRateLimiter(),
            limits=Limits(requests_per_minute=10_000, poll_s=0.02),
        )
        broker.cancel()
        with suppress(asyncio.CancelledError):
            await broker

    async def _judge(self) -> None:
        while True:
            for click in await self.store.clicks.pending():
                self.clicks.append((click.choice, click.comment))
                outcome, sentence = await self._judged(click.approval_id, click.choice)
                await self.store.clicks.settle(click.id, outcome=outcome, sentence=sentence)
            await asyncio.sleep(0.01)

    async def _judged(self, approval_id: str, choice: Choice) -> tuple[str, str]:
        incident, request = await self.store.journal.find_approval(scenes.ApprovalId(approval_id))
        if request.outcome is not None:
            return "already-decided", "Already approved by console:operator."
        if choice is Choice.REJECT:
            return "rejected", "Rejected: a person takes over."
        if request.confirm and not request.votes:
            await scenes.carried_on(self.store.journal, incident, scenes.voted())
            return "needs-confirmation", "HIGH risk: confirm it in a second step."
        await scenes.carried_on(self.store.journal, incident, scenes.fixed())
        return "approved", "Approved: Midwatch acts now."
