"""Notification: one message per incident and channel, edited in place as the incident moves on."""

import logging
from datetime import timedelta
from typing import Protocol

import msgspec

from midwatch.domain.cards import Card, card_digest, card_of
from midwatch.domain.errors import Permanent, Transient
from midwatch.services.ports import CardBox, CardRow, Journal
from midwatch.services.runtime import Clock

log = logging.getLogger(__name__)

_LONGEST_WAIT = timedelta(minutes=5)
_AFTER_REFUSAL = timedelta(minutes=10)


class Channel(Protocol):
    """One place where people read. ``name`` keys its rows in the outbox."""

    name: str

    async def show(self, card: Card, ref: str) -> str:
        """Post the card, or edit the message ``ref`` in place; returns the message's id.

        Raises ``Transient`` to be asked again (``retry_in`` respected), ``Permanent`` when the channel refuses.
        """
        ...


class Notification:
    """Brings a channel up to date with the journal. What was not delivered stays due; delivery is at least once."""

    def __init__(self, journal: Journal, cards: CardBox, channel: Channel, clock: Clock) -> None:
        self._journal, self._cards, self._channel, self._clock = journal, cards, channel, clock

    async def drain(self) -> int:
        """Send every card that is behind. Returns how many were posted or edited."""
        sent = 0
        while rows := await self._cards.due(self._channel.name, now=self._clock.now()):
            for row in rows:
                sent += await self._send(row)
        return sent

    async def _send(self, row: CardRow) -> int:
        incident = await self._journal.read(row.incident)
        card = card_of(incident)
        digest = card_digest(card)
        try:
            ref = row.ref if row.digest == digest else await self._channel.show(card, row.ref)
        except (Transient, Permanent) as error:
            wait = timedelta(seconds=error.retry_in) if isinstance(error, Transient) else _AFTER_REFUSAL
            wait = min(wait * 2 ** min(row.attempts, 8), _LONGEST_WAIT) if isinstance(error, Transient) else wait
            about = {"incident": row.incident, "channel": row.channel, "error": str(error)}
            log.warning("card not delivered", extra=about)
            await self._cards.failed(row, error=str(error), retry_at=self._clock.now() + wait)
            return 0
        fresh = msgspec.structs.replace(row, ref=ref, seq=incident.seq, digest=digest, attempts=0)
        await self._cards.sent(fresh, at=self._clock.now())
        return int(row.digest != digest)


class ConsoleChannel:
    """The console reads the journal itself: a card counts as shown once its row says so."""

    name = "console"

    async def show(self, card: Card, ref: str) -> str:
        return ref or f"console:{card.incident}"
