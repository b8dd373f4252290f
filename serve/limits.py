"""Limits kept in this process: requests per client, and how deep the inbox is."""

import asyncio
from collections import OrderedDict
from datetime import datetime, timedelta

from midwatch.domain.errors import Transient
from midwatch.services.ports import Inbox
from midwatch.services.runtime import Clock

_MOST_CLIENTS = 10_000
_DEPTH_KEPT = timedelta(seconds=0.5)
_FULL_RETRY_S = 5.0


class LocalRateLimiter:
    """A token bucket per client: a minute's worth at once, then evenly."""

    def __init__(self) -> None:
        self._buckets: OrderedDict[str, tuple[float, datetime]] = OrderedDict()

    async def allow(self, key: str, per_minute: int, now: datetime) -> bool:
        """Take one token of ``key``."""
        tokens, then = self._buckets.get(key, (float(per_minute), now))
        rate = per_minute / 60
        tokens = min(float(per_minute), tokens + max(0.0, (now - then).total_seconds()) * rate)
        allowed = tokens >= 1
        self._buckets[key] = (tokens - 1 if allowed else tokens, now)
        self._buckets.move_to_end(key)
        while len(self._buckets) > _MOST_CLIENTS:
            self._buckets.popitem(last=False)
        return allowed


class Shedder:
    """Refuses alerts while too many wait, so that the sender keeps them. Asks the store at most twice a second."""

    def __init__(self, inbox: Inbox, clock: Clock, limit: int) -> None:
        self._inbox, self._clock, self._limit = inbox, clock, limit
        self._depth = 0
        self._looked: datetime | None = None
        self._looking = asyncio.Lock()

    async def admit(self, arriving: int) -> None:
        """``Transient`` when there is no room for ``arriving`` more signals."""
        async with self._looking:  # whoever comes meanwhile waits, else its arrival would be forgotten by this look
            now = self._clock.now()
            if self._looked is None or not timedelta(0) <= now - self._looked < _DEPTH_KEPT:
                self._depth, self._looked = await self._inbox.depth(), now
        if self._depth >= self._limit:
            raise Transient(f"{self._depth} signals wait to be looked at; keep this and send it again", _FULL_RETRY_S)
        self._depth += arriving
