"""Execution over fakes: once, verified, undone if it did not help, and safe against a crash at every point."""

import asyncio
from datetime import timedelta

import pytest

from midwatch.domain import events as ev
from midwatch.domain.approvals import Choice
from midwatch.domain.errors import ClaimLost, Permanent, Refused, Transient
from midwatch.domain.incidents import Incident, State, Work
from midwatch.domain.playbooks import Check, Verdict, VerdictKind
from midwatch.domain.policy import Policy
from midwatch.domain.reasons import Reason
from midwatch.services.effects import ActionCall, Outcome
from midwatch.services.holding import Pace
from midwatch.services.leases import LeaseState
from tests.fakes.cluster import FakeCluster
from tests.fakes.remedies import TTL, Bench


async def test_a_restart_is_done_once_and_verified() -> None:
    bench = Bench()
    incident = await bench.approved(await bench.incident())
    incident = await bench.executed()
    assert (incident.state, incident.reason) == (State.RESOLVED, Reason.ALL_STEPS_VERIFIED)
    assert [action for action, _ in bench.cluster.mutations] == ["rollout_restart"]
    assert (await bench.story(incident))[-5:] == [
        "ExecutionStarted",
        "StepStarted",
        "StepActed",
        "StepVerified",
        "Resolved",
    ]


async def test_the_checks_must_hold_for_their_time() -> None:
    bench = Bench()
    await bench.approved(await bench.incident())
    before = bench.clock.now()
    await bench.executed()
    assert (bench.clock.now() - before).total_seconds() >= 10


async def test_a_fix_that_does_not_help_is_undone_and_escalated() -> None:
    bench = Bench(FakeCluster(heals=False))
    incident = await bench.approved(await bench.incident("OOMKilled"))
    before = bench.clock.now()
    incident = await bench.executed()
    assert (incident.state, incident.reason) == (State.ESCALATED, Reason.UNDONE)
    assert [action for action, _ in bench.cluster.mutations] == ["patch_resources", "restore"]
    assert bench.cluster.memory == "256Mi"
    assert (bench.clock.now() - before).total_seconds() < 240 + 60
    assert (await bench.story(incident))[-4:] == ["StepFailed", "UndoStarted", "StepUndone", "Escalated"]


async def test_two_steps_on_one_object_are_both_undone() -> None:
    bench = Bench()
    never = (Check("gone", timeout_s=5.0),)
    bench.playbooks = bench.with_steps("raise-memory-limit", 2, verify=never)
    await bench.approved(await bench.incident("OOMKilled"))
    lost = iter([False, True, True])

    def lose(what: str) -> None:
        if what == "after act" and bench.cluster.mutations[-1][0] == "restore" and next(lost, False):
            raise Transient("the answer was lost")

    bench.cluster.on_call = lose
    incident = await bench.executed()
    assert [action for action, _ in bench.cluster.mutations] == ["patch_resources"] * 2 + ["restore"] * 2
    assert (incident.state, incident.reason) == (State.ESCALATED, Reason.UNDONE)
    assert bench.cluster.memory == "256Mi"


async def test_an_edit_between_two_undos_is_not_undone_over() -> None:
    cluster = FakeCluster()
    bench = Bench(cluster)
    bench.playbooks = bench.with_steps("raise-memory-limit", 2, verify=(Check("gone", timeout_s=5.0),))
    await bench.approved(await bench.incident("OOMKilled"))
    edits = iter([True])

    def meddle(what: str) -> None:
        if what == "after act" and cluster.mutations[-1][0] == "restore" and next(edits, False):
            cluster.edited()

    cluster.on_call = meddle
    incident = await bench.executed()
    assert (incident.state, incident.reason) == (State.ESCALATED, Reason.UNDO_FAILED)
    assert [action for action, _ in cluster.mutations].count("restore") == 1


async def test_a_restart_that_does_not_help_has_nothing_to_undo() -> None:
    bench = Bench(FakeCluster(heals=False))
    await bench.approved(await bench.incident())
    incident = await bench.executed()
    assert (incident.state, incident.reason) == (State.ESCALATED, Reason.VERIFY_FAILED)
    assert len(bench.cluster.mutations) == 1


async def test_an_edit_after_the_act_is_not_undone_over() -> None:
    cluster = FakeCluster(heals=False)
    bench = Bench(cluster)
    await bench.approved(await bench.incident("OOMKilled"))

    def meddle(what: str) -> None:
        if what == "after act" and len(cluster.mutations) == 1 and cluster.seen.generation == 4:
            cluster.edited()

    cluster.on_call = meddle
    incident = await bench.executed()
    assert (incident.state, incident.reason) == (State.ESCALATED, Reason.UNDO_FAILED)
    assert cluster.memory == "512Mi"


async def test_cleared_signals_before_the_start_stop_it() -> None:
    bench = Bench()
    incident = await bench.approved(await bench.incident())
    claim = await bench.claim(Work.EXECUTE)
    await bench.clears(incident)
    incident = await bench.execution.run(claim)
    assert not bench.cluster.mutations
    assert incident.approval is not None
    assert incident.approval.outcome == "void"
    bench.clock.advance(6)
    assert await bench.due(Work.SETTLE)


