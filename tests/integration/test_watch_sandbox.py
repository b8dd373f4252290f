"""The watch over a simulated API server: real HTTP, real streams, real outages."""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from random import Random
from typing import Any

import pytest

from midwatch.adapters.kubernetes.client import ApiConnection
from midwatch.adapters.kubernetes.source import KubernetesSource
from midwatch.adapters.system import SystemClock, SystemIds
from midwatch.domain.signals import Signal, SignalStatus
from midwatch.sandbox.api.faults import Fault
from midwatch.sandbox.runtime import Sandbox, SandboxOptions, running_sandbox
from midwatch.services.watch_ports import KindState
from midwatch.services.watching import Watching

pytestmark = pytest.mark.timeout(90)


class SandboxTime:
    """The sandbox's clock, which may run fast."""

    def __init__(self, sandbox: Sandbox) -> None:
        self._sandbox = sandbox

    def now(self) -> datetime:
        return datetime.fromtimestamp(self._sandbox.clock.now(), UTC)

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)


class Door:
    """Takes signals and remembers what is going on, as the inbox does."""

    def __init__(self) -> None:
        self.signals: list[Signal] = []

    async def accept(self, signals: Sequence[Signal]) -> None:
        self.signals += signals

    async def active(self, *, source: str, cluster: str) -> tuple[Signal, ...]:
        ended = {signal.episode for signal in self.signals if signal.status is SignalStatus.RESOLVED}
        return tuple(signal for signal in self.signals if signal.episode not in ended)

    async def resolved_since(self, episode: str) -> bool:
        return any(signal.episode == episode and signal.status is SignalStatus.RESOLVED for signal in self.signals)


@asynccontextmanager
async def sandboxed(tmp_path: Path, **options: Any) -> AsyncIterator[Sandbox]:
    chosen = SandboxOptions(kubeconfig=tmp_path / "kubeconfig", **options)
    clock = SystemClock()
    async with running_sandbox(chosen, lambda: clock.now().timestamp(), Random(5)) as sandbox:
        yield sandbox


@asynccontextmanager
async def watched(sandbox: Sandbox, door: Door, **options: Any) -> AsyncIterator[Watching]:
    connection = await ApiConnection.open(kubeconfig=sandbox.kubeconfig)
    watch = Watching(
        "sandbox", KubernetesSource(connection, **options), door, door, SandboxTime(sandbox), SystemIds(), resync_s=5
    )
    task = asyncio.ensure_future(watch.run())
    try:
        await until(lambda: watch.health().ready)
        yield watch
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        await connection.close()


async def until(holds: Callable[[], Any], seconds: float = 30) -> None:
    async with asyncio.timeout(seconds):
        while not holds():
            await asyncio.sleep(0.02)


def conditions(door: Door, status: SignalStatus = SignalStatus.FIRING) -> set[str]:
    return {signal.condition for signal in door.signals if signal.status is status}


@pytest.mark.parametrize(
    ("scenario", "condition"),
    [
        ("crashloop", "CrashLoopBackOff"),
        ("oom", "OOMKilled"),
        ("imagepull", "ImagePullBackOff/NotFound"),
        ("pending", "FailedScheduling/InsufficientMemory"),
        ("bad-rollout", "ProgressDeadlineExceeded"),
    ],
)
async def test_a_fault_becomes_one_incident_of_its_workload(tmp_path: Path, scenario: str, condition: str) -> None:
    door = Door()
    async with sandboxed(tmp_path, speed=10) as sandbox, watched(sandbox, door):
        sandbox.stage.start(scenario)
        await until(lambda: condition in conditions(door))
        assert len({signal.incident_key for signal in door.signals}) == 1
        assert door.signals[0].owner.kind == "Deployment"
        assert len({signal.delivery for signal in door.signals}) == len(door.signals)


