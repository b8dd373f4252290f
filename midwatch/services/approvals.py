"""Approvals: ask people, store every click first, judge it then, and let nothing stale, late or foreign through."""

import contextlib
import logging
from collections.abc import Sequence
from datetime import datetime, timedelta

import msgspec

from midwatch.domain import events as ev
from midwatch.domain.approvals import (
    ApprovalOutcome,
    ApprovalRequest,
    Choice,
    Click,
    Decision,
    DecisionKind,
    World,
    as_person,
    judge,
)
from midwatch.domain.checks import Standing, unchanged
from midwatch.domain.errors import Conflict, MidwatchError, NotFound, Refused, Transient
from midwatch.domain.ids import ApprovalId
from midwatch.domain.incidents import Incident
from midwatch.domain.playbooks import Plan, VerdictKind
from midwatch.domain.reasons import Reason
from midwatch.domain.recovery import needless
from midwatch.domain.users import Person, Role
from midwatch.services.drafting import Catalogue
from midwatch.services.effects import LiveObjects
from midwatch.services.ports import Claim, ClickBox, Journal
from midwatch.services.runtime import Clock, Ids
from midwatch.services.users import People
from midwatch.services.waiting import each_once

log = logging.getLogger(__name__)
_TRIES = 100
_PAGE = 100
_SKEW = timedelta(minutes=1)
"""Clocks of two machines may differ by so much."""


