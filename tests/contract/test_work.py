import asyncio
from datetime import timedelta

import pytest

from midwatch.domain import events as ev
from midwatch.domain.errors import ClaimLost
from midwatch.domain.ids import IncidentId
from midwatch.domain.incidents import SETTLE, Incident, Work
from midwatch.domain.reasons import Reason
from midwatch.domain.refs import Severity
from tests.contract.conftest import AnyStore
from tests.fakes.runtime import NOON, CountingIds
from tests.fakes.samples import a_request, attached, cleared, opened, proposed, report, requested

TTL = timedelta(seconds=6)
EVERY = tuple(Work)


async def an_incident(
    store: AnyStore, ids: CountingIds, *, severity: Severity = Severity.ERROR, after: float = 0.0
) -> Incident:
    incident_id = IncidentId(ids.new())
    at = NOON + timedelta(seconds=after)
    return await store.journal.open(incident_id, [opened(incident_id, severity), attached()], at=at, by="test")


async def test_work_is_claimed_once_until_the_claim_runs_out(store: AnyStore, ids: CountingIds) -> None:
    incident = await an_incident(store, ids)
    (claim,) = await store.work.claim(EVERY, owner="one", now=NOON, ttl=TTL)
    assert (claim.incident, claim.work, claim.owner, claim.until, claim.attempt) == (
        incident.id,
        Work.INVESTIGATE,
        "one",
        NOON + TTL,
        1,
    )
    assert await store.work.claim(EVERY, owner="two", now=NOON + TTL / 2, ttl=TTL) == ()
    (taken,) = await store.work.claim(EVERY, owner="two", now=NOON + TTL, ttl=TTL)
    assert taken.token > claim.token
    assert taken.attempt == 2
    with pytest.raises(ClaimLost):
        await store.work.renew(claim, now=NOON + TTL, ttl=TTL)


async def test_only_the_works_asked_for_and_no_more_than_the_limit(store: AnyStore, ids: CountingIds) -> None:
    for _ in range(3):
        await an_incident(store, ids)
    assert await store.work.claim([Work.PLAN, Work.EXECUTE], owner="one", now=NOON, ttl=TTL) == ()
    assert len(await store.work.claim([Work.INVESTIGATE], owner="one", now=NOON, ttl=TTL, limit=2)) == 2
    assert len(await store.work.claim([Work.INVESTIGATE], owner="one", now=NOON, ttl=TTL, limit=2)) == 1


async def test_most_severe_first_then_oldest(store: AnyStore, ids: CountingIds) -> None:
    mild = await an_incident(store, ids, severity=Severity.WARNING)
    young = await an_incident(store, ids, severity=Severity.CRITICAL, after=2)
    old = await an_incident(store, ids, severity=Severity.CRITICAL, after=1)
    now = NOON + timedelta(seconds=5)
    claims = await store.work.claim(EVERY, owner="one", now=now, ttl=TTL, limit=2)
    assert [claim.incident for claim in claims] == [old.id, young.id]
    (last,) = await store.work.claim(EVERY, owner="one", now=now, ttl=TTL)
    assert last.incident == mild.id


async def test_an_incident_that_grew_worse_overtakes(store: AnyStore, ids: CountingIds) -> None:
    await an_incident(store, ids)
    grown = await an_incident(store, ids, severity=Severity.WARNING, after=1)
    await store.journal.append(grown, [attached(2, "web-2", Severity.CRITICAL)], at=NOON, by="test")
    (claim,) = await store.work.claim(EVERY, owner="one", now=NOON + timedelta(seconds=5), ttl=TTL)
    assert claim.incident == grown.id


async def test_racing_claims_never_hand_out_one_work_twice(store: AnyStore, ids: CountingIds) -> None:
    for _ in range(10):
        await an_incident(store, ids)
    racers = [store.work.claim(EVERY, owner=f"racer-{n}", now=NOON, ttl=TTL, limit=3) for n in range(12)]
    claims = [claim for won in await asyncio.gather(*racers) for claim in won]
    claims += await store.work.claim(EVERY, owner="sweep", now=NOON, ttl=TTL, limit=10)
    assert len(claims) == len({claim.incident for claim in claims}) == 10
    assert len({claim.token for claim in claims}) == 10


