"""The desk: slots, renewal, and what becomes of work that fails, in each way it can."""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import datetime, timedelta

import pytest

from midwatch.domain import events as ev
from midwatch.domain.errors import ClaimLost, Conflict, Permanent, Transient
from midwatch.domain.ids import IncidentId
from midwatch.domain.incidents import Incident, State, Work
from midwatch.domain.reasons import Reason
from midwatch.services.desk import Desk
from midwatch.services.ports import Claim
from tests.fakes import samples
from tests.fakes.runtime import NOON, ManualClock
from tests.fakes.stores import MemoryStore, MemoryWork

TTL_S = 0.03
Do = Callable[[Claim], Awaitable[object]]


class CountingWork:
    """The queue, counting renewals; ``trouble`` is what the next ones raise."""

    def __init__(self, work: MemoryWork) -> None:
        self._work = work
        self.renewed = 0
        self.trouble: list[Exception] = []

    def __getattr__(self, name: str) -> object:
        return getattr(self._work, name)

    async def renew(self, claim: Claim, *, now: datetime, ttl: timedelta) -> Claim:
        self.renewed += 1
        if self.trouble:
            raise self.trouble.pop(0)
        return await self._work.renew(claim, now=now, ttl=ttl)


class Office:
    """A desk for investigations over the in-memory store."""

    def __init__(self, store: MemoryStore, clock: ManualClock) -> None:
        self.store, self.clock = store, clock
        self.queue = CountingWork(store.work)

    def desk(
        self,
        do: Do,
        *,
        slots: int = 4,
        max_attempts: int = 8,
        owner: str = "me",
        cancel_lost: bool = False,
        on_free: Callable[[], None] | None = None,
    ) -> Desk:
        return Desk(
            self.queue,  # type: ignore[arg-type]  # passes everything else on
            self.store.journal,
            [Work.INVESTIGATE],
            do,
            self.clock,
            owner=owner,
            ttl_s=TTL_S,
            slots=slots,
            max_attempts=max_attempts,
            cancel_lost=cancel_lost,
            on_free=on_free,
        )

    async def incident(self, number: int = 1) -> Incident:
        """One that waits to be investigated."""
        opened = samples.opened(key=f"alpha|workload|Deployment/shop/web-{number}")
        events: list[ev.AnyEvent] = [opened, samples.attached(number)]
        return await self.store.journal.open(IncidentId(f"incident-{number}"), events, at=NOON, by="test")

    async def reported(self, claim: Claim) -> None:
        """What an investigation does in the end."""
        incident = await self.store.journal.read(claim.incident)
        await self.store.journal.append(incident, [samples.report()], at=NOON, by="me", claim=claim)

    async def free(self, owner: str = "other") -> tuple[Claim, ...]:
        """What another process could claim now."""
        ttl = timedelta(seconds=TTL_S)
        return await self.store.work.claim([Work.INVESTIGATE], owner=owner, now=self.clock.now(), ttl=ttl, limit=99)

    async def last(self, number: int = 1) -> ev.AnyEvent:
        return (await self.store.journal.entries(IncidentId(f"incident-{number}")))[-1].event


@pytest.fixture
def office(store: MemoryStore, clock: ManualClock) -> Office:
    return Office(store, clock)


async def idle(desk: Desk) -> None:
    """Until nothing runs at the desk."""
    async with asyncio.timeout(2):
        while desk.busy:
            await asyncio.sleep(0.001)


async def test_takes_what_is_due_and_does_it_once(office: Office) -> None:
    await office.incident()
    desk = office.desk(office.reported)
    await desk.drain()
    await idle(desk)
    await desk.drain()
    await idle(desk)

    assert desk.done == 1
    assert isinstance(await office.last(), ev.ReportMade)


