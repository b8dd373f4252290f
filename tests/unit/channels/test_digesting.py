"""What was held back is told in one message: once, whatever dies meanwhile, and never card by card."""

import asyncio
from datetime import datetime, timedelta

import msgspec
import pytest

from midwatch.domain.cards import Card
from midwatch.domain.digests import SHOWN, Digest, digest_of
from midwatch.domain.errors import Permanent, Throttled, Transient
from midwatch.domain.ids import IncidentId
from midwatch.domain.incidents import Incident
from midwatch.domain.reasons import Reason
from midwatch.domain.refs import Severity
from midwatch.domain.rota import Delivery, How
from midwatch.services.digesting import Digesting
from midwatch.services.notification import Notification
from midwatch.services.pacing import Pace, Rate
from tests.fakes import samples
from tests.fakes.runtime import NOON, CountingIds, ManualClock
from tests.fakes.stores import MemoryStore

MORNING = NOON + timedelta(hours=8)


class Chat:
    """``lost``: the message is there, and nobody says so."""

    name = "chat"

    def __init__(self) -> None:
        self.cards: list[Card] = []
        self.digests: list[Digest] = []
        self.trouble: list[Exception | str] = []

    async def show(self, card: Card, ref: str) -> str:
        self.cards.append(card)
        return ref or f"m{len(self.cards)}"

    async def show_digest(self, digest: Digest) -> str:
        trouble = self.trouble.pop(0) if self.trouble else ""
        if isinstance(trouble, Exception):
            raise trouble
        self.digests.append(digest)
        if trouble == "lost":
            raise Transient("the answer was lost")
        return f"d{len(self.digests)}"

    async def find_digest(self, digest_id: str, since: datetime) -> str:
        assert since >= MORNING - timedelta(seconds=1)
        found = [number for number, digest in enumerate(self.digests, 1) if digest.id == digest_id]
        return f"d{found[0]}" if found else ""


class Night:
    """A channel that is quiet until morning, but for what is critical or asks people."""

    def __init__(self) -> None:
        self.store, self.clock, self.chat = MemoryStore(), ManualClock(), Chat()
        self.pace = Pace({}, started=NOON)
        self.again()

    def again(self) -> None:
        """As a process that begins anew."""
        store = self.store
        self.cards = Notification(store.journal, store.cards, self.chat, self.clock, heard=self._heard)
        self.digests = Digesting(
            store.journal, store.digests, self.chat, self.clock, CountingIds(start=500), pace=self.pace
        )

    @staticmethod
    def _heard(incident: Incident, now: datetime) -> Delivery:
        asking = incident.approval is not None and incident.approval.outcome is None
        if now >= MORNING or asking or incident.severity is Severity.CRITICAL:
            return Delivery(How.NOW, Reason.NO_ROUTE)
        return Delivery(How.LATER, Reason.QUIET_HOURS, MORNING)

    async def open(self, number: int, *more: object, severity: Severity = Severity.WARNING) -> IncidentId:
        incident = IncidentId(f"incident-{number:03}")
        first = msgspec.structs.replace(samples.opened(key=f"alpha|web-{number}"), severity=severity)
        attached = msgspec.structs.replace(samples.attached(number), severity=severity)
        await self.store.journal.open(incident, [first, attached, *more], at=self.clock.now(), by="test")  # type: ignore[arg-type]
        return incident

    async def write(self, incident: IncidentId, *events: object) -> None:
        known = await self.store.journal.read(incident)
        await self.store.journal.append(known, events, at=self.clock.now(), by="test")  # type: ignore[arg-type]

    async def turn(self) -> None:
        await self.cards.drain()
        await self.digests.drain(most=1)

    async def until_morning(self) -> None:
        while self.clock.now() < MORNING:
            await self.turn()
            self.clock.advance(1800)

    async def some_turns(self) -> None:
        for _ in range(20):
            await self.turn()
            self.clock.advance(30)


async def test_a_night_is_one_message_in_the_morning() -> None:
    night = Night()
    for number in range(1, 6):
        await night.open(number)
    await night.open(6, samples.report(), samples.resolved())
    await night.until_morning()
    assert (night.chat.cards, night.chat.digests) == ([], [])
    await night.some_turns()
    (digest,) = night.chat.digests
    assert night.chat.cards == []
    assert digest.heading == "6 incidents held back until now: 5 still open, 1 over"
    assert [line.incident for line in digest.lines][-1] == "incident-006"
    assert digest.lines[-1].icon == "✅"