class Approvals:
    """The broker's work. ``timeout`` is how long people have."""

    def __init__(
        self,
        journal: Journal,
        clicks: ClickBox,
        live: LiveObjects,
        people: People,
        clock: Clock,
        ids: Ids,
        *,
        playbooks: Catalogue,
        timeout: timedelta,
        by: str,
    ) -> None:
        self._journal, self._clicks, self._live, self._people = journal, clicks, live, people
        self._clock, self._ids, self._timeout, self._by = clock, ids, timeout, by
        self._playbooks = playbooks
        self._seen: datetime | None = None

    async def ask(self, claim: Claim) -> Incident:
        """Put the question that the verdict demands. ``ClaimLost`` passes."""
        incident = await self._journal.read(claim.incident)
        while incident.plan is not None and incident.digest is not None and incident.verdict is not None:
            if incident.verdict.kind is not VerdictKind.ASK or incident.approval is not None:
                return incident
            now = self._clock.now()
            request = ApprovalRequest(
                id=ApprovalId(self._ids.new()),
                digest=incident.digest,
                requested_at=now,
                expires_at=now + self._timeout,
                quorum=await self._quorum(incident.verdict.quorum, incident.verdict.approvers),
                confirm=incident.verdict.confirm,
                approvers=incident.verdict.approvers,
            )
            asked = ev.ApprovalRequested(reason=Reason(incident.verdict.rule), request=request)
            try:
                return await self._journal.append(incident, [asked], at=now, by=self._by, claim=claim)
            except Conflict as error:
                if type(error) is not Conflict:
                    raise
                incident = await self._journal.read(incident.id)
        return incident

    async def _quorum(self, wanted: int, approvers: tuple[str, ...]) -> int:
        """As many as are wanted, or as these names are people: one may be named by several, and still has one vote."""
        if wanted < 2:
            return wanted
        found = [await self._people.find(name) for name in approvers]
        known = {person.user for person in found if person is not None}
        return min(wanted, max(1, len(known) + found.count(None)))

    async def click(self, click: Click) -> bool:
        """Store an answer; it is judged by :meth:`drain`. ``False`` for a redelivery of one that is known."""
        return await self._clicks.put(click)

    async def drain(self) -> int:
        """Judge stored clicks in the order they came; how many.

        A click that cannot be judged now (its target cannot be looked at) stays stored and holds up no other; then
        ``Transient`` is raised at the end. A cluster that does not answer is asked once.
        """
        judged, stuck, away = 0, list[MidwatchError](), dict[str, Transient]()
        async for click in each_once(self._clicks.pending, lambda click: click.id, page=_PAGE):
            try:
                decision = await self._judge(click, away)
            except MidwatchError as error:
                stuck.append(error)
                continue
            await self._clicks.settle(click.id, outcome=decision.kind, sentence=decision.sentence)
            judged += 1
        if stuck:
            raise stuck[0] if isinstance(stuck[0], Transient) else Transient(str(stuck[0]))
        return judged

    async def expire(self, claim: Claim) -> Incident:
        """Remind at half time; close a question that nobody answered in time, and ask the next rung of the ladder.

        Clicks that came in time are judged first.
        """
        with contextlib.suppress(Transient):  # what cannot be judged now does not approve: it expires
            await self.drain()
        incident = await self._journal.read(claim.incident)
        while (request := incident.approval) is not None and request.outcome is None:
            now = self._clock.now()
            if now >= request.expires_at:
                events = await self._unanswered(incident, request, now)
            elif now >= request.half_time and request.reminded_at is None:
                events = [ev.ApprovalReminded(reason=Reason.HALF_TIME, approval=request.id)]
            else:
                return incident
            try:
                return await self._journal.append(incident, events, at=now, by=self._by, claim=claim)
            except Conflict as error:
                if type(error) is not Conflict:
                    raise
                incident = await self._journal.read(incident.id)
        return incident

    async def _unanswered(self, incident: Incident, request: ApprovalRequest, now: datetime) -> Sequence[ev.AnyEvent]:
        """The end of a question, and the same one to the next rung in the same append, or a person takes over."""
        sentence = f"Nobody decided within {_minutes(request.expires_at - request.requested_at)}."
        ladder = incident.verdict.ladder if incident.verdict else ()
        if request.rung >= len(ladder):
            return _closing(request, ApprovalOutcome.EXPIRED, Reason.APPROVAL_EXPIRED, self._by, sentence)
        higher = ladder[request.rung]
        # Who was asked before may still answer: they may only have been slow. Nobody named meant: anyone.
        approvers = tuple(dict.fromkeys((*request.approvers, *higher))) if request.approvers else ()
        asked = ApprovalRequest(
            id=ApprovalId(self._ids.new()),
            digest=request.digest,
            requested_at=now,
            expires_at=now + self._timeout,
            quorum=max(request.quorum, await self._quorum(2, approvers)) if request.confirm else request.quorum,
            confirm=request.confirm,
            approvers=approvers,
            rung=request.rung + 1,
            called=higher,
        )
        closed = ev.ApprovalClosed(
            reason=Reason.APPROVAL_EXPIRED,
            approval=request.id,
            outcome=ApprovalOutcome.EXPIRED,
            by=self._by,
            comment=f"{sentence} Asked next: {', '.join(higher)}.",
        )
        return [closed, ev.ApprovalRequested(reason=Reason.NEXT_RUNG, request=asked)]

    async def ask_anew(self) -> int:
        """Put questions again that were asked at a later time than it is now: the clock was turned back; how many.

        Until it had caught up, no answer to them would be in time, and none would be missed either. Looks only at the
        first call, and when the clock of this process went back since the last one.
        """
        seen, self._seen = self._seen, self._clock.now()
        if seen is not None and self._seen > seen - _SKEW:
            return 0
        count = 0
        for found, asked in await self._journal.approvals():
            incident: Incident | None = found
            while incident is not None and (now := self._clock.now()) < asked.requested_at - _SKEW:
                incident = await self._asked_anew(incident, asked, now)
                count += incident is None
        return count

    async def _asked_anew(self, incident: Incident, asked: ApprovalRequest, now: datetime) -> Incident | None:
        """``None`` when it was put, or need not be; the incident as it stands when somebody wrote first."""
        request = incident.approval
        if request is None or request.id != asked.id or request.outcome is not None:
            return None
        sentence = f"Asked at {request.requested_at:%Y-%m-%d %H:%M} by a clock that was turned back; asked anew."
        reason = Reason.CLOCK_TURNED_BACK
        closed = ev.ApprovalClosed(
            reason=reason, approval=request.id, outcome=ApprovalOutcome.VOID, by=self._by, comment=sentence
        )
        again = msgspec.structs.replace(
            request,
            id=ApprovalId(self._ids.new()),
            requested_at=now,
            expires_at=now + self._timeout,
            votes=(),
            reminded_at=None,
        )
        events: list[ev.AnyEvent] = [closed, ev.ApprovalRequested(reason=reason, request=again)]
        try:
            await self._journal.append(incident, events, at=now, by=self._by)
        except Conflict:
            return await self._journal.read(incident.id)
        return None

    async def _judge(self, click: Click, away: dict[str, Transient]) -> Decision:
        for _ in range(_TRIES):
            try:
                incident, request = await self._journal.find_approval(click.approval_id)
            except NotFound:
                return Decision(kind=DecisionKind.STALE, sentence="There is no such question (any more).")
            click = msgspec.structs.replace(click, approval_id=request.id)  # people may write a unique beginning
            person = await self._people.find(click.user)
            request = await self._with_votes_that_stand(request)
            now = self._clock.now()
            world = await self._world(incident, request, click, now, person, away)
            decision = judge(request, click, world, now, person)
            click = as_person(click, person) if person is not None else click
            events = _journalled(request, click, decision)
            if not events:
                return decision
            try:
                await self._journal.append(incident, events, at=now, by=click.user)
            except Conflict:
                continue  # another click or a signal was first: judge again by what stands now
            log.info("click judged", extra={"incident": incident.id, "approval": request.id, "outcome": decision.kind})
            return decision
        raise Transient(f"approval {click.approval_id}: the incident changes faster than a click can be judged")

    async def _with_votes_that_stand(self, request: ApprovalRequest) -> ApprovalRequest:
        """Without the votes of those who were removed since, or may not decide any more."""
        voters = {vote.user: await self._people.find(vote.user) for vote in request.votes}
        may = {user for user, person in voters.items() if person is not None and person.may(Role.APPROVER)}
        return msgspec.structs.replace(request, votes=tuple(vote for vote in request.votes if vote.user in may))

    async def _world(
        self,
        incident: Incident,
        request: ApprovalRequest,
        click: Click,
        now: datetime,
        person: Person | None,
        away: dict[str, Transient],
    ) -> World:
        open_now = None if incident.state.final else incident.approval
        world = World(asked=open_now.id if open_now else None, digest=incident.digest, firing=bool(incident.active))
        approving = click.choice is not Choice.REJECT
        if not approving or incident.plan is None:
            return world
        if judge(request, click, world, now, person).outcome is not ApprovalOutcome.APPROVED:
            return world  # nothing depends on the cluster yet: do not make people wait for it
        if well := needless(incident, incident.plan):
            return msgspec.structs.replace(world, why=Reason.TARGET_RECOVERED, changed=well.removesuffix("."))
        if incident.cluster in away:
            raise away[incident.cluster]
        try:
            changed = await changed_since(incident.plan, self._live.of(incident.cluster), self._playbooks)
        except Transient as error:
            away[incident.cluster] = error
            raise
        return world if changed is None else msgspec.structs.replace(world, why=changed[0], changed=changed[1])


