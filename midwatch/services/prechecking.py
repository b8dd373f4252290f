"""Prechecking: what stands against a step, asked right before it is done and before it is sent again."""

from datetime import datetime

import msgspec

from midwatch.domain.approvals import HOLDS
from midwatch.domain.checks import Scene, Standing
from midwatch.domain.compiling import evicts_of
from midwatch.domain.errors import Refused
from midwatch.domain.execution import execution_of, expected_generation, record_of, step_of
from midwatch.domain.incidents import Incident
from midwatch.domain.observed import Observed
from midwatch.domain.playbooks import Check, Plan, PlanStep
from midwatch.domain.reasons import Reason
from midwatch.domain.recovery import needless, recovered
from midwatch.services.brakes import Brakes
from midwatch.services.checking import Checking
from midwatch.services.effects import LiveObjects
from midwatch.services.runtime import Clock


class Prechecking:
    """Looks at the policy, at people's word, and at the target as it is now."""

    def __init__(self, live: LiveObjects, checking: Checking, brakes: Brakes, clock: Clock) -> None:
        self._live, self._checking, self._brakes, self._clock = live, checking, brakes, clock

    async def stopped(self, incident: Incident, index: int, seen: Observed | None = None) -> tuple[Reason, str] | None:
        """The rule that forbids any change now. ``seen``: the target as it is, where it was just looked at."""
        plan = incident.plan
        if plan is not None and seen is not None and step_of(incident, index).action == "drain":
            plan = _as_lodged(plan, seen)
        return await self._brakes.stopped(plan)

    async def objection(self, incident: Incident, index: int, seen: Observed | None) -> tuple[Reason, str] | None:
        """Why the step may not be done to its target, which was just seen so."""
        if (stop := await self.stopped(incident, index, seen)) is not None:
            return stop
        step, now = step_of(incident, index), self._clock.now()
        if not step.required and recovered(incident, step.target.ref):  # the required ones were looked at by the start
            return Reason.TARGET_RECOVERED, f"{step.target.ref} has recovered"
        target = msgspec.structs.replace(step.target, generation=expected_generation(incident, index))
        checks = (Check("unchanged"), *step.precheck)
        results = await self._checking.results(checks, Scene(target, seen, len(incident.active)), now)
        for check, result in zip(checks, results, strict=True):
            if result.standing is not Standing.HOLDING:
                reason = Reason.TARGET_CHANGED if check.name == "unchanged" else Reason.PRECHECK_FAILED
                return reason, result.sentence
        return None

    async def second_thoughts(self, incident: Incident, index: int, seen: Observed | None) -> tuple[Reason, str] | None:
        """Why a step that was begun and never sent is not sent any more: much may have happened since."""
        begun = record_of(incident, index).moved_at
        if incident.cancelled_by:
            return Reason.CANCELLED, f"Cancelled by {incident.cancelled_by} before it was sent."
        if not any(record.acted for record in execution_of(incident).steps):  # what we did may have ended the trouble
            if not incident.active:
                return Reason.SIGNALS_CLEARED, "Nothing fires any more: it was not sent."
            if incident.plan is not None and (well := needless(incident, incident.plan)):
                return Reason.TARGET_RECOVERED, well
        if _long_ago(begun, self._clock.now()):
            return Reason.APPROVAL_EXPIRED, f"Begun at {begun:%Y-%m-%d %H:%M} UTC, over an hour ago, and never sent."
        return await self.objection(incident, index, seen)

    async def done_by(self, step: PlanStep, key: str) -> Observed | None:
        """The target, where it bears this key although the act was answered with an error."""
        try:
            seen = await self._live.observe(step.target.ref)
        except Refused:
            return None  # what may not even be looked at was not changed by us either
        ours = seen is not None and seen.ref.uid == step.target.ref.uid and seen.last_action == key
        return seen if ours else None


def _as_lodged(plan: Plan, node: Observed) -> Plan:
    """The plan with the pods that are on the node now: some may have come after it was made."""
    return msgspec.structs.replace(plan, blast=msgspec.structs.replace(plan.blast, evicts=evicts_of(node)))


def _long_ago(begun: datetime | None, now: datetime) -> bool:
    return begun is not None and now - begun > HOLDS
