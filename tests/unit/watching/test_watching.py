"""Watching: each episode is reported once, begun and ended, and nothing is concluded that cannot be seen."""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from datetime import datetime, timedelta
from itertools import count
from typing import Any

import pytest

from midwatch.domain.errors import Transient
from midwatch.domain.objects import parse_object
from midwatch.domain.signals import Signal, SignalStatus
from midwatch.services.watch_ports import KindState, Sink
from midwatch.services.watching import Watching
from tests.unit.conditions.objects import (
    NOW,
    Json,
    ago,
    container,
    deployment,
    healthy_pod,
    node,
    pod,
    replica_set,
)

KINDS = ("Pod", "Node", "Deployment", "ReplicaSet", "Event")
CRASHED = {"exitCode": 1, "reason": "Error", "startedAt": ago(40), "finishedAt": ago(30)}
POD = "web-7d9f8b6c5d-abcde"


def crashing(name: str = POD) -> Json:
    return pod(name, containers=(container(waiting={"reason": "CrashLoopBackOff"}, restarts=4, last=CRASHED),))


def well(name: str = POD) -> Json:
    return healthy_pod(name)


class Clock:
    def __init__(self) -> None:
        self.time = NOW

    def now(self) -> datetime:
        return self.time

    async def sleep(self, seconds: float) -> None:
        self.time += timedelta(seconds=seconds)
        await asyncio.sleep(0)


class Ids:
    def __init__(self) -> None:
        self._numbers = count(1)

    def new(self) -> str:
        return f"id-{next(self._numbers)}"


class Source:
    scopes = tuple((kind, "") for kind in KINDS)

    async def run(self, sink: Sink) -> None:
        await asyncio.Event().wait()


class Store:
    """The door and what was said before, in one."""

    def __init__(self, *before: Signal) -> None:
        self.accepted: list[Signal] = []
        self.before = before
        self.resolved: set[str] = set()
        self.away = 0

    async def accept(self, signals: Sequence[Signal]) -> None:
        if self.away:
            self.away -= 1
            raise Transient("store away", 0.1)
        self.accepted += signals

    async def active(self, *, source: str, cluster: str) -> tuple[Signal, ...]:
        return self.before

    async def resolved_since(self, episode: str) -> bool:
        return episode in self.resolved

    @property
    def said(self) -> list[tuple[str, str, str]]:
        return [(signal.status.value, signal.condition, signal.subject.name) for signal in self.accepted]


class World:
    def __init__(self, *before: Signal) -> None:
        self.clock, self.store = Clock(), Store(*before)
        self.watch = Watching("test", Source(), self.store, self.store, self.clock, Ids(), resync_s=30)

    def put(self, *items: Json) -> None:
        for item in items:
            parsed = parse_object(item)
            assert parsed is not None
            self.watch.put(parsed)

    def gone(self, name: str = POD) -> None:
        self.watch.remove("Pod", "shop", name)

    def all(self, state: KindState, detail: str = "") -> None:
        for kind in KINDS:
            self.watch.state(kind, "", state, detail)

    async def until(self, holds: Callable[[], Any]) -> None:
        async with asyncio.timeout(3):
            while not holds():
                await asyncio.sleep(0.001)

    async def settled(self) -> None:
        """All that changed has been looked at."""
        await self.until(lambda: self.watch.health().lag_ms == 0 and not self.watch._dirty)


@asynccontextmanager
async def watching(*before: Signal) -> AsyncIterator[World]:
    world = World(*before)
    task = asyncio.ensure_future(world.watch.run())
    try:
        yield world
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def fired() -> Signal:
    async with watching() as world:
        world.put(crashing())
        world.all(KindState.SYNCED)
        await world.until(lambda: world.store.accepted)
        return world.store.accepted[0]


async def test_an_episode_is_said_once_and_ended_once() -> None:
    async with watching() as world:
        world.put(deployment(), replica_set(), crashing())
        world.all(KindState.SYNCED)
        await world.until(lambda: world.store.accepted)
        world.put(crashing())
        world.clock.time += timedelta(seconds=31)
        world.put(crashing())
        await world.settled()
        world.put(well())
        await world.until(lambda: len(world.store.accepted) > 1)
        assert world.store.said == [("firing", "CrashLoopBackOff", POD), ("resolved", "CrashLoopBackOff", POD)]
        firing, resolved = world.store.accepted
        assert firing.episode == resolved.episode
        assert firing.owner.path == "Deployment/shop/web"
        assert resolved.ends_at is not None
        assert resolved.labels["family"] == "crashloop"


async def test_a_deleted_object_ends_its_episode() -> None:
    async with watching() as world:
        world.put(crashing())
        world.all(KindState.SYNCED)
        await world.until(lambda: world.store.accepted)
        world.gone()
        await world.until(lambda: len(world.store.accepted) == 2)
        assert world.store.accepted[1].status is SignalStatus.RESOLVED


async def test_nothing_is_said_before_everything_was_listed() -> None:
    async with watching() as world:
        world.put(crashing())
        world.watch.state("Pod", "", KindState.SYNCED)
        for _ in range(20):
            await asyncio.sleep(0)
        assert world.store.accepted == []
        assert not world.watch.health().ready
        world.all(KindState.SYNCED)
        await world.until(lambda: world.store.accepted)


