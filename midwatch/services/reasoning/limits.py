"""How far a refinement may go, and who is asked before each call of a model."""

from collections.abc import Awaitable, Callable

import msgspec

from midwatch.domain.budgets import Budget, Spent, check, ladder
from midwatch.domain.dialogue import ModelTier
from midwatch.domain.reasons import Reason
from midwatch.services.reasoning.memory import Memory, Thought
from midwatch.services.runtime import Clock

DaySpent = Callable[[], Awaitable[Spent]]
"""What models spent today (UTC), all incidents together."""


DayWork = Callable[[int, float], None]
"""Told of tool calls, and of seconds of work, since it was told last; must not block."""


def uncounted(tool_calls: int, seconds: float) -> None:
    """Where no day's meter is kept."""


async def nothing_today() -> Spent:
    """Where no day's meter is kept."""
    return Spent()


class Limits(msgspec.Struct, frozen=True, kw_only=True):
    """Bounds of one refinement. Sizes are in characters, times in seconds; ``incident`` and ``day`` are budgets.

    A first report of at least ``small_from`` is checked by the small model first. ``calls_at_once`` bounds the tools of
    one round. ``race_below`` is the first report's confidence under which hypotheses are raced (0: never);
    ``race_rounds`` is what each may use, ``confirm_from`` what one needs before it is checked.
    """

    incident: Budget = Budget()
    day: Budget = Budget()
    rounds: int = 12
    calls_at_once: int = 8
    data_bytes: int = 2_000_000
    output_bytes: int = 256_000
    shown_bytes: int = 8_000
    summarise_from: int = 24_000
    history_bytes: int = 160_000
    tool_s: float = 60.0
    attempts: int = 12
    small_from: float = 0.9
    race_below: float = 0.5
    hypotheses: int = 3
    race_rounds: int = 3
    confirm_from: float = 0.6


class Meter:
    """Says before each call whether it may be made, and by which model. Calls under way count already."""

    def __init__(
        self, limits: Limits, memory: Memory, day: DaySpent, clock: Clock, day_work: DayWork = uncounted
    ) -> None:
        self._limits, self._memory, self._day, self._clock = limits, memory, day, clock
        self._day_work = day_work
        self._today = Spent()
        self._at_first = Spent()
        self._began = self._noted_at = clock.now()
        self._noted_tools = memory.spent.tool_calls
        self.under_way = 0
        self.tools_under_way = 0

    async def read_day(self) -> None:
        """Ask for the day's spending; between two readings our own is added to it."""
        self._today, self._at_first = await self._day(), self._memory.spent

    def worked(self) -> None:
        """Have the day's meter count the tools and the time since this was called last."""
        now, tools = self._clock.now(), self._memory.spent.tool_calls
        seconds = max(0.0, (now - self._noted_at).total_seconds())
        self._day_work(tools - self._noted_tools, seconds)
        self._noted_at, self._noted_tools = now, tools

    def refuses(self, thought: Thought, rounds: int) -> Reason | None:
        """Why this line may not go on looking, or ``None``. One call is always held back, for the conclusion."""
        if thought.repeats >= 2:
            return Reason.LOOP_DETECTED
        if thought.iteration >= rounds:
            return Reason.ROUNDS_SPENT
        if self._memory.data_bytes >= self._limits.data_bytes:
            return Reason.DATA_SPENT
        spent = self._memory.spent
        now = self._clock.now()
        if (tools := self._limits.incident.tool_calls) and spent.tool_calls >= tools:
            return Reason.BUDGET_TOOL_CALLS
        calls = max(1, spent.model_calls)
        ahead = 1 + self.under_way
        coming = Spent(model_calls=ahead, tokens=ahead * spent.tokens // calls, usd=ahead * spent.usd / calls)
        return check(self._limits.incident, spent + coming, now) or check(
            self._limits.day, self._of_day() + coming, now
        )

    def closed(self) -> Reason | None:
        """Why not even a conclusion may be asked for: a limit of money, tokens or calls is passed already."""
        spent, now = self._memory.spent, self._clock.now()
        lenient = msgspec.structs.replace(self._limits.incident, wall_s=0.0, tool_calls=0)
        of_day = msgspec.structs.replace(self._limits.day, wall_s=0.0, tool_calls=0)
        return check(lenient, spent, now) or check(of_day, self._of_day(), now)

    def tight(self) -> bool:
        """Whether a budget nears its end, so that nothing is spent on convenience."""
        rung = ladder(
            (self._limits.incident, self._memory.spent), (self._limits.day, self._of_day()), self._clock.now()
        )
        return rung.tier is not ModelTier.LARGE

    def tools_left(self) -> int:
        """How many more tools may be called."""
        limit = self._limits.incident.tool_calls
        spent = self._memory.spent.tool_calls + self.tools_under_way
        return max(0, limit - spent) if limit else self._limits.calls_at_once

    def tier(self, wanted: ModelTier) -> ModelTier:
        """The tier to ask: the one that is wanted, or the small one when a budget nears its end."""
        return ModelTier.SMALL if self.tight() else wanted

    def _of_day(self) -> Spent:
        ours = self._memory.spent
        return self._today + Spent(
            wall_s=max(0.0, (self._clock.now() - self._began).total_seconds()),
            model_calls=ours.model_calls - self._at_first.model_calls,
            tool_calls=ours.tool_calls - self._at_first.tool_calls,
            tokens=ours.tokens - self._at_first.tokens,
            usd=ours.usd - self._at_first.usd,
        )
