"""The door of the channels: what comes in is stored before it is acknowledged, and whoever clicked learns what became
of it. The same for requests that a channel sends us and for those we fetch.
"""

import logging
from collections.abc import Awaitable, Callable, Mapping
from functools import partial
from typing import Final, Protocol

import msgspec

from midwatch.domain.approvals import DecisionKind
from midwatch.services.limiting import PersonalRate
from midwatch.services.messaging import ClickReply, Incoming, IncomingClick, IncomingMessage, Place
from midwatch.services.ports import ArrivalBox, CardBox
from midwatch.services.runtime import Wake

log = logging.getLogger(__name__)

Tell = Callable[[Place, str, str], Awaitable[None]]
"""Tells one user something at a place; a courtesy, whose loss costs nothing."""
After = Callable[[], Awaitable[None]]
TOO_MANY: Final = "too-many"
_ON_THE_CARD = (DecisionKind.APPROVED, DecisionKind.REJECTED, DecisionKind.VOTED, DecisionKind.REPEATED)
"""What everybody sees on the card, hence nobody need be told."""


class Answered(msgspec.Struct, frozen=True):
    """The answer to a channel's request: its body, and what is to be done once it is sent."""

    body: bytes = b""
    kind: str = "application/json"
    after: After | None = None


class Door(Protocol):
    """Takes the requests of one channel."""

    async def receive(self, headers: Mapping[str, str], body: bytes) -> Answered:
        """Prove, parse and store one request; ``headers`` by names in lower case.

        Raises ``Refused`` when it is not the channel's, ``Invalid`` when it cannot be read, ``Transient`` when it could
        not be stored: the channel then delivers it again.
        """
        ...


class Reception:
    """``quick`` answers a click once it is stored, ``patient`` once it is judged. ``heard`` rings for a message."""

    def __init__(
        self,
        arrivals: ArrivalBox,
        cards: CardBox,
        *,
        quick: Incoming,
        patient: Incoming,
        heard: Wake,
        tell: Tell,
        rate: PersonalRate,
    ) -> None:
        self._arrivals, self._cards, self._quick, self._patient = arrivals, cards, quick, patient
        self._heard, self._tell, self._rate = heard, tell, rate

    async def message(self, message: IncomingMessage) -> After | None:
        """Store what a person wrote, with the incident whose thread it stands in, unless it is none of our business.

        Returns what is to be done once the request is answered.
        """
        card = await self._cards.find(message.channel_type, message.thread)
        if card is not None:
            message = msgspec.structs.replace(message, incident=card.incident)
        elif not message.addressed:
            return None
        if not await self._within_rate(message.channel_type, message.user_id):
            return partial(self._remind, message.place, message.user_id)
        await self._arrivals.put(message)
        self._heard()
        return None

    async def click(self, click: IncomingClick) -> ClickReply:
        """Store a click; what is known of it by then. ``too-many``: it is not stored."""
        if not await self._within_rate(click.channel_type, click.user_id):
            return ClickReply(TOO_MANY, self._too_fast)
        return await self._quick.click(click)

    async def refuse(self, click: IncomingClick) -> None:
        """Tell whoever clicked that it was too much, unless they have just been told."""
        await self._remind(click.place, click.user_id)

    async def _within_rate(self, channel: str, user: str) -> bool:
        identity = f"{channel}:{user}"
        if await self._rate.allow(identity):
            return True
        log.warning("refused for its speed", extra={"identity": identity, "reason": TOO_MANY})
        return False

    async def _remind(self, place: Place, user: str) -> None:
        if await self._rate.remind(f"{place.channel}:{user}"):
            await self._tell(place, user, self._too_fast)

    @property
    def _too_fast(self) -> str:
        return f"That is more than {self._rate.per_minute} messages and clicks a minute: wait a moment, then try again."

    async def follow(self, click: IncomingClick) -> None:
        """Wait until the click is judged, and tell whoever clicked what the card will not."""
        reply = await self._patient.click(click)  # the same click: it is stored once
        if reply.outcome not in _ON_THE_CARD:
            await self._tell(click.place, click.user_id, reply.sentence)
