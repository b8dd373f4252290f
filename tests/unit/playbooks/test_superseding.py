"""A better report and the card that people look at: superseded while undecided, never once approved."""

import msgspec

from midwatch.domain import events as ev
from midwatch.domain.approvals import ApprovalOutcome, Choice
from midwatch.domain.incidents import Incident, State, Work
from midwatch.domain.playbooks import VerdictKind
from midwatch.domain.reasons import Reason
from midwatch.domain.refs import ObjectRef
from midwatch.domain.signals import Tier
from tests.fakes.remedies import Bench

OTHER = {"playbook": "raise-memory-limit", "condition": "OOMKilled"}


async def refined(bench: Bench, incident: Incident, **changes: object) -> Incident:
    """The incident with a model's report in place of the first."""
    incident = await bench.store.journal.read(incident.id)
    assert incident.report is not None
    better = msgspec.structs.replace(incident.report, root_cause="better", author="stub/m", **changes)
    made = ev.ReportMade(reason=Reason.MODEL_REFINED, diagnosis=better)
    return await bench.store.journal.append(incident, [made], at=bench.clock.now(), by="model")


async def test_the_same_plan_keeps_its_card_and_is_planned_once() -> None:
    bench = Bench()
    asked = await bench.asked(await bench.incident())
    incident = await bench.planned(await refined(bench, asked))
    assert incident.approval == asked.approval
    assert incident.state is State.AWAITING_APPROVAL
    assert (await bench.story(incident))[-1] == "PlanKept"
    assert not await bench.due(Work.PLAN)


async def test_another_plan_withdraws_the_question_and_asks_anew() -> None:
    bench = Bench()
    asked = await bench.asked(await bench.incident())
    assert asked.approval is not None
    incident = await bench.planned(await refined(bench, asked, **OTHER))
    assert (await bench.story(incident))[-2:] == ["ApprovalClosed", "PlanProposed"]
    assert incident.plan is not None
    assert incident.plan.playbook == "raise-memory-limit"
    _, old = await bench.store.journal.find_approval(asked.approval.id)
    assert old.outcome is ApprovalOutcome.VOID
    again = await bench.approvals.ask(await bench.claim(Work.ASK))
    assert again.approval is not None
    assert again.approval.id != asked.approval.id
    open_now = [request.id for _, request in await bench.store.journal.approvals()]
    assert open_now == [again.approval.id], "one question at a time"


async def test_a_click_on_the_old_card_does_nothing() -> None:
    bench = Bench()
    asked = await bench.asked(await bench.incident())
    click = bench.answer(asked, Choice.APPROVE)
    await bench.planned(await refined(bench, asked, **OTHER))
    await bench.approvals.click(click)
    await bench.approvals.drain()
    incident = await bench.store.journal.read(asked.id)
    assert incident.state is State.PROPOSED
    assert not await bench.due(Work.EXECUTE)


async def test_an_approved_plan_is_carried_out_whatever_is_found_later() -> None:
    bench = Bench()
    approved = await bench.approved(await bench.incident())
    incident = await refined(bench, approved, **OTHER)
    assert not await bench.due(Work.PLAN)
    assert incident.digest == approved.digest
    done = await bench.executed()
    assert done.plan == approved.plan


async def test_without_a_plan_the_question_falls_and_a_person_takes_over() -> None:
    bench = Bench()
    asked = await bench.asked(await bench.incident())
    elsewhere = ObjectRef("Deployment", "other", "shop")
    incident = await bench.planned(await refined(bench, asked, subject=elsewhere))
    assert (incident.state, incident.reason) == (State.ESCALATED, Reason.TARGET_OUTSIDE_INCIDENT)
    assert incident.approval is not None
    assert incident.approval.outcome is ApprovalOutcome.VOID


async def test_a_plan_that_was_lacking_is_asked_for_even_where_it_might_run_alone() -> None:
    bench = Bench()
    lacking = await bench.incident("SomethingElse", tier=Tier.AUTONOMOUS)
    escalated = await bench.planned(lacking)
    assert escalated.reason is Reason.NO_PLAYBOOK
    incident = await bench.planned(await refined(bench, escalated, condition="CrashLoopBackOff"))
    assert incident.state is State.PROPOSED
    assert incident.verdict is not None
    assert incident.verdict.kind is VerdictKind.ASK


async def test_a_better_report_without_a_plan_leaves_the_person_as_they_are() -> None:
    bench = Bench()
    escalated = await bench.planned(await bench.incident("SomethingElse"))
    incident = await bench.planned(await refined(bench, escalated))
    assert (incident.state, incident.reason) == (State.ESCALATED, Reason.NO_PLAYBOOK)
    assert (await bench.story(incident))[-1] == "PlanMissing"
    assert not await bench.due(Work.PLAN)
