"""A person stops things: everything at once, one namespace, or one plan between two of its steps."""

from datetime import timedelta

import msgspec
import pytest

from midwatch.domain import events as ev
from midwatch.domain.approvals import Choice
from midwatch.domain.diagnosis import Diagnosis
from midwatch.domain.errors import Conflict, Invalid
from midwatch.domain.incidents import Incident, State, Work
from midwatch.domain.playbooks import Risk, VerdictKind
from midwatch.domain.policy import Freeze, Policy
from midwatch.domain.reasons import Reason
from midwatch.domain.refs import ObjectRef
from midwatch.domain.signals import Tier
from midwatch.services.stopping import Stopping
from tests.fakes.cluster import FakeCluster
from tests.fakes.remedies import Bench


def stopping(bench: Bench) -> Stopping:
    return Stopping(bench.store.journal, bench.store.pauses, bench.clock, bench.ids)


async def two_steps(bench: Bench) -> Incident:
    """An approved plan of two restarts."""
    bench.playbooks = bench.with_steps("restart-workload", 2)
    return await bench.approved(await bench.incident())


async def stopped_once_protected(bench: Bench, objects: str) -> None:
    """Protect them while the first step acts: the second does not begin."""

    async def protects() -> None:
        bench.policy = Policy(cooldown_s=0.0, protected_objects=(objects,))

    bench.cluster.after_act = protects
    incident = await bench.executed()
    assert incident.reason is Reason.PROTECTED_NAMESPACE
    assert len(bench.cluster.mutations) == 1


@pytest.mark.parametrize("namespaces", [("*",), ("shop",), ("other", "sh*")], ids=["all", "this", "pattern"])
async def test_a_pause_stops_what_was_approved(namespaces: tuple[str, ...]) -> None:
    bench = Bench()
    await bench.approved(await bench.incident())
    await stopping(bench).freeze(by="api:ann", namespaces=namespaces, reason="deploying")
    incident = await bench.executed()
    assert (incident.state, incident.reason) == (State.ESCALATED, Reason.FROZEN)
    assert "paused by api:ann" in incident.outcome
    assert "deploying" in incident.outcome
    assert not bench.cluster.mutations
    assert await bench.store.deeds.since(bench.clock.now() - timedelta(days=1)) == ()


async def test_a_pause_elsewhere_stops_nothing() -> None:
    bench = Bench()
    await bench.approved(await bench.incident())
    await stopping(bench).freeze(by="api:ann", namespaces=("other",))
    assert (await bench.executed()).state is State.RESOLVED


async def test_a_pause_refuses_new_plans_until_it_ends() -> None:
    bench = Bench()
    await stopping(bench).freeze(by="api:ann", ends_at=bench.clock.now() + timedelta(hours=2))
    refused = await bench.planned(await bench.incident())
    assert refused.verdict is not None
    assert (refused.verdict.kind, refused.reason) == (VerdictKind.REFUSE, Reason.FROZEN)
    bench.clock.advance(2 * 3600)
    asked = await bench.planned(await bench.incident())
    assert asked.verdict is not None
    assert asked.verdict.kind is VerdictKind.ASK


async def test_a_lifted_pause_is_over_and_stays_on_record() -> None:
    bench = Bench()
    pause = await stopping(bench).freeze(by="api:ann")
    here = await stopping(bench).freeze(by="api:ann", namespaces=("shop",))
    assert [ended.id for ended in await stopping(bench).unfreeze(by="api:ben", namespaces=("shop",))] == [here.id]
    assert [ended.id for ended in await stopping(bench).unfreeze(by="api:ben")] == [pause.id]
    assert await stopping(bench).unfreeze(by="api:ben") == ()
    assert len(await bench.store.pauses.recent()) == 2


@pytest.mark.parametrize("hours", [-1, 0, 24 * 91])
async def test_an_end_that_makes_no_sense_is_refused(hours: int) -> None:
    bench = Bench()
    with pytest.raises(Invalid):
        await stopping(bench).freeze(by="a:b", ends_at=bench.clock.now() + timedelta(hours=hours))
    assert await bench.store.pauses.recent() == ()


async def test_a_pause_between_two_steps_lets_the_first_end_and_the_second_not_begin() -> None:
    bench = Bench()
    await two_steps(bench)

    async def pause() -> None:
        await stopping(bench).freeze(by="api:ann")

    bench.cluster.after_act = pause
    incident = await bench.executed()
    assert (incident.state, incident.reason) == (State.ESCALATED, Reason.FROZEN)
    assert len(bench.cluster.mutations) == 1
    story = await bench.story(incident)
    assert story[-3:] == ["StepVerified", "StepFailed", "Escalated"]


async def test_a_freeze_of_the_policy_that_begins_between_two_steps_does_the_same() -> None:
    bench = Bench()
    await two_steps(bench)

    async def begins() -> None:
        now = bench.clock.now()
        freeze = Freeze(name="release", start=now, end=now + timedelta(hours=1), namespaces=("sh*",))
        bench.policy = Policy(cooldown_s=0.0, freezes=(freeze,))

    bench.cluster.after_act = begins
    incident = await bench.executed()
    assert (incident.state, incident.reason) == (State.ESCALATED, Reason.FROZEN)
    assert "Freeze 'release' lasts until" in incident.outcome
    assert len(bench.cluster.mutations) == 1


async def test_what_is_protected_meanwhile_is_not_touched_by_the_next_step() -> None:
    bench = Bench()
    await two_steps(bench)

    await stopped_once_protected(bench, "Deployment/shop/*")


