"""Execution: precheck, act, verify, keep or undo; every move journalled, nothing done twice."""

import logging
from datetime import timedelta

from midwatch.domain import events as ev
from midwatch.domain.actions import ACTIONS, RESTORE, WORKLOADS
from midwatch.domain.approvals import outdated
from midwatch.domain.checks import Patience, Standing
from midwatch.domain.errors import ClaimLost, Conflict, Invalid, NotFound, Permanent, Refused, Transient
from midwatch.domain.execution import (
    STOPPED,
    Move,
    Step,
    execution_of,
    expected_generation,
    next_move,
    record_of,
    resources,
    set_aside,
    step_key,
    step_of,
    told,
    undo_generation,
    undo_key,
    voided,
)
from midwatch.domain.ids import ExecutionId
from midwatch.domain.incidents import Incident, Work, decide
from midwatch.domain.observed import Observed
from midwatch.domain.playbooks import plan_digest
from midwatch.domain.reasons import Reason
from midwatch.domain.regressions import Baseline, baseline_of
from midwatch.services.approvals import changed_since
from midwatch.services.brakes import Brakes, PolicySource
from midwatch.services.checking import Checking
from midwatch.services.drafting import Catalogue
from midwatch.services.effects import ActionCall, ActionRunner, Effect, LiveObjects
from midwatch.services.freeing import Freeing
from midwatch.services.holding import Blind, HeldClaim, Later, Pace
from midwatch.services.leases import Lease, Leases, LeaseState
from midwatch.services.outcomes import pass_on_lost, success, taken_effect, why
from midwatch.services.ports import Claim, Journal, WorkQueue
from midwatch.services.prechecking import Prechecking
from midwatch.services.runtime import Clock, Ids
from midwatch.services.verifying import Verifying

log = logging.getLogger(__name__)

_DOUBTS = 4
"""How often one run tries an act whose answer was lost, before it gives the claim back for a while."""
_BUSY_S = 2.0
"""How soon to ask again for an object that another incident works on."""
_GIVE_UP = timedelta(minutes=30)
"""How long a cluster may be out of reach in the middle of an execution, before a person is told."""


