"""From what an action answered, or raised, to the journal's word for it."""

from midwatch.domain import events as ev
from midwatch.domain.actions import ACTIONS
from midwatch.domain.errors import ClaimLost, Conflict, NotFound, Permanent, Refused
from midwatch.domain.execution import execution_of, told
from midwatch.domain.incidents import Incident
from midwatch.domain.reasons import Reason
from midwatch.domain.refs import ObjectRef
from midwatch.domain.runs import Phase, touched
from midwatch.services.effects import Effect, LiveObjects, Outcome

_NAMED = 5
"""How many objects that are still in trouble are named."""


def taken_effect(index: int, outcome: Outcome) -> ev.StepActed:
    """The step took effect: now, or before."""
    again = outcome.effect is Effect.ALREADY_APPLIED
    return ev.StepActed(
        reason=Reason.FOUND_APPLIED if again else Reason.APPLIED,
        index=index,
        detail="" if again else touched(outcome.after),
        generation=outcome.generation,
    )


async def success(incident: Incident, live: LiveObjects) -> ev.Resolved | ev.Escalated:
    """Every step that had to holds: resolved, unless more of the same is wrong, or it was contained and not mended.

    Raises ``Transient``.
    """
    steps = incident.plan.steps if incident.plan else ()
    if incident.active and any(ACTIONS[step.action].contains for step in steps):
        said = (
            f"{told(incident)}. That keeps it from spreading and does not end it: {incident.owner} still needs mending."
        )
        return ev.Escalated(reason=Reason.STILL_FIRING, detail=said)
    left = await _still_wrong(incident, live)
    if not left:
        return ev.Resolved(reason=Reason.ALL_STEPS_VERIFIED, detail=told(incident))
    names = ", ".join(str(ref) for ref in left[:_NAMED]) + (" and more" if len(left) > _NAMED else "")
    return ev.Escalated(reason=Reason.STILL_FIRING, detail=f"{told(incident)}. Still in trouble: {names}")


async def _still_wrong(incident: Incident, live: LiveObjects) -> tuple[ObjectRef, ...]:
    """What fires beside the objects that the plan deleted, is of their kind, and is still there and not well.

    A plan that deletes one pod or job mends no other. What changes a workload mends all of its pods; their signals
    clear a little later. What may not be looked at counts as not well.
    """
    steps = incident.plan.steps if incident.plan else ()
    if not all(ACTIONS[step.action].by_uid for step in steps):
        return ()
    kinds = {step.target.ref.kind for step in steps}
    done = {record.index for record in execution_of(incident).steps if record.phase is Phase.VERIFIED}
    mended = {step.target.ref.path for number, step in enumerate(steps) if number in done}
    others = {
        member.subject.path: member.subject
        for member in incident.active
        if member.subject.kind in kinds and member.subject.path not in mended
    }
    return tuple([ref for _, ref in sorted(others.items()) if not await _well(ref, live)])


async def _well(ref: ObjectRef, live: LiveObjects) -> bool:
    try:
        seen = await live.observe(ref)
    except Refused:
        return False
    return seen is None or seen.deleting or (seen.ref.kind == "Pod" and seen.ready > 0) or seen.state == "Complete"


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
