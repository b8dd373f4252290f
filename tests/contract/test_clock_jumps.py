"""The clock jumps by hours, forward and back: nothing runs twice, nothing expired runs, nothing waits for ever."""

import random
from datetime import timedelta

import pytest

from midwatch.domain import events as ev
from midwatch.domain.approvals import ApprovalOutcome, Choice
from midwatch.domain.errors import ClaimLost
from midwatch.domain.ids import IncidentId
from midwatch.domain.incidents import State, Work
from midwatch.domain.policy import Policy
from midwatch.domain.reasons import Reason
from midwatch.services.approvals import Approvals
from midwatch.services.leases import LeaseState
from midwatch.services.ports import Claim
from tests.contract.conftest import AnyStore
from tests.fakes.cluster import FakeCluster
from tests.fakes.remedies import TTL, Bench

HOUR_S = 3600.0
TARGET = "test|Deployment/shop/web"
PATIENT = Policy(cooldown_s=60.0, actions_per_hour=10_000, circuit_failures=10_000, human_edit_s=0)


def bench_of(store: AnyStore, *, heals: bool = True) -> Bench:
    return Bench(FakeCluster(heals=heals), policy=PATIENT, store=store)  # type: ignore[arg-type]


async def test_a_question_that_expired_by_a_jump_is_not_carried_out(store: AnyStore) -> None:
    bench = bench_of(store)
    incident = await bench.asked(await bench.incident())
    bench.clock.advance(5 * HOUR_S)
    incident = await bench.clicked(incident, Choice.APPROVE)
    assert not await bench.due(Work.EXECUTE)
    incident = await bench.approvals.expire(await bench.claim(Work.AWAIT))
    assert (incident.state, incident.reason) == (State.ESCALATED, Reason.APPROVAL_EXPIRED)
    bench.clock.advance(-5 * HOUR_S)
    await bench.clicked(incident, Choice.APPROVE)
    assert not await bench.due(Work.EXECUTE), "what expired stays so when the clock comes back"


async def test_a_question_from_a_time_to_come_is_put_anew_and_can_be_answered(store: AnyStore) -> None:
    bench = bench_of(store)
    approvals = bench.approvals
    assert await approvals.ask_anew() == 0
    asked = await bench.asked(await bench.incident())
    bench.clock.advance(-5 * HOUR_S)
    assert await approvals.ask_anew() == 1
    assert await approvals.ask_anew() == 0
    again = await store.journal.read(asked.id)
    assert asked.approval is not None
    assert again.approval is not None
    assert again.state is State.AWAITING_APPROVAL
    assert again.approval.id != asked.approval.id
    assert again.approval.expires_at - bench.clock.now() == timedelta(minutes=5)
    await bench.clicked(asked, Choice.APPROVE)
    assert not await bench.due(Work.EXECUTE), "the old card is out of date"
    bench.clock.advance(1)
    await bench.clicked(again, Choice.APPROVE)
    assert (await bench.executed()).state is State.RESOLVED


async def test_nobody_answers_after_the_clock_went_back(store: AnyStore) -> None:
    bench = bench_of(store)
    asked = await bench.asked(await bench.incident())
    bench.clock.advance(-5 * HOUR_S)
    assert await bench.approvals.ask_anew() == 1, "a broker that has just started looks, too"
    bench.clock.advance(301)
    ended = await bench.approvals.expire(await bench.claim(Work.AWAIT))
    assert (ended.id, ended.reason) == (asked.id, Reason.APPROVAL_EXPIRED)


@pytest.mark.parametrize(("hours", "ends"), [(-5, State.RESOLVED), (5, State.ESCALATED)], ids=["back", "on"])
async def test_a_dead_claim_and_a_retry_are_taken_up_again(store: AnyStore, hours: int, ends: State) -> None:
    """After five more hours by the clock the approval is too old to be begun."""
    bench = bench_of(store)
    await bench.approved(await bench.incident())
    held = await bench.claim(Work.EXECUTE, "dead")
    bench.clock.advance(hours * HOUR_S)
    again = await bench.claim(Work.EXECUTE, "alive")
    with pytest.raises(ClaimLost):
        await store.work.renew(held, now=bench.clock.now(), ttl=TTL)
    await store.work.release(again, retry_at=bench.clock.now() + timedelta(seconds=30))
    assert await store.work.waiting([Work.EXECUTE], now=bench.clock.now()) == 0
    bench.clock.advance(hours * HOUR_S)
    assert await store.work.waiting([Work.EXECUTE], now=bench.clock.now()) == 1
    assert (await bench.executed()).state is ends


