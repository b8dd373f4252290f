"""Holding a claim: kept alive while its work takes longer than it lasts, given back when nothing can be done."""

import asyncio
from collections.abc import Awaitable
from datetime import timedelta
from typing import TypeVar

import msgspec

from midwatch.services.ports import Claim, WorkQueue
from midwatch.services.runtime import Clock

T = TypeVar("T")


class Pace(msgspec.Struct, frozen=True, kw_only=True):
    """Times of an executor: between two looks, of a claim and of a resource lease (all in seconds)."""

    poll_s: float = 1.0
    claim_ttl_s: float = 6.0
    lease_ttl_s: float = 120.0


class Later(Exception):
    """Nothing can be done now: give the claim back and come again after ``seconds``."""

    def __init__(self, seconds: float, why: str) -> None:
        super().__init__(seconds, why)
        self.seconds, self.why = seconds, why


class Blind(Later):
    """The object could not be looked at, many times in a row."""


class HeldClaim:
    """A claim and its renewals. Every method raises ``ClaimLost`` once another process holds it: stop at once."""

    def __init__(self, work: WorkQueue, claim: Claim, clock: Clock, ttl: timedelta) -> None:
        self._work, self._clock, self._ttl = work, clock, ttl
        self.claim = claim

    async def keep(self) -> None:
        """Renew when half of its time is gone."""
        now = self._clock.now()
        if self.claim.until - now < self._ttl / 2:
            self.claim = await self._work.renew(self.claim, now=now, ttl=self._ttl)

    async def during(self, call: Awaitable[T]) -> T:
        """Wait for a call that may be slow, renewing meanwhile. A lost claim cancels it."""
        await self.keep()
        task = asyncio.ensure_future(call)
        try:
            while not (await asyncio.wait({task}, timeout=self._ttl.total_seconds() / 3))[0]:
                self.claim = await self._work.renew(self.claim, now=self._clock.now(), ttl=self._ttl)
            return task.result()
        finally:
            if not task.done():
                task.cancel()
                await asyncio.wait({task})

    async def give_back(self, seconds: float, error: str) -> None:
        """Release, to be claimed again after so many seconds."""
        retry_at = self._clock.now() + timedelta(seconds=seconds)
        await self._work.release(self.claim, retry_at=retry_at, error=error)