async def test_what_was_void_is_planned_anew_when_it_fires_again() -> None:
    bench = Bench()
    incident = await bench.approved(await bench.incident())
    claim = await bench.claim(Work.EXECUTE)
    await bench.clears(incident)
    await bench.execution.run(claim)
    await bench.fires(incident)
    assert await bench.due(Work.PLAN)


async def test_what_may_run_alone_stands_down_when_nothing_fires_and_comes_back_when_it_does() -> None:
    bench = Bench()
    incident = await bench.planned(await bench.incident())
    assert incident.plan is not None
    assert incident.digest is not None
    alone = Verdict(kind=VerdictKind.AUTO, rule=Reason.LOW_RISK_ALLOWED, sentence="LOW")
    allowed = ev.PlanProposed(
        reason=Reason.PLAYBOOK_COMPILED, plan=incident.plan, digest=incident.digest, verdict=alone
    )
    incident = await bench.store.journal.append(incident, [allowed], at=bench.clock.now(), by="test")
    claim = await bench.claim(Work.EXECUTE)
    await bench.clears(incident)
    incident = await bench.execution.run(claim)
    assert not bench.cluster.mutations
    assert not await bench.due(Work.EXECUTE)
    await bench.fires(incident)
    assert await bench.due(Work.PLAN)


async def test_a_target_changed_after_the_approval_stops_it() -> None:
    bench = Bench()
    await bench.approved(await bench.incident())
    bench.cluster.edited()
    incident = await bench.executed()
    assert (incident.state, incident.reason) == (State.ESCALATED, Reason.TARGET_CHANGED)
    assert not bench.cluster.mutations


async def test_a_freeze_after_the_approval_stops_it() -> None:
    bench = Bench()
    await bench.approved(await bench.incident())
    bench.policy = type(bench.policy)(frozen=True)
    incident = await bench.executed()
    assert (incident.state, incident.reason) == (State.ESCALATED, Reason.FROZEN)
    assert not bench.cluster.mutations


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (Refused(Reason.RIGHT_MISSING, "cannot patch deployments"), Reason.RIGHT_MISSING),
        (Permanent("admission says no"), Reason.ACTION_FAILED),
    ],
    ids=["right-missing", "rejected"],
)
async def test_a_refused_act_escalates_with_its_reason(error: Exception, reason: Reason) -> None:
    bench = Bench()
    await bench.approved(await bench.incident())

    def refuse(what: str) -> None:
        if what == "before act":
            raise error

    bench.cluster.on_call = refuse
    incident = await bench.executed()
    assert (incident.state, incident.reason) == (State.ESCALATED, reason)
    assert str(error) in incident.outcome
    assert not bench.cluster.mutations


async def test_a_lost_answer_is_observed_not_repeated() -> None:
    bench = Bench()
    await bench.approved(await bench.incident())
    lost = iter(["after act"])

    def lose(what: str) -> None:
        if what == "after act" and next(lost, ""):
            raise Transient("the answer was lost")

    bench.cluster.on_call = lose
    incident = await bench.executed()
    assert incident.state is State.RESOLVED
    assert len(bench.cluster.mutations) == 1
    entries = await bench.store.journal.entries(incident.id)
    assert [e.event.reason for e in entries if isinstance(e.event, ev.StepActed)] == [Reason.FOUND_APPLIED]


async def test_a_cluster_that_stays_away_is_tried_again_later() -> None:
    bench = Bench()
    incident = await bench.approved(await bench.incident())

    def away(what: str) -> None:
        raise Transient("the API server is away")

    bench.cluster.on_call = away
    incident = await bench.executed()
    assert not incident.state.final
    assert not await bench.due(Work.EXECUTE), "not at once"
    bench.cluster.on_call = lambda _: None
    bench.clock.advance(60)
    incident = await bench.executed()
    assert incident.state is State.RESOLVED


async def test_a_cluster_that_stays_away_too_long_is_told_to_people() -> None:
    bench = Bench()
    await bench.approved(await bench.incident())

    def away(what: str) -> None:
        if what == "before act":
            raise Transient("the API server is away")

    bench.cluster.on_call = away
    incident = await bench.executed()
    bench.clock.advance(31 * 60)
    incident = await bench.executed()
    assert (incident.state, incident.reason) == (State.ESCALATED, Reason.ATTEMPTS_EXHAUSTED)
    assert "the API server is away" in incident.outcome


async def test_a_zombie_changes_nothing_and_stops() -> None:
    bench = Bench()
    await bench.approved(await bench.incident())
    act, waking = bench.cluster.act, iter([True])

    async def asleep(call: ActionCall) -> Outcome:
        """The first executor sleeps here for so long that another takes its work over and ends it."""
        if next(waking, False):
            bench.clock.advance(7)
            await bench.executed()
        return await act(call)

    bench.cluster.act = asleep  # type: ignore[method-assign]
    with pytest.raises(ClaimLost):
        await bench.executed()
    assert len(bench.cluster.mutations) == 1


