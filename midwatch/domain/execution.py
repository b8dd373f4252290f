"""What the executor does next: a pure look at the journal's word about each step."""

from enum import StrEnum

import msgspec

from midwatch.domain.errors import Invalid
from midwatch.domain.incidents import Execution, Incident, Phase, StepRecord
from midwatch.domain.playbooks import Plan
from midwatch.domain.reasons import Reason


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
    failed = next((record for record in execution.steps if record.failure is not None), None)
    if failed is not None:
        return _backwards(plan, execution, failed, fresh=fresh)
    for index in range(len(plan.steps)):
        record = execution.step(index)
        if record is None:
            return Move(Step.PRECHECK, index, Reason.PRECHECK_PASSED)
        if record.phase is Phase.STARTED:
            return Move(Step.ACT if fresh else Step.OBSERVE, index)
        if record.phase is Phase.ACTED:
            return Move(Step.VERIFY, index)
    return Move(Step.SUCCEED, len(plan.steps) - 1, Reason.ALL_STEPS_VERIFIED)


def _backwards(plan: Plan, execution: Execution, failed: StepRecord, *, fresh: bool) -> Move:
    """After a failure: what was done is undone, last first; then people are told."""
    for record in reversed(execution.steps):
        if record.phase is Phase.UNDOING:
            return Move(Step.RESTORE if fresh else Step.OBSERVE_UNDO, record.index)
        if record.phase is Phase.UNDO_FAILED:
            return Move(Step.ESCALATE, record.index, Reason.UNDO_FAILED)
        if needs_undo(plan, record):
            return Move(Step.UNDO, record.index, failed.failure or Reason.VERIFY_FAILED)
    undone = any(record.phase is Phase.UNDONE for record in execution.steps)
    return Move(Step.ESCALATE, failed.index, Reason.UNDONE if undone else failed.failure or Reason.ACTION_FAILED)


def needs_undo(plan: Plan, record: StepRecord) -> bool:
    """Whether the step changed something that is still changed and can be put back."""
    still = record.phase in (Phase.ACTED, Phase.VERIFIED, Phase.FAILED)
    return record.acted and still and bool(plan.steps[record.index].undo)


def step_key(execution: Execution, index: int) -> str:
    """The idempotency key of a step: the same at every try of this execution."""
    return f"{execution.id}:{index}"


def undo_key(execution: Execution, index: int) -> str:
    """The idempotency key of taking the step back."""
    return f"{execution.id}:{index}:undo"
