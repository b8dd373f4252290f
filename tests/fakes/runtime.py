"""Time and ids that a test holds in its hand."""

import asyncio
import heapq
from datetime import UTC, datetime, timedelta

NOON = datetime(2030, 1, 1, 12, 0, tzinfo=UTC)


class ManualClock:
    """Stands still until ``advance``; whoever sleeps wakes when its instant has come."""

    def __init__(self, start: datetime = NOON) -> None:
        self._now = start
        self._sleepers: list[tuple[datetime, int, asyncio.Future[None]]] = []
        self._count = 0

    def now(self) -> datetime:
        return self._now

    async def sleep(self, seconds: float) -> None:
        if seconds <= 0:
            await asyncio.sleep(0)
            return
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._count += 1
        heapq.heappush(self._sleepers, (self._now + timedelta(seconds=seconds), self._count, future))
        await future

    def advance(self, seconds: float) -> datetime:
        """Move on, wake the sleepers whose time has come (in its order), and return the new time."""
        self._now += timedelta(seconds=seconds)
        while self._sleepers and self._sleepers[0][0] <= self._now:
            _, _, future = heapq.heappop(self._sleepers)
            if not future.done():
                future.set_result(None)
        return self._now

    @property
    def sleepers(self) -> int:
        return sum(not future.done() for _, _, future in self._sleepers)


class CountingIds:
    """Ids in the form of UUIDv7 text, one after another: they sort by the order they were made in."""

    def __init__(self, start: int = 0) -> None:
        self._last = start

    def new(self) -> str:
        self._last += 1
        return f"{self._last:08x}-0000-7000-8000-{self._last:012x}"
