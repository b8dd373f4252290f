"""Approvals: what a person is asked, what they answered, and what the answer is worth."""

from datetime import datetime, timedelta
from enum import StrEnum
from typing import Final

import msgspec

from midwatch.domain.ids import ApprovalId, ClickId, PlanDigest
from midwatch.domain.reasons import Reason
from midwatch.domain.users import Person, Role

GRACE: Final = timedelta(seconds=30)
"""A click made in time but judged late (the judge was restarting) counts for so long after the expiry, not longer."""

HOLDS: Final = timedelta(hours=1)
"""How long an approval is good for, once given: whoever gave it meant now, or after those that were first in line."""


class Choice(StrEnum):
    APPROVE = "approve"
    CONFIRM = "confirm"
    REJECT = "reject"


class ApprovalOutcome(StrEnum):
    """How a request ended."""

    APPROVED = "approved"
    REJECTED = "rejected"
    EXPIRED = "expired"
    VOID = "void"


class Click(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One person's answer, stored before it is judged. ``user`` is ``channel:id``, as authenticated by the channel.

    Once judged it is the person's own name, and ``via`` is what stood there before.
    """

    id: ClickId
    approval_id: ApprovalId
    choice: Choice
    user: str
    channel: str
    at: datetime
    digest: str = ""
    comment: str = ""
    via: str = ""


class Vote(msgspec.Struct, frozen=True, omit_defaults=True):
    """A click that was found valid. ``user`` is who it counts for, ``via`` the identity it came by where it differs."""

    user: str
    choice: Choice
    at: datetime
    via: str = ""


class ApprovalRequest(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A question to people about one exact plan.

    ``quorum`` distinct users must approve; with ``confirm`` each approves twice. An empty ``approvers`` means any user
    with the approver's role. ``rung`` counts how often the question was passed on because nobody answered, ``called``
    are those it was passed on to.
    """

    id: ApprovalId
    digest: PlanDigest
    requested_at: datetime
    expires_at: datetime
    quorum: int = 1
    confirm: bool = False
    approvers: tuple[str, ...] = ()
    votes: tuple[Vote, ...] = ()
    outcome: ApprovalOutcome | None = None
    decided_by: str = ""
    comment: str = ""
    rung: int = 0
    called: tuple[str, ...] = ()
    reminded_at: datetime | None = None

    @property
    def half_time(self) -> datetime:
        """When those who were asked are reminded."""
        return self.requested_at + (self.expires_at - self.requested_at) / 2


class DecisionKind(StrEnum):
    """What one click came to. Only VOTED, NEEDS_CONFIRMATION, APPROVED and REJECTED moved anything."""

    VOTED = "voted"
    NEEDS_CONFIRMATION = "needs-confirmation"
    APPROVED = "approved"
    REJECTED = "rejected"
    REPEATED = "repeated"
    EXPIRED = "expired"
    NOT_ALLOWED = "not-allowed"
    STALE = "stale"
    VOID = "void"
    ALREADY_DECIDED = "already-decided"


class Decision(msgspec.Struct, frozen=True, kw_only=True):
    """The judgement of one click, with a sentence for the one who clicked.

    ``vote`` is to be journalled; ``outcome`` closes the request, for ``reason``.
    """

    kind: DecisionKind
    sentence: str
    vote: Vote | None = None
    outcome: ApprovalOutcome | None = None
    reason: Reason = Reason.VOTE_COUNTED


class World(msgspec.Struct, frozen=True, kw_only=True):
    """What must still be true when a click is judged.

    ``asked`` is the incident's present request (``None``: it has none, or is over). ``changed`` says how the target or
    the playbook differs from the plan (empty: neither does), and ``why`` which it is. ``firing``: whether any signal of
    the incident still fires.
    """

    asked: ApprovalId | None
    digest: PlanDigest | None
    firing: bool
    changed: str = ""
    why: Reason = Reason.TARGET_CHANGED


def judge(request: ApprovalRequest, click: Click, world: World, now: datetime, person: Person | None) -> Decision:
    """Judge one click by who made it, and then by what it is worth. Pure.

    Whoever is not known, or has not the approver's role, decides nothing. A person counts once, whichever of their
    identities speaks; a policy may name them by any.
    """
    if person is None:
        sentence = f"{click.user} is not known here: an admin makes a user, and `link CODE` ties this identity to it."
        return Decision(kind=DecisionKind.NOT_ALLOWED, sentence=sentence)
    if not person.may(Role.APPROVER):
        sentence = f"{person.user} is {person.role}: approvals are decided by approvers."
        return Decision(kind=DecisionKind.NOT_ALLOWED, sentence=sentence)
    return resolve(as_asked(request, person), as_person(click, person), world, now)


def as_person(click: Click, person: Person) -> Click:
    """The click under the one name its person is counted by."""
    return msgspec.structs.replace(click, user=person.user, via="" if click.user == person.user else click.user)


def as_asked(request: ApprovalRequest, person: Person) -> ApprovalRequest:
    """The request with all of this person's names under ``approvers`` as that one."""
    named = (person.user if name in person.names else name for name in request.approvers)
    return msgspec.structs.replace(request, approvers=tuple(dict.fromkeys(named)))


def resolve(request: ApprovalRequest, click: Click, world: World, now: datetime) -> Decision:
    """Judge one click. Pure; the order of the questions is the order in which a person would want the answer."""
    refusal = _refused(request, click, world, now)
    if refusal is not None:
        return refusal
    vote = Vote(click.user, click.choice, click.at, click.via)
    if click.choice is Choice.REJECT:
        return Decision(
            kind=DecisionKind.REJECTED,
            sentence="Rejected: a person takes over.",
            vote=vote,
            outcome=ApprovalOutcome.REJECTED,
            reason=Reason.REJECTED_BY_HUMAN,
        )
    if not world.firing:
        return _void("Nothing fires any more: there is nothing to do.", Reason.SIGNALS_CLEARED)
    if world.changed:
        return _void(f"Not approved: {world.changed}.", world.why)
    return _counted(request, vote)


def _refused(request: ApprovalRequest, click: Click, world: World, now: datetime) -> Decision | None:
    if any(vote.user == click.user and vote.at == click.at and vote.choice == click.choice for vote in request.votes):
        return _again(request, click)
    replaced = world.asked is not None and (world.asked != request.id or world.digest != request.digest)
    if click.approval_id != request.id or replaced:
        return Decision(kind=DecisionKind.STALE, sentence="This card is out of date: the plan was replaced.")
    if world.asked is None and request.outcome in (None, ApprovalOutcome.VOID):
        return Decision(kind=DecisionKind.STALE, sentence="This card is out of date: nothing is asked any more.")
    if request.outcome is not None:
        return Decision(kind=DecisionKind.ALREADY_DECIDED, sentence=_already(request, request.outcome))
    if click.digest and click.digest != request.digest:
        return Decision(kind=DecisionKind.STALE, sentence="This card shows another plan than the one asked about now.")
    if request.approvers and click.user not in request.approvers:
        named = ", ".join(request.approvers)
        return Decision(kind=DecisionKind.NOT_ALLOWED, sentence=f"{click.user} may not decide this; {named} may.")
    if not request.requested_at <= click.at < request.expires_at or now >= request.expires_at + GRACE:
        return Decision(kind=DecisionKind.EXPIRED, sentence=f"Expired at {request.expires_at:%H:%M:%S} UTC.")
    return None


def _already(request: ApprovalRequest, outcome: ApprovalOutcome) -> str:
    if outcome in (ApprovalOutcome.VOID, ApprovalOutcome.EXPIRED):  # nobody decided so: the comment says why
        return f"Already {outcome}" + (f": {request.comment}" if request.comment else ".")
    return f"Already {outcome}" + (f" by {request.decided_by}." if request.decided_by else ".")


def _again(request: ApprovalRequest, click: Click) -> Decision:
    """A click that was judged before a crash hid the answer: the same answer again, and nothing counted twice."""
    if request.outcome in (ApprovalOutcome.APPROVED, ApprovalOutcome.REJECTED) and request.decided_by == click.user:
        kind = DecisionKind.APPROVED if request.outcome is ApprovalOutcome.APPROVED else DecisionKind.REJECTED
        return Decision(kind=kind, sentence=f"{request.outcome.capitalize()}.")
    return Decision(kind=DecisionKind.REPEATED, sentence="This vote is counted already.")


def _void(sentence: str, reason: Reason) -> Decision:
    return Decision(kind=DecisionKind.VOID, sentence=sentence, outcome=ApprovalOutcome.VOID, reason=reason)


def _counted(request: ApprovalRequest, vote: Vote) -> Decision:
    mine = {earlier.choice for earlier in request.votes if earlier.user == vote.user}
    if request.confirm and vote.choice is Choice.APPROVE:
        if Choice.APPROVE in mine:
            return Decision(kind=DecisionKind.REPEATED, sentence="Approved once already: now confirm it.")
        return Decision(
            kind=DecisionKind.NEEDS_CONFIRMATION,
            sentence="HIGH risk: confirm it in a second step.",
            vote=vote,
            reason=Reason.CONFIRMATION_NEEDED,
        )
    if request.confirm and Choice.APPROVE not in mine:
        return Decision(kind=DecisionKind.NEEDS_CONFIRMATION, sentence="Approve first, then confirm.")
    done = complete(request, (*request.votes, vote))
    if done == complete(request, request.votes):
        return Decision(kind=DecisionKind.REPEATED, sentence="Your vote is counted already.")
    if len(done) < request.quorum:
        missing = request.quorum - len(done)
        return Decision(kind=DecisionKind.VOTED, sentence=f"Counted; {missing} more must approve.", vote=vote)
    return Decision(
        kind=DecisionKind.APPROVED,
        sentence="Approved: Midwatch acts now.",
        vote=vote,
        outcome=ApprovalOutcome.APPROVED,
        reason=Reason.QUORUM_REACHED,
    )


def outdated(request: ApprovalRequest, now: datetime) -> str:
    """Why what was approved may not begin any more: the word was given too long ago. Empty when it was not."""
    given = max((vote.at for vote in request.votes), default=request.requested_at)
    if now - given <= HOLDS:
        return ""
    return f"Approved at {given:%Y-%m-%d %H:%M} UTC, more than an hour before its turn: not carried out."


def complete(request: ApprovalRequest, votes: tuple[Vote, ...]) -> frozenset[str]:
    """The users whose approval is whole: approved, and confirmed where that is asked."""
    wanted = (Choice.CONFIRM,) if request.confirm else (Choice.APPROVE, Choice.CONFIRM)
    return frozenset(vote.user for vote in votes if vote.choice in wanted)
