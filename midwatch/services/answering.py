"""Answers from channels: who clicked, whether they may, stored before it is judged, and what became of it."""

import hashlib
import logging
from collections.abc import Mapping

import msgspec

from midwatch.domain.answers import LONGEST_COMMENT, read_line
from midwatch.domain.approvals import Click, DecisionKind
from midwatch.domain.errors import Invalid, NotFound
from midwatch.domain.ids import ClickId
from midwatch.domain.texts import clean, cut
from midwatch.services.messaging import (
    APPROVER,
    ClickReply,
    Identities,
    IncomingClick,
    IncomingMessage,
    OutgoingReply,
    Stream,
)
from midwatch.services.ports import ClickBox, Journal
from midwatch.services.runtime import Bells, Clock

log = logging.getLogger(__name__)

UNKNOWN_USER, WRONG_PLACE, PENDING = "unknown-user", "wrong-place", "pending"
_LOOK_S = 0.05
_HELP = "I take answers: `approve <id>`, `confirm <id>`, `reject <id> [reason]`. The id is on the card."


class ApprovalAnswers:
    """Takes clicks, and the same written as text. ``places`` are the conversations of each channel in which an answer
    counts; ``patience_s`` is how long one waits to be judged before it is ``pending``.
    """

    def __init__(
        self,
        journal: Journal,
        clicks: ClickBox,
        identities: Identities,
        bells: Bells,
        clock: Clock,
        *,
        places: Mapping[str, frozenset[str]],
        patience_s: float,
    ) -> None:
        self._journal, self._clicks, self._identities = journal, clicks, identities
        self._bells, self._clock = bells, clock
        self._places, self._patience_s = dict(places), patience_s

    async def click(self, click: IncomingClick) -> ClickReply:
        """See :meth:`midwatch.services.messaging.Incoming.click`."""
        if click.conversation not in self._places.get(click.channel_type, frozenset()):
            return self._refused(click, WRONG_PLACE, "Answers count only where Midwatch posts its cards.")
        return await self._answered(click)

    async def message(self, message: IncomingMessage, stream: Stream) -> OutgoingReply | None:
        """See :meth:`midwatch.services.messaging.Incoming.message`: answers to approvals, and a word of help."""
        del stream
        answer = read_line(message.text)
        if answer is None:
            return OutgoingReply(_HELP) if message.direct else None
        click = IncomingClick(
            id=message.id,
            user_id=message.user_id,
            channel_type=message.channel_type,
            approval=answer.approval,
            choice=answer.choice,
            at=message.at,
            comment=answer.comment,
            user_name=message.user_name,
            conversation=message.conversation,
        )
        known = message.direct or message.conversation in self._places.get(message.channel_type, frozenset())
        reply = await (self._answered(click) if known else self.click(click))
        return OutgoingReply(reply.sentence)

    async def _answered(self, click: IncomingClick) -> ClickReply:
        user = await self._identities.resolve(click.channel_type, click.user_id, click.user_name)
        if user is None:
            name = f"{click.channel_type}:{click.user_id}"
            return self._refused(
                click, UNKNOWN_USER, f"I do not know you: an admin links {name} to a user (docs/people.md)."
            )
        if not user.may(APPROVER):
            return self._refused(click, DecisionKind.NOT_ALLOWED, "Your role does not include approving.")
        try:
            _, request = await self._journal.find_approval(click.approval)
        except NotFound:
            return self._refused(click, DecisionKind.STALE, "There is no such question (any more).")
        except Invalid as error:
            return self._refused(click, DecisionKind.STALE, error.message)
        shown = bool(click.digest) and request.digest.startswith(click.digest)
        stored = Click(
            id=_click_id(click),
            approval_id=request.id,
            choice=click.choice,
            user=f"{click.channel_type}:{click.user_id}",
            channel=click.channel_type,
            at=self._clock.now(),
            digest=request.digest if shown or not click.digest else click.digest,
            comment=cut(clean(click.comment), LONGEST_COMMENT),
        )
        if await self._clicks.put(stored):
            log.info("click stored", extra={"click": stored.id, "user": user.id, "approval": request.id})
        self._bells.clicks()
        return await self._judged(stored.id)

    async def _judged(self, click: ClickId) -> ClickReply:
        waited_s = 0.0
        while True:
            if judged := await self._clicks.outcome(click):
                return ClickReply(*judged)
            if waited_s >= self._patience_s:
                return ClickReply(PENDING, "Your answer is stored and will be judged in a moment.")
            await self._clock.sleep(_LOOK_S)
            waited_s += _LOOK_S

    def _refused(self, click: IncomingClick, outcome: str, sentence: str) -> ClickReply:
        about = {name: value for name, value in msgspec.structs.asdict(click).items() if name not in ("comment", "at")}
        log.warning("answer refused", extra={"outcome": outcome, "click": about})
        return ClickReply(outcome, sentence)


def _click_id(click: IncomingClick) -> ClickId:
    """The same for every delivery of one click."""
    told = f"{click.channel_type}\0{click.id}".encode(errors="replace")
    return ClickId(f"{click.channel_type}-{hashlib.sha256(told).hexdigest()[:32]}")
