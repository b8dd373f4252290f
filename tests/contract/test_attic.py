"""What is over for long is deleted with all that hangs on it, and nothing else is."""

from datetime import timedelta

import pytest

from midwatch.domain.errors import NotFound
from midwatch.domain.ids import IncidentId
from midwatch.domain.reasons import Reason
from midwatch.services.messaging import IncomingMessage
from midwatch.services.ports import CardRow
from midwatch.services.retention import Forgotten, Keep, Retention
from tests.contract.conftest import AnyStore
from tests.fakes.runtime import NOON, CountingIds, ManualClock
from tests.fakes.samples import (
    a_click,
    a_signal,
    approval_closed,
    attached,
    opened,
    proposed,
    report,
    requested,
    resolved,
)

DAY = timedelta(days=1)


async def an_ended_incident(store: AnyStore, ids: CountingIds, number: int = 1) -> IncidentId:
    incident_id = IncidentId(ids.new())
    told = [opened(f"key-{number}"), attached(), report(), proposed(), requested(number), approval_closed(number)]
    await store.journal.open(incident_id, [*told, resolved()], at=NOON, by="test")
    await store.clicks.put(a_click(number, approval=number))
    await store.cards.sent(CardRow(incident=incident_id, channel="console", ref="r", seq=7), at=NOON)
    return incident_id


async def test_an_incident_that_was_over_by_then_goes_with_all_that_hangs_on_it(
    store: AnyStore, ids: CountingIds
) -> None:
    old = await an_ended_incident(store, ids)
    trail = await store.audit.rows()
    assert await store.attic.forget_incidents(ended_before=NOON, limit=10) == 0
    assert await store.attic.forget_incidents(ended_before=NOON + DAY, limit=10) == 1
    with pytest.raises(NotFound):
        await store.journal.read(old)
    assert await store.journal.entries(old) == ()
    assert await store.clicks.pending() == ()
    assert await store.cards.get(old, "console") is None
    assert await store.journal.approvals(open_only=False) == ()
    assert await store.audit.rows() == trail, "the audit trail is kept"


async def test_an_open_incident_stays_however_old(store: AnyStore, ids: CountingIds) -> None:
    incident_id = IncidentId(ids.new())
    await store.journal.open(incident_id, [opened(), attached()], at=NOON, by="test")
    assert await store.attic.forget_incidents(ended_before=NOON + 1000 * DAY, limit=10) == 0
    assert (await store.journal.read(incident_id)).id == incident_id


async def test_signals_stay_while_they_are_unsettled_or_their_incident_is_kept(
    store: AnyStore, ids: CountingIds
) -> None:
    incident_id = IncidentId(ids.new())
    await store.journal.open(incident_id, [opened(), attached()], at=NOON, by="test")
    alone, member, waiting = (a_signal(n, pod=f"web-{n}") for n in (1, 2, 3))
    await store.inbox.put([alone, member, waiting])
    await store.inbox.settle([(alone.id, Reason.NO_RULE, None), (member.id, Reason.RULE_MATCHED, incident_id)])
    assert await store.attic.forget_signals(received_before=NOON, limit=10) == 0
    assert await store.attic.forget_signals(received_before=NOON + DAY, limit=10) == 1
    kept = {row.signal.id for row in await store.inbox.recent()}
    assert kept == {member.id, waiting.id}
    incident = await store.journal.read(incident_id)
    await store.journal.append(incident, [resolved()], at=NOON, by="test")
    assert await store.attic.forget_signals(received_before=NOON + DAY, limit=10) == 1


async def test_a_turn_takes_what_is_due_in_batches_and_then_rests(store: AnyStore, ids: CountingIds) -> None:
    for number in range(1, 4):
        await an_ended_incident(store, ids, number)
    clock = ManualClock(NOON + 8 * DAY)
    retention = Retention(store.attic, Keep.days(incidents=7, signals=0), clock)
    assert await retention.turn() == Forgotten(incidents=3)
    await an_ended_incident(store, ids, 4)
    assert await retention.turn() == Forgotten()
    clock.advance(601)
    assert await retention.turn() == Forgotten(incidents=1)


async def test_what_came_in_from_channels_goes_after_a_week(store: AnyStore, ids: CountingIds) -> None:
    for number, days in enumerate((0, 1, 7, 8)):
        message = IncomingMessage(
            id=f"C1:{number}", user_id="U1", channel_type="slack", text="hello", at=NOON - days * DAY
        )
        assert await store.arrivals.put(message)
    assert await store.attic.forget_messages(before=NOON - 20 * DAY, limit=10) == 0
    retention = Retention(store.attic, Keep.days(incidents=0, signals=0), ManualClock(NOON + timedelta(minutes=1)))
    assert await retention.turn() == Forgotten(messages=2)
    kept = await store.arrivals.pending("slack", now=NOON)
    assert [arrival.message.id for arrival in kept] == ["C1:1", "C1:0"]


async def test_for_ever_is_for_ever(store: AnyStore, ids: CountingIds) -> None:
    await an_ended_incident(store, ids)
    retention = Retention(store.attic, Keep.days(incidents=0, signals=0), ManualClock(NOON + 10_000 * DAY))
    assert await retention.turn() == Forgotten()
