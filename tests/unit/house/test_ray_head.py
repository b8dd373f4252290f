"""The loss of Ray's own processes is noticed, by the processes alone."""

import asyncio
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from serve.ray_head import first_lost, head_processes


@pytest.fixture
def head(tmp_path: Path) -> Iterator[list[subprocess.Popen[bytes]]]:
    """Two processes that bear the names of Ray's, and one that does not."""
    sleep = shutil.which("sleep")
    assert sleep
    started = []
    for name in ("gcs_server", "raylet", "dashboard"):
        (tmp_path / name).symlink_to(sleep)
        started.append(subprocess.Popen([tmp_path / name, "60"]))
    yield started
    for process in started:
        process.kill()
        process.wait(10)


async def test_the_one_that_is_killed_is_named(head: list[subprocess.Popen[bytes]]) -> None:
    watched = head_processes()
    assert {name: process.pid for name, process in watched.items()} == {
        "gcs_server": head[0].pid,
        "raylet": head[1].pid,
    }
    waiting = asyncio.create_task(first_lost(watched))
    await asyncio.sleep(0)
    assert not waiting.done()

    head[1].kill()  # nobody waits for it: it stays as a zombie, as Ray's do below `midwatch up`
    async with asyncio.timeout(10):
        assert await waiting == "raylet"
    assert psutil.Process(head[1].pid).status() == psutil.STATUS_ZOMBIE


async def test_one_that_is_gone_altogether_is_noticed_too(head: list[subprocess.Popen[bytes]]) -> None:
    watched = head_processes()
    head[0].kill()
    head[0].wait(10)
    async with asyncio.timeout(10):
        assert await first_lost(watched) == "gcs_server"
