"""One card per incident and channel: edited in place, retried with patience, never sent twice unchanged."""

from datetime import timedelta

import pytest

from midwatch.domain import events as ev
from midwatch.domain.cards import Card
from midwatch.domain.errors import Permanent, Transient
from midwatch.domain.ids import IncidentId
from midwatch.domain.incidents import Incident, State
from midwatch.domain.reasons import Reason
from midwatch.services.notification import ConsoleChannel, Notification
from tests.fakes import samples
from tests.fakes.runtime import NOON, ManualClock
from tests.fakes.stores import MemoryStore


class Chat:
    """A channel that keeps what it was shown; ``trouble`` is what the next deliveries raise."""

    name = "chat"

    def __init__(self) -> None:
        self.messages: dict[str, list[Card]] = {}
        self.trouble: list[Exception] = []
        self.tries = 0

    async def show(self, card: Card, ref: str) -> str:
        self.tries += 1
        if self.trouble:
            raise self.trouble.pop(0)
        ref = ref or f"message-{len(self.messages) + 1}"
        self.messages.setdefault(ref, []).append(card)
        return ref


class Newsroom:
    """Notification over the in-memory store and that channel."""

    def __init__(self, store: MemoryStore, clock: ManualClock) -> None:
        self.store, self.clock, self.chat = store, clock, Chat()
        self.notification = Notification(store.journal, store.cards, self.chat, clock)

    async def open(self, number: int = 1) -> Incident:
        opened = samples.opened(key=f"alpha|workload|Deployment/shop/web-{number}")
        events: list[ev.AnyEvent] = [opened, samples.attached(number)]
        at = self.clock.now()
        return await self.store.journal.open(IncidentId(f"incident-{number}"), events, at=at, by="test")

    async def write(self, *events: ev.AnyEvent, number: int = 1) -> Incident:
        incident = await self.store.journal.read(IncidentId(f"incident-{number}"))
        return await self.store.journal.append(incident, events, at=self.clock.now(), by="test")


@pytest.fixture
def room(store: MemoryStore, clock: ManualClock) -> Newsroom:
    return Newsroom(store, clock)


async def test_an_incident_is_one_message_however_often_it_changes(room: Newsroom) -> None:
    await room.open()
    assert await room.notification.drain() == 1
    await room.write(samples.report())
    assert await room.notification.drain() == 1
    await room.write(samples.proposed())
    assert await room.notification.drain() == 1

    ((ref, versions),) = room.chat.messages.items()
    assert ref == "message-1"
    assert [bool(card.cause) for card in versions] == [False, True, True]


async def test_changes_that_come_together_are_one_edit(room: Newsroom) -> None:
    await room.open()
    await room.write(samples.report())
    await room.write(samples.proposed())
    await room.write(samples.requested())

    assert await room.notification.drain() == 1
    ((card,),) = room.chat.messages.values()
    assert card.state is State.AWAITING_APPROVAL
    assert [button.label for button in card.buttons] == ["Approve", "Reject"]


async def test_two_incidents_are_two_messages(room: Newsroom) -> None:
    await room.open(1)
    await room.open(2)
    assert await room.notification.drain() == 2
    assert len(room.chat.messages) == 2


async def test_what_would_look_the_same_is_not_sent_again(room: Newsroom) -> None:
    await room.open()
    await room.notification.drain()
    looked = ev.ToolCalled(reason=Reason.EVIDENCE_GATHERED, call_id="1", tool="pods", input="{}", output="[]")
    await room.write(looked)

    assert await room.notification.drain() == 0
    assert room.chat.tries == 1
    card = await room.store.cards.get(IncidentId("incident-1"), "chat")
    assert card is not None
    assert card.seq == 3, "and is not looked at again"


async def test_what_was_not_delivered_is_tried_again_ever_more_slowly(room: Newsroom) -> None:
    await room.open()
    room.chat.trouble = [Transient("rate limited", 2.0), Transient("rate limited", 2.0)]
    delivered: list[float] = []
    for _ in range(20):
        before = room.chat.tries
        await room.notification.drain()
        if room.chat.tries > before:
            delivered.append((room.clock.now() - NOON).total_seconds())
        room.clock.advance(1)

    assert delivered == [0.0, 2.0, 6.0]
    assert len(room.chat.messages) == 1


async def test_a_channel_that_stays_away_is_asked_at_least_every_five_minutes(room: Newsroom) -> None:
    await room.open()
    room.chat.trouble = [Transient("away", 60.0)] * 10
    for _ in range(60):
        await room.notification.drain()
        room.clock.advance(60)
    assert room.chat.messages, "it came in the end"
    assert room.chat.tries == 11


async def test_a_refusal_waits_longer_and_holds_no_other_card_up(room: Newsroom) -> None:
    await room.open(1)
    await room.open(2)
    room.chat.trouble = [Permanent("the channel is archived")]
    assert await room.notification.drain() == 1
    room.clock.advance(9 * 60)
    assert await room.notification.drain() == 0
    room.clock.advance(60)
    assert await room.notification.drain() == 1


async def test_after_a_success_the_next_failure_starts_from_the_beginning(room: Newsroom) -> None:
    await room.open()
    room.chat.trouble = [Transient("busy", 1.0)] * 3
    for _ in range(15):
        await room.notification.drain()
        room.clock.advance(1)
    await room.write(samples.report())
    room.chat.trouble = [Transient("busy", 1.0)]
    await room.notification.drain()
    room.clock.advance(1)
    assert await room.notification.drain() == 1


async def test_a_death_after_the_post_edits_or_posts_but_never_loses(room: Newsroom) -> None:
    await room.open()

    async def dies(*_: object, **__: object) -> None:
        raise Transient("killed")

    sent, room.store.cards.sent = room.store.cards.sent, dies  # type: ignore[method-assign]
    with pytest.raises(Transient):
        await room.notification.drain()
    room.store.cards.sent = sent  # type: ignore[method-assign]
    assert await room.notification.drain() == 0, "it may still be on its way"
    room.clock.advance(2)
    assert await room.notification.drain() == 1
    assert room.chat.tries == 2


async def test_an_incident_of_long_ago_is_not_posted_anew(room: Newsroom) -> None:
    await room.open()
    await room.write(samples.resolved())
    room.clock.advance(timedelta(days=2).total_seconds())
    assert await room.notification.drain() == 0


async def test_the_console_needs_no_delivery_and_gives_every_incident_a_name() -> None:
    card = Card(
        incident=IncidentId("one"), state=State.OPEN, severity=samples.a_signal().severity, headline="web crashes"
    )
    assert await ConsoleChannel().show(card, "") == "console:one"
    assert await ConsoleChannel().show(card, "console:one") == "console:one"
