"""Journals as the services write them: what may be appended next, for any incident, and how to walk there."""

from collections.abc import Callable, Sequence
from datetime import timedelta

import msgspec

from midwatch.domain import events as ev
from midwatch.domain.approvals import ApprovalOutcome, Choice, Vote
from midwatch.domain.dialogue import AssistantTurn, ModelReply, StopReason, Usage
from midwatch.domain.grouping import may_be_adopted
from midwatch.domain.ids import ExecutionId, IncidentId
from midwatch.domain.incidents import Incident, State, Work, decide, evolve
from midwatch.domain.playbooks import VerdictKind
from midwatch.domain.reasons import Reason
from midwatch.domain.runs import Phase, StepRecord
from tests.fakes.runtime import NOON
from tests.fakes.samples import attached, cleared, opened, proposed, report, requested

PODS = ("web-1", "web-2")
Append = tuple[ev.AnyEvent, ...]


def moves(incident: Incident) -> tuple[Append, ...]:
    """Every append that some service may make now, as one transaction each."""
    if incident.seq == 0:
        return ((opened(), attached()), (opened(), attached(), attached(2, "web-2")))
    if incident.state.final:
        by_itself = incident.reason is Reason.SIGNALS_CLEARED and incident.execution is None
        again = ev.Reopened(reason=Reason.REOPENED_IN_COOLDOWN)
        return ((again, attached(incident.seq + 2)),) if by_itself and incident.reopened < 2 else ()
    following = {item.work for item in decide(incident)}
    others = [*_signals(incident), *_endings(incident, following)]
    if incident.state is State.ESCALATED:
        return (*_with_a_person(incident, following), *others)
    found: list[Append] = []
    for work, appends in _WORKS.items():
        if work in following:
            found += appends(incident) * 3  # so that walks get far before they end
    found += others
    if incident.report is not None and incident.execution is None:
        found.append((report(f"refined at {incident.seq}"),))  # a model's better report, whenever it comes
    return tuple(found)


def journal(choices: Sequence[int], incident_id: IncidentId) -> tuple[Incident, tuple[ev.Entry, ...]]:
    """Walk: each number picks one of the appends that are possible there. Ends early where nothing is."""
    incident, entries = Incident(id=incident_id), []
    for choice in choices:
        possible = moves(incident)
        if not possible:
            break
        at = NOON + timedelta(seconds=incident.seq)
        for event in possible[choice % len(possible)]:
            entry = ev.Entry(incident=incident_id, seq=incident.seq + 1, at=at, by="test", event=event)
            incident = evolve(incident, entry)
            entries.append(entry)
    return incident, tuple(entries)


def _signals(incident: Incident) -> list[Append]:
    """A pod that is quiet fires (in a new episode each time), a pod that fires clears."""
    found: list[Append] = []
    for pod in PODS:
        member = next((member for member in incident.members if member.subject.name == pod), None)
        if member is None or not member.active:
            found.append((attached(incident.seq + 1, pod),))
        else:
            found.append((cleared(int(member.episode.rpartition("@")[2]), pod),))
    return found


def _endings(incident: Incident, following: set[Work]) -> list[Append]:
    if incident.state is State.ESCALATED:
        closed = (ev.Closed(reason=Reason.SIGNALS_CLEARED),) if Work.SETTLE in following else ()
        return [closed or (ev.Closed(reason=Reason.CLOSED_BY_HUMAN, by="console:ann"),)]
    adopted = ev.Adopted(reason=Reason.ADOPTED_BY_CAUSE, into=IncidentId("0000000c-0000-7000-8000-000000000003"))
    gives_up = incident.seq % 7 == 0  # possible at any time; now and then is enough, or walks would all end so
    over: list[Append] = [(ev.Escalated(reason=Reason.ATTEMPTS_EXHAUSTED),)] if gives_up else []
    if gives_up and may_be_adopted(incident):
        over.append((adopted,))
    if Work.SETTLE in following:
        over.append((ev.Resolved(reason=Reason.SIGNALS_CLEARED),))
    return over