async def changed_since(plan: Plan, live: LiveObjects, playbooks: Catalogue) -> tuple[Reason, str] | None:
    """How the playbook or a target differs from what the plan was made of and for. ``Transient`` passes.

    The target of a step that is not required is looked at when its turn comes.
    """
    playbook = playbooks.get(plan.playbook)
    if playbook is None or playbook.digest != plan.playbook_digest:
        return Reason.PLAYBOOK_CHANGED, f"playbook {plan.playbook} was edited since the plan was made"
    for target in dict.fromkeys(step.target for step in plan.steps if step.required):
        try:
            result = unchanged(target, await live.observe(target.ref))
        except Refused as error:
            return Reason.TARGET_CHANGED, error.message
        if result.standing is not Standing.HOLDING:
            return Reason.TARGET_CHANGED, result.sentence
    return None


def _journalled(request: ApprovalRequest, click: Click, decision: Decision) -> Sequence[ev.AnyEvent]:
    events: list[ev.AnyEvent] = []
    if decision.vote is not None:
        voted = Reason.VOTE_COUNTED if decision.outcome else decision.reason
        events.append(ev.ApprovalVoted(reason=voted, approval=request.id, vote=decision.vote))
    if decision.outcome is not None:
        sentence = click.comment if decision.outcome is not ApprovalOutcome.VOID else decision.sentence
        events += _closing(request, decision.outcome, decision.reason, click.user, sentence)
    return events


def _closing(
    request: ApprovalRequest, outcome: ApprovalOutcome, reason: Reason, by: str, sentence: str
) -> list[ev.AnyEvent]:
    """The end of a question, and in the same append who has it now. Cleared signals and a new plan need nobody."""
    closed = ev.ApprovalClosed(reason=reason, approval=request.id, outcome=outcome, by=by, comment=sentence)
    if outcome is ApprovalOutcome.APPROVED or reason in (Reason.SIGNALS_CLEARED, Reason.TARGET_RECOVERED):
        return [closed]
    said = f"Rejected by {by}" + (f": {sentence}" if sentence else ".")
    detail = said if outcome is ApprovalOutcome.REJECTED else sentence
    return [closed, ev.Escalated(reason=reason, detail=detail)]


def _minutes(span: timedelta) -> str:
    seconds = span.total_seconds()
    return f"{seconds / 60:g} minutes" if seconds >= 60 else f"{seconds:g} seconds"
