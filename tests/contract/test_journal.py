import asyncio
from datetime import timedelta

import pytest

from midwatch.domain import events as ev
from midwatch.domain.approvals import ApprovalOutcome
from midwatch.domain.errors import ClaimLost, Conflict, Invalid, NotFound
from midwatch.domain.ids import ApprovalId, IncidentId, IncidentKey
from midwatch.domain.incidents import Incident, State, Work, fold
from midwatch.domain.reasons import Reason
from midwatch.domain.refs import Severity
from tests.contract.conftest import AnyStore
from tests.fakes.runtime import NOON, CountingIds
from tests.fakes.samples import (
    a_request,
    approval_closed,
    attached,
    cleared,
    opened,
    proposed,
    report,
    requested,
    resolved,
)

A, B = IncidentId("0000000a-0000-7000-8000-000000000001"), IncidentId("0000000b-0000-7000-8000-000000000002")
TTL = timedelta(seconds=6)


def later(seconds: float) -> object:
    return NOON + timedelta(seconds=seconds)


async def an_incident(store: AnyStore, incident_id: IncidentId = A, *more: ev.AnyEvent, key: str = "k") -> Incident:
    return await store.journal.open(incident_id, [opened(key), attached(), *more], at=NOON, by="test")


async def test_what_is_written_is_read_and_folds_to_the_same(store: AnyStore) -> None:
    incident = await an_incident(store)
    for event in (report(), proposed(), requested(), approval_closed()):
        incident = await store.journal.append(incident, [event], at=NOON + timedelta(seconds=incident.seq), by="test")
    assert await store.journal.read(A) == incident
    entries = await store.journal.entries(A)
    assert [entry.seq for entry in entries] == list(range(1, incident.seq + 1))
    assert fold(A, entries) == incident


async def test_entries_are_read_from_anywhere_in_pages(store: AnyStore) -> None:
    await an_incident(store, A, report(), proposed())
    assert [entry.seq for entry in await store.journal.entries(A, after=1, limit=2)] == [2, 3]
    assert await store.journal.entries(A, after=4) == ()
    assert await store.journal.entries(B) == ()


async def test_one_open_incident_per_key(store: AnyStore) -> None:
    first = await an_incident(store, A)
    with pytest.raises(Conflict):
        await an_incident(store, B)
    assert await store.journal.find_open(IncidentKey("k")) == first
    await store.journal.append(first, [cleared(), resolved()], at=NOON, by="test")
    assert await store.journal.find_open(IncidentKey("k")) is None
    second = await an_incident(store, B)
    assert await store.journal.find_open(IncidentKey("k")) == second


async def test_a_key_of_any_length_and_text_with_nul_is_kept(store: AnyStore) -> None:
    key = "k" * 10_000 + "\x00"
    incident = await store.journal.open(A, [opened(key), report("cause \x00 \ud7ff")], at=NOON, by="te\x00st")
    assert await store.journal.find_open(IncidentKey(key)) == incident
    assert fold(A, await store.journal.entries(A)) == incident


async def test_twenty_racing_opens_make_one_incident(store: AnyStore, ids: CountingIds) -> None:
    racers = [an_incident(store, IncidentId(ids.new())) for _ in range(20)]
    outcomes = await asyncio.gather(*racers, return_exceptions=True)
    assert sum(isinstance(outcome, Incident) for outcome in outcomes) == 1
    assert sum(isinstance(outcome, Conflict) for outcome in outcomes) == 19
    assert len(await store.journal.recent()) == 1


async def test_of_twenty_racing_appends_one_wins(store: AnyStore) -> None:
    incident = await an_incident(store)
    racers = [store.journal.append(incident, [report(f"cause {n}")], at=NOON, by=f"racer-{n}") for n in range(20)]
    outcomes = await asyncio.gather(*racers, return_exceptions=True)
    (won,) = [outcome for outcome in outcomes if isinstance(outcome, Incident)]
    assert sum(isinstance(outcome, Conflict) for outcome in outcomes) == 19
    assert await store.journal.read(A) == won
    assert fold(A, await store.journal.entries(A)) == won


