"""Spending adds up by day, provider and model, whoever writes and however many at once."""

import asyncio
from datetime import date

from midwatch.services.spending import SpendRow
from tests.contract.conftest import AnyStore

DAY = date(2030, 1, 1)


def row(**changed: object) -> SpendRow:
    facts: dict[str, object] = {"day": DAY, "provider": "p", "model": "m", "calls": 1, "input": 10, "usd": 0.25}
    return SpendRow(**{**facts, **changed})  # type: ignore[arg-type]  # checked by the tests' own use


async def test_additions_at_once_are_all_counted(store: AnyStore) -> None:
    await asyncio.gather(*(store.spend.add(row(output=2, cache_read=3, cache_write=4)) for _ in range(20)))
    (whole,) = await store.spend.since(DAY)
    assert whole == row(calls=20, input=200, output=40, cache_read=60, cache_write=80, usd=5.0)
    assert (whole.spent.model_calls, whole.spent.tokens, whole.spent.usd) == (20, 380, 5.0)


async def test_each_day_provider_and_model_has_a_row_of_its_own(store: AnyStore) -> None:
    tools = SpendRow(day=DAY, tool_calls=3, wall_s=1.5)
    rows = (tools, row(), row(model="n"), row(provider="q"), row(day=date(2030, 1, 2)))
    for each in reversed(rows):
        await store.spend.add(each)
    assert await store.spend.since(DAY) == rows
    assert await store.spend.since(date(2030, 1, 2)) == rows[-1:]
    assert await store.spend.since(date(2030, 1, 3)) == ()


async def test_counts_outgrow_32_bits(store: AnyStore) -> None:
    await store.spend.add(row(input=3_000_000_000))
    await store.spend.add(row(input=3_000_000_000))
    assert (await store.spend.since(DAY))[0].input == 6_000_000_000