async def test_says_when_a_slot_is_free_that_was_missing_before(office: Office) -> None:
    for number in range(1, 4):
        await office.incident(number)
    rung = 0

    def ring() -> None:
        nonlocal rung
        rung += 1

    desk = office.desk(office.reported, slots=2, on_free=ring)
    await desk.drain()
    await idle(desk)
    assert (desk.done, rung) == (2, 1)
    await desk.drain()
    await idle(desk)
    assert (desk.done, rung) == (3, 1), "nothing more could be waiting: not all slots were taken"


async def test_never_runs_more_than_its_slots_and_takes_the_rest_later(office: Office) -> None:
    for number in range(1, 6):
        await office.incident(number)
    gate, running, most = asyncio.Event(), 0, 0

    async def do(claim: Claim) -> None:
        nonlocal running, most
        running += 1
        most = max(most, running)
        await gate.wait()
        await office.reported(claim)
        running -= 1

    desk = office.desk(do, slots=2)
    await desk.drain()
    await asyncio.sleep(0)
    assert desk.busy == 2
    assert len(await office.free()) == 3, "what does not fit is left to others"

    office.clock.advance(TTL_S)
    gate.set()
    await idle(desk)
    await desk.drain()
    await idle(desk)
    assert (desk.done, most) == (4, 2)


async def test_a_claim_is_kept_alive_while_its_work_goes_on(office: Office) -> None:
    await office.incident()
    gate = asyncio.Event()

    async def do(claim: Claim) -> None:
        await gate.wait()
        await office.reported(claim)

    desk = office.desk(do)
    await desk.drain()
    async with asyncio.timeout(2):
        while office.queue.renewed < 3:
            office.clock.advance(TTL_S / 4)
            await asyncio.sleep(TTL_S / 6)
    assert await office.free() == (), "nobody else may have it"

    gate.set()
    await idle(desk)
    assert desk.done == 1


async def test_a_store_that_is_away_for_one_renewal_does_not_end_the_work(office: Office) -> None:
    await office.incident()
    gate = asyncio.Event()

    async def do(claim: Claim) -> None:
        await gate.wait()
        await office.reported(claim)

    office.queue.trouble = [Transient("away")]
    desk = office.desk(do)
    await desk.drain()
    async with asyncio.timeout(2):
        while office.queue.renewed < 2:
            await asyncio.sleep(0.001)
    gate.set()
    await idle(desk)
    assert desk.done == 1


async def test_what_is_transient_is_tried_again_not_before_its_time(office: Office) -> None:
    await office.incident()
    tries = 0

    async def do(claim: Claim) -> None:
        nonlocal tries
        tries += 1
        if tries == 1:
            raise Transient("the API server is away", 3.0)
        await office.reported(claim)

    desk = office.desk(do)
    await desk.drain()
    await idle(desk)
    office.clock.advance(2.9)
    await desk.drain()
    await idle(desk)
    assert tries == 1

    office.clock.advance(0.1)
    await desk.drain()
    await idle(desk)
    assert (tries, desk.done) == (2, 1)


async def test_what_is_permanent_goes_to_a_person_with_the_reason(office: Office) -> None:
    await office.incident()

    async def do(claim: Claim) -> None:
        raise Permanent("the kubeconfig has no such context")

    desk = office.desk(do)
    await desk.drain()
    await idle(desk)

    told = await office.last()
    assert isinstance(told, ev.Escalated)
    assert "the kubeconfig has no such context" in told.detail
    assert (await office.store.journal.read(IncidentId("incident-1"))).state is State.ESCALATED
    assert await office.free() == ()


async def test_a_bug_is_tried_again_ever_more_slowly_and_then_told_to_a_person(office: Office) -> None:
    await office.incident()
    tried_at: list[float] = []

    async def do(claim: Claim) -> None:
        tried_at.append((office.clock.now() - NOON).total_seconds())
        raise KeyError("a bug")

    desk = office.desk(do, max_attempts=3)
    for _ in range(40):
        await desk.drain()
        await idle(desk)
        office.clock.advance(0.5)

    assert tried_at == [0.0, 1.0, 3.0]
    told = await office.last()
    assert isinstance(told, ev.Escalated)
    assert told.reason is Reason.ATTEMPTS_EXHAUSTED
    assert "3 attempts" in told.detail