async def test_a_late_writer_is_refused(store: AnyStore) -> None:
    old = await an_incident(store)
    await store.journal.append(old, [report()], at=NOON, by="test")
    with pytest.raises(Conflict) as caught:
        await store.journal.append(old, [resolved()], at=NOON, by="late")
    assert not isinstance(caught.value, ClaimLost)
    assert (await store.journal.read(A)).state is State.OPEN


async def test_nothing_is_not_an_append_and_an_opening_comes_once(store: AnyStore) -> None:
    incident = await an_incident(store)
    with pytest.raises(Invalid):
        await store.journal.append(incident, [], at=NOON, by="test")
    with pytest.raises(Invalid):
        await store.journal.append(incident, [opened()], at=NOON, by="test")
    with pytest.raises(Invalid):
        await store.journal.open(B, [attached()], at=NOON, by="test")


async def test_reading_by_a_prefix(store: AnyStore) -> None:
    incident = await an_incident(store)
    await an_incident(store, IncidentId(A[:-1] + "9"), key="other")
    assert await store.journal.read(A) == incident
    with pytest.raises(Invalid):
        await store.journal.read(IncidentId(A[:8]))
    assert (await store.journal.read(IncidentId(A[:-1] + "9"))).key == "other"
    await an_incident(store, B, key="third")
    assert (await store.journal.read(IncidentId(B[:8]))).id == B
    for absent in (A[:7], "0000000c", "%", "00000_0b", ""):
        with pytest.raises(NotFound):
            await store.journal.read(IncidentId(absent))


async def test_the_list_is_newest_change_first_and_filters(store: AnyStore) -> None:
    first = await an_incident(store, A, key="a")
    await store.journal.open(B, [opened("b", Severity.CRITICAL)], at=NOON + timedelta(seconds=1), by="test")
    await store.journal.append(first, [cleared(), resolved()], at=NOON + timedelta(seconds=2), by="test")
    rows = await store.journal.recent()
    assert [row.id for row in rows] == [A, B]
    assert (rows[0].state, rows[0].reason, rows[0].ended_at) == (
        State.RESOLVED,
        Reason.SIGNALS_CLEARED,
        NOON + timedelta(seconds=2),
    )
    assert (rows[0].active, rows[0].members, rows[0].seq, rows[0].owner.name) == (0, 1, 4, "web")
    assert [row.id for row in await store.journal.recent(open_only=True)] == [B]
    assert [row.id for row in await store.journal.recent(limit=1)] == [A]
    assert await store.journal.recent(namespace="elsewhere") == ()
    assert len(await store.journal.recent(namespace="shop")) == 2


async def test_an_approval_is_found_until_and_after_it_is_decided(store: AnyStore) -> None:
    incident = await an_incident(store, A, report(), proposed(), requested())
    found, request = await store.journal.find_approval(a_request().id)
    assert (found, request) == (incident, a_request())
    assert await store.journal.approvals() == ((incident, a_request()),)
    incident = await store.journal.append(incident, [approval_closed()], at=NOON, by="test")
    assert await store.journal.approvals() == ()
    ((found, request),) = await store.journal.approvals(open_only=False)
    assert (found, request.outcome, request.decided_by) == (incident, ApprovalOutcome.APPROVED, "console:ann")
    assert (await store.journal.find_approval(ApprovalId(a_request().id[:8])))[1] == request
    with pytest.raises(NotFound):
        await store.journal.find_approval(ApprovalId("ffffffff"))


