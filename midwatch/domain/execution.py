"""What the executor does next: a pure look at the journal's word about each step."""

from enum import StrEnum

import msgspec

from midwatch.domain import events as ev
from midwatch.domain.approvals import ApprovalOutcome
from midwatch.domain.errors import Invalid
from midwatch.domain.incidents import Incident
from midwatch.domain.playbooks import OnFailure, Plan, PlanStep, Verdict, VerdictKind, plan_digest
from midwatch.domain.reasons import Reason
from midwatch.domain.recovery import needless
from midwatch.domain.runs import Execution, Phase, StepRecord

STOPPED = (Reason.FROZEN, Reason.CANCELLED)
"""A person stopped it: what was verified before is not taken back, that would be one more change."""


class Step(StrEnum):
    """The moves there are."""

    START = "start"
    PRECHECK = "precheck"
    ACT = "act"
    OBSERVE = "observe"
    VERIFY = "verify"
    UNDO = "undo"
    RESTORE = "restore"
    OBSERVE_UNDO = "observe-undo"
    SUCCEED = "succeed"
    ESCALATE = "escalate"


class Move(msgspec.Struct, frozen=True):
    """One move, on which step of the plan, and why."""

    step: Step
    index: int = 0
    reason: Reason = Reason.RESUMED


def next_move(incident: Incident, *, fresh: bool = False) -> Move:
    """The move that follows from the journal.

    ``fresh``: this very run wrote the last entry, so a step that is marked as started has not been sent yet. Without
    it (a restart) the world is observed first.
    """
    plan, execution = incident.plan, incident.execution
    if plan is None:
        raise Invalid(f"{incident.id}: nothing to execute without a plan")
    if execution is None:
        return Move(Step.START, 0, Reason.PLAN_APPROVED if incident.approval else Reason.PLAN_ALLOWED)
    failed = next((record for record in execution.steps if _ends_plan(plan, record)), None)
    if failed is not None:
        return _backwards(plan, execution, failed, fresh=fresh)
    for index in range(len(plan.steps)):
        record = execution.step(index)
        if record is None and incident.cancelled_by:
            return Move(Step.ESCALATE, index, Reason.CANCELLED)
        if record is None:
            return Move(Step.PRECHECK, index, Reason.PRECHECK_PASSED)
        if record.failure is not None:
            if (move := _taking_back(plan, record, fresh=fresh)) is not None:
                return move
        elif record.phase is Phase.STARTED:
            return Move(Step.ACT if fresh else Step.OBSERVE, index)
        elif record.phase is Phase.ACTED:
            return Move(Step.VERIFY, index)
    return Move(Step.SUCCEED, len(plan.steps) - 1, Reason.ALL_STEPS_VERIFIED)


def _ends_plan(plan: Plan, record: StepRecord) -> bool:
    """Whether the plan cannot go on behind this step: one that is not required may fail, if it can be taken back."""
    if record.failure is None:
        return False
    stopped = record.failure in STOPPED or record.phase is Phase.UNDO_FAILED
    return stopped or plan.steps[record.index].required


def _taking_back(plan: Plan, record: StepRecord, *, fresh: bool) -> Move | None:
    if record.phase is Phase.UNDOING:
        return Move(Step.RESTORE if fresh else Step.OBSERVE_UNDO, record.index)
    if needs_undo(plan, record):
        return Move(Step.UNDO, record.index, record.failure or Reason.VERIFY_FAILED)
    return None


def _backwards(plan: Plan, execution: Execution, failed: StepRecord, *, fresh: bool) -> Move:
    """After a failure: what was done is undone, last first; then people are told."""
    keep = plan.steps[failed.index].on_failure is OnFailure.KEEP or failed.failure in STOPPED
    for record in reversed(execution.steps):
        if record.phase is Phase.UNDOING:
            return Move(Step.RESTORE if fresh else Step.OBSERVE_UNDO, record.index)
        if record.phase is Phase.UNDO_FAILED:
            return Move(Step.ESCALATE, record.index, Reason.UNDO_FAILED)
        if needs_undo(plan, record) and not keep:
            return Move(Step.UNDO, record.index, failed.failure or Reason.VERIFY_FAILED)
    undone = any(record.phase is Phase.UNDONE for record in execution.steps)
    whole = undone and not keep
    return Move(Step.ESCALATE, failed.index, Reason.UNDONE if whole else failed.failure or Reason.ACTION_FAILED)


def needs_undo(plan: Plan, record: StepRecord) -> bool:
    """Whether the step changed something that is still changed and can be put back."""
    still = record.phase in (Phase.ACTED, Phase.VERIFIED, Phase.FAILED)
    return record.acted and still and bool(plan.steps[record.index].undo)