async def test_a_busy_target_is_waited_for() -> None:
    bench = Bench()
    await bench.approved(await bench.incident())
    minute = timedelta(minutes=1)
    await bench.store.leases.acquire("test|Deployment/shop/web", holder="other", now=bench.clock.now(), ttl=minute)
    incident = await bench.executed()
    assert not bench.cluster.mutations
    assert incident.execution is None
    bench.clock.advance(61)
    incident = await bench.executed()
    assert incident.state is State.RESOLVED


async def test_many_incidents_on_one_deployment_make_one_change() -> None:
    bench = Bench()
    incidents = [await bench.incident() for _ in range(10)]
    for _ in incidents:
        await bench.planned(incidents[0])
        asked = await bench.approvals.ask(await bench.claim(Work.ASK))
        await bench.clicked(asked, Choice.APPROVE)
    claims = await bench.store.work.claim([Work.EXECUTE], owner="me", now=bench.clock.now(), ttl=TTL, limit=10)
    assert len(claims) == 10
    await asyncio.gather(*(bench.execution.run(claim) for claim in claims))
    bench.clock.advance(60)
    for claim in await bench.store.work.claim([Work.EXECUTE], owner="me", now=bench.clock.now(), ttl=TTL, limit=10):
        await bench.execution.run(claim)
    ended = [await bench.store.journal.read(incident.id) for incident in incidents]
    assert len(bench.cluster.mutations) == 1
    assert sorted(incident.reason for incident in ended) == [Reason.ALL_STEPS_VERIFIED] + [Reason.TARGET_CHANGED] * 9


async def test_a_target_rests_after_an_action() -> None:
    bench = Bench(policy=Policy(cooldown_s=30.0))
    await bench.approved(await bench.incident())
    await bench.executed()
    lease = await bench.store.leases.acquire(
        "test|Deployment/shop/web", holder="other", now=bench.clock.now(), ttl=timedelta(minutes=1)
    )
    assert lease.state is LeaseState.COOLING


async def test_what_a_dead_execution_held_is_freed_and_rests() -> None:
    bench = Bench(policy=Policy(cooldown_s=30.0))
    await bench.approved(await bench.incident())
    done = await bench.executed()
    bench.clock.advance(31)
    leases, now, minute = bench.store.leases, bench.clock.now(), timedelta(minutes=1)
    # As if it had died between its last entry and the release.
    await leases.acquire("test|Deployment/shop/web", holder=done.id, now=now, ttl=minute)
    assert await bench.freeing.free_forsaken() == 1
    assert await bench.freeing.free_forsaken() == 0
    lease = await leases.acquire("test|Deployment/shop/web", holder="other", now=now, ttl=minute)
    assert (lease.state, lease.until) == (LeaseState.COOLING, now + timedelta(seconds=30))


class Crash(BaseException):
    """The process dies here."""


@pytest.mark.parametrize("condition", ["CrashLoopBackOff", "OOMKilled"])
@pytest.mark.parametrize("heals", [True, False])
async def test_a_crash_at_every_point_changes_nothing_in_the_end(condition: str, heals: bool) -> None:
    wanted = {
        ("CrashLoopBackOff", True): (["rollout_restart"], State.RESOLVED),
        ("CrashLoopBackOff", False): (["rollout_restart"], State.ESCALATED),
        ("OOMKilled", True): (["patch_resources"], State.RESOLVED),
        ("OOMKilled", False): (["patch_resources", "restore"], State.ESCALATED),
    }[condition, heals]
    points = 0
    while True:
        bench = Bench(FakeCluster(heals=heals))
        bench.pace = Pace(poll_s=40.0)
        incident = await bench.approved(await bench.incident(condition))
        crashed = await _run_with_crash(bench, points)
        if crashed:
            bench.clock.advance(7)
            if (await bench.store.work.next_due([Work.EXECUTE], now=bench.clock.now())) is not None:
                await bench.executed()
        incident = await bench.store.journal.read(incident.id)
        done = [action for action, _ in bench.cluster.mutations]
        assert (done, incident.state) == wanted, f"crash at call {points}"
        if not crashed:
            break
        points += 1
    assert points > 15


async def _run_with_crash(bench: Bench, at: int) -> bool:
    """Run the executor until the call number ``at`` to anything outside it, before or after its effect."""
    calls = 0

    def count(_: str) -> None:
        nonlocal calls
        calls += 1
        if calls > at:
            raise Crash

    journal = bench.store.journal
    append = journal.append

    async def counted(*args: object, **more: object) -> Incident:
        count("before append")
        written = await append(*args, **more)  # type: ignore[arg-type]
        count("after append")
        return written

    bench.cluster.on_call = count
    journal.append = counted  # type: ignore[method-assign,assignment]
    try:
        await bench.executed()
    except Crash:
        return True
    finally:
        bench.cluster.on_call = lambda _: None
        journal.append = append  # type: ignore[method-assign]
    return False
