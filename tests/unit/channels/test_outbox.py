"""The outbox between two dangers: a card shown twice and one never shown; and how fast a channel is spoken to."""

import asyncio
import itertools
from datetime import datetime, timedelta

import msgspec
import pytest

from midwatch.domain.cards import Card
from midwatch.domain.errors import NotFound, Throttled, Transient
from midwatch.domain.ids import IncidentId
from midwatch.domain.incidents import State
from midwatch.services.notification import Notification, asked_for
from midwatch.services.pacing import Pace, Rate
from midwatch.services.shortening import compact, investigation
from tests.fakes import samples
from tests.fakes.runtime import NOON, ManualClock
from tests.fakes.stores import MemoryStore

GAP = timedelta(seconds=2)


class Chat:
    """A searchable channel. ``trouble`` meets the next calls; ``lost``: the message is there, and nobody says so."""

    name = "chat"

    def __init__(self, clock: ManualClock) -> None:
        self.clock = clock
        self.messages: dict[str, list[Card]] = {}
        self.when: dict[str, list[datetime]] = {}
        self.trouble: list[Exception | str] = []

    async def show(self, card: Card, ref: str) -> str:
        trouble = self.trouble.pop(0) if self.trouble else ""
        if isinstance(trouble, Exception):
            raise trouble
        ref = ref or f"m{len(self.messages) + 1}"
        self.messages.setdefault(ref, []).append(card)
        self.when.setdefault(ref, []).append(self.clock.now())
        if trouble == "lost":
            raise Transient("the answer was lost")
        return ref

    async def find(self, incident: IncidentId, since: datetime) -> str:
        found = [ref for ref, cards in self.messages.items() if cards[0].incident == incident]
        return next((ref for ref in found if self.when[ref][0] >= since), "")


class Desk:
    def __init__(self, **options: object) -> None:
        self.store, self.clock = MemoryStore(), ManualClock()
        self.chat = Chat(self.clock)
        self.notification = Notification(
            self.store.journal,
            self.store.cards,
            self.chat,
            self.clock,
            gap=GAP,
            **options,  # type: ignore[arg-type]
        )

    async def open(self, number: int = 1, *more: object) -> IncidentId:
        incident = IncidentId(f"incident-{number}")
        events = [samples.opened(key=f"alpha|web-{number}"), samples.attached(number), *more]
        await self.store.journal.open(incident, events, at=self.clock.now(), by="test")  # type: ignore[arg-type]
        return incident

    async def write(self, incident: IncidentId, *events: object) -> None:
        known = await self.store.journal.read(incident)
        await self.store.journal.append(known, events, at=self.clock.now(), by="test")  # type: ignore[arg-type]

    async def run(self, seconds: float, step: float = 0.5) -> None:
        for _ in range(int(seconds / step)):
            await self.notification.drain()
            self.clock.advance(step)


async def test_a_post_whose_answer_was_lost_is_found_and_not_made_again() -> None:
    desk = Desk()
    await desk.open()
    desk.chat.trouble = ["lost"]
    await desk.run(10)
    assert list(desk.chat.messages) == ["m1"]
    card = await desk.store.cards.get(IncidentId("incident-1"), "chat")
    assert card is not None
    assert (card.ref, card.posting_at) == ("m1", None)


async def test_a_post_that_never_arrived_is_made_again() -> None:
    desk = Desk()
    await desk.open()
    desk.chat.trouble = [Transient("timeout"), Transient("timeout")]
    await desk.run(20)
    assert list(desk.chat.messages) == ["m1"]


async def test_a_death_between_post_and_record_shows_the_card_once() -> None:
    desk = Desk()
    await desk.open()

    async def dies(*_: object, **__: object) -> None:
        raise RuntimeError("kill -9")

    sent, desk.store.cards.sent = desk.store.cards.sent, dies  # type: ignore[method-assign]
    with pytest.raises(RuntimeError):
        await desk.notification.drain()
    desk.store.cards.sent = sent  # type: ignore[method-assign]
    await desk.run(10)
    assert list(desk.chat.messages) == ["m1"]


async def test_what_was_refused_for_its_speed_is_not_searched_for() -> None:
    desk = Desk()
    await desk.open()
    desk.chat.trouble = [Throttled("slow down", 3.0)]
    await desk.notification.drain()
    card = await desk.store.cards.get(IncidentId("incident-1"), "chat")
    assert card is not None
    assert card.posting_at is None
    await desk.run(2.5)
    assert desk.chat.messages == {}
    await desk.run(1)
    assert len(desk.chat.messages) == 1


async def test_a_rest_that_the_channel_wants_holds_every_card() -> None:
    desk = Desk()
    pace = Pace({}, started=NOON)
    desk.notification = Notification(desk.store.journal, desk.store.cards, desk.chat, desk.clock, pace=pace)
    for number in range(5):
        await desk.open(number)
    desk.chat.trouble = [Throttled("slow down", 30.0)]
    pace.hold(0, NOON)
    sending = asyncio.ensure_future(desk.notification.drain())
    while not desk.clock.sleepers:
        await asyncio.sleep(0)
    sending.cancel()
    await asyncio.gather(sending, return_exceptions=True)
    assert desk.chat.messages == {}
    assert pace.wait("post", desk.clock.now()) == 30


