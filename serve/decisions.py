"""A person's answer: stored before anything else, judged by the approval broker, and its judgement brought back."""

import msgspec

from midwatch.domain.approvals import Choice, Click, DecisionKind
from midwatch.domain.ids import ApprovalId, ClickId, IncidentId
from serve.bodies import Answer
from serve.dependencies import Edge

_LOOK_S = 0.1
PENDING = "pending"
MOVED = (DecisionKind.APPROVED, DecisionKind.REJECTED, DecisionKind.VOTED, DecisionKind.NEEDS_CONFIRMATION)
"""Outcomes of an answer that counted."""


class Judgement(msgspec.Struct, frozen=True):
    """What became of an answer: ``outcome`` is a :class:`DecisionKind`, or ``pending`` while it is not judged."""

    outcome: str
    sentence: str
    click: ClickId
    approval: ApprovalId
    incident: IncidentId

    @property
    def counted(self) -> bool:
        """Whether the answer moved something, or was given before."""
        return self.outcome in (*MOVED, DecisionKind.REPEATED)


async def decide(edge: Edge, approval_id: str, choice: Choice, answer: Answer, *, user: str, channel: str) -> Judgement:
    """Store the click, ring the broker, wait a little for its judgement. ``NotFound`` for an unknown approval.

    An answer without a digest is about the plan that this approval was made for: another plan has another approval.
    """
    incident, request = await edge.journal.find_approval(ApprovalId(approval_id))
    click = Click(
        id=ClickId(edge.ids.new()),
        approval_id=request.id,
        choice=choice,
        user=user,
        channel=channel,
        at=edge.clock.now(),
        digest=answer.digest or request.digest,
        comment=answer.reason,
    )
    await edge.clicks.put(click)
    edge.bells.clicks()
    waited_s = 0.0
    while waited_s < edge.limits.judgement_s:
        if judged := await edge.clicks.outcome(click.id):
            return Judgement(*judged, click.id, request.id, incident.id)
        await edge.clock.sleep(_LOOK_S)
        waited_s += _LOOK_S
    sentence = "Your answer is stored and will be judged in a moment."
    return Judgement(PENDING, sentence, click.id, request.id, incident.id)