def _investigations(incident: Incident) -> list[Append]:
    look = ev.ToolCalled(reason=Reason.EVIDENCE_GATHERED, call_id=f"c{incident.seq}", tool="logs", input="", output="…")
    started = ev.InvestigationStarted(reason=Reason.CLAIMED, worker="w", attempt=incident.attempts + 1)
    return [(started,), (look,), (report(),), (report(refine=True),)]


def _refinements(incident: Incident) -> list[Append]:
    reply = ModelReply(
        turn=AssistantTurn("I look."), stop=StopReason.DONE, usage=Usage(input=1), provider="stub", model="m"
    )
    started = ev.RefinementStarted(reason=Reason.CLAIMED, worker="w")
    briefed = ev.Briefed(reason=Reason.BUILT_IN_ANALYSIS, text="look", nonce="n")
    turned = ev.ModelTurned(reason=Reason.ASKED_FOR_MORE, iteration=1, reply=reply)
    rounded = ev.IterationEnded(reason=Reason.KNOWS_ENOUGH, iteration=1, decision="stop")
    ended = ev.RefinementEnded(reason=Reason.MODEL_REFINED)
    better = report(f"refined at {incident.seq}")
    broke = ev.ModelBroke(reason=Reason.MODEL_AWAY, detail="it broke off", tokens=100, usd=0.1)
    return [(started, briefed, turned), (broke, rounded), (better, ended), (ended,)]


def _with_a_person(incident: Incident, following: set[Work]) -> list[Append]:
    """What a model may still bring to an incident that escalated: a better report, and a plan that asks."""
    found: list[Append] = []
    if Work.REFINE in following:
        found += [*_refinements(incident), (report(f"refined at {incident.seq}"),)]
    if Work.PLAN in following:
        found += [(proposed(VerdictKind.ASK),), (ev.PlanMissing(reason=Reason.NO_PLAYBOOK),)] * 2
    return found


def _plans(incident: Incident) -> list[Append]:
    request = incident.approval
    if request is not None and request.outcome is None:
        closed = ev.ApprovalClosed(reason=Reason.PLAN_SUPERSEDED, approval=request.id, outcome=ApprovalOutcome.VOID)
        return [(ev.PlanKept(reason=Reason.PLAN_UNCHANGED),), (closed, proposed(VerdictKind.ASK))]
    missing = ev.PlanMissing(reason=Reason.NO_PLAYBOOK), ev.Escalated(reason=Reason.NO_PLAYBOOK)
    refused = proposed(VerdictKind.REFUSE), ev.Escalated(reason=Reason.FROZEN)
    return [(proposed(VerdictKind.ASK),), (proposed(VerdictKind.AUTO),), missing, refused]


def _questions(incident: Incident) -> list[Append]:
    return [(requested(incident.seq, NOON + timedelta(seconds=incident.seq)),)]