async def test_what_cannot_be_seen_is_not_over() -> None:
    async with watching() as world:
        world.put(crashing())
        world.all(KindState.SYNCED)
        await world.until(lambda: world.store.accepted)
        world.watch.state("Pod", "", KindState.LOST, "connection refused")
        world.gone()  # a relist that was cut off
        world.clock.time += timedelta(minutes=5)
        world.put(node())
        await world.until(lambda: world.watch.health().kinds["Node"].objects)
        for _ in range(50):
            await asyncio.sleep(0)
        assert [signal.status for signal in world.store.accepted] == [SignalStatus.FIRING]
        assert not world.watch.health().ready
        world.watch.state("Pod", "", KindState.SYNCED)
        await world.until(lambda: len(world.store.accepted) == 2)


async def test_a_resolve_missed_while_down_is_made_up_for() -> None:
    before = await fired()
    async with watching(before) as world:
        world.put(well())
        world.all(KindState.SYNCED)
        await world.until(lambda: world.store.accepted)
        (resolved,) = world.store.accepted
        assert resolved.status is SignalStatus.RESOLVED
        assert resolved.episode == before.episode


async def test_a_restarted_watch_does_not_repeat_or_end_what_goes_on() -> None:
    before = await fired()
    async with watching(before) as world:
        world.put(crashing())
        world.all(KindState.SYNCED)
        await world.settled()
        assert world.store.accepted == []
        assert world.watch.health().active == 1


async def test_a_missing_right_leaves_its_kind_out_and_says_so() -> None:
    before = await fired()
    async with watching(before) as world:
        world.all(KindState.SYNCED)
        world.watch.state("Pod", "", KindState.BARRED, "pods is forbidden: cannot list")
        world.put(node(ready="Unknown"))
        await world.until(lambda: world.store.accepted)
        health = world.watch.health()
        assert world.store.said == [("firing", "NodeUnreachable", "node-1")]
        assert health.ready
        assert "pods is forbidden: cannot list" in health.missing_rights


async def test_the_second_episode_of_an_object_is_another_one() -> None:
    async with watching() as world:
        world.put(crashing())
        world.all(KindState.SYNCED)
        await world.until(lambda: len(world.store.accepted) == 1)
        world.put(well())
        await world.until(lambda: len(world.store.accepted) == 2)
        world.clock.time += timedelta(seconds=5)
        world.put(crashing())
        await world.until(lambda: len(world.store.accepted) == 3)
        first, _, second = world.store.accepted
        assert first.identity == second.identity
        assert first.episode != second.episode


async def test_an_episode_that_was_ended_in_an_earlier_life_is_not_revived() -> None:
    before = await fired()
    async with watching() as world:
        world.store.resolved.add(before.episode)
        world.put(crashing())
        world.all(KindState.SYNCED)
        await world.until(lambda: world.store.accepted)
        assert world.store.accepted[0].episode != before.episode


async def test_signals_wait_for_a_store_that_is_away() -> None:
    async with watching() as world:
        world.store.away = 3
        world.put(crashing())
        world.all(KindState.SYNCED)
        await world.until(lambda: world.store.accepted)
        assert len(world.store.accepted) == 1


async def test_a_verdict_that_depends_on_the_clock_is_looked_at_again() -> None:
    up = pod(ready=True, containers=(container(ready=True, running={"startedAt": ago(3)}, restarts=6, last=CRASHED),))
    async with watching() as world:
        world.put(up)
        world.all(KindState.SYNCED)
        await world.until(lambda: world.store.accepted)
        world.clock.time += timedelta(minutes=11)
        world.put(node())
        await world.until(lambda: len(world.store.accepted) == 2)
        assert world.store.accepted[1].status is SignalStatus.RESOLVED


async def test_a_state_without_a_beginning_must_last() -> None:
    stale = deployment(observedGeneration=2)
    async with watching() as world:
        world.put(stale)
        world.all(KindState.SYNCED)
        await world.settled()
        assert world.store.accepted == []
        world.clock.time += timedelta(seconds=130)
        world.put(stale)
        await world.until(lambda: world.store.accepted)
        assert world.store.said == [("firing", "GenerationNotObserved", "web")]


async def test_a_cluster_whose_clock_is_ahead_gets_its_grace_all_the_same() -> None:
    starting = pod(unready_for=-900, containers=(container(running={"startedAt": ago(-900)}),))
    async with watching() as world:
        world.put(starting)
        world.all(KindState.SYNCED)
        await world.settled()
        assert world.store.accepted == []
        world.clock.time += timedelta(seconds=200)
        world.put(starting)
        await world.until(lambda: world.store.accepted)
        assert world.store.said == [("firing", "PodNotReady", POD)]


@pytest.mark.parametrize("pods", [110])
async def test_a_lost_node_and_its_pods_are_one_incident(pods: int) -> None:
    names = [f"web-7d9f8b6c5d-{number:05d}" for number in range(pods)]
    unready = [pod(name, containers=(container(running={"startedAt": ago(900)}),)) for name in names]
    async with watching() as world:
        world.put(deployment(), replica_set(), node(), *(well(name) for name in names))
        world.all(KindState.SYNCED)
        await world.settled()
        world.put(node(ready="Unknown"), *unready)
        await world.until(lambda: len(world.store.accepted) >= pods + 1)
        assert len({signal.incident_key for signal in world.store.accepted}) == 1