async def test_renewing_keeps_a_claim(store: AnyStore, ids: CountingIds) -> None:
    await an_incident(store, ids)
    (claim,) = await store.work.claim(EVERY, owner="one", now=NOON, ttl=TTL)
    renewed = await store.work.renew(claim, now=NOON + TTL / 2, ttl=TTL)
    assert (renewed.until, renewed.token, renewed.attempt) == (NOON + TTL * 1.5, claim.token, 1)
    assert await store.work.claim(EVERY, owner="two", now=NOON + TTL * 1.4, ttl=TTL) == ()


async def test_a_renewal_of_work_that_is_done_is_lost(store: AnyStore, ids: CountingIds) -> None:
    incident = await an_incident(store, ids)
    (claim,) = await store.work.claim([Work.INVESTIGATE], owner="one", now=NOON, ttl=TTL)
    await store.journal.append(incident, [report()], at=NOON, by="one", claim=claim)
    with pytest.raises(ClaimLost):
        await store.work.renew(claim, now=NOON, ttl=TTL)
    await store.work.release(claim)  # silent: there is nothing to give back
    (plan,) = await store.work.claim(EVERY, owner="one", now=NOON, ttl=TTL)
    assert (plan.work, plan.attempt) == (Work.PLAN, 1)


async def test_work_given_back_waits_for_its_retry(store: AnyStore, ids: CountingIds) -> None:
    incident = await an_incident(store, ids)
    (claim,) = await store.work.claim(EVERY, owner="one", now=NOON, ttl=TTL)
    retry_at = NOON + timedelta(seconds=30)
    await store.work.release(claim, retry_at=retry_at, error="the cluster is away")
    await store.journal.append(incident, [attached(2, "web-2")], at=NOON, by="test")  # news must not end the wait
    assert await store.work.claim(EVERY, owner="one", now=NOON + timedelta(seconds=29), ttl=TTL) == ()
    assert await store.work.next_due(EVERY, now=NOON) == retry_at
    (again,) = await store.work.claim(EVERY, owner="one", now=retry_at, ttl=TTL)
    assert again.attempt == 2
    await store.work.release(again)
    assert len(await store.work.claim(EVERY, owner="one", now=retry_at, ttl=TTL)) == 1


async def test_only_its_holder_gives_a_claim_back(store: AnyStore, ids: CountingIds) -> None:
    await an_incident(store, ids)
    (old,) = await store.work.claim(EVERY, owner="one", now=NOON, ttl=TTL)
    (new,) = await store.work.claim(EVERY, owner="two", now=NOON + TTL, ttl=TTL)
    await store.work.release(old, retry_at=NOON + 9 * TTL)
    assert (await store.work.renew(new, now=NOON + TTL, ttl=TTL)).owner == "two"


async def test_the_claims_of_the_dead_are_free_at_once(store: AnyStore, ids: CountingIds) -> None:
    incident = await an_incident(store, ids)
    await an_incident(store, ids)
    await an_incident(store, ids)
    dead = await store.work.claim(EVERY, owner="dead", now=NOON, ttl=TTL, limit=2)
    (other,) = await store.work.claim(EVERY, owner="alive", now=NOON, ttl=TTL, limit=2)
    assert await store.work.abandon("dead") == 2
    assert await store.work.abandon("dead") == 0
    with pytest.raises(ClaimLost):
        await store.journal.append(incident, [report()], at=NOON, by="dead", claim=dead[0])
    retaken = await store.work.claim(EVERY, owner="alive", now=NOON, ttl=TTL, limit=5)
    assert {claim.incident for claim in retaken} == {claim.incident for claim in dead}
    assert (await store.work.renew(other, now=NOON, ttl=TTL)).owner == "alive"


