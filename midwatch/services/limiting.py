"""How often one and the same may do something: requests of a client, messages of a person, guesses at a code."""

from collections import OrderedDict
from datetime import datetime
from typing import Final, Protocol

from midwatch.services.runtime import Clock

_MOST_KEYS: Final = 10_000


class Limiter(Protocol):
    """Whether one more of this key fits in its rate, for all processes together where they can ask each other."""

    async def allow(self, key: str, per_minute: int, now: datetime) -> bool:
        """Take one of ``key``; ``False`` when there is none left."""
        ...


class LocalRateLimiter:
    """A token bucket per key in this process alone: a minute's worth at once, then evenly."""

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
        while len(self._buckets) > _MOST_KEYS:
            self._buckets.popitem(last=False)
        return allowed


class PersonalRate:
    """How much one person of a channel may send in a minute, messages and clicks together.

    Requests that a channel signed all come from few addresses: only the person they tell of can be limited.
    """

    def __init__(self, limiter: Limiter, clock: Clock, *, per_minute: int) -> None:
        self._limiter, self._clock, self.per_minute = limiter, clock, per_minute

    async def allow(self, identity: str) -> bool:
        """Whether one more of ``channel:user`` is taken."""
        return await self._limiter.allow(f"person:{identity}", self.per_minute, self._clock.now())

    async def remind(self, identity: str) -> bool:
        """Whether to tell them now that it was too much: once a minute, for that is a message, too."""
        return await self._limiter.allow(f"reminded:{identity}", 1, self._clock.now())
