"""Approvals and execution over the real store: one winner, one mutation, whatever dies."""

import asyncio

import pytest
from sqlalchemy import text

from midwatch.adapters.store.database import Database
from midwatch.adapters.store.stores import open_stores
from midwatch.domain.approvals import Choice, DecisionKind
from midwatch.domain.incidents import State, Work
from midwatch.domain.policy import Policy
from midwatch.domain.reasons import Reason
from midwatch.services.holding import Pace
from tests.fakes.cluster import FakeCluster
from tests.fakes.remedies import Bench

UNENDED = text("""
    SELECT a.incident_id, a.seq FROM incident_events a
     WHERE a.type = 'step-acted' AND NOT EXISTS (
        SELECT 1 FROM incident_events z
         WHERE z.incident_id = a.incident_id AND z.seq > a.seq
           AND (z.type = 'escalated'
                OR z.type IN ('step-verified', 'step-undone', 'undo-failed')
                   AND (z.data->>'index') = (a.data->>'index')))
""")
"""Steps that took effect and were neither verified nor undone nor handed to a person: there is none, ever."""


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
    async with database.begin() as connection:
        assert (await connection.execute(UNENDED)).all() == []
        acted = text("SELECT count(*) FROM incident_events WHERE type = 'step-acted'")
        assert (await connection.execute(acted)).scalar_one() >= points


async def test_the_hours_last_place_is_taken_once_by_racing_executors(database: Database) -> None:
    bench = Bench(policy=Policy(actions_per_hour=3, cooldown_s=0.0), store=open_stores(database))
    incidents = [await bench.approved(await bench.incident()) for _ in range(12)]
    verdicts = await asyncio.gather(*(bench.brakes.admit(incident) for incident in incidents))
    refused = [verdict.rule for verdict in verdicts if verdict is not None]
    assert refused == [Reason.RATE_EXCEEDED] * 9
    again = await asyncio.gather(*(bench.brakes.admit(incident) for incident in incidents))
    assert len([verdict for verdict in again if verdict is None]) == 3, "those that were let begin may go on"


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
