"""When a model may improve a report, and what becomes of a plan when it does."""

import pytest

from midwatch.domain import events as ev
from midwatch.domain.approvals import ApprovalOutcome
from midwatch.domain.ids import IncidentId
from midwatch.domain.incidents import LACKS_PLAN, Incident, State, Work, decide, fold
from midwatch.domain.playbooks import VerdictKind
from midwatch.domain.reasons import Reason
from tests.fakes.runtime import NOON
from tests.fakes.samples import approval_closed, attached, cleared, opened, proposed, report, requested, resolved

A = IncidentId("a")
FIRST = (opened(), attached(), report(refine=True))
BETTER = (report("the database is away"), ev.RefinementEnded(reason=Reason.MODEL_REFINED))


def told(*events: ev.AnyEvent) -> Incident:
    return fold(A, [ev.Entry(incident=A, seq=n, at=NOON, by="test", event=e) for n, e in enumerate(events, start=1)])


def works(*events: ev.AnyEvent) -> set[Work]:
    return {item.work for item in decide(told(*events))}


def escalated(reason: Reason) -> tuple[ev.AnyEvent, ...]:
    return (ev.PlanMissing(reason=reason), ev.Escalated(reason=reason))


def test_a_model_improves_the_report_beside_everything_that_waits() -> None:
    assert works(*FIRST) == {Work.PLAN, Work.REFINE}
    assert works(*FIRST, proposed()) == {Work.ASK, Work.REFINE}
    assert works(*FIRST, proposed(), requested()) == {Work.AWAIT, Work.REFINE}
    assert works(opened(), attached(), report()) == {Work.PLAN}, "without a model nobody is asked to"


@pytest.mark.parametrize(
    "events",
    [
        (*FIRST, proposed(VerdictKind.AUTO)),
        (*FIRST, proposed(), requested(), approval_closed()),
        (*FIRST, resolved()),
        (*FIRST, proposed(), requested(), ev.Escalated(reason=Reason.REJECTED_BY_HUMAN)),
        (*FIRST, ev.RefinementEnded(reason=Reason.MODEL_AWAY)),
    ],
    ids=["allowed", "approved", "over", "rejected", "refined"],
)
def test_it_does_not_where_its_word_would_change_nothing(events: tuple[ev.AnyEvent, ...]) -> None:
    assert Work.REFINE not in works(*events)


@pytest.mark.parametrize("reason", [*sorted(LACKS_PLAN), Reason.APPROVAL_EXPIRED, Reason.FROZEN])
def test_a_person_who_took_over_still_gets_a_better_report(reason: Reason) -> None:
    assert works(*FIRST, *escalated(reason)) == {Work.REFINE}


@pytest.mark.parametrize("reason", sorted(LACKS_PLAN))
def test_a_better_report_may_bring_the_plan_that_was_lacking(reason: Reason) -> None:
    assert works(*FIRST, *escalated(reason), *BETTER) == {Work.PLAN}
    planned = told(*FIRST, *escalated(reason), *BETTER, proposed())
    assert planned.state is State.PROPOSED
    assert {item.work for item in decide(planned)} == {Work.ASK}
    none = (*FIRST, *escalated(reason), *BETTER, ev.PlanMissing(reason=reason))
    assert works(*none) == set(), "it is tried once"
    assert Work.PLAN not in works(*FIRST, *escalated(reason), cleared(), *BETTER), "nothing fires any more"


@pytest.mark.parametrize("reason", [Reason.FROZEN, Reason.APPROVAL_EXPIRED, Reason.TIER_HUMAN_ONLY])
def test_what_policy_or_people_decided_is_not_planned_again(reason: Reason) -> None:
    assert works(*FIRST, *escalated(reason), *BETTER) == set()


def test_a_better_report_is_planned_while_the_question_is_open() -> None:
    asked = (*FIRST, proposed(), requested(), *BETTER)
    assert works(*asked) == {Work.AWAIT, Work.PLAN}
    assert works(*asked, ev.PlanKept(reason=Reason.PLAN_UNCHANGED)) == {Work.AWAIT}, "the same plan: the card stands"
    void = ev.ApprovalClosed(
        reason=Reason.PLAN_SUPERSEDED, approval=requested().request.id, outcome=ApprovalOutcome.VOID
    )
    assert works(*asked, void, proposed()) == {Work.ASK}


def test_what_is_approved_is_not_planned_again() -> None:
    assert works(*FIRST, proposed(), requested(), approval_closed(), *BETTER) == {Work.EXECUTE}


def test_a_reopened_incident_is_looked_at_from_the_start() -> None:
    again = ev.Reopened(reason=Reason.REOPENED_IN_COOLDOWN)
    assert works(*FIRST, resolved(), again, attached(2)) == {Work.INVESTIGATE}
