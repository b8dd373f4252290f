"""The door of the channels: what comes in is stored before it is acknowledged, and whoever clicked learns what became
of it. The same for requests that a channel sends us and for those we fetch.
"""

import logging
from collections.abc import Awaitable, Callable, Mapping
from typing import Protocol

import msgspec

from midwatch.domain.approvals import DecisionKind
from midwatch.services.messaging import ClickReply, Incoming, IncomingClick, IncomingMessage, Place
from midwatch.services.ports import ArrivalBox, CardBox
from midwatch.services.runtime import Wake

log = logging.getLogger(__name__)

Tell = Callable[[Place, str, str], Awaitable[None]]
"""Tells one user something at a place; a courtesy, whose loss costs nothing."""
_ON_THE_CARD = (DecisionKind.APPROVED, DecisionKind.REJECTED, DecisionKind.VOTED, DecisionKind.REPEATED)
"""What everybody sees on the card, hence nobody need be told."""


class Answered(msgspec.Struct, frozen=True):
    """The answer to a channel's request: its body, and what is to be done once it is sent."""

    body: bytes = b""
    kind: str = "application/json"
    after: Callable[[], Awaitable[None]] | None = None


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
        self, arrivals: ArrivalBox, cards: CardBox, *, quick: Incoming, patient: Incoming, heard: Wake, tell: Tell
    ) -> None:
        self._arrivals, self._cards, self._quick, self._patient = arrivals, cards, quick, patient
        self._heard, self._tell = heard, tell

    async def message(self, message: IncomingMessage) -> bool:
        """Store what a person wrote, with the incident whose thread it stands in. ``False`` when that is none of our
        business or known already.
        """
        card = await self._cards.find(message.channel_type, message.thread)
        if card is not None:
            message = msgspec.structs.replace(message, incident=card.incident)
        elif not message.addressed:
            return False
        new = await self._arrivals.put(message)
        self._heard()
        return new

    async def click(self, click: IncomingClick) -> ClickReply:
        """Store a click; what is known of it by then."""
        return await self._quick.click(click)

    async def follow(self, click: IncomingClick) -> None:
        """Wait until the click is judged, and tell whoever clicked what the card will not."""
        reply = await self._patient.click(click)  # the same click: it is stored once
        if reply.outcome not in _ON_THE_CARD:
            await self._tell(click.place, click.user_id, reply.sentence)