async def test_a_deleted_card_is_posted_anew() -> None:
    desk = Desk()
    incident = await desk.open()
    await desk.run(3)
    await desk.write(incident, samples.report())
    desk.chat.trouble = [NotFound("message_not_found")]
    await desk.run(3)
    assert list(desk.chat.messages) == ["m1", "m2"]


async def test_a_storm_is_one_message_edited_at_most_every_two_seconds() -> None:
    desk = Desk()
    incident = await desk.open()
    for number in range(2, 202):
        await desk.write(incident, samples.attached(number, pod=f"web-{number}"))
        await desk.notification.drain()
        desk.clock.advance(0.05)
    await desk.run(4)
    ((_, versions),) = desk.chat.messages.items()
    (times,) = desk.chat.when.values()
    assert min((later - earlier for earlier, later in itertools.pairwise(times)), default=GAP) >= GAP
    assert versions[-1].affected == 201
    assert len(versions) <= 8


async def test_a_decision_is_shown_at_once_whatever_was_edited_a_moment_ago() -> None:
    desk = Desk()
    incident = await desk.open(1, samples.report(), samples.proposed(), samples.requested())
    await desk.notification.drain()
    desk.clock.advance(0.1)
    await desk.write(incident, samples.approval_closed())
    assert await desk.notification.drain() == 1
    ((_, versions),) = desk.chat.messages.items()
    assert versions[-1].buttons == ()


async def test_what_people_wait_for_is_sent_first() -> None:
    desk = Desk()
    for number in range(1, 4):
        await desk.open(number)
        desk.clock.advance(1)
    asked = await desk.open(4, samples.report(), samples.proposed(), samples.requested())
    due = await desk.store.cards.due("chat", now=desk.clock.now())
    assert due[0].incident == asked
    await desk.run(3)
    desk.clock.advance(5)
    for number in range(1, 4):
        await desk.write(IncidentId(f"incident-{number}"), samples.report())
        desk.clock.advance(1)
    await desk.write(asked, samples.approval_closed())
    due = await desk.store.cards.due("chat", now=desk.clock.now())
    assert due[0].incident == asked, "decided: its buttons are to go"
    assert (await desk.store.journal.read(asked)).state is State.PROPOSED


async def test_the_investigation_waits_for_its_card_and_is_edited_when_it_grows() -> None:
    desk = Desk(aspect=investigation, under="root")
    incident = await desk.open()
    await desk.run(3)
    assert desk.chat.messages == {}, "nothing was found out yet"
    await desk.write(incident, samples.report())
    await desk.run(3)
    assert desk.chat.messages == {}, "the card is not there yet"
    root = Notification(desk.store.journal, desk.store.cards, _Root(), desk.clock, aspect=compact)
    await root.drain()
    await desk.run(3)
    await desk.write(incident, samples.attached(2, pod="web-2"))
    await desk.run(3)
    ((_, versions),) = desk.chat.messages.items()
    assert len(versions) == 1, "counts are the card's business"


class _Root:
    name = "root"

    async def show(self, card: Card, ref: str) -> str:
        assert card.details == ()
        return ref or "r1"


async def test_an_incident_whose_rule_names_other_channels_is_not_shown_here() -> None:
    desk = Desk(heard=asked_for("chat"))
    await desk.open(1)
    named = samples.opened(key="alpha|other")
    incident = IncidentId("incident-9")
    elsewhere = msgspec.structs.replace(named, notify=("slack",))
    await desk.store.journal.open(incident, [elsewhere, samples.attached()], at=NOON, by="test")
    await desk.run(3)
    assert [cards[0].incident for cards in desk.chat.messages.values()] == ["incident-1"]
    assert await desk.store.cards.due("chat", now=desk.clock.now()) == ()


def test_a_pace_is_kept_in_every_minute_also_across_a_restart() -> None:
    rate = Rate(1.5, burst=10, reserve=4)
    passed: list[float] = []
    now = NOON
    for life in range(6):
        pace = Pace({"edit": rate}, started=now)
        for _ in range(40 + life):
            if pace.wait("edit", now, urgent=True) == 0:
                passed.append((now - NOON).total_seconds())
            now += timedelta(seconds=0.5)
    for start in passed:
        assert sum(start <= at < start + 60 for at in passed) <= 50


def test_some_of_the_pace_is_kept_for_what_people_wait_for() -> None:
    pace = Pace({"edit": Rate(1.0, burst=5, reserve=3)}, started=NOON)
    later = NOON + timedelta(seconds=60)
    calm = sum(pace.wait("edit", later) == 0 for _ in range(5))
    urgent = sum(pace.wait("edit", later, urgent=True) == 0 for _ in range(5))
    assert (calm, urgent) == (2, 3)
    assert pace.wait("edit", later, urgent=True) == pytest.approx(1.0)
    assert pace.wait("other", later) == 0
