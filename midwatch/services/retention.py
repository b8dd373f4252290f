"""Retention: what is over for long is deleted, a little at a time; the audit trail is kept."""

import logging
from datetime import datetime, timedelta
from typing import Protocol

import msgspec

from midwatch.domain.brakes import LONGEST_WINDOW
from midwatch.services.runtime import Clock

log = logging.getLogger(__name__)

_BATCH = 200
_ROUNDS = 5
"""Batches in one turn, so that nothing else waits for long behind a great cleaning."""
_EVERY = timedelta(minutes=10)


class Forgotten(msgspec.Struct, frozen=True):
    """How much was deleted."""

    incidents: int = 0
    signals: int = 0
    messages: int = 0
    brakes: int = 0


class Attic(Protocol):
    """What the store keeps of the past."""

    async def forget_incidents(self, *, ended_before: datetime, limit: int) -> int:
        """Delete incidents that were over by then, with their journals, questions, answers and cards; how many."""
        ...

    async def forget_signals(self, *, received_before: datetime, limit: int) -> int:
        """Delete settled signals that came before then and belong to no incident that is kept; how many."""
        ...

    async def forget_messages(self, *, before: datetime, limit: int) -> int:
        """Delete what came in from channels before then, answered or not, and digests; how many came in."""
        ...

    async def forget_brakes(self, *, before: datetime, limit: int) -> int:
        """Delete deeds that ended before then, pauses that were over, and shadows; how many.

        A deed without an end and an unscored shadow go once their incident is over or gone; the newest
        ``SHADOWS_KEPT`` shadows of each playbook stay, its streak is counted from them.
        """
        ...


class Keep(msgspec.Struct, frozen=True, kw_only=True):
    """How long things are kept; ``None``: for ever."""

    incidents: timedelta | None
    signals: timedelta | None
    messages: timedelta = timedelta(days=7)
    """What came in from channels is kept to know a redelivery again, of which none comes so late."""

    @property
    def brakes(self) -> timedelta | None:
        """Deeds, pauses and shadows go with the incidents, but never while a policy may count a deed."""
        return None if self.incidents is None else max(self.incidents, LONGEST_WINDOW)

    @classmethod
    def days(cls, *, incidents: int, signals: int) -> "Keep":
        """As the settings say it: 0 is for ever."""
        return cls(
            incidents=timedelta(days=incidents) if incidents else None,
            signals=timedelta(days=signals) if signals else None,
        )


class Retention:
    """Every ten minutes a turn; what one turn does not reach the next one does."""

    def __init__(self, attic: Attic, keep: Keep, clock: Clock) -> None:
        self._attic, self._keep, self._clock = attic, keep, clock
        self._next: datetime | None = None

    async def turn(self) -> Forgotten:
        """Delete what is due, if it is time to. Raises ``Transient`` while the store is away."""
        now = self._clock.now()
        if self._next is not None and now < self._next:
            return Forgotten()
        gone = Forgotten()
        for _ in range(_ROUNDS):
            some = await self._batch(now)
            counts = zip(msgspec.structs.astuple(gone), msgspec.structs.astuple(some), strict=True)
            gone = Forgotten(*(each + more for each, more in counts))
            if max(msgspec.structs.astuple(some)) < _BATCH:
                self._next = now + _EVERY
                break
        if gone != Forgotten():
            log.info("deleted by age", extra=msgspec.structs.asdict(gone))
        return gone

    async def _batch(self, now: datetime) -> Forgotten:
        incidents = signals = brakes = 0
        if self._keep.incidents is not None:
            before = now - self._keep.incidents
            incidents = await self._attic.forget_incidents(ended_before=before, limit=_BATCH)
        if self._keep.signals is not None:
            before = now - self._keep.signals
            signals = await self._attic.forget_signals(received_before=before, limit=_BATCH)
        messages = await self._attic.forget_messages(before=now - self._keep.messages, limit=_BATCH)
        if self._keep.brakes is not None:
            brakes = await self._attic.forget_brakes(before=now - self._keep.brakes, limit=_BATCH)
        return Forgotten(incidents, signals, messages, brakes)
