"""A process that waits unused, with our imports done, is what a killed actor goes on in."""

import asyncio
import os
import signal
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import psutil
import pytest
import ray

from actors.unused import is_unused
from midwatch.settings import Settings
from tests.ray.residents import Edge, Keeper, Plain
from tests.ray.test_residents import healthy, start

pytestmark = [pytest.mark.usefixtures("empty_ray"), pytest.mark.timeout(180)]


async def test_a_killed_actor_goes_on_in_the_process_that_was_kept_ready(settings: Settings) -> None:
    first = await _with_nothing_unused(settings)
    kept, edge = _actor(Keeper, "keeper"), _actor(Edge, "SERVE_REPLICA::of-a-test")
    for made in (kept, edge):
        await made.there.remote()  # while it is made, its process too looks unused
    keeping = kept.keep.remote()
    spare = await _warm()

    os.kill(int(first["pid"]), signal.SIGKILL)
    assert (await healthy("plain-0", but=first["pid"]))["pid"] == spare
    assert await _warm(but=spare) != spare, "and another one is kept ready"
    ray.cancel(keeping)


async def _with_nothing_unused(settings: Settings) -> dict[str, Any]:
    """The first of as many actors as take up the processes that Ray starts with itself."""
    for number in range(10):
        start(Plain, settings, f"plain-{number}")
        await healthy(f"plain-{number}")
        if not list(_unused()):
            return await healthy("plain-0")
    raise AssertionError("there is always one more unused process")


def _actor(kind: type, name: str) -> Any:
    remote: Any = ray.remote
    return remote(kind).options(num_cpus=0, name=name, namespace="midwatch", lifetime="detached").remote()


async def _warm(*, but: int = 0) -> int:
    """The pid of a process that is unused and holds a library of ours that is not Ray's."""
    async with asyncio.timeout(60):
        while True:
            for pid in _unused():
                if pid != but and "asyncpg" in Path(f"/proc/{pid}/maps").read_text():
                    return pid
            await asyncio.sleep(0.1)


def _unused() -> Iterator[int]:
    raylet = next(each for each in psutil.Process().children(recursive=True) if each.name() == "raylet")
    for process in raylet.children():
        with suppress(psutil.NoSuchProcess):
            if is_unused(process):
                yield process.pid