def _answers(incident: Incident) -> list[Append]:
    request = incident.approval
    assert request is not None
    vote = Vote(user=f"console:{len(request.votes)}", choice=Choice.APPROVE, at=NOON)
    voted = ev.ApprovalVoted(reason=Reason.VOTE_COUNTED, approval=request.id, vote=vote)

    def closed(outcome: ApprovalOutcome, reason: Reason) -> ev.ApprovalClosed:
        return ev.ApprovalClosed(reason=reason, approval=request.id, outcome=outcome)

    found: list[Append] = [
        (voted,),
        (voted, closed(ApprovalOutcome.APPROVED, Reason.QUORUM_REACHED)),
        (closed(ApprovalOutcome.REJECTED, Reason.REJECTED_BY_HUMAN), ev.Escalated(reason=Reason.REJECTED_BY_HUMAN)),
        (closed(ApprovalOutcome.EXPIRED, Reason.APPROVAL_EXPIRED), ev.Escalated(reason=Reason.APPROVAL_EXPIRED)),
        (closed(ApprovalOutcome.VOID, Reason.TARGET_CHANGED), ev.Escalated(reason=Reason.TARGET_CHANGED)),
    ]
    if not incident.active:
        found.append((closed(ApprovalOutcome.VOID, Reason.SIGNALS_CLEARED),))
    else:
        found.append((closed(ApprovalOutcome.VOID, Reason.TARGET_RECOVERED),))
    if request.reminded_at is None:
        found.append((ev.ApprovalReminded(reason=Reason.HALF_TIME, approval=request.id),))
    elif request.rung == 0:
        again = requested(incident.seq, NOON + timedelta(seconds=incident.seq)).request
        passed = msgspec.structs.replace(again, rung=1, called=("console:ann",))
        expired = closed(ApprovalOutcome.EXPIRED, Reason.APPROVAL_EXPIRED)
        found.append((expired, ev.ApprovalRequested(reason=Reason.NEXT_RUNG, request=passed)))
    return found


def _executions(incident: Incident) -> list[Append]:
    execution = incident.execution
    if execution is None:
        assert incident.digest is not None
        started = ev.ExecutionStarted(
            reason=Reason.PLAN_ALLOWED, execution=ExecutionId(f"x{incident.seq}"), digest=incident.digest
        )
        return [(started,), *_standing_down(incident)]
    record = execution.step(0)
    cancel = ev.CancelAsked(reason=Reason.CANCELLED, by="console:ann")
    asked: list[Append] = [] if incident.cancelled_by else [(cancel,)]
    if record is None and incident.cancelled_by:
        return [(ev.Escalated(reason=Reason.CANCELLED),)]
    return [*_next_of_step(record), *asked]


def _standing_down(incident: Incident) -> list[Append]:
    """What the plan is for fires no more when the execution is about to begin: it is set aside, nobody is told."""
    if incident.approval is None:
        return [(proposed(VerdictKind.REFUSE),)]
    reason = Reason.TARGET_RECOVERED if incident.active else Reason.SIGNALS_CLEARED
    void = ev.ApprovalClosed(reason=reason, approval=incident.approval.id, outcome=ApprovalOutcome.VOID)
    return [(void,)]


def _next_of_step(record: StepRecord | None) -> list[Append]:
    def failed(acted: bool) -> Append:
        return (ev.StepFailed(reason=Reason.VERIFY_FAILED, index=0, acted=acted),)

    escalated = ev.Escalated(reason=Reason.VERIFY_FAILED)
    match record.phase if record else None:
        case None:
            return [(ev.StepStarted(reason=Reason.PRECHECK_PASSED, index=0, key="k"),), failed(False)]
        case Phase.STARTED:
            return [(ev.StepActed(reason=Reason.APPLIED, index=0),), failed(False)]
        case Phase.ACTED:
            return [(ev.StepVerified(reason=Reason.VERIFY_PASSED, index=0),), failed(True)]
        case Phase.VERIFIED:
            return [(ev.Resolved(reason=Reason.ALL_STEPS_VERIFIED),)]
        case Phase.FAILED:
            undo: list[Append] = [(ev.UndoStarted(reason=Reason.VERIFY_FAILED, index=0, key="u"),)]
            return undo if record is not None and record.acted else [(escalated,)]
        case Phase.UNDOING:
            undone = ev.StepUndone(reason=Reason.UNDONE, index=0)
            return [(undone,), (ev.UndoFailed(reason=Reason.UNDO_FAILED, index=0),)]
        case _:
            return [(escalated,)]


_WORKS: dict[Work, Callable[[Incident], list[Append]]] = {
    Work.INVESTIGATE: _investigations,
    Work.PLAN: _plans,
    Work.ASK: _questions,
    Work.AWAIT: _answers,
    Work.EXECUTE: _executions,
    Work.REFINE: _refinements,
}