async def test_what_becomes_severe_or_asks_people_does_not_wait() -> None:
    night = Night()
    calm, asking = await night.open(1), await night.open(2)
    worse = await night.open(3)
    await night.turn()
    await night.write(asking, samples.report(), samples.proposed(), samples.requested())
    await night.write(worse, msgspec.structs.replace(samples.attached(9, pod="web-9"), severity=Severity.CRITICAL))
    await night.turn()
    assert {card.incident for card in night.chat.cards} == {asking, worse}
    await night.until_morning()
    await night.some_turns()
    (digest,) = night.chat.digests
    assert [line.incident for line in digest.lines] == [calm]


async def test_after_the_digest_only_what_goes_on_has_a_card() -> None:
    night = Night()
    over, open_ = await night.open(1, samples.report(), samples.resolved()), await night.open(2)
    ends = await night.open(3)
    await night.until_morning()
    await night.some_turns()
    await night.write(open_, samples.report())
    await night.write(ends, samples.report(), samples.resolved())
    await night.some_turns()
    assert [card.incident for card in night.chat.cards] == [open_]
    assert len(night.chat.digests) == 1
    assert over in {line.incident for line in night.chat.digests[0].lines}


@pytest.mark.parametrize("dies_in", ["begin", "posting", "sent"])
async def test_a_death_at_any_point_tells_once(dies_in: str) -> None:
    night = Night()
    await night.open(1)
    await night.open(2)
    await night.until_morning()
    box = night.store.digests
    whole = getattr(box, dies_in)

    async def dies(*_: object, **__: object) -> None:
        raise RuntimeError("kill -9")

    setattr(box, dies_in, dies)
    with pytest.raises(RuntimeError):
        await night.turn()
    setattr(box, dies_in, whole)
    night.again()
    await night.some_turns()
    assert len(night.chat.digests) == 1
    assert len(night.chat.digests[0].lines) == 2


async def test_a_death_right_after_the_commit_tells_once() -> None:
    night = Night()
    await night.open(1)
    await night.until_morning()
    whole = night.store.digests.begin

    async def commits_and_dies(digest: Digest) -> bool:
        await whole(digest)
        raise RuntimeError("kill -9")

    night.store.digests.begin = commits_and_dies  # type: ignore[method-assign]
    with pytest.raises(RuntimeError):
        await night.turn()
    night.store.digests.begin = whole  # type: ignore[method-assign]
    night.again()
    await night.some_turns()
    assert len(night.chat.digests) == 1


@pytest.mark.parametrize(
    "trouble",
    [["lost"], [Transient("away")], [Throttled("slow", 40.0)], [Permanent("no_text")], ["lost", "lost"]],
    ids=["lost", "away", "throttled", "refused", "lost once more"],
)
async def test_a_channel_in_trouble_is_told_once(trouble: list[Exception | str]) -> None:
    night = Night()
    await night.open(1)
    await night.until_morning()
    night.chat.trouble = trouble
    await night.some_turns()
    night.clock.advance(600)
    await night.some_turns()
    assert len(night.chat.digests) == 1


async def test_a_digest_keeps_the_channels_pace() -> None:
    night = Night()
    night.pace = Pace({"post": Rate(60.0)}, started=MORNING)
    night.again()
    await night.open(1)
    await night.until_morning()
    drained = asyncio.ensure_future(night.digests.drain(most=1))
    while not night.clock.sleepers:
        await asyncio.sleep(0)
    assert (night.digests.waiting, night.chat.digests) == (True, [])
    night.clock.advance(60)
    assert await drained == 0, "it looks for what is more urgent first"
    await night.digests.drain(most=1)
    assert (night.digests.waiting, len(night.chat.digests)) == (False, 1)


def test_a_night_of_three_hundred_still_fits_a_phone() -> None:
    incidents = [
        Incident(id=IncidentId(f"i-{number:03}"), title="🔥" * 200, severity=list(Severity)[number % 4])
        for number in range(300)
    ]
    digest = digest_of("d", "chat", incidents, NOON)
    assert len(digest.shown) == SHOWN
    assert digest.more.startswith("and 280 more")
    assert all(len(line.title) <= 100 for line in digest.lines)
    assert incidents[0].id in {line.incident for line in digest.lines}