async def test_who_lost_its_claim_stops_and_leaves_the_work_to_its_successor(office: Office) -> None:
    await office.incident()
    taken: list[Claim] = []

    async def do(claim: Claim) -> None:
        office.clock.advance(TTL_S * 2)
        taken.extend(await office.free())
        await office.reported(claim)  # refused: the claim is the other's

    desk = office.desk(do)
    await desk.drain()
    await idle(desk)

    assert desk.done == 0
    assert len(taken) == 1
    assert not isinstance(await office.last(), ev.ReportMade)
    await office.reported(taken[0])  # the successor's claim still holds: it was not released under it


@pytest.mark.parametrize("error", [Conflict("written by another"), ClaimLost("taken over")])
async def test_a_conflict_costs_nothing_but_another_look(office: Office, error: Exception) -> None:
    await office.incident()
    tries = 0

    async def do(claim: Claim) -> None:
        nonlocal tries
        tries += 1
        if tries == 1:
            raise error
        await office.reported(claim)

    desk = office.desk(do)
    await desk.drain()
    await idle(desk)
    office.clock.advance(TTL_S)  # a lost claim is not ours to release: it runs out
    await desk.drain()
    await idle(desk)
    assert desk.done == 1


async def test_stopping_cancels_the_work_and_the_claim_runs_out(office: Office) -> None:
    await office.incident()
    ended: list[str] = []

    async def do(claim: Claim) -> None:
        try:
            await asyncio.Event().wait()
        finally:
            ended.append(claim.incident)

    desk = office.desk(do)
    await desk.drain()
    await asyncio.sleep(0)
    await desk.stop()

    assert (ended, desk.busy) == (["incident-1"], 0)
    office.clock.advance(TTL_S)
    assert len(await office.free()) == 1


async def test_while_the_store_is_away_draining_says_so(office: Office) -> None:
    await office.incident()
    office.store.away = True
    with pytest.raises(Transient):
        await office.desk(office.reported).drain()


async def test_a_store_that_goes_away_under_the_work_costs_one_claim(office: Office) -> None:
    await office.incident()

    async def do(claim: Claim) -> None:
        office.store.away = True
        await office.reported(claim)

    desk = office.desk(do, slots=1)
    await desk.drain()
    await idle(desk)
    office.store.away = False
    office.clock.advance(TTL_S)

    successor = office.desk(office.reported, owner="after")
    await successor.drain()
    await idle(successor)
    assert successor.done == 1


async def test_a_claim_that_could_not_be_given_back_is_given_back_as_soon_as_the_store_is_there(
    office: Office,
) -> None:
    await office.incident()
    tries = 0

    async def do(claim: Claim) -> None:
        nonlocal tries
        tries += 1
        if tries == 1:
            office.store.away = True
        await office.reported(claim)

    desk = office.desk(do, slots=1)
    await desk.drain()
    await idle(desk)
    with pytest.raises(Transient):
        await desk.drain()
    office.store.away = False

    await desk.drain()  # gives back, to be tried after what the error asks for
    office.clock.advance(TTL_S / 2)
    await desk.drain()
    await idle(desk)
    assert (tries, desk.done) == (2, 1), "long before the claim would have run out"


async def test_work_that_is_no_longer_to_be_done_is_cancelled_where_that_is_asked(office: Office) -> None:
    incident = await office.incident()
    ended: list[str] = []

    async def do(claim: Claim) -> None:
        try:
            await asyncio.Event().wait()
        finally:
            ended.append(claim.incident)

    desk = office.desk(do, cancel_lost=True)
    await desk.drain()
    await asyncio.sleep(0)
    over = ev.Resolved(reason=Reason.SIGNALS_CLEARED)
    await office.store.journal.append(incident, [over], at=NOON, by="rules")
    await idle(desk)

    assert ended == ["incident-1"]
    assert (desk.busy, desk.done) == (0, 0)
