"""Budgets are checked before each call, name the limit, and lead down the ladder."""

from datetime import timedelta

import pytest

from midwatch.domain.budgets import Budget, Rung, Spent, check, cost, ladder, used
from midwatch.domain.dialogue import AssistantTurn, ModelReply, ModelTier, StopReason, Usage
from midwatch.domain.reasons import Reason
from midwatch.settings import Settings
from tests.fakes.runtime import NOON

TIGHT = Budget(wall_s=60, model_calls=3, tool_calls=5, tokens=1000, usd=0.5)


@pytest.mark.parametrize(
    ("spent", "reason"),
    [
        (Spent(), None),
        (Spent(wall_s=59.9, model_calls=2, tool_calls=4, tokens=999, usd=0.49), None),
        (Spent(wall_s=60), Reason.BUDGET_TIME),
        (Spent(since=NOON - timedelta(seconds=61)), Reason.BUDGET_TIME),
        (Spent(since=NOON - timedelta(seconds=31), wall_s=30), Reason.BUDGET_TIME),
        (Spent(model_calls=3), Reason.BUDGET_MODEL_CALLS),
        (Spent(tool_calls=6), Reason.BUDGET_TOOL_CALLS),
        (Spent(tokens=1000), Reason.BUDGET_TOKENS),
        (Spent(usd=0.5, tokens=5000), Reason.BUDGET_MONEY),
    ],
)
def test_the_limit_that_is_reached_is_named(spent: Spent, reason: Reason | None) -> None:
    assert check(TIGHT, spent, NOON) is reason


def test_without_limits_everything_is_allowed() -> None:
    lots = Spent(wall_s=1e9, model_calls=10**9, tool_calls=10**9, tokens=10**12, usd=1e9)
    assert check(Budget(), lots, NOON) is None
    assert used(Budget(), lots, NOON) == 0.0


def test_a_clock_that_steps_back_gives_no_time_back() -> None:
    assert Spent(since=NOON + timedelta(hours=1), wall_s=5).seconds(NOON) == 5


def test_spending_adds_up_and_its_time_can_be_stopped() -> None:
    reply = ModelReply(
        turn=AssistantTurn("x"),
        stop=StopReason.DONE,
        usage=Usage(input=10, output=20, cache_read=30, cache_write=40),
        provider="p",
        model="m",
        cost_usd=0.25,
    )
    running = Spent(since=NOON, wall_s=1) + cost(reply) + cost(reply) + Spent(tool_calls=3)
    whole = running.stopped(NOON + timedelta(seconds=9))
    assert whole == Spent(wall_s=10, model_calls=2, tool_calls=3, tokens=200, usd=0.5)
    assert (Spent(since=NOON) + Spent(since=NOON - timedelta(seconds=1))).since == NOON - timedelta(seconds=1)


@pytest.mark.parametrize(
    ("incident", "day", "rung"),
    [
        (Spent(), Spent(), Rung(ModelTier.LARGE, Reason.WITHIN_BUDGET)),
        (Spent(tokens=800), Spent(), Rung(ModelTier.SMALL, Reason.BUDGET_NEARLY_SPENT)),
        (Spent(), Spent(usd=0.45), Rung(ModelTier.SMALL, Reason.BUDGET_NEARLY_SPENT, day=True)),
        (Spent(tokens=1000), Spent(), Rung(None, Reason.BUDGET_TOKENS)),
        (Spent(), Spent(usd=0.5), Rung(None, Reason.BUDGET_MONEY, day=True)),
    ],
)
def test_the_ladder_goes_down_as_budgets_are_used_up(incident: Spent, day: Spent, rung: Rung) -> None:
    assert ladder((TIGHT, incident), (TIGHT, day), NOON) == rung


def test_the_settings_limit_money_and_time_from_the_start(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MIDWATCH_DAY_BUDGET_USD", "7")
    settings = Settings()
    assert settings.day_budget.usd == 7
    budget = settings.incident_budget
    assert min(budget.wall_s, budget.model_calls, budget.tool_calls, budget.tokens, budget.usd) > 0
