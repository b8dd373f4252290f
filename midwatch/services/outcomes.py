"""From what an action answered, or raised, to the journal's word for it."""

from midwatch.domain import events as ev
from midwatch.domain.errors import ClaimLost, Conflict, NotFound, Permanent, Refused
from midwatch.domain.reasons import Reason
from midwatch.domain.runs import touched
from midwatch.services.effects import Effect, Outcome


def taken_effect(index: int, outcome: Outcome) -> ev.StepActed:
    """The step took effect: now, or before."""
    again = outcome.effect is Effect.ALREADY_APPLIED
    return ev.StepActed(
        reason=Reason.FOUND_APPLIED if again else Reason.APPLIED,
        index=index,
        detail="" if again else touched(outcome.after),
        generation=outcome.generation,
    )


def why(error: Refused | NotFound | Conflict | Permanent) -> Reason:
    """The reason that an error about an object stands for."""
    match error:
        case Refused():
            return Reason(error.reason)
        case NotFound():
            return Reason.TARGET_GONE
        case Conflict():
            return Reason.TARGET_CHANGED
        case _:
            return Reason.ACTION_FAILED


def pass_on_lost(error: Exception) -> None:
    """A lost claim is a ``Conflict`` too, but not about the object: it goes up."""
    if isinstance(error, ClaimLost):
        raise error
