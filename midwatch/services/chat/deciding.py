"""Approvals by words: stored as a click first, judged by the broker, and the judgement brought back."""

from typing import Final

from midwatch.domain import events as ev
from midwatch.domain.approvals import Choice, Click, DecisionKind
from midwatch.domain.errors import MidwatchError, NotFound, Refused, Transient
from midwatch.domain.ids import ApprovalId, ClickId, IncidentId, PlanDigest, short
from midwatch.domain.incidents import Incident
from midwatch.domain.intents import Intent, Kind
from midwatch.domain.masking import mask
from midwatch.domain.playbooks import VerdictKind
from midwatch.domain.reasons import Reason
from midwatch.domain.users import Person, Role
from midwatch.services.chat.watch import Watchkeeping, lacks
from midwatch.services.ports import ClickBox, Journal
from midwatch.services.runtime import Bells, Clock

CHOICES: Final = {Kind.APPROVE: Choice.APPROVE, Kind.CONFIRM: Choice.CONFIRM, Kind.REJECT: Choice.REJECT}
PENDING: Final = "pending"
_WAIT_S, _LOOK_S = 4.0, 0.1


class Deciding:
    """Turns ``approve ID`` into a click. Nothing is decided here: the broker does that, as for a button."""

    def __init__(self, journal: Journal, clicks: ClickBox, watch: Watchkeeping, clock: Clock, bells: Bells) -> None:
        self._journal, self._clicks, self._watch = journal, clicks, watch
        self._clock, self._bells = clock, bells

    async def answer(self, intent: Intent, person: Person, *, identity: str, channel: str, message: str) -> str:
        """The judgement in words. ``identity`` is the one that the channel authenticated, ``message`` its id."""
        if refusal := lacks(person, Role.APPROVER):
            return refusal
        if len(intent.name) < 8:
            waiting = await self._watch.approvals()
            return f"Say which one, by at least 8 characters of its id.\n{waiting}"
        try:
            approval, digest = await self._meant(intent.name, CHOICES[intent.kind])
        except Transient:
            raise
        except MidwatchError as error:
            return error.message
        click = Click(
            id=ClickId(f"chat:{message}"),
            approval_id=approval,
            choice=CHOICES[intent.kind],
            user=identity,
            channel=channel,
            at=self._clock.now(),
            digest=digest,
            comment=intent.rest,
        )
        outcome, sentence = await self.click(click)
        if outcome == DecisionKind.NEEDS_CONFIRMATION:
            return f"{sentence} Write `confirm {short(approval)}`."
        return sentence

    async def click(self, click: Click) -> tuple[str, str]:
        """Store a click and wait a little for its judgement: ``(outcome, sentence)``."""
        await self._clicks.put(click)
        self._bells.clicks()
        waited_s = 0.0
        while waited_s < _WAIT_S:
            if judged := await self._clicks.outcome(click.id):
                return judged
            await self._clock.sleep(_LOOK_S)
            waited_s += _LOOK_S
        return PENDING, "Your answer is stored and will be judged in a moment."

    async def _meant(self, name: str, choice: Choice) -> tuple[ApprovalId, str]:
        """The approval with this id, or the one that the incident with this id asks.

        An incident's id does not say which plan was read: where another one was proposed before, it approves none.
        """
        try:
            _, request = await self._journal.find_approval(ApprovalId(name))
        except NotFound:
            incident = await self._journal.read(IncidentId(name))
            if incident.approval is None:
                raise NotFound(f"Nothing is asked about {incident.title!r}.") from None
            request = incident.approval
            if choice is not Choice.REJECT and await self._replaced(incident, request.digest):
                title = mask(incident.plan.title if incident.plan else incident.title)[:160]
                said = (
                    f"The plan was replaced; now it is {title!r}. Write `approve {short(request.id)}` to approve that."
                )
                raise Refused(Reason.PLAN_SUPERSEDED, said) from None
        return request.id, request.digest

    async def _replaced(self, incident: Incident, digest: PlanDigest) -> bool:
        """Whether people were shown another plan of this incident, since it was last opened again."""
        shown, after = set[PlanDigest](), 0
        while entries := await self._journal.entries(incident.id, after=after):
            for event in (entry.event for entry in entries):
                if isinstance(event, ev.Reopened):
                    shown.clear()
                elif isinstance(event, ev.PlanProposed) and event.verdict.kind is VerdictKind.ASK:
                    shown.add(event.digest)
            after = entries[-1].seq
        return bool(shown - {digest})