def execution_of(incident: Incident) -> Execution:
    """Its execution. Raises ``Invalid`` where nothing is being executed."""
    if incident.execution is None:
        raise Invalid(f"{incident.id}: nothing is being executed")
    return incident.execution


def step_of(incident: Incident, index: int) -> PlanStep:
    """A step of its plan. Raises ``Invalid`` where there is no plan."""
    if incident.plan is None:
        raise Invalid(f"{incident.id}: no plan")
    return incident.plan.steps[index]


def record_of(incident: Incident, index: int) -> StepRecord:
    """What became of a step so far. Raises ``Invalid`` where it has not begun."""
    record = execution_of(incident).step(index)
    if record is None:
        raise Invalid(f"{incident.id}: step {index} has not begun")
    return record


def step_key(execution: Execution, index: int) -> str:
    """The idempotency key of a step: the same at every try of this execution."""
    return f"{execution.id}:{index}"


def undo_key(execution: Execution, index: int) -> str:
    """The idempotency key of taking the step back."""
    return f"{execution.id}:{index}:undo"


def resources(incident: Incident) -> tuple[str, ...]:
    """What the plan changes, by name, in the order in which it is to be locked."""
    steps = incident.plan.steps if incident.plan else ()
    return tuple(sorted({f"{incident.cluster}|{step.target.ref.path}" for step in steps}))


def expected_generation(incident: Incident, index: int) -> int:
    """The generation a step's target must have: the plan's, or the one our own earlier step left behind."""
    if incident.plan is None:
        raise Invalid(f"{incident.id}: no plan")
    steps = incident.plan.steps
    records = incident.execution.steps if incident.execution else ()
    mine = [
        record.acted_generation
        for record in records
        if record.index < index
        and record.acted_generation
        and steps[record.index].target.ref == steps[index].target.ref
    ]
    return mine[-1] if mine else steps[index].target.generation


def undo_generation(incident: Incident, index: int) -> int:
    """The generation a step's target must have to be put back: the newest one that this execution itself wrote there.

    Taking back a later step of the same target raised it once more.
    """
    plan, execution = incident.plan, incident.execution
    if plan is None or execution is None:
        raise Invalid(f"{incident.id}: nothing was executed")
    ref = plan.steps[index].target.ref
    return max(
        (record.acted_generation for record in execution.steps if plan.steps[record.index].target.ref == ref), default=0
    )


def told(incident: Incident) -> str:
    """What was tried and what came of it, for the one who takes over or for the record."""
    plan, execution = incident.plan, incident.execution
    if plan is None or execution is None:
        return ""
    lines = []
    for record in execution.steps:
        detail = f": {record.detail}" if record.detail else ""
        failed = f" (it failed: {record.why})" if record.why and record.why != record.detail else ""
        lines.append(f"{plan.steps[record.index].summary}: {record.phase.replace('_', ' ')}{detail}{failed}")
    if not lines and incident.cancelled_by:
        return f"Cancelled by {incident.cancelled_by} before anything was done."
    return ". ".join(lines)


def voided(incident: Incident, reason: Reason, sentence: str) -> list[ev.AnyEvent]:
    """What ends a plan that must not be carried out any more. Cleared signals and a new plan need nobody."""
    events: list[ev.AnyEvent] = []
    if incident.approval is not None:
        events.append(
            ev.ApprovalClosed(
                reason=reason, approval=incident.approval.id, outcome=ApprovalOutcome.VOID, comment=sentence
            )
        )
    if reason not in (Reason.SIGNALS_CLEARED, Reason.TARGET_RECOVERED):
        events.append(ev.Escalated(reason=reason, detail=sentence))
    return events


def set_aside(incident: Incident, plan: Plan) -> list[ev.AnyEvent]:
    """What ends a plan that nothing calls for any more, empty while something does. Nobody is told.

    A plan that policy let run alone is kept in view, not carried out; it is made anew while anything fires.
    """
    if not incident.active:
        reason, sentence = Reason.SIGNALS_CLEARED, "Nothing fires any more: there is nothing to do."
    elif sentence := needless(incident, plan):
        reason = Reason.TARGET_RECOVERED
    else:
        return []
    verdict = Verdict(kind=VerdictKind.REFUSE, rule=reason, sentence=sentence)
    alone = ev.PlanProposed(reason=reason, plan=plan, digest=plan_digest(plan), verdict=verdict)
    return voided(incident, reason, sentence) or [alone]
