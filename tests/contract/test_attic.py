"""What is over for long is deleted with all that hangs on it, and nothing else is."""

from datetime import timedelta

import pytest

from midwatch.domain import events as ev
from midwatch.domain.audit import AuditRow, verify
from midwatch.domain.brakes import Pause
from midwatch.domain.errors import NotFound
from midwatch.domain.ids import IncidentId
from midwatch.domain.observed import Observed
from midwatch.domain.playbooks import Plan, Risk
from midwatch.domain.reasons import Reason
from midwatch.domain.refs import ObjectRef
from midwatch.domain.shadows import Shadow
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


async def an_incident(store: AnyStore, ids: CountingIds, *more: ev.AnyEvent) -> IncidentId:
    incident_id = IncidentId(ids.new())
    await store.journal.open(incident_id, [opened(incident_id), attached(), *more], at=NOON, by="test")
    return incident_id


async def test_deeds_and_pauses_go_once_nothing_counts_them_any_more(store: AnyStore, ids: CountingIds) -> None:
    acting, over = await an_incident(store, ids), await an_incident(store, ids, resolved())
    running, forsaken, done, recent = f"{acting}:0", f"{over}:0", f"{ids.new()}:0", f"{over}:1"
    for key in (running, forsaken, done, recent):
        await store.deeds.admit(key, now=NOON - 40 * DAY, since=NOON, judge=lambda _: None)
    await store.deeds.end(done, at=NOON - 31 * DAY, failed=True)
    await store.deeds.end(recent, at=NOON - 29 * DAY, failed=True)
    for number, ends in enumerate((None, NOON - 31 * DAY, NOON - 29 * DAY)):
        pause = Pause(id=f"p{number}", starts_at=NOON - 40 * DAY, by="api:ann", ends_at=ends)
        await store.pauses.put(pause, by="api:ann", at=NOON - 40 * DAY)
    trail = await store.audit.rows()

    retention = Retention(store.attic, Keep.days(incidents=1, signals=0), ManualClock(NOON))
    assert (await retention.turn()).brakes == 3

    kept = [deed.key for deed in await store.deeds.since(NOON - 100 * DAY)]
    assert kept == sorted((running, recent)), "whatever a policy may count is there"
    assert [pause.id for pause in await store.pauses.recent()] == ["p2", "p0"]
    assert await store.audit.rows() == trail
    assert isinstance(verify(trail), AuditRow)


async def test_shadows_go_but_for_the_newest_of_each_playbook(
    store: AnyStore, ids: CountingIds, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in ("midwatch.adapters.store.attic", "tests.fakes.stores"):
        monkeypatch.setattr(f"{module}.SHADOWS_KEPT", 2)
    acting = await an_incident(store, ids)
    ref = ObjectRef("Deployment", "web", "shop", "u")
    for number, playbook in enumerate(("often", "often", "often", "often", "rarely")):
        plan = Plan(playbook=playbook, playbook_digest="d", title="Restart", risk=Risk.MEDIUM, steps=())
        incident = acting if number == 0 else IncidentId(ids.new())
        made = Shadow(incident=incident, playbook=playbook, at=NOON + number * DAY, plan=plan, before=Observed(ref=ref))
        await store.shadows.put(made)
    assert await store.attic.forget_brakes(before=NOON + 2 * DAY, limit=10) == 1
    kept = [(shadow.playbook, (shadow.at - NOON).days) for shadow in await store.shadows.recent()]
    assert kept == [("rarely", 4), ("often", 3), ("often", 2), ("often", 0)], "one is to be scored yet"