async def test_an_owner_that_is_protected_meanwhile_protects_what_belongs_to_it() -> None:
    bench = Bench()
    root = ObjectRef("Shop", "root", "shop")
    bench.cluster.seen = msgspec.structs.replace(bench.cluster.seen, owners=(root,))
    await two_steps(bench)

    await stopped_once_protected(bench, "Shop/shop/*")


async def test_what_was_to_run_alone_does_not_once_policy_says_otherwise() -> None:
    bench = Bench()
    bench.playbooks = bench.with_steps("restart-workload", 1, risk=Risk.LOW)
    planned = await bench.planned(await bench.incident(tier=Tier.AUTONOMOUS))
    assert planned.verdict is not None
    assert planned.verdict.kind is VerdictKind.AUTO
    bench.policy = Policy(cooldown_s=0.0, low_runs_alone=False)
    incident = await bench.executed()
    assert (incident.state, incident.reason) == (State.ESCALATED, Reason.RISK_NEEDS_APPROVAL)
    assert not bench.cluster.mutations


@pytest.mark.parametrize(("minutes", "done"), [(59, True), (62, False)])
async def test_an_approval_is_good_for_an_hour(minutes: int, done: bool) -> None:
    bench = Bench()
    await bench.approved(await bench.incident())
    bench.clock.advance(minutes * 60)
    incident = await bench.executed()
    assert (incident.state is State.RESOLVED) is done
    assert bool(bench.cluster.mutations) is done
    if not done:
        assert incident.reason is Reason.APPROVAL_EXPIRED
        assert "more than an hour before its turn" in incident.outcome


async def test_a_pause_does_not_keep_a_bad_change_from_being_taken_back() -> None:
    bench = Bench(FakeCluster(heals=False))
    await bench.approved(await bench.incident("OOMKilled"))

    async def pause() -> None:
        await stopping(bench).freeze(by="api:ann")

    bench.cluster.after_act = pause
    incident = await bench.executed()
    assert incident.reason is Reason.UNDONE
    assert bench.cluster.memory == "256Mi"


async def test_a_crash_before_the_act_does_not_act_under_a_pause() -> None:
    bench = Bench()
    await bench.approved(await bench.incident())

    def dies(what: str) -> None:
        if what == "before act":
            raise RuntimeError("killed")

    bench.cluster.on_call = dies
    claim = await bench.claim(Work.EXECUTE)
    with pytest.raises(RuntimeError):
        await bench.execution.run(claim)
    bench.cluster.on_call = lambda _: None
    await stopping(bench).freeze(by="api:ann")
    bench.clock.advance(60)
    incident = await bench.executed()
    assert (incident.state, incident.reason) == (State.ESCALATED, Reason.FROZEN)
    assert not bench.cluster.mutations


async def test_cancelling_before_the_execution_withdraws_the_question() -> None:
    bench = Bench()
    asked = await bench.asked(await bench.incident())
    incident = await stopping(bench).cancel(asked.id, by="api:ann", comment="I am on it")
    assert (incident.state, incident.reason) == (State.ESCALATED, Reason.CANCELLED)
    assert incident.outcome == "Cancelled by api:ann: I am on it"
    assert incident.approval is not None
    assert incident.approval.outcome == "void"
    again = await bench.clicked(asked, Choice.APPROVE)
    assert again.state is State.ESCALATED
    with pytest.raises(Conflict):
        await stopping(bench).cancel(asked.id, by="api:ann")


async def test_a_cancel_ends_with_its_episode() -> None:
    bench = Bench()
    asked = await bench.asked(await bench.incident())
    incident = await stopping(bench).cancel(asked.id, by="api:ann")
    cleared = await bench.clears(incident)
    report = ev.ReportMade(reason=Reason.BUILT_IN_ANALYSIS, diagnosis=incident.report or Diagnosis())
    again = [
        ev.Closed(reason=Reason.SIGNALS_CLEARED, by="rules"),
        ev.Reopened(reason=Reason.REOPENED_IN_COOLDOWN),
        bench.firing(),
        report,
    ]
    await bench.store.journal.append(cleared, again, at=bench.clock.now(), by="rules")
    await bench.approved(incident)
    incident = await bench.executed()
    assert incident.state is State.RESOLVED
    assert len(bench.cluster.mutations) == 1


async def test_cancelling_between_two_steps_keeps_what_is_verified() -> None:
    bench = Bench()
    incident = await two_steps(bench)

    async def cancel() -> None:
        await stopping(bench).cancel(incident.id, by="api:ann")
        await stopping(bench).cancel(incident.id, by="api:ann")  # a second click changes nothing

    bench.cluster.after_act = cancel
    incident = await bench.executed()
    assert (incident.state, incident.reason) == (State.ESCALATED, Reason.CANCELLED)
    assert len(bench.cluster.mutations) == 1
    assert (await bench.story(incident)).count("CancelAsked") == 1
    assert (await bench.story(incident))[-1] == "Escalated"
    (deed,) = await bench.store.deeds.since(bench.clock.now() - timedelta(days=1))
    assert not deed.failed, "a person's word is no failure of ours"


async def test_the_last_place_of_an_hour_is_taken_once() -> None:
    bench = Bench(policy=Policy(cooldown_s=0.0, actions_per_hour=1))
    first = await bench.approved(await bench.incident())
    second = await bench.approved(await bench.incident())
    assert first.approval is not None
    assert second.approval is not None
    await bench.executed()
    bench.cluster.seen = FakeCluster().seen
    outcome = await bench.executed()
    assert (outcome.state, outcome.reason) == (State.ESCALATED, Reason.RATE_EXCEEDED)
    assert len(bench.cluster.mutations) == 1
