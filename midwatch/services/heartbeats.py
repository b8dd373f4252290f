"""Heartbeats: remember when each was heard, raise the alarm when one falls silent, clear it when it is back."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Protocol

import msgspec

from midwatch.domain.heartbeats import SOURCE, Heartbeat, fallen_silent, is_heartbeat, silence_signal
from midwatch.domain.ids import SignalId
from midwatch.domain.signals import Signal, SignalStatus
from midwatch.services.ports import Receipt
from midwatch.services.runtime import Clock, Ids

_EVERY = timedelta(seconds=5)
_GRACE = timedelta(minutes=10)
"""While we were down nobody could be heard: senders get this long to try again."""


class HeartbeatBook(Protocol):
    """When each heartbeat was heard; it outlives every process."""

    async def heard(self, cluster: str, source: str, name: str, at: datetime) -> None:
        """Count a beat, and note how long it had been silent before. One older than the last changes nothing."""
        ...

    async def expect(self, cluster: str, name: str, since: datetime) -> None:
        """Note that there should be one. Nothing happens where that is noted already."""
        ...

    async def all(self) -> tuple[Heartbeat, ...]:
        """Every heartbeat that is known or expected."""
        ...


class Door(Protocol):
    """The door of the house; see :class:`midwatch.services.ingestion.Intake`."""

    async def accept(self, signals: Sequence[Signal]) -> Sequence[Receipt]: ...


class Told(Protocol):
    """What was said before."""

    async def active(self, *, source: str, cluster: str) -> tuple[Signal, ...]: ...


async def note_heartbeats(book: HeartbeatBook, signals: Sequence[Signal]) -> None:
    """Remember the signs of life among what came in. ``Transient`` while the store is away."""
    heard = {(each.cluster, each.source, each.labels.get("alertname", each.condition)): each for each in signals}
    for (cluster, source, name), signal in heard.items():
        if is_heartbeat(signal):
            await book.heard(cluster, source, name, signal.received_at)


class DeadMan:
    """Looks after the heartbeats. ``expected``: how long one may be silent; zero: learnt from the beats themselves.

    Where it is given, a cluster from which none was ever heard is silent too, counted from the first look.
    """

    def __init__(
        self, book: HeartbeatBook, told: Told, door: Door, clock: Clock, ids: Ids, *, cluster: str, expected: timedelta
    ) -> None:
        self._book, self._told, self._door, self._clock, self._ids = book, told, door, clock, ids
        self._cluster, self._expected = cluster, expected
        self._started = clock.now()
        self._next: datetime | None = None

    async def look(self) -> int:
        """Say which fell silent and which are back, at most every few seconds. Returns how many signals were new."""
        now = self._clock.now()
        if self._next is not None and now < self._next:
            return 0
        if self._expected > timedelta(0) and self._next is None:
            await self._book.expect(self._cluster, "Watchdog", now)
        beats = await self._book.all()
        silent = {beat.key: beat for beat in fallen_silent(beats, self._expected, now)}
        grace = min(_GRACE, self._expected) if self._expected else _GRACE
        late = silent.values() if now - self._started >= grace else ()
        told = [silence_signal(beat, SignalId(self._ids.new()), now) for beat in late]
        for cluster in {beat.cluster for beat in beats}:
            for signal in await self._told.active(source=SOURCE, cluster=cluster):
                beat = silent.get(signal.labels.get("heartbeat", ""))
                if beat is None or beat.seen_at > signal.starts_at:
                    told.append(_over(signal, SignalId(self._ids.new()), now))
        receipts = await self._door.accept(told)
        self._next = now + _EVERY
        return sum(receipt.new for receipt in receipts)


def _over(signal: Signal, signal_id: SignalId, now: datetime) -> Signal:
    return msgspec.structs.replace(signal, id=signal_id, status=SignalStatus.RESOLVED, received_at=now, ends_at=now)
