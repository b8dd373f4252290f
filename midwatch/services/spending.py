"""What models cost, day by day: the book, and each process's meter that writes into it."""

import asyncio
import logging
from datetime import date, datetime, timedelta
from typing import Protocol

import msgspec

from midwatch.domain.budgets import Spent
from midwatch.domain.dialogue import ModelReply, Usage
from midwatch.domain.errors import MidwatchError
from midwatch.services.runtime import Clock

log = logging.getLogger(__name__)

_FRESH = timedelta(seconds=5)


class SpendRow(msgspec.Struct, frozen=True, kw_only=True):
    """What was spent on one model in one day (UTC): calls, tokens, US dollars.

    Tool calls and the seconds of investigations stand under an empty provider and model.
    """

    day: date
    provider: str = ""
    model: str = ""
    calls: int = 0
    tool_calls: int = 0
    input: int = 0
    output: int = 0
    cache_read: int = 0
    cache_write: int = 0
    usd: float = 0.0
    wall_s: float = 0.0

    def __add__(self, other: "SpendRow") -> "SpendRow":
        return SpendRow(
            day=self.day,
            provider=self.provider,
            model=self.model,
            calls=self.calls + other.calls,
            tool_calls=self.tool_calls + other.tool_calls,
            input=self.input + other.input,
            output=self.output + other.output,
            cache_read=self.cache_read + other.cache_read,
            cache_write=self.cache_write + other.cache_write,
            usd=self.usd + other.usd,
            wall_s=self.wall_s + other.wall_s,
        )

    @property
    def spent(self) -> Spent:
        """As budgets count it."""
        return Spent(
            wall_s=self.wall_s,
            model_calls=self.calls,
            tool_calls=self.tool_calls,
            tokens=self.input + self.output + self.cache_read + self.cache_write,
            usd=self.usd,
        )


class SpendBook(Protocol):
    """The days' spending, of all processes together."""

    async def add(self, row: SpendRow) -> None:
        """Add to the row of this day, provider and model; concurrent additions are all counted."""
        ...

    async def since(self, day: date) -> tuple[SpendRow, ...]:
        """The rows of this day and later, by day, provider, model."""
        ...


class DayMeter:
    """One process's part of the day's spending, written to the book, and the whole day's so far.

    Additions wait for no more than one writing: those that come meanwhile are written together. While the book is
    away they are kept, counted, and written with the next.
    """

    def __init__(self, book: SpendBook, clock: Clock) -> None:
        self._book, self._clock = book, clock
        self._pending: dict[tuple[date, str, str], SpendRow] = {}
        self._writing = asyncio.Lock()
        self._read: tuple[datetime, date, Spent] | None = None
        self._worked: datetime | None = None

    async def reply(self, reply: ModelReply) -> None:
        """Count an answer that came from a provider."""
        await self.add(self._call(reply.provider, reply.model, reply.usage, reply.cost_usd))

    def lost(self, provider: str, model: str, usage: Usage, usd: float) -> None:
        """Count what brought no answer; written with the next addition."""
        self._keep(self._call(provider, model, usage, usd))

    def _call(self, provider: str, model: str, usage: Usage, usd: float) -> SpendRow:
        return SpendRow(
            day=self._today(),
            provider=provider,
            model=model,
            calls=1,
            input=usage.input,
            output=usage.output,
            cache_read=usage.cache_read,
            cache_write=usage.cache_write,
            usd=usd,
        )

    def work(self, tool_calls: int = 0, wall_s: float = 0.0) -> None:
        """Count tool calls, and seconds of an investigation; written with the next addition, or by :meth:`flush`."""
        if tool_calls or wall_s:
            self._keep(SpendRow(day=self._today(), tool_calls=tool_calls, wall_s=wall_s))

    async def add(self, row: SpendRow) -> None:
        """Count and write. Never raises for a book that is away."""
        self._keep(row)
        await self._write(lazily=True)

    async def flush(self) -> None:
        """Write what is counted and not written."""
        await self._write(lazily=False)

    async def _write(self, *, lazily: bool) -> None:
        """``lazily``: tool calls and seconds wait for a while, they come with every call of a model."""
        async with self._writing:
            now = self._clock.now()
            early = lazily and self._worked is not None and now - self._worked < _FRESH
            while rows := [key for key in self._pending if not (early and not key[1])]:
                key = rows[0]
                if not key[1]:
                    self._worked = now
                taken = self._pending.pop(key)
                try:
                    await self._book.add(taken)
                except BaseException as error:
                    self._keep(taken)
                    if not isinstance(error, MidwatchError):
                        raise
                    log.warning("spending is not written yet", extra={"error": str(error)})
                    return
                if self._read is not None and self._read[1] == taken.day:
                    at, day, known = self._read
                    self._read = (at, day, known + taken.spent)

    async def today(self) -> Spent:
        """The day's spending of all processes, at most five seconds old, with all of this process's. When the book
        is away: what is known.
        """
        now, today = self._clock.now(), self._today()
        if self._read is None or self._read[1] != today or now - self._read[0] >= _FRESH:
            try:
                rows = await self._book.since(today)
                self._read = (now, today, sum((row.spent for row in rows if row.day == today), Spent()))
            except MidwatchError as error:
                log.warning("the day's spending cannot be read", extra={"error": str(error)})
        known = self._read[2] if self._read is not None and self._read[1] == today else Spent()
        return sum((row.spent for row in self._pending.values() if row.day == today), known)

    def _keep(self, row: SpendRow) -> None:
        key = (row.day, row.provider, row.model)
        self._pending[key] = self._pending[key] + row if key in self._pending else row

    def _today(self) -> date:
        return self._clock.now().date()
