"""Approvals and execution over the real store: one winner, one mutation, whatever dies."""

import asyncio

import pytest

from midwatch.adapters.store.database import Database
from midwatch.adapters.store.stores import open_stores
from midwatch.domain.approvals import Choice, DecisionKind
from midwatch.domain.incidents import State, Work
from midwatch.services.holding import Pace
from tests.fakes.cluster import FakeCluster
from tests.fakes.remedies import Bench


class Crash(BaseException):
    """The process dies here."""


async def test_a_hundred_racing_clicks_have_one_winner(database: Database) -> None:
    bench = Bench(store=open_stores(database))
    incident = await bench.asked(await bench.incident())
    clicks = [
        bench.answer(incident, Choice.APPROVE if number % 2 else Choice.REJECT, user=f"api:user{number}")
        for number in range(100)
    ]
    await asyncio.gather(*(bench.approvals.click(click) for click in clicks))
    await asyncio.gather(*(bench.approvals.drain() for _ in range(4)))
    outcomes = [outcome for click in clicks if (outcome := await bench.store.clicks.outcome(click.id))]
    assert len(outcomes) == 100
    won = [kind for kind, _ in outcomes if kind in (DecisionKind.APPROVED, DecisionKind.REJECTED)]
    assert len(won) == 1
    assert (await bench.story(incident)).count("ApprovalClosed") == 1


@pytest.mark.parametrize("heals", [True, False])
async def test_a_crash_at_every_point_of_the_cluster_leaves_one_effect(database: Database, heals: bool) -> None:
    points = 0
    crashed = True
    while crashed:
        bench = Bench(FakeCluster(heals=heals), store=open_stores(database))
        bench.ids._last = points * 1000
        bench.clock.advance(points * 3600)  # the store remembers how long the target rests
        bench.pace = Pace(poll_s=120.0)
        incident = await bench.approved(await bench.incident("OOMKilled"))
        crashed = await crash_at(bench, points)
        if crashed:
            bench.clock.advance(7)
            await bench.executed()
        incident = await bench.store.journal.read(incident.id)
        wanted = ["patch_resources"] if heals else ["patch_resources", "restore"]
        assert [action for action, _ in bench.cluster.mutations] == wanted, f"crash at call {points}"
        assert incident.state is (State.RESOLVED if heals else State.ESCALATED)
        points += 1
    assert points > 8


async def crash_at(bench: Bench, point: int) -> bool:
    """Run the executor until its call number ``point`` to the cluster; whether it died there."""
    calls = 0

    def count(_: str) -> None:
        nonlocal calls
        calls += 1
        if calls > point:
            raise Crash

    bench.cluster.on_call = count
    try:
        await bench.execution.run(await bench.claim(Work.EXECUTE))
    except Crash:
        return True
    finally:
        bench.cluster.on_call = lambda _: None
    return False
