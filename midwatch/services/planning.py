"""Planning: from a report to a plan that is resolved, rehearsed and judged by policy, or to a person."""

from collections.abc import Sequence

import msgspec

from midwatch.domain import events as ev
from midwatch.domain.approvals import ApprovalOutcome
from midwatch.domain.errors import Conflict, NotFound, Refused
from midwatch.domain.incidents import Incident, State, replannable
from midwatch.domain.playbooks import Plan, Verdict, VerdictKind, plan_digest
from midwatch.domain.policy import decide
from midwatch.domain.reasons import Reason
from midwatch.domain.shadows import Shadow
from midwatch.services.brakes import Brakes, PolicySource
from midwatch.services.checking import Checking
from midwatch.services.drafting import Catalogue, Drafting
from midwatch.services.effects import LiveObjects, Rehearsal
from midwatch.services.ports import Claim, Journal
from midwatch.services.runtime import Clock
from midwatch.services.shadowing import Shadowing

_TRIES = 20


class Planning:
    """Makes one plan for one incident. Everything that stops it is journalled and handed to a person."""

    def __init__(
        self,
        journal: Journal,
        catalogue: Catalogue,
        policy: PolicySource,
        live: LiveObjects,
        rehearsal: Rehearsal,
        clock: Clock,
        *,
        by: str,
        brakes: Brakes,
        checking: Checking | None = None,
        shadowing: Shadowing,
    ) -> None:
        self._shadowing = shadowing
        self._drafting = Drafting(catalogue, live, rehearsal, clock, checking=checking)
        self._journal, self._brakes, self._policy = journal, brakes, policy
        self._live, self._clock, self._by = live, clock, by

    async def propose(self, claim: Claim) -> Incident:
        """Plan for the report that stands. Raises ``Transient`` (try later) and ``ClaimLost`` (stop)."""
        incident = await self._journal.read(claim.incident)
        for _ in range(_TRIES):
            if not plannable(incident):
                return incident
            events = await self._events(incident)
            if not events:
                return incident
            try:
                return await self._journal.append(incident, events, at=self._clock.now(), by=self._by, claim=claim)
            except Conflict as error:
                if type(error) is not Conflict:
                    raise
                incident = await self._journal.read(incident.id)  # a signal or a better report came: look again
        raise Conflict(f"{incident.id}: the incident changes faster than it can be planned for")

    async def preview(self, incident: Incident) -> tuple[Plan, Verdict]:
        """The plan as it would be proposed now, and what policy says of it; nothing is journalled or kept.

        Raises ``Refused`` with the reason where there is none.
        """
        plan = await self._drafting.draft(incident)
        return plan, await self._judged(incident, plan)

    async def _events(self, incident: Incident) -> Sequence[ev.AnyEvent]:
        try:
            plan = await self._drafting.draft(incident)
        except Refused as error:
            return _missing(incident, Reason(error.reason), error.message)
        except NotFound as error:
            return _missing(incident, Reason.TARGET_GONE, error.message)
        digest = plan_digest(plan)
        asking = incident.approval is not None and incident.approval.outcome is None
        if asking and digest == incident.digest:  # the card that people look at says just this
            known = incident.planned_report == incident.report
            return () if known else (ev.PlanKept(reason=Reason.PLAN_UNCHANGED),)
        verdict = await self._judged(incident, plan)
        if verdict.rule == Reason.SHADOW:
            await self._keep_shadow(incident, plan)
        proposed: ev.AnyEvent = ev.PlanProposed(
            reason=Reason.PLAN_SUPERSEDED if incident.plan else Reason.PLAYBOOK_COMPILED,
            plan=plan,
            digest=digest,
            verdict=verdict,
        )
        if verdict.kind is VerdictKind.REFUSE:
            if incident.state is State.ESCALATED:
                return _missing(incident, Reason(verdict.rule), verdict.sentence)
            return (*_withdrawn(incident), proposed, ev.Escalated(reason=Reason(verdict.rule), detail=verdict.sentence))
        return (*_withdrawn(incident), proposed)

    async def _judged(self, incident: Incident, plan: Plan) -> Verdict:
        context = await self._brakes.context(incident)
        context = msgspec.structs.replace(context, shadow_good=await self._shadowing.streak(plan))
        return decide(plan, self._policy.current(), context, self._clock.now())

    async def _keep_shadow(self, incident: Incident, plan: Plan) -> None:
        """What would be done, and how the target stands now, to be scored when the incident is over."""
        before = await self._live.observe(plan.steps[0].target.ref)
        if before is not None:
            made = Shadow(
                incident=incident.id,
                playbook=plan.playbook,
                at=self._clock.now(),
                plan=plan,
                before=before,
                cluster=incident.cluster,
            )
            await self._shadowing.keep(made)


def plannable(incident: Incident) -> bool:
    """Whether a plan may still be made or replaced: never one that is approved, acting or over."""
    if incident.report is None or incident.execution is not None:
        return False
    if incident.state is State.ESCALATED:
        return replannable(incident)
    if incident.state.final:
        return False
    return incident.approval is None or incident.approval.outcome in (None, ApprovalOutcome.VOID)


def _missing(incident: Incident, reason: Reason, detail: str) -> Sequence[ev.AnyEvent]:
    missing = ev.PlanMissing(reason=reason, detail=detail)
    if incident.state is State.ESCALATED:
        return (missing,)  # a person has it already, and was told why
    return (missing, ev.Escalated(reason=reason, detail=detail))


def _withdrawn(incident: Incident) -> Sequence[ev.AnyEvent]:
    """The end of a question about a plan that a better one replaces."""
    request = incident.approval
    if request is None or request.outcome is not None:
        return ()
    said = "A better diagnosis led to another plan."
    outcome = ApprovalOutcome.VOID
    return (ev.ApprovalClosed(reason=Reason.PLAN_SUPERSEDED, approval=request.id, outcome=outcome, comment=said),)