class Execution:
    """Carries out approved plans, one claim at a time."""

    def __init__(
        self,
        journal: Journal,
        work: WorkQueue,
        leases: Leases,
        runner: ActionRunner,
        live: LiveObjects,
        policy: PolicySource,
        clock: Clock,
        ids: Ids,
        *,
        by: str,
        brakes: Brakes,
        playbooks: Catalogue,
        checking: Checking | None = None,
        pace: Pace | None = None,
    ) -> None:
        self._journal, self._work, self._leases = journal, work, leases
        self._freeing = Freeing(journal, leases, policy, clock)
        self._runner, self._live, self._policy = runner, live, policy
        self._clock, self._ids, self._by, self._pace = clock, ids, by, pace or Pace()
        self._brakes, self._playbooks, self._checking = brakes, playbooks, checking or Checking()
        self._prechecking = Prechecking(live, self._checking, brakes, clock)

    async def run(self, claim: Claim) -> Incident:
        """Move on until the plan is verified, undone or in a person's hands, or must wait.

        Raises ``ClaimLost`` when another process took over (stop, write nothing) and ``Transient`` when the store is
        away. Whatever else goes wrong is journalled.
        """
        held = HeldClaim(self._work, claim, self._clock, timedelta(seconds=self._pace.claim_ttl_s))
        incident = await self._journal.read(claim.incident)
        fresh = False
        doubts = 0
        while any(item.work is Work.EXECUTE for item in decide(incident)):
            move = next_move(incident, fresh=fresh)
            seq = incident.seq
            try:
                await self._hold_resources(incident, held)
                incident, fresh = await self._make(move, incident, held)
                doubts = doubts if incident.seq == seq else 0  # looking alone is no progress
            except Later as later:
                if isinstance(later, Blind) and self._out_of_reach_too_long(incident, move):
                    incident = await self._hand_over(incident, held, move, later.why)
                    continue
                await held.give_back(later.seconds, later.why)
                return incident
            except Transient as error:
                fresh, doubts = False, doubts + 1
                log.warning("in doubt, observing first", extra={"incident": incident.id, "move": move.step})
                if doubts < _DOUBTS:
                    await self._clock.sleep(min(error.retry_in, self._pace.poll_s) * doubts)
                elif self._out_of_reach_too_long(incident, move):
                    incident = await self._hand_over(incident, held, move, error.message)
                else:
                    await held.give_back(min(30.0, error.retry_in * held.claim.attempt), error.message)
                    return incident
        await self._freeing.free(incident)
        return incident

    async def _make(self, move: Move, incident: Incident, held: HeldClaim) -> tuple[Incident, bool]:
        """One move; the incident after it, and whether a step was just marked as started."""
        match move.step:
            case Step.START:
                return await self._start(incident, held), False
            case Step.PRECHECK:
                return await self._precheck(incident, move.index, held), True
            case Step.ACT:
                return await self._act(incident, move.index, held), False
            case Step.OBSERVE:
                return await self._observe(incident, move.index, held)
            case Step.VERIFY:
                return await self._verify(incident, move.index, held), False
            case Step.UNDO:
                key = undo_key(execution_of(incident), move.index)
                started = ev.UndoStarted(reason=move.reason, index=move.index, key=key)
                return await self._write(incident, held, started), True
            case Step.RESTORE:
                return await self._restore(incident, move.index, held), False
            case Step.OBSERVE_UNDO:
                return await self._observe_undo(incident, move.index, held)
            case Step.SUCCEED:
                return await self._end(incident, held, await held.during(success(incident, self._live))), False
            case Step.ESCALATE:
                return await self._end(incident, held, ev.Escalated(reason=move.reason, detail=told(incident))), False

    # before anything is done

    async def _start(self, incident: Incident, held: HeldClaim) -> Incident:
        """Everything that the approval rested on is looked at once more; then the execution begins."""
        events = await self._objections(incident)
        if not events:
            execution = ExecutionId(self._ids.new())
            digest = incident.digest
            if digest is None:
                raise Invalid(f"{incident.id}: a plan without a digest")
            reason = Reason.PLAN_APPROVED if incident.approval else Reason.PLAN_ALLOWED
            events = [ev.ExecutionStarted(reason=reason, execution=execution, digest=digest)]
        began = any(isinstance(event, ev.ExecutionStarted) for event in events)
        try:
            return await self._journal.append(incident, events, at=self._clock.now(), by=self._by, claim=held.claim)
        except ClaimLost:
            raise  # whoever has the claim now counts under the same key
        except Conflict:
            if began:
                await self._brakes.withdrawn(incident)
            return await self._journal.read(incident.id)  # a signal came or went: look at everything again

    async def _objections(self, incident: Incident) -> list[ev.AnyEvent]:
        plan, verdict = incident.plan, incident.verdict
        if plan is None or verdict is None:
            raise Invalid(f"{incident.id}: nothing to execute without a plan and a verdict")
        asked = incident.approval.digest if incident.approval else incident.digest
        if not plan_digest(plan) == incident.digest == asked:
            return voided(incident, Reason.PLAN_SUPERSEDED, "The plan is not the one that was approved.")
        if incident.approval and (late := outdated(incident.approval, self._clock.now())):
            return voided(incident, Reason.APPROVAL_EXPIRED, late)
        if aside := set_aside(incident, plan):
            return aside
        if changed := await changed_since(plan, self._live, self._playbooks):
            return voided(incident, changed[0], f"Not carried out: {changed[1]}.")
        if (no := await self._brakes.admit(incident)) is not None:
            return voided(incident, Reason(no.rule), no.sentence)
        return []

    async def _precheck(self, incident: Incident, index: int, held: HeldClaim) -> Incident:
        step, execution = step_of(incident, index), execution_of(incident)
        key = step_key(execution, index)
        generation = expected_generation(incident, index)
        call = ActionCall.of(step, key, generation)
        if (stop := await self._prechecking.stopped(incident, index)) is not None:
            return await self._fail(incident, held, index, *stop)
        try:
            seen = await held.during(self._live.observe(step.target.ref))
            if (objection := await held.during(self._prechecking.objection(incident, index, seen))) is not None:
                return await self._fail(incident, held, index, *objection)
            rehearsed = await held.during(self._runner.rehearse(call))
        except (Refused, NotFound, Conflict, Permanent) as error:
            pass_on_lost(error)
            return await self._fail(incident, held, index, why(error), str(error))
        guarded = seen is not None and seen.ref.kind in WORKLOADS
        started = ev.StepStarted(
            reason=Reason.PRECHECK_PASSED,
            index=index,
            key=key,
            before=rehearsed.before,
            generation=generation,
            baseline=baseline_of(seen) if seen is not None and guarded else Baseline(),
        )
        return await self._write(incident, held, started)

    # the act

    async def _act(self, incident: Incident, index: int, held: HeldClaim) -> Incident:
        step, record = step_of(incident, index), record_of(incident, index)
        if (stop := await self._prechecking.stopped(incident, index)) is not None:
            return await self._fail(incident, held, index, *stop)
        call = ActionCall.of(step, record.key, record.generation)
        try:
            outcome = await held.during(self._runner.act(call))
        except (Refused, NotFound, Conflict, Permanent) as error:
            pass_on_lost(error)
            acted = await held.during(self._prechecking.done_by(step, record.key))
            return await self._fail(incident, held, index, why(error), str(error), acted=acted)
        return await self._write(incident, held, taken_effect(index, outcome))

    async def _observe(self, incident: Incident, index: int, held: HeldClaim) -> tuple[Incident, bool]:
        """A step was started and nobody knows whether it was sent: look before anything is sent again."""
        step, record = step_of(incident, index), record_of(incident, index)
        try:
            seen = await held.during(self._live.observe(step.target.ref))
        except Refused as error:
            return await self._fail(incident, held, index, Reason.OUTCOME_UNKNOWN, error.message), False
        gone = seen is None or seen.ref.uid != step.target.ref.uid
        if ACTIONS[step.action].by_uid:
            if seen is None or gone or seen.deleting:
                found = ev.StepActed(reason=Reason.FOUND_APPLIED, index=index, detail="found done after a restart")
                return await self._write(incident, held, found), False
            return await self._send(incident, index, seen, held)
        if seen is None or gone:
            return await self._fail(incident, held, index, Reason.TARGET_GONE, f"{step.target.ref} is gone"), False
        if seen.last_action == record.key:
            found = ev.StepActed(
                reason=Reason.FOUND_APPLIED,
                index=index,
                detail="found done after a restart",
                generation=min(seen.generation, record.generation + 1),
            )
            return await self._write(incident, held, found), False
        if seen.generation != record.generation:
            said = f"{step.target.ref} was changed by somebody else meanwhile (generation {seen.generation})"
            return await self._fail(incident, held, index, Reason.OUTCOME_UNKNOWN, said), False
        return await self._send(incident, index, seen, held)

    async def _send(self, incident: Incident, index: int, seen: Observed, held: HeldClaim) -> tuple[Incident, bool]:
        """It was not sent: it is now, unless something has come up since it was begun."""
        objection = await held.during(self._prechecking.second_thoughts(incident, index, seen))
        if objection is None:
            return incident, True
        reason, said = objection
        if reason is Reason.SIGNALS_CLEARED:
            failed = ev.StepFailed(reason=reason, index=index, detail=said)
            return await self._end(incident, held, ev.Resolved(reason=reason, detail=said), failed), False
        return await self._fail(incident, held, index, reason, said), False

    async def _verify(self, incident: Incident, index: int, held: HeldClaim) -> Incident:
        step, record = step_of(incident, index), record_of(incident, index)
        patience, verifying = Patience(), Verifying(self._journal, self._live, self._checking, self._clock)
        while True:
            await self._hold_resources(incident, held)
            incident, look = await verifying.look(incident, step, record, patience, held)
            patience = look.patience
            if look.standing is Standing.HOLDING:
                passed = ev.StepVerified(reason=Reason.VERIFY_PASSED, index=index, detail=look.sentence)
                return await self._write(incident, held, passed)
            if look.standing is Standing.BROKEN:
                return await self._fail(incident, held, index, Reason.VERIFY_FAILED, look.sentence)
            if ACTIONS[step.action].resumes and not incident.cancelled_by:
                await self._go_on(incident, index, held)
            await self._clock.sleep(self._pace.poll_s)

    async def _go_on(self, incident: Incident, index: int, held: HeldClaim) -> None:
        """What is left of the act is done under its key. Whether that helps, the next look tells."""
        step, record = step_of(incident, index), record_of(incident, index)
        call = ActionCall.of(step, record.key, record.generation)
        try:
            seen = await held.during(self._live.observe(step.target.ref))
            if await self._prechecking.stopped(incident, index, seen) is None:
                await held.during(self._runner.act(call))
        except (Transient, Refused, NotFound, Conflict, Permanent) as error:
            pass_on_lost(error)
            log.info("could not go on", extra={"key": record.key, "error": str(error)})

    # taking it back

    async def _restore(self, incident: Incident, index: int, held: HeldClaim) -> Incident:
        step, record = step_of(incident, index), record_of(incident, index)
        newest = undo_generation(incident, index)
        call = ActionCall(
            action=RESTORE,
            ref=step.target.ref,
            key=record.undo_key,
            generation=None if ACTIONS[step.action].followed else newest or None,
            before=record.before,
        )
        try:
            outcome = await held.during(self._runner.act(call))
        except (Refused, NotFound, Conflict, Permanent) as error:
            pass_on_lost(error)
            failed = ev.UndoFailed(reason=Reason.UNDO_FAILED, index=index, detail=str(error))
            return await self._write(incident, held, failed)
        again = outcome.effect is Effect.ALREADY_APPLIED
        detail = "the fields are back as they were" + (" (found done)" if again else "")
        undone = ev.StepUndone(reason=Reason.UNDONE, index=index, detail=detail, generation=outcome.generation)
        return await self._write(incident, held, undone)

    async def _observe_undo(self, incident: Incident, index: int, held: HeldClaim) -> tuple[Incident, bool]:
        step, record = step_of(incident, index), record_of(incident, index)
        try:
            seen = await held.during(self._live.observe(step.target.ref))
        except Refused as error:
            failed = ev.UndoFailed(reason=Reason.UNDO_FAILED, index=index, detail=error.message)
            return await self._write(incident, held, failed), False
        if seen is not None and seen.ref.uid == step.target.ref.uid and seen.last_action == record.undo_key:
            undone = ev.StepUndone(
                reason=Reason.UNDONE,
                index=index,
                detail="found undone after a restart",
                generation=min(seen.generation, undo_generation(incident, index) + 1),
            )
            return await self._write(incident, held, undone), False
        return incident, True

    # the journal, the leases

    async def _fail(
        self,
        incident: Incident,
        held: HeldClaim,
        index: int,
        reason: Reason,
        detail: str,
        *,
        acted: Observed | None = None,
    ) -> Incident:
        """Journal a failed step. ``acted``: the object that shows the act took effect although it failed."""
        events: list[ev.AnyEvent] = []
        if acted is not None:
            events.append(ev.StepActed(reason=Reason.FOUND_APPLIED, index=index, generation=acted.generation))
        events.append(ev.StepFailed(reason=reason, index=index, detail=detail, acted=acted is not None))
        return await self._write(incident, held, *events)

    async def _write(self, incident: Incident, held: HeldClaim, *events: ev.AnyEvent) -> Incident:
        """Append under the claim. A signal that came first does not change what was done: write after it."""
        await held.keep()
        while True:
            try:
                return await self._journal.append(incident, events, at=self._clock.now(), by=self._by, claim=held.claim)
            except ClaimLost:
                raise
            except Conflict:
                incident = await self._journal.read(incident.id)

    def _out_of_reach_too_long(self, incident: Incident, move: Move) -> bool:
        run = incident.execution
        record = run.step(move.index) if run else None
        began = run.moved_at if run else incident.updated_at
        if move.step is Step.VERIFY and record is not None and record.acted_at is not None:
            began = record.acted_at
        return began is not None and self._clock.now() - began >= _GIVE_UP

    async def _hand_over(self, incident: Incident, held: HeldClaim, move: Move, error: str) -> Incident:
        detail = f"{move.step} of step {move.index + 1} could not be completed: {error}. {told(incident)}"
        return await self._end(incident, held, ev.Escalated(reason=Reason.ATTEMPTS_EXHAUSTED, detail=detail))

    async def _end(
        self, incident: Incident, held: HeldClaim, event: ev.Resolved | ev.Escalated, *before: ev.AnyEvent
    ) -> Incident:
        """The last entry. How it ended is counted first: a crash in between counts it again, to the same effect."""
        well = event.reason in (*STOPPED, Reason.STILL_FIRING)
        await self._brakes.ended(incident, failed=isinstance(event, ev.Escalated) and not well)
        return await self._write(incident, held, *before, event)

    async def _hold_resources(self, incident: Incident, held: HeldClaim) -> None:
        """Every target is this incident's alone while it works on it. Raises ``Later`` where it is not free."""
        await held.keep()
        now, ttl = self._clock.now(), timedelta(seconds=self._pace.lease_ttl_s)
        rest = timedelta(seconds=self._policy.current().cooldown_s)
        for resource in resources(incident):
            lease: Lease = await self._leases.acquire(resource, holder=incident.id, now=now, ttl=ttl, rest=rest)
            if lease.state is not LeaseState.HELD:
                wait = max(0.5, (lease.until - now).total_seconds())
                # Who is at work there may be done long before its lease runs out; a rest lasts its time.
                longest = _BUSY_S if lease.state is LeaseState.BUSY else 30.0
                raise Later(min(wait, longest), f"{resource} is {lease.state} until {lease.until:%H:%M:%S}")
