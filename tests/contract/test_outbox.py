"""The outbox and what came in: what a process that dies must leave behind for the next."""

from datetime import timedelta

import msgspec

from midwatch.domain import events as ev
from midwatch.domain.ids import IncidentId
from midwatch.domain.incidents import Incident, State
from midwatch.domain.reasons import Reason
from midwatch.services.messaging import IncomingMessage
from midwatch.services.ports import Arrival, CardRow
from tests.contract.conftest import AnyStore
from tests.fakes.runtime import NOON
from tests.fakes.samples import approval_closed, attached, opened, proposed, report, requested

A, B, C = (IncidentId(f"0000000{n}-0000-7000-8000-00000000000{n}") for n in (1, 2, 3))


def after(seconds: float) -> timedelta:
    return timedelta(seconds=seconds)


async def an_incident(store: AnyStore, incident_id: IncidentId, seconds: float, *more: object) -> Incident:
    events = [opened(incident_id), attached(), *more]
    return await store.journal.open(incident_id, events, at=NOON + after(seconds), by="test")  # type: ignore[arg-type]


async def test_a_post_that_was_begun_is_remembered_until_its_outcome_is_known(store: AnyStore) -> None:
    incident = await an_incident(store, A, 0)
    (card,) = await store.cards.due("slack", now=NOON)
    await store.cards.posting(card, at=NOON + after(1))
    (begun,) = await store.cards.due("slack", now=NOON + after(1))
    assert begun.posting_at == NOON + after(1)
    assert begun.ref == ""
    await store.cards.failed(begun, error="timeout", retry_at=NOON + after(2))
    (begun,) = await store.cards.due("slack", now=NOON + after(2))
    assert begun.posting_at == NOON + after(1)
    await store.cards.failed(msgspec.structs.replace(begun, posting_at=None), error="no", retry_at=NOON + after(3))
    (refused,) = await store.cards.due("slack", now=NOON + after(3))
    assert refused.posting_at is None
    await store.cards.posting(refused, at=NOON + after(4))
    sent = msgspec.structs.replace(refused, ref="ts-1", seq=incident.seq, shown="open")
    await store.cards.sent(sent, at=NOON + after(4))
    known = await store.cards.get(A, "slack")
    assert known == CardRow(incident=A, channel="slack", ref="ts-1", seq=incident.seq, shown="open")


async def test_an_edit_waits_for_its_gap_unless_a_question_was_answered(store: AnyStore) -> None:
    incident = await an_incident(store, A, 0, report(), proposed(), requested())
    shown = CardRow(incident=A, channel="slack", ref="ts-1", seq=incident.seq, shown=incident.state)
    await store.cards.sent(shown, at=NOON)
    incident = await store.journal.append(incident, [attached(2, pod="web-2")], at=NOON, by="test")
    gap = after(2)
    assert await store.cards.due("slack", now=NOON + after(1.9), gap=gap) == ()
    assert len(await store.cards.due("slack", now=NOON + after(2), gap=gap)) == 1
    await store.journal.append(incident, [approval_closed()], at=NOON, by="test")
    assert len(await store.cards.due("slack", now=NOON + after(0.1), gap=gap)) == 1


async def test_what_people_wait_for_comes_first(store: AnyStore) -> None:
    await an_incident(store, A, 1)
    await an_incident(store, B, 2, report(), proposed(), requested())
    asked = await an_incident(store, C, 3, report(), proposed(), requested())
    await store.cards.sent(CardRow(incident=C, channel="slack", ref="ts-3", seq=1, shown=asked.state), at=NOON)
    due = await store.cards.due("slack", now=NOON + after(5))
    assert [row.incident for row in due] == [C, B, A]


