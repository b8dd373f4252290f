"""What models cost by day and model, and how the tool servers stand: for programs, and as a page."""

from datetime import date, timedelta
from typing import Annotated

import msgspec
from fastapi import APIRouter, Depends, Query, Response

from midwatch.domain.budgets import Budget, Spent
from midwatch.services.spending import SpendRow
from serve.dependencies import Edge, TheEdge
from serve.routes.console import ThePages, Visitor
from serve.schemas.plain import json_response
from serve.security import authorised, within_rate

router = APIRouter(default_response_class=Response)

_PAGE_DAYS = 14


class Day(msgspec.Struct, frozen=True, kw_only=True):
    """One day (UTC): what all models together have spent, and the rows it is made of, the dearest first."""

    day: date
    usd: float
    tokens: int
    model_calls: int
    tool_calls: int
    seconds: float
    models: tuple[SpendRow, ...]


@router.get("/api/usage", dependencies=[Depends(within_rate), Depends(authorised)])
async def usage(edge: TheEdge, days: Annotated[int, Query(ge=1, le=366)] = 30) -> Response:
    """The last days' spending, newest first, and the day's budget (0: no limit)."""
    return json_response({"days": await _days(edge, days), "day_budget": edge.day_budget})


@router.get("/api/mcp-servers", dependencies=[Depends(within_rate), Depends(authorised)])
async def mcp_servers(edge: TheEdge) -> Response:
    """The tool servers of each worker that has started any, with the changes of state that probes have confirmed."""
    return json_response({"workers": await edge.tool_servers()})


@router.get("/usage", dependencies=[Depends(within_rate)])
async def usage_page(edge: TheEdge, caller: Visitor, pages: ThePages) -> Response:
    """Both on one page."""
    days = await _days(edge, _PAGE_DAYS)
    return pages.page(
        "usage.html",
        now=edge.clock.now(),
        csrf=caller.csrf,
        who=caller.name,
        days=days,
        limits=_limits(edge.day_budget),
        workers=await edge.tool_servers(),
    )


async def _days(edge: Edge, count: int) -> tuple[Day, ...]:
    """Days on which anything was spent."""
    first = edge.clock.now().date() - timedelta(days=count - 1)
    by_day: dict[date, list[SpendRow]] = {}
    for row in await edge.spend.since(first):
        by_day.setdefault(row.day, []).append(row)
    return tuple(_day(day, rows) for day, rows in sorted(by_day.items(), reverse=True))


def _day(day: date, rows: list[SpendRow]) -> Day:
    whole = sum((row.spent for row in rows), Spent())
    return Day(
        day=day,
        usd=whole.usd,
        tokens=whole.tokens,
        model_calls=whole.model_calls,
        tool_calls=whole.tool_calls,
        seconds=whole.wall_s,
        models=tuple(sorted((row for row in rows if row.model), key=lambda row: (-row.usd, row.provider, row.model))),
    )


def _limits(budget: Budget) -> str:
    """The day's budget in words, empty without one."""
    parts = (
        (budget.usd, f"${budget.usd:,.2f}"),
        (budget.tokens, f"{budget.tokens:,} tokens"),
        (budget.model_calls, f"{budget.model_calls:,} calls of models"),
        (budget.tool_calls, f"{budget.tool_calls:,} tools"),
        (budget.wall_s, f"{budget.wall_s:,.0f} seconds"),
    )
    return ", ".join(words for amount, words in parts if amount)