async def test_an_approval_whose_plan_is_superseded_is_void(store: AnyStore) -> None:
    incident = await an_incident(store, A, report(), proposed(), requested(1))
    later = NOON + timedelta(seconds=1)
    await store.journal.append(incident, [report("better"), proposed(), requested(2, later)], at=later, by="planner")
    (open_one,) = await store.journal.approvals()
    assert open_one[1] == a_request(2, later)
    _, void = await store.journal.find_approval(a_request(1).id)
    assert void.outcome is ApprovalOutcome.VOID
    assert [request.id for _, request in await store.journal.approvals(open_only=False)] == [
        a_request(2).id,
        a_request(1).id,
    ]


@pytest.mark.parametrize(
    "ending", [resolved(), ev.Escalated(reason=Reason.ATTEMPTS_EXHAUSTED)], ids=["over", "escalated"]
)
async def test_no_question_stays_open_once_an_incident_is_out_of_our_hands(
    store: AnyStore, ending: ev.AnyEvent
) -> None:
    incident = await an_incident(store, A, report(), proposed(), requested())
    await store.journal.append(incident, [ending], at=NOON, by="test")
    assert await store.journal.approvals() == ()
    found, request = await store.journal.find_approval(a_request().id)
    assert request.outcome is ApprovalOutcome.VOID
    assert found.approval == request


async def test_an_append_needs_the_newest_claim_of_work_that_is_still_to_be_done(store: AnyStore) -> None:
    incident = await an_incident(store)
    (claim,) = await store.work.claim([Work.INVESTIGATE], owner="one", now=NOON, ttl=TTL)
    late = NOON + 2 * TTL
    (taken,) = await store.work.claim([Work.INVESTIGATE], owner="two", now=late, ttl=TTL)
    with pytest.raises(ClaimLost):
        await store.journal.append(incident, [report("zombie")], at=late, by="one", claim=claim)
    incident = await store.journal.append(incident, [report()], at=late, by="two", claim=taken)
    assert incident.report is not None
    with pytest.raises(ClaimLost):  # investigated: that work is gone, and its claim with it
        await store.journal.append(incident, [report("again")], at=late, by="two", claim=taken)
    assert await store.journal.read(A) == incident


async def test_a_zombie_with_an_old_incident_hears_that_its_claim_is_lost(store: AnyStore) -> None:
    incident = await an_incident(store)
    (claim,) = await store.work.claim([Work.INVESTIGATE], owner="one", now=NOON, ttl=TTL)
    (taken,) = await store.work.claim([Work.INVESTIGATE], owner="two", now=NOON + 2 * TTL, ttl=TTL)
    await store.journal.append(incident, [report()], at=NOON, by="two", claim=taken)
    with pytest.raises(ClaimLost):
        await store.journal.append(incident, [report()], at=NOON, by="one", claim=claim)
    with pytest.raises(Conflict):
        await store.journal.append(incident, [report()], at=NOON, by="nobody")


async def test_a_claim_that_ran_out_but_was_not_taken_still_writes(store: AnyStore) -> None:
    incident = await an_incident(store)
    (claim,) = await store.work.claim([Work.INVESTIGATE], owner="one", now=NOON, ttl=TTL)
    assert (await store.journal.append(incident, [report()], at=NOON + 9 * TTL, by="one", claim=claim)).report


async def test_a_claim_given_back_writes_nothing_more(store: AnyStore) -> None:
    incident = await an_incident(store)
    (claim,) = await store.work.claim([Work.INVESTIGATE], owner="one", now=NOON, ttl=TTL)
    await store.work.release(claim)
    with pytest.raises(ClaimLost):
        await store.journal.append(incident, [report()], at=NOON, by="one", claim=claim)


async def test_an_append_to_what_was_never_opened_is_a_conflict(store: AnyStore) -> None:
    incident = await an_incident(store)
    stranger = Incident(id=B, seq=incident.seq, key=IncidentKey("x"))
    with pytest.raises(Conflict):
        await store.journal.append(stranger, [report()], at=NOON, by="test")
    assert await store.journal.entries(B) == ()
