"""Planning over fakes: the right playbook, on the incident's own objects, or a person with the reason."""

import pytest

from midwatch.domain.brakes import Pause
from midwatch.domain.errors import Conflict, Permanent, Refused, Transient
from midwatch.domain.incidents import State, Work
from midwatch.domain.playbooks import VerdictKind
from midwatch.domain.policy import Policy
from midwatch.domain.reasons import Reason
from midwatch.domain.refs import ObjectRef
from midwatch.domain.signals import Tier
from tests.fakes.cluster import WEB, FakeCluster
from tests.fakes.remedies import Bench


async def test_the_catalogue_finds_the_playbook() -> None:
    bench = Bench()
    incident = await bench.planned(await bench.incident("OOMKilled"))
    assert incident.plan is not None
    assert incident.plan.playbook == "raise-memory-limit"
    assert incident.plan.steps[0].params == {"container": "app", "memory_limit": "512Mi"}
    assert incident.plan.steps[0].diff == "+x"
    assert incident.plan.blast.pods == 2
    assert await bench.due(Work.ASK)


async def test_a_report_may_choose_playbook_and_parameters() -> None:
    bench = Bench()
    incident = await bench.incident("OOMKilled", playbook="raise-memory-limit", parameters={"factor": "1.5"})
    incident = await bench.planned(incident)
    assert incident.plan is not None
    assert incident.plan.steps[0].params["memory_limit"] == "384Mi"


@pytest.mark.parametrize(
    ("make", "reason"),
    [
        ({"condition": "SomethingElse"}, Reason.NO_PLAYBOOK),
        ({"playbook": "format-the-disk"}, Reason.PLAYBOOK_UNKNOWN),
        ({"playbook": "raise-memory-limit", "parameters": {"factor": "100"}}, Reason.PARAMETER_INVALID),
        ({"playbook": "raise-memory-limit", "parameters": {"kind": "Node"}}, Reason.PARAMETER_INVALID),
        ({"subject": ObjectRef("Deployment", "other", "shop")}, Reason.TARGET_OUTSIDE_INCIDENT),
        ({"subject": ObjectRef("Deployment", "web", "kube-system")}, Reason.TARGET_OUTSIDE_INCIDENT),
    ],
    ids=["no-playbook", "unknown", "out-of-bounds", "no-such-parameter", "other-object", "other-namespace"],
)
async def test_what_cannot_be_planned_goes_to_a_person(make: dict[str, object], reason: Reason) -> None:
    bench = Bench()
    incident = await bench.incident(**make)  # type: ignore[arg-type]
    incident = await bench.planned(incident)
    assert (incident.state, incident.reason) == (State.ESCALATED, reason)
    assert incident.outcome
    assert incident.plan is None
    assert not bench.cluster.mutations


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (Refused(Reason.RIGHT_MISSING, "cannot patch"), Reason.RIGHT_MISSING),
        (Permanent("admission webhook denied"), Reason.PRECHECK_FAILED),
        (Conflict("it changed"), Reason.TARGET_CHANGED),
    ],
    ids=["right-missing", "denied", "changed"],
)
async def test_what_the_server_would_not_accept_is_no_plan(error: Exception, reason: Reason) -> None:
    bench = Bench()
    incident = await bench.incident()

    def refuse(what: str) -> None:
        if what == "before rehearse":
            raise error

    bench.cluster.on_call = refuse
    incident = await bench.planned(incident)
    assert (incident.state, incident.reason) == (State.ESCALATED, reason)
    assert str(error) in incident.outcome


async def test_a_cluster_that_is_away_is_tried_again() -> None:
    bench = Bench()
    incident = await bench.incident()

    def away(_: str) -> None:
        raise Transient("away")

    bench.cluster.on_call = away
    claim = await bench.claim(Work.PLAN)
    with pytest.raises(Transient):
        await bench.planning.propose(claim)
    incident = await bench.store.journal.read(incident.id)
    assert incident.state is State.OPEN


async def test_a_refusal_shows_the_plan_and_escalates_in_one_append() -> None:
    bench = Bench(policy=Policy(protected_namespaces=("shop",)))
    incident = await bench.planned(await bench.incident())
    assert incident.plan is not None
    assert incident.verdict is not None
    assert incident.verdict.kind is VerdictKind.REFUSE
    assert (incident.state, incident.reason) == (State.ESCALATED, Reason.PROTECTED_NAMESPACE)


async def test_human_only_is_told_what_would_help_and_nothing_is_done() -> None:
    bench = Bench()
    incident = await bench.planned(await bench.incident(tier=Tier.HUMAN_ONLY))
    assert (incident.state, incident.reason) == (State.ESCALATED, Reason.TIER_HUMAN_ONLY)
    assert not await bench.due(Work.EXECUTE)


async def test_the_breaker_opens_after_failures() -> None:
    bench = Bench(FakeCluster(heals=False), policy=Policy(cooldown_s=0.0, circuit_failures=2))
    for _ in range(2):
        bench.cluster.heals = False
        await bench.approved(await bench.incident())
        incident = await bench.executed()
        assert incident.reason is Reason.VERIFY_FAILED
    incident = await bench.planned(await bench.incident())
    assert (incident.state, incident.reason) == (State.ESCALATED, Reason.CIRCUIT_OPEN)


async def test_the_same_plan_does_not_disturb_the_card() -> None:
    bench = Bench()
    asked = await bench.asked(await bench.incident())
    claim = await bench.store.work.claim(
        [Work.AWAIT], owner="x", now=asked.approval.expires_at, ttl=bench.clock.now() - bench.clock.now()
    )  # type: ignore[union-attr]
    again = await bench.planning.propose(claim[0])
    assert again.seq == asked.seq
    assert again.approval == asked.approval


async def test_a_pod_leads_to_its_workload() -> None:
    bench = Bench()
    incident = await bench.incident(subject=ObjectRef("Pod", "web-1", "shop"))
    incident = await bench.planned(incident)
    assert incident.plan is not None
    assert incident.plan.steps[0].target.ref == WEB


@pytest.mark.parametrize("subject", [WEB, ObjectRef("Pod", "web-1", "shop")], ids=["its-owner", "itself"])
async def test_an_incident_that_knows_only_a_pod_finds_its_workload(subject: ObjectRef) -> None:
    bench = Bench()
    incident = await bench.incident(owner=ObjectRef("Pod", "web-1", "shop"), subject=subject)
    incident = await bench.planned(incident)
    assert incident.plan is not None, incident.outcome
    assert incident.plan.steps[0].target.ref == WEB


async def test_a_pod_of_another_workload_leads_nowhere() -> None:
    bench = Bench()
    incident = await bench.planned(await bench.incident(owner=ObjectRef("Pod", "other-1", "shop")))
    assert incident.reason is Reason.TARGET_OUTSIDE_INCIDENT


async def test_a_preview_tells_of_pauses_and_keeps_nothing() -> None:
    bench = Bench()
    incident = await bench.incident()
    assert (await bench.planning.preview(incident))[1].kind is VerdictKind.ASK
    pause = Pause(id="p", starts_at=bench.clock.now(), by="api:ann")
    await bench.store.pauses.put(pause, by="api:ann", at=bench.clock.now())
    plan, verdict = await bench.planning.preview(incident)
    assert (verdict.kind, verdict.rule) == (VerdictKind.REFUSE, Reason.FROZEN)
    assert plan.playbook == "restart-workload"
    assert await bench.store.journal.read(incident.id) == incident