async def test_a_claim_survives_appends_that_leave_its_work_to_be_done(store: AnyStore, ids: CountingIds) -> None:
    incident = await an_incident(store, ids)
    (claim,) = await store.work.claim(EVERY, owner="one", now=NOON, ttl=TTL)
    incident = await store.journal.append(incident, [attached(2, "web-2")], at=NOON, by="rules")
    incident = await store.journal.append(incident, [cleared(), cleared(2, "web-2")], at=NOON, by="rules")
    assert (await store.work.renew(claim, now=NOON, ttl=TTL)).owner == "one"
    incident = await store.journal.append(incident, [report()], at=NOON, by="one", claim=claim)
    assert incident.report is not None


async def test_what_waits_for_an_instant_is_not_due_before(store: AnyStore, ids: CountingIds) -> None:
    incident = await an_incident(store, ids)
    incident = await store.journal.append(incident, [report(), proposed(), requested()], at=NOON, by="test")
    due = a_request().half_time  # those who were asked are reminded first
    assert await store.work.next_due([Work.AWAIT], now=NOON) == due
    assert await store.work.claim([Work.AWAIT], owner="one", now=NOON, ttl=TTL) == ()
    (claim,) = await store.work.claim([Work.AWAIT], owner="one", now=due, ttl=TTL)
    assert claim.work is Work.AWAIT
    assert await store.work.next_due([Work.AWAIT], now=due) == due + TTL
    assert await store.work.next_due([Work.AWAIT], now=due + 2 * TTL) == due
    assert await store.work.next_due([Work.EXECUTE], now=NOON) is None


async def test_another_instant_to_wait_for_is_another_piece_of_work(store: AnyStore, ids: CountingIds) -> None:
    """Its attempts are counted anew; those at what stays the same are not."""
    incident = await an_incident(store, ids)
    incident = await store.journal.append(incident, [report(), proposed(), requested()], at=NOON, by="test")
    due = a_request().half_time
    for attempt in (1, 2):
        (claim,) = await store.work.claim([Work.AWAIT], owner="one", now=due, ttl=TTL)
        assert claim.attempt == attempt
        await store.work.release(claim, retry_at=None, error="")
    incident = await store.journal.append(incident, [attached(2, "web-2")], at=due, by="rules")
    (claim,) = await store.work.claim([Work.AWAIT], owner="one", now=due, ttl=TTL)
    assert claim.attempt == 3
    reminded = ev.ApprovalReminded(reason=Reason.HALF_TIME, approval=a_request().id)
    await store.journal.append(incident, [reminded], at=due, by="one", claim=claim)
    await store.work.release(claim, retry_at=None, error="")
    (claim,) = await store.work.claim([Work.AWAIT], owner="one", now=a_request().expires_at, ttl=TTL)
    assert claim.attempt == 1


async def test_a_firing_takes_the_settling_away_and_a_clearing_brings_it_back(
    store: AnyStore, ids: CountingIds
) -> None:
    incident = await an_incident(store, ids)
    incident = await store.journal.append(incident, [cleared()], at=NOON, by="rules")
    assert await store.work.next_due([Work.SETTLE], now=NOON) == NOON + SETTLE
    incident = await store.journal.append(incident, [attached(2)], at=NOON, by="rules")
    assert await store.work.next_due([Work.SETTLE], now=NOON) is None
    at = NOON + timedelta(seconds=60)
    await store.journal.append(incident, [cleared(2)], at=at, by="rules")
    assert await store.work.next_due([Work.SETTLE], now=at) == at + SETTLE


async def test_what_waits_is_counted_without_what_is_claimed_or_put_off(store: AnyStore, ids: CountingIds) -> None:
    for _ in range(3):
        await an_incident(store, ids)
    assert await store.work.waiting([Work.INVESTIGATE], now=NOON) == 3
    assert await store.work.waiting([Work.REFINE, Work.PLAN], now=NOON) == 0
    (claim,) = await store.work.claim([Work.INVESTIGATE], owner="one", now=NOON, ttl=TTL)
    assert await store.work.waiting([Work.INVESTIGATE], now=NOON) == 2
    await store.work.release(claim, retry_at=NOON + 2 * TTL)
    assert await store.work.waiting([Work.INVESTIGATE], now=NOON) == 2
    assert await store.work.waiting([Work.INVESTIGATE], now=NOON + 2 * TTL) == 3
