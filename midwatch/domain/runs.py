"""An execution as its journal tells it: which steps began, took effect, held, failed, or were taken back."""

from datetime import datetime
from enum import StrEnum

import msgspec

from midwatch.domain import events as ev
from midwatch.domain.errors import Invalid
from midwatch.domain.ids import ExecutionId, PlanDigest
from midwatch.domain.reasons import Reason
from midwatch.domain.regressions import Baseline


class Phase(StrEnum):
    """Where a step stands; see :mod:`midwatch.domain.execution` for what follows from it."""

    STARTED = "started"
    ACTED = "acted"
    VERIFIED = "verified"
    FAILED = "failed"
    UNDOING = "undoing"
    UNDONE = "undone"
    UNDO_FAILED = "undo_failed"


class StepRecord(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What became of one step so far. ``acted_at`` starts the clock of its verification, ``why`` is why it failed.

    ``moved_at`` is when the journal last told of it.
    """

    index: int
    phase: Phase
    key: str
    before: str = ""
    generation: int = 0
    acted: bool = False
    acted_at: datetime | None = None
    acted_generation: int = 0
    undo_key: str = ""
    failure: Reason | None = None
    detail: str = ""
    baseline: Baseline | None = None
    why: str = ""
    moved_at: datetime | None = None


class Execution(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A plan being carried out, step by step."""

    id: ExecutionId
    digest: PlanDigest
    started_at: datetime
    steps: tuple[StepRecord, ...] = ()

    def step(self, index: int) -> StepRecord | None:
        return next((step for step in self.steps if step.index == index), None)

    @property
    def moved_at(self) -> datetime:
        """When the journal last told of any step, or of the beginning."""
        return max((step.moved_at for step in self.steps if step.moved_at), default=self.started_at)


def touched(text: str) -> str:
    """The names of the fields in captured state (a JSON object by field), without their values; other text as it is.

    A value may hold secrets: rolling back touches a whole pod template with the environment of its containers.
    """
    if not text.startswith("{"):
        return text
    try:
        fields = msgspec.json.decode(text, type=dict[str, msgspec.Raw])
    except msgspec.DecodeError:
        return ""
    return ", ".join(sorted(fields))


def advance(execution: Execution, event: ev.AnyEvent, at: datetime) -> Execution:
    """Fold one of the executor's events in. Raises ``Invalid`` for a step that has not begun, or another event."""
    match event:
        case ev.StepStarted():
            record = StepRecord(
                index=event.index,
                phase=Phase.STARTED,
                key=event.key,
                before=event.before,
                generation=event.generation,
                baseline=event.baseline,
            )
            return _with(execution, record, at)
        case ev.StepActed():
            return _moved(
                execution,
                event.index,
                at,
                phase=Phase.ACTED,
                acted=True,
                acted_at=at,
                acted_generation=event.generation,
                detail=touched(event.detail),
            )
        case ev.StepVerified():
            return _moved(execution, event.index, at, phase=Phase.VERIFIED, detail=event.detail)
        case ev.StepFailed():
            # A step may fail its precheck before it ever began.
            known = execution.step(event.index) or StepRecord(index=event.index, phase=Phase.FAILED, key="")
            acted = known.acted or event.acted
            failed = msgspec.structs.replace(
                known, phase=Phase.FAILED, failure=event.reason, detail=event.detail, acted=acted, why=event.detail
            )
            return _with(execution, failed, at)
        case ev.UndoStarted():
            return _moved(execution, event.index, at, phase=Phase.UNDOING, undo_key=event.key)
        case ev.StepUndone():
            newest = {"acted_generation": event.generation} if event.generation else {}
            return _moved(execution, event.index, at, phase=Phase.UNDONE, detail=event.detail, **newest)
        case ev.UndoFailed():
            return _moved(execution, event.index, at, phase=Phase.UNDO_FAILED, detail=event.detail)
        case _:
            raise Invalid(f"execution {execution.id}: {type(event).__name__} is no event of an execution")


def _moved(execution: Execution, index: int, at: datetime, **changes: object) -> Execution:
    record = execution.step(index)
    if record is None:
        raise Invalid(f"execution {execution.id} has not started step {index}")
    return _with(execution, msgspec.structs.replace(record, **changes), at)


def _with(execution: Execution, record: StepRecord, at: datetime) -> Execution:
    record = msgspec.structs.replace(record, moved_at=at)
    others = tuple(step for step in execution.steps if step.index != record.index)
    steps = tuple(sorted((*others, record), key=lambda step: step.index))
    return msgspec.structs.replace(execution, steps=steps)
