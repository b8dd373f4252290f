"""Budgets of the model's work: what an incident, and a day, may cost, and how far down the ladder what is left reaches.

A limit of 0 is no limit. Work is checked *before* each call, so that no run passes a limit by more than one call.
"""

from collections.abc import Iterator
from datetime import datetime

import msgspec

from midwatch.domain.dialogue import ModelReply, ModelTier
from midwatch.domain.reasons import Reason


class Budget(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The most that may be spent: seconds of investigation, calls, tokens of any kind, US dollars. 0: no limit."""

    wall_s: float = 0.0
    model_calls: int = 0
    tool_calls: int = 0
    tokens: int = 0
    usd: float = 0.0


class Spent(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What was spent so far. ``since``: the work goes on, and its time runs since then, on top of ``wall_s``."""

    since: datetime | None = None
    wall_s: float = 0.0
    model_calls: int = 0
    tool_calls: int = 0
    tokens: int = 0
    usd: float = 0.0

    def __add__(self, other: "Spent") -> "Spent":
        """Both together; of two running times the earlier beginning counts."""
        begins = [since for since in (self.since, other.since) if since is not None]
        return Spent(
            since=min(begins, default=None),
            wall_s=self.wall_s + other.wall_s,
            model_calls=self.model_calls + other.model_calls,
            tool_calls=self.tool_calls + other.tool_calls,
            tokens=self.tokens + other.tokens,
            usd=self.usd + other.usd,
        )

    def seconds(self, now: datetime) -> float:
        """Seconds of work until ``now``."""
        return self.wall_s + (max(0.0, (now - self.since).total_seconds()) if self.since is not None else 0.0)

    def stopped(self, now: datetime) -> "Spent":
        """The same with the running time added up: what is written down when the work pauses or ends."""
        return msgspec.structs.replace(self, since=None, wall_s=self.seconds(now))


def cost(reply: ModelReply) -> Spent:
    """What one answer of a model has cost."""
    return Spent(model_calls=1, tokens=reply.usage.tokens, usd=reply.cost_usd)


def check(budget: Budget, spent: Spent, now: datetime) -> Reason | None:
    """The first limit that is reached, or ``None`` while another call is allowed."""
    return next((reason for reason, share in _shares(budget, spent, now) if share >= 1.0), None)


def used(budget: Budget, spent: Spent, now: datetime) -> float:
    """How much of the limit closest to its end is spent: 0.0 nothing, 1.0 all. 0.0 where nothing is limited."""
    return max((share for _, share in _shares(budget, spent, now)), default=0.0)


class Rung(msgspec.Struct, frozen=True):
    """How far up the ladder (built-in, small, large) the next call may go. ``None``: the built-in analyser alone.

    ``day``: it is the day's budget that says so, not the incident's.
    """

    tier: ModelTier | None
    reason: Reason
    day: bool = False


SMALL_FROM = 0.8
"""From this share of a budget on, only the small model is asked."""


def ladder(
    incident: tuple[Budget, Spent], day: tuple[Budget, Spent], now: datetime, *, small_from: float = SMALL_FROM
) -> Rung:
    """The highest tier that both budgets allow. ``reason`` names the limit that is reached or near."""
    for of_day, (budget, spent) in ((False, incident), (True, day)):
        if (reached := check(budget, spent, now)) is not None:
            return Rung(None, reached, of_day)
    shares = (used(*incident, now), used(*day, now))
    if max(shares) >= small_from:
        return Rung(ModelTier.SMALL, Reason.BUDGET_NEARLY_SPENT, shares[1] > shares[0])
    return Rung(ModelTier.LARGE, Reason.WITHIN_BUDGET)


def _shares(budget: Budget, spent: Spent, now: datetime) -> Iterator[tuple[Reason, float]]:
    pairs = (
        (Reason.BUDGET_MONEY, spent.usd, budget.usd),
        (Reason.BUDGET_TOKENS, spent.tokens, budget.tokens),
        (Reason.BUDGET_MODEL_CALLS, spent.model_calls, budget.model_calls),
        (Reason.BUDGET_TOOL_CALLS, spent.tool_calls, budget.tool_calls),
        (Reason.BUDGET_TIME, spent.seconds(now), budget.wall_s),
    )
    for reason, amount, limit in pairs:
        if limit > 0:
            yield reason, amount / limit