async def test_a_lease_and_a_rest_last_no_longer_than_they_are_given(store: AnyStore) -> None:
    bench = bench_of(store)
    minute = timedelta(minutes=1)

    async def asked_for() -> tuple[LeaseState, timedelta]:
        now = bench.clock.now()
        lease = await store.leases.acquire(TARGET, holder="other", now=now, ttl=minute, rest=minute)
        return lease.state, lease.until - now

    await store.leases.acquire(TARGET, holder="dead", now=bench.clock.now(), ttl=minute)
    bench.clock.advance(-5 * HOUR_S)
    assert await asked_for() == (LeaseState.BUSY, minute), "not free at once: its holder may be alive"
    bench.clock.advance(30)
    assert await asked_for() == (LeaseState.BUSY, minute / 2)
    await store.leases.release(TARGET, holder="dead", now=bench.clock.now(), cooldown=minute)
    bench.clock.advance(-5 * HOUR_S)
    assert await asked_for() == (LeaseState.COOLING, minute)
    bench.clock.advance(60)
    assert await asked_for() == (LeaseState.HELD, minute)


@pytest.mark.parametrize("hours", [-5, 5])
@pytest.mark.parametrize("heals", [True, False])
@pytest.mark.parametrize("look", range(1, 7))
async def test_a_jump_while_it_verifies_ends_as_it_would_and_soon(
    store: AnyStore, hours: int, heals: bool, look: int
) -> None:
    """``look``: at which look at the cluster of the executor the clock jumps."""
    bench = bench_of(store, heals=heals)
    await bench.approved(await bench.incident("OOMKilled"))
    looks = 0

    def jump(what: str) -> None:
        nonlocal looks
        looks += what == "before observe"
        if what == "before observe" and looks == look:
            bench.clock.advance(hours * HOUR_S)

    bench.cluster.on_call = jump
    began = bench.clock.now()
    ended = await bench.executed()
    took_s = (bench.clock.now() - began).total_seconds() - (hours * HOUR_S if looks >= look else 0)
    assert took_s < 900, "it does not wait until the clock has caught up"
    assert len({key for _, key in bench.cluster.mutations}) == len(bench.cluster.mutations)
    done = [action for action, _ in bench.cluster.mutations]
    if heals:
        assert (ended.state, done) == (State.RESOLVED, ["patch_resources"])
    else:
        assert (ended.state, done) == (State.ESCALATED, ["patch_resources", "restore"])


class Jumping:
    """Everything at work over one store, under a clock that jumps by hours again and again."""

    def __init__(self, store: AnyStore, seed: int) -> None:
        self.chance = random.Random(seed)
        self.bench = bench_of(store)
        self.store = store
        self.approvals: Approvals = self.bench.approvals
        self.incidents: set[IncidentId] = set()

    async def turn(self) -> None:
        """What is due is done, by a person who answers most of what is asked, and a process that dies now and then."""
        bench = self.bench
        if self.chance.random() < 0.25:
            bench.clock.advance(self.chance.uniform(-6, 6) * HOUR_S)
        bench.clock.advance(self.chance.choice((1, 7, 40)))
        await self.approvals.ask_anew()
        for claim in await self._claims(Work.PLAN):
            await bench.planning.propose(claim)
        for claim in await self._claims(Work.ASK):
            await self.approvals.ask(claim)
        for incident, _ in await self.store.journal.approvals():
            if self.chance.random() < 0.5:
                await self.approvals.click(bench.answer(incident, Choice.APPROVE))
        if self.chance.random() < 0.3:
            bench.clock.advance(self.chance.uniform(-6, 6) * HOUR_S)
        await self.approvals.drain()
        for claim in await self._claims(Work.AWAIT):
            await self.approvals.expire(claim)
        for claim in await self._claims(Work.EXECUTE):
            await bench.execution.run(claim)

    async def _claims(self, work: Work) -> list[Claim]:
        """Some are never worked on: whoever claimed them died."""
        found = await self.store.work.claim([work], owner="me", now=self.bench.clock.now(), ttl=TTL, limit=8)
        return [claim for claim in found if self.chance.random() < 0.8]


@pytest.mark.timeout(120)
@pytest.mark.parametrize("seed", range(3))
async def test_a_clock_that_jumps_all_the_time(store: AnyStore, seed: int) -> None:
    jumping = Jumping(store, seed)
    bench = jumping.bench
    made = [(await bench.incident()).id for _ in range(10)]
    for _ in range(400):
        await jumping.turn()
        ended = [await store.journal.read(each) for each in made]
        if all(incident.state in (State.RESOLVED, State.ESCALATED) for incident in ended):
            break
    else:
        raise AssertionError([incident.state for incident in ended])
    assert {incident.state for incident in ended} == {State.RESOLVED, State.ESCALATED}
    assert len({key for _, key in bench.cluster.mutations}) == len(bench.cluster.mutations)
    for incident in ended:
        told = [entry.event for entry in await store.journal.entries(incident.id)]
        began = sum(isinstance(event, ev.ExecutionStarted) for event in told)
        closed = [event for event in told if isinstance(event, ev.ApprovalClosed)]
        assert began <= 1
        assert not began or closed[-1].outcome is ApprovalOutcome.APPROVED