async def test_a_question_that_expires_is_not_kept_waiting_by_escalations(store: AnyStore) -> None:
    gone = ev.Escalated(reason=Reason.REJECTED_BY_HUMAN, detail="no")
    for number, incident in enumerate((A, B)):
        await an_incident(store, incident, number, report(), proposed(), gone)
    await an_incident(store, C, 2, report(), proposed(), requested())
    asked = CardRow(incident=B, channel="slack", ref="ts-2", seq=1, shown=State.AWAITING_APPROVAL)
    await store.cards.sent(asked, at=NOON)
    due = await store.cards.due("slack", now=NOON + after(5))
    assert [row.incident for row in due] == [B, C, A], "what a person decided here, the question, the escalation"


async def test_what_has_nothing_to_show_is_not_due_and_keeps_its_time(store: AnyStore) -> None:
    incident = await an_incident(store, A, 0)
    (card,) = await store.cards.due("slack", now=NOON)
    await store.cards.seen(msgspec.structs.replace(card, seq=incident.seq))
    assert await store.cards.due("slack", now=NOON) == ()
    await store.journal.append(incident, [report()], at=NOON, by="test")
    (card,) = await store.cards.due("slack", now=NOON, gap=after(2))
    assert (card.ref, card.seq) == ("", incident.seq)


async def test_what_is_held_back_is_due_again_when_it_changes(store: AnyStore) -> None:
    incident = await an_incident(store, A, 0)
    (card,) = await store.cards.due("slack", now=NOON)
    until = NOON + after(3600)
    await store.cards.put_off(msgspec.structs.replace(card, seq=incident.seq), until=until)
    assert await store.cards.due("slack", now=until + after(1)) == (), "a digest tells of it"
    incident = await store.journal.append(incident, [report(), proposed()], at=NOON, by="test")
    (later,) = await store.cards.due("slack", now=NOON)
    assert (later.attempts, later.held_until) == (0, until)
    await store.cards.put_off(msgspec.structs.replace(later, seq=incident.seq), until=until)
    incident = await store.journal.append(incident, [requested()], at=NOON, by="test")
    assert [row.incident for row in await store.cards.due("slack", now=NOON)] == [A]
    await store.cards.failed(later, error="away", retry_at=NOON + after(60))
    assert await store.cards.due("slack", now=NOON) == (), "a failure waits, whatever is asked"


async def test_a_card_is_found_by_what_the_channel_calls_it(store: AnyStore) -> None:
    incident = await an_incident(store, A, 0)
    shown = CardRow(incident=A, channel="slack", ref="ts-1", seq=incident.seq)
    await store.cards.sent(shown, at=NOON)
    assert await store.cards.find("slack", "ts-1") == shown
    for channel, ref in (("telegram", "ts-1"), ("slack", "ts-2"), ("slack", "")):
        assert await store.cards.find(channel, ref) is None


def a_message(number: int, text: str = "why?", channel: str = "slack") -> IncomingMessage:
    at = NOON + after(number)
    return IncomingMessage(
        id=f"m{number}", user_id="U1", channel_type=channel, text=text, at=at, conversation="C1", incident=A
    )


async def test_a_message_waits_until_it_is_answered(store: AnyStore) -> None:
    first, second = a_message(1, "مرحبا 🔥 \x00"), a_message(2)
    assert await store.arrivals.put(second)
    assert await store.arrivals.put(first)
    assert not await store.arrivals.put(msgspec.structs.replace(first, text="changed"))
    assert await store.arrivals.put(a_message(1, channel="telegram")), "each channel counts for itself"
    now = NOON + after(9)
    assert await store.arrivals.pending("slack", now=now) == (Arrival(message=first), Arrival(message=second))
    assert len(await store.arrivals.pending("slack", now=now, limit=1)) == 1
    await store.arrivals.answering(first, "ts-9")
    await store.arrivals.failed(Arrival(message=first, ref="ts-9"), error="away \x00", retry_at=now + after(5))
    assert await store.arrivals.pending("slack", now=now) == (Arrival(message=second),)
    await store.arrivals.settle(second, at=now)
    assert await store.arrivals.pending("slack", now=now + after(5)) == (
        Arrival(message=first, ref="ts-9", attempts=1),
    )
    assert not await store.arrivals.put(second), "it stays known"
