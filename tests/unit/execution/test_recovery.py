"""An object that recovered is left alone, although others of its incident still fire."""

import msgspec
import pytest

from midwatch.adapters.catalog.playbooks import Playbooks
from midwatch.domain import events as ev
from midwatch.domain.approvals import ApprovalOutcome, Choice
from midwatch.domain.ids import SignalId
from midwatch.domain.incidents import Incident, State, Work
from midwatch.domain.observed import Observed
from midwatch.domain.playbooks import VerdictKind
from midwatch.domain.policy import Policy
from midwatch.domain.reasons import Reason
from midwatch.domain.recovery import recovered
from midwatch.domain.refs import ObjectRef, Severity
from midwatch.domain.signals import Tier
from midwatch.services.effects import ActionCall, Effect, Outcome
from tests.fakes.cluster import WEB, FakeCluster
from tests.fakes.remedies import PLAYBOOKS, Bench

ONE, TWO = ObjectRef("Pod", "web-1", "shop"), ObjectRef("Pod", "web-2", "shop")


class Pods(FakeCluster):
    """Two pods of the deployment in one state; ``ready`` are those that recovered."""

    def __init__(self, state: str = "Pending") -> None:
        super().__init__()
        self.state, self.ready = state, set[str]()

    async def observe(self, ref: ObjectRef) -> Observed | None:
        if ref.kind != "Pod":
            return await super().observe(ref)
        if ref.name in [name for _, name in self.mutations]:
            return None
        found = msgspec.structs.replace(ref, uid=f"uid-{ref.name}")
        return Observed(ref=found, state=self.state, ready=int(ref.name in self.ready), owners=(WEB,))

    async def rehearse(self, call: ActionCall) -> Outcome:
        return Outcome(effect=Effect.DRY_RUN)

    async def act(self, call: ActionCall) -> Outcome:
        self.mutations.append((call.action, call.ref.name))
        return Outcome(effect=Effect.APPLIED)


def fires(bench: Bench, identity: str, subject: ObjectRef, condition: str) -> ev.SignalAttached:
    return msgspec.structs.replace(
        bench.firing(subject),
        signal=SignalId(bench.ids.new()),
        identity=identity,
        episode=f"{identity}@1",
        condition=condition,
        severity=Severity.ERROR,
    )


async def both_fire(bench: Bench, condition: str, tier: Tier = Tier.SUPERVISED) -> Incident:
    incident = await bench.incident(condition, subject=ONE, owner=WEB, tier=tier)
    events = [fires(bench, "one", ONE, condition), fires(bench, "two", TWO, condition)]
    return await bench.store.journal.append(incident, events, at=bench.clock.now(), by="test")


def target(incident: Incident) -> str:
    assert incident.plan is not None
    return incident.plan.steps[0].target.ref.name


async def test_a_click_for_a_pod_that_recovered_deletes_nothing_and_the_other_is_asked_for() -> None:
    bench = Bench(Pods())
    incident = await bench.asked(await both_fire(bench, "SandboxCreationFailed"))
    assert target(incident) == "web-1"
    await bench.clears(incident)
    incident = await bench.clicked(incident, Choice.APPROVE)
    assert incident.approval is not None
    assert incident.approval.outcome is ApprovalOutcome.VOID
    assert incident.state is not State.ESCALATED
    assert not await bench.due(Work.EXECUTE)
    incident = await bench.asked(incident)
    assert target(incident) == "web-2"
    await bench.clicked(incident, Choice.APPROVE)
    await bench.executed()
    assert bench.cluster.mutations == [("restart_pod", "web-2")]


async def test_a_pod_that_recovers_after_the_approval_is_not_deleted() -> None:
    bench = Bench(Pods())
    incident = await bench.approved(await both_fire(bench, "SandboxCreationFailed"))
    await bench.clears(incident)
    incident = await bench.executed()
    assert not bench.cluster.mutations
    assert (incident.state, incident.reason) == (State.PROPOSED, Reason.TARGET_RECOVERED)
    assert target(await bench.asked(incident)) == "web-2"


async def test_a_plan_that_runs_alone_is_made_anew_for_what_still_fires() -> None:
    bench = Bench(Pods("Failed"))
    bench.playbooks = Playbooks(tuple(msgspec.structs.replace(item, each=False) for item in PLAYBOOKS.all))
    incident = await bench.planned(await both_fire(bench, "PodEvicted", Tier.AUTONOMOUS))
    assert incident.verdict is not None
    assert (target(incident), incident.verdict.kind) == ("web-1", VerdictKind.AUTO)
    await bench.clears(incident)
    await bench.executed()
    assert not bench.cluster.mutations
    incident = await bench.planned(incident)
    assert incident.verdict is not None
    assert (target(incident), incident.verdict.kind) == ("web-2", VerdictKind.AUTO)


async def test_of_a_plan_for_each_only_what_has_not_recovered_is_done() -> None:
    bench = Bench(Pods("Failed"))
    incident = await bench.planned(await both_fire(bench, "PodEvicted", Tier.AUTONOMOUS))
    await bench.clears(incident)
    incident = await bench.executed()
    assert bench.cluster.mutations == [("delete_finished_pod", "web-2")]
    assert (incident.state, incident.reason) == (State.RESOLVED, Reason.ALL_STEPS_VERIFIED)
    assert "web-1 has recovered" in incident.outcome


async def test_one_that_is_gone_voids_no_plan_for_each() -> None:
    cluster = Pods("Failed")
    bench = Bench(cluster)
    asked = await bench.asked(await both_fire(bench, "PodEvicted"))
    cluster.mutations.append(("collected", "web-1"))
    await bench.clicked(asked, Choice.APPROVE)
    incident = await bench.executed()
    assert cluster.mutations[1:] == [("delete_finished_pod", "web-2")]
    assert (incident.state, incident.reason) == (State.RESOLVED, Reason.ALL_STEPS_VERIFIED)


async def test_a_pod_that_is_ready_is_not_replaced_although_its_signal_still_stands() -> None:
    cluster = Pods()
    bench = Bench(cluster, Policy(cooldown_s=0.0))
    await bench.approved(await both_fire(bench, "SandboxCreationFailed"))
    cluster.ready.add("web-1")
    incident = await bench.executed()
    assert not bench.cluster.mutations
    assert (incident.state, incident.reason) == (State.ESCALATED, Reason.PRECHECK_FAILED)


@pytest.mark.parametrize(
    ("ref", "well"), [(ONE, True), (TWO, False), (WEB, False), (ObjectRef("Pod", "web-3", "shop"), False)]
)
async def test_what_has_recovered_is_told_by_its_own_signals(ref: ObjectRef, well: bool) -> None:
    bench = Bench(Pods())
    incident = await both_fire(bench, "SandboxCreationFailed")
    events = [fires(bench, "three", WEB, "RolloutStuck")]
    incident = await bench.store.journal.append(incident, events, at=bench.clock.now(), by="test")
    for identity in ("one", "three"):
        over = ev.SignalCleared(
            reason=Reason.SIGNAL_CLEARED, signal=SignalId(bench.ids.new()), identity=identity, episode=f"{identity}@1"
        )
        incident = await bench.store.journal.append(incident, [over], at=bench.clock.now(), by="test")
    assert recovered(incident, ref) is well


async def test_nothing_is_passed_over_when_all_is_well() -> None:
    bench = Bench(Pods())
    incident = await bench.clears(await bench.incident("SandboxCreationFailed", subject=ONE, owner=ONE))
    assert not recovered(incident, ONE)
