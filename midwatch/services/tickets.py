"""Tickets: each incident's ticket is kept up with its journal. At least once towards the vendor, once as people see it.

The outbox is the one of the cards, with the ticket system's name for a channel: what was not delivered stays due.
"""

import logging
from collections.abc import Sequence
from datetime import timedelta
from typing import Protocol

import msgspec

from midwatch.domain.errors import MidwatchError, Transient
from midwatch.domain.refs import Severity
from midwatch.domain.tickets import Note, Standing, Ticket, note_of, standing_of, ticket_of
from midwatch.services.ports import CardBox, CardRow, Journal
from midwatch.services.runtime import Clock

log = logging.getLogger(__name__)
_LONGEST_WAIT = timedelta(minutes=5)
_AFTER_REFUSAL = timedelta(minutes=10)
_AT_ONCE = 500


class TicketSystem(Protocol):
    """One vendor. ``name`` keys its rows in the outbox. Every method may be called again after a crash.

    All raise ``Transient`` to be asked again (``retry_in`` respected), ``Permanent`` when the vendor refuses.
    """

    name: str

    async def ensure(self, ticket: Ticket) -> str:
        """The reference of the incident's ticket, which is opened where there is none."""
        ...

    async def note(self, ref: str, notes: Sequence[Note]) -> None:
        """Add what is not there yet, in order."""
        ...

    async def stand(self, ref: str, standing: Standing) -> None:
        """Open it again, close it, or give it to whoever is on call."""
        ...


class Tickets:
    """Brings one ticket system up to date. Incidents below ``least`` get no ticket."""

    def __init__(
        self, journal: Journal, cards: CardBox, system: TicketSystem, clock: Clock, *, least: Severity
    ) -> None:
        self._journal, self._cards, self._system, self._clock, self._least = journal, cards, system, clock, least

    async def drain(self) -> int:
        """Deliver what is due. Returns how many tickets moved."""
        moved = 0
        while rows := await self._cards.due(self._system.name, now=self._clock.now()):
            for row in rows:
                moved += await self._deliver(row)
        return moved

    async def _deliver(self, row: CardRow) -> int:
        try:
            return await self._brought_up_to_date(row)
        except MidwatchError as error:  # whatever it is, it is this ticket's: the others are not to wait behind it
            wait = _AFTER_REFUSAL
            if isinstance(error, Transient):
                wait = min(timedelta(seconds=error.retry_in) * 2 ** min(row.attempts, 8), _LONGEST_WAIT)
                wait = max(wait, timedelta(seconds=error.retry_in))
            about = {"incident": row.incident, "system": self._system.name, "error": str(error)}
            log.warning("ticket not delivered", extra=about)
            # What was delivered before it went wrong is kept: notes know their keys, the ticket its marker.
            await self._cards.failed(row, error=str(error), retry_at=self._clock.now() + wait)
            return 0

    async def _brought_up_to_date(self, row: CardRow) -> int:
        incident = await self._journal.read(row.incident)
        if incident.severity.rank < self._least.rank and not row.ref:
            await self._cards.sent(msgspec.structs.replace(row, seq=incident.seq), at=self._clock.now())
            return 0
        if not row.ref:
            # Not taken as delivered yet: entries that came before the ticket are its first notes.
            row = msgspec.structs.replace(row, ref=await self._system.ensure(ticket_of(incident)), seq=0)
        seq = row.seq
        while entries := await self._journal.entries(row.incident, after=seq, limit=_AT_ONCE):
            entries = tuple(entry for entry in entries if entry.seq <= incident.seq)
            if not entries:
                break
            if notes := [note for entry in entries if (note := note_of(entry, incident)) is not None]:
                await self._system.note(row.ref, notes)
            seq = entries[-1].seq
        standing = standing_of(incident)
        if standing != (row.digest or Standing.OPEN):
            await self._system.stand(row.ref, standing)
        fresh = msgspec.structs.replace(row, seq=incident.seq, digest=standing, attempts=0)
        await self._cards.sent(fresh, at=self._clock.now())
        return 1
