"""A chat over the in-memory store, spoken to as a channel does."""

from dataclasses import dataclass, field

import pytest

from midwatch.domain.intents import Kind
from midwatch.domain.users import Role
from midwatch.services.chat.deciding import Deciding
from midwatch.services.chat.desk import Chat, Extra, Helpers, Talker
from midwatch.services.chat.requesting import Requesting
from midwatch.services.chat.sight import Looking, Sights
from midwatch.services.chat.watch import Watchkeeping
from midwatch.services.chat.where import Where
from midwatch.services.limiting import LocalRateLimiter
from midwatch.services.linking import Linking
from midwatch.services.messaging import IncomingMessage
from midwatch.services.users import Users
from tests.fakes.cluster import HastyClock
from tests.fakes.conversations import MemorySessions
from tests.fakes.runtime import CountingIds
from tests.fakes.sight import FakeSight
from tests.fakes.stores import MemoryStore
from tests.fakes.users import CountingSecrets
from tests.unit.edge.conftest import CountedBells


@dataclass
class Room:
    """Everything behind one chat."""

    store: MemoryStore = field(default_factory=MemoryStore)
    clock: HastyClock = field(default_factory=HastyClock)
    ids: CountingIds = field(default_factory=CountingIds)
    sight: FakeSight = field(default_factory=FakeSight)
    more_sights: dict[str, FakeSight] = field(default_factory=dict)
    aliases: dict[str, str] = field(default_factory=dict)
    sessions: MemorySessions = field(default_factory=MemorySessions)
    bells: CountedBells = field(default_factory=CountedBells)
    limiter: LocalRateLimiter = field(default_factory=LocalRateLimiter)
    talker: Talker | None = None
    extras: dict[Kind, Extra] = field(default_factory=dict)
    streamed: list[str] = field(default_factory=list)
    said: int = 0

    @property
    def users(self) -> Users:
        return Users(self.store.users, self.clock, self.ids, CountingSecrets())

    @property
    def linking(self) -> Linking:
        return Linking(self.users, self.limiter, self.clock)

    @property
    def sights(self) -> dict[str, FakeSight]:
        """By cluster; ``lab`` is the first."""
        return {"lab": self.sight, **self.more_sights}

    @property
    def chat(self) -> Chat:
        store = self.store
        watch = Watchkeeping(store.journal, store.silences, self.clock, self.ids)
        helpers = Helpers(
            where=Where(tuple(self.sights), self.aliases, store.journal),
            looking=Looking(Sights(self.sights)),
            watch=watch,
            deciding=Deciding(store.journal, store.clicks, watch, self.clock, self.bells),
            requesting=Requesting(
                store.journal, Sights(self.sights), self.clock, self.ids, clusters=tuple(self.sights)
            ),
            talker=self.talker,
            extras=self.extras,
        )
        return Chat(self.users, store.conversations, self.sessions, helpers, self.clock, self.ids, linking=self.linking)

    async def known(self, name: str, role: Role, identity: str) -> None:
        users = self.users
        await users.add(name, role)
        assert await users.redeem(await users.new_code(name), identity)

    def words(
        self, text: str, *, user: str = "U1", id_: str = "", thread: str = "", incident: str = ""
    ) -> IncomingMessage:
        self.said += 1
        return IncomingMessage(
            id=id_ or f"m{self.said}",
            user_id=user,
            channel_type="slack",
            text=text,
            at=self.clock.now(),
            conversation="C1",
            thread=thread,
            incident=incident or None,  # type: ignore[arg-type]  # an id
            direct=True,
        )

    async def say(self, text: str, *, user: str = "U1", id_: str = "", thread: str = "", incident: str = "") -> str:
        async def stream(text: str) -> None:
            self.streamed.append(text)

        message = self.words(text, user=user, id_=id_, thread=thread, incident=incident)
        reply = await self.chat.message(message, stream)
        return reply.text if reply else ""


@pytest.fixture
def room() -> Room:
    return Room()
