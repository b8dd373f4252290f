"""Replies: every message that came in is answered once, in order within a conversation, beside the others."""

import asyncio
import logging
from datetime import datetime, timedelta
from typing import Protocol

from midwatch.domain.errors import MidwatchError, Permanent, Throttled, Transient
from midwatch.services.messaging import Channel, IncomingMessage, OutgoingReply, Stream
from midwatch.services.pacing import Pace
from midwatch.services.ports import Arrival, ArrivalBox
from midwatch.services.runtime import Clock

log = logging.getLogger(__name__)

_AT_ONCE = 8
_MOST_TRIES = 6
_TOO_LATE = timedelta(minutes=30)
"""A question that old is not answered out of the blue."""
_EDIT_EVERY_S = 2.0


class Respondent(Protocol):
    """Whoever answers: the part of :class:`midwatch.services.messaging.Incoming` that is needed here."""

    async def message(self, message: IncomingMessage, stream: Stream) -> OutgoingReply | None: ...


class Replying:
    """Brings what is unanswered in one channel to whoever answers, and shows the answers there."""

    def __init__(self, arrivals: ArrivalBox, incoming: Respondent, channel: Channel, clock: Clock, pace: Pace) -> None:
        self._arrivals, self._incoming, self._channel = arrivals, incoming, channel
        self._clock, self._pace = clock, pace
        self._busy = set[str]()

    async def drain(self) -> int:
        """Answer what is due, but in conversations where another call does so now; how many were settled."""
        now = self._clock.now()
        by_conversation: dict[str, list[Arrival]] = {}
        for arrival in await self._arrivals.pending(self._channel.name, now=now):
            if arrival.message.conversation not in self._busy:
                by_conversation.setdefault(arrival.message.conversation, []).append(arrival)
        mine = set(by_conversation)
        self._busy |= mine
        slots = asyncio.Semaphore(_AT_ONCE)

        async def converse(arrivals: list[Arrival]) -> int:
            async with slots:
                return sum([await self._answer(arrival) for arrival in arrivals])

        try:
            return sum(await asyncio.gather(*map(converse, by_conversation.values())))
        finally:
            self._busy -= mine

    async def _answer(self, arrival: Arrival) -> int:
        message = arrival.message
        now = self._clock.now()
        if now - message.at > _TOO_LATE or arrival.attempts >= _MOST_TRIES:
            log.warning("message left unanswered", extra={"arrival": message.id, "channel": message.channel_type})
            await self._arrivals.settle(message, at=now)
            return 1
        shown = _Shown(self._arrivals, self._channel, self._clock, self._pace, arrival)
        try:
            reply = await self._incoming.message(message, shown.so_far)
            if reply is not None:
                await shown.done(reply)
        except MidwatchError as error:
            await self._put_off(arrival, error)
            return 0
        await self._arrivals.settle(message, at=self._clock.now())
        return 1

    async def _put_off(self, arrival: Arrival, error: MidwatchError) -> None:
        log.warning("message not answered", extra={"arrival": arrival.message.id, "error": str(error)})
        now = self._clock.now()
        if isinstance(error, Permanent):
            await self._arrivals.settle(arrival.message, at=now)
            return
        wait = error.retry_in if isinstance(error, Transient) else 1.0
        if isinstance(error, Throttled):
            self._pace.hold(wait, now)
        retry_at = now + timedelta(seconds=wait * 2**arrival.attempts)
        await self._arrivals.failed(arrival, error=str(error), retry_at=retry_at)


class _Shown:
    """One answer as far as it is shown: a message that is edited while it grows, at most every two seconds."""

    def __init__(self, arrivals: ArrivalBox, channel: Channel, clock: Clock, pace: Pace, arrival: Arrival) -> None:
        self._arrivals, self._channel, self._clock, self._pace = arrivals, channel, clock, pace
        self._message: IncomingMessage = arrival.message
        self._ref, self._text = arrival.ref, ""
        self._edited: datetime | None = None

    async def so_far(self, text: str) -> None:
        """Show ``text`` unless something was shown a moment ago or the channel has no room: the end is always shown."""
        now = self._clock.now()
        if not text.strip() or (self._edited is not None and (now - self._edited).total_seconds() < _EDIT_EVERY_S):
            return
        if self._pace.wait("edit" if self._ref else "post", now) == 0:
            await self._say(text)

    async def done(self, reply: OutgoingReply) -> None:
        """Show the whole answer."""
        if reply.private and not self._ref:
            await self._channel.whisper(self._message.place, self._message.user_id, reply.text)
            return
        if reply.text == self._text:
            return
        while (wait := self._pace.wait("edit" if self._ref else "post", self._clock.now(), urgent=True)) > 0:
            await self._clock.sleep(wait)
        await self._say(reply.text)

    async def _say(self, text: str) -> None:
        ref = await self._channel.say(self._message.place, text, self._ref)
        self._text, self._edited = text, self._clock.now()
        if ref != self._ref:
            self._ref = ref
            await self._arrivals.answering(self._message, ref)