async def test_a_lost_node_is_one_incident(tmp_path: Path) -> None:
    door = Door()
    async with sandboxed(tmp_path, speed=10) as sandbox, watched(sandbox, door):
        sandbox.stage.start("notready-node")
        await until(lambda: {"NodeUnreachable", "PodOnLostNode"} <= conditions(door))
        assert {signal.owner.kind for signal in door.signals} == {"Node"}
        assert len({signal.incident_key for signal in door.signals}) == 1


async def test_ordinary_life_is_quiet(tmp_path: Path) -> None:
    door = Door()
    async with sandboxed(tmp_path, speed=20) as sandbox, watched(sandbox, door) as watch:
        sandbox.stage.start("healthy-noise")
        before = watch.health().changes
        await until(lambda: watch.health().changes > before + 100)
        assert door.signals == []


async def test_what_heals_is_resolved(tmp_path: Path) -> None:
    door = Door()
    async with sandboxed(tmp_path, speed=10) as sandbox, watched(sandbox, door):
        sandbox.stage.start("crashloop")
        await until(lambda: "CrashLoopBackOff" in conditions(door))
        sandbox.stage.heal("crashloop")
        fired = {signal.episode for signal in door.signals if signal.status is SignalStatus.FIRING}
        await until(
            lambda: fired <= {each.episode for each in door.signals if each.status is SignalStatus.RESOLVED}, 60
        )


async def test_a_restarted_watch_repeats_nothing_and_makes_up_for_what_it_missed(tmp_path: Path) -> None:
    door = Door()
    async with sandboxed(tmp_path) as sandbox:
        async with watched(sandbox, door):
            sandbox.stage.start("imagepull")
            await until(lambda: "ImagePullBackOff/NotFound" in conditions(door))
        said = len(door.signals)
        async with watched(sandbox, door) as watch:
            await until(lambda: watch.health().looks > watch.health().objects)
            assert len(door.signals) == said
        sandbox.stage.heal("imagepull")
        await asyncio.sleep(0)
        async with watched(sandbox, door):
            await until(lambda: SignalStatus.RESOLVED in {signal.status for signal in door.signals})


async def test_an_outage_closes_nothing_and_what_was_missed_is_found(tmp_path: Path) -> None:
    door = Door()
    # So short a history that the watch cannot go on from where it stood: it must list again and compare.
    async with sandboxed(tmp_path, history=5) as sandbox, watched(sandbox, door) as watch:
        sandbox.stage.start("imagepull")
        await until(lambda: door.signals)
        sandbox.api.faults.outage_until = asyncio.get_running_loop().time() + 2
        sandbox.api.watches.disconnect()
        await until(lambda: watch.health().kinds["Pod"].state is KindState.LOST)
        assert not watch.health().ready
        assert {signal.status for signal in door.signals} == {SignalStatus.FIRING}
        sandbox.stage.heal("imagepull")
        await until(lambda: watch.health().ready)
        await until(lambda: SignalStatus.RESOLVED in {signal.status for signal in door.signals})


async def test_a_missing_right_is_named_and_the_rest_is_watched(tmp_path: Path) -> None:
    door = Door()
    async with sandboxed(tmp_path) as sandbox:
        sandbox.api.faults.rules.append(Fault(resource="secrets", status=403, message="secrets is forbidden"))
        async with watched(sandbox, door) as watch:
            health = watch.health()
            assert health.kinds["Secret"].state is KindState.BARRED
            assert any("secrets is forbidden" in sentence for sentence in health.missing_rights)
            assert health.kinds["Pod"].objects > 0


async def test_small_pages_make_the_same_picture(tmp_path: Path) -> None:
    door = Door()
    async with sandboxed(tmp_path, pods=300) as sandbox, watched(sandbox, door, page=37) as watch:
        assert watch.health().kinds["Pod"].objects >= 300


async def test_only_chosen_namespaces_are_watched(tmp_path: Path) -> None:
    door = Door()
    async with sandboxed(tmp_path) as sandbox, watched(sandbox, door, namespaces=("shop",)) as watch:
        assert {pod.namespace for pod in watch.view.everything() if pod.kind == "Pod"} == {"shop"}
        assert not watch.view.sees("Pod")
