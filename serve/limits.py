"""A limit kept in this process: how deep the inbox is."""

import asyncio
from datetime import datetime, timedelta

from midwatch.domain.errors import Transient
from midwatch.services.ports import Inbox
from midwatch.services.runtime import Clock

_DEPTH_KEPT = timedelta(seconds=0.5)
_FULL_RETRY_S = 5.0


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
