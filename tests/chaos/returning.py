"""How soon an actor is well again after its process was killed, asked of the actor itself.

A Ray driver of its own: reads lines ``{"name", "pid"}``, and answers each with ``{"name", "pid", "seconds"}`` once
another process bears that name, has opened the store and runs; ``seconds`` is counted from the line's arrival.
"""

import asyncio
import json
import os
import re
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from tests.fixtures.houses import RunningHouse

_EVERY_S, _ASK_S, _GIVE_UP_S = 0.05, 1.0, 120.0

KINDS = {
    "Watcher": "watcher:sandbox",
    "RuleEngine": "rule-engine",
    "RcaPool": "rca-pool",
    "RcaWorker": "rca-worker-1",
    "PlaybookExecutor": "playbook-executor",
    "ApprovalBroker": "approval-broker",
    "ChannelGateway": "channel-gateway:console",
    "Supervisor": "supervisor",
}
"""The name under which the actor of a class is found."""


class Returning:
    """The driver, from the outside."""

    def __init__(self, environment: dict[str, str], house: RunningHouse) -> None:
        (raylet,) = [process for process in house.processes("--raylet_socket_name") if process.name() == "raylet"]
        (address,) = [found[1] for word in raylet.cmdline() if (found := re.match("--gcs-address=(.+)", word))]
        self._command = [sys.executable, "-m", "tests.chaos.returning", address]
        self._environment = environment
        self._waiting: dict[int, asyncio.Future[float]] = {}
        self._process: asyncio.subprocess.Process | None = None
        self._reader: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Return when it is connected."""
        self._process = await asyncio.create_subprocess_exec(
            *self._command,
            env=self._environment,
            cwd=Path(__file__).resolve().parents[2],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )
        assert self._process.stdout is not None
        assert await self._process.stdout.readline() == b"connected\n"
        self._reader = asyncio.create_task(self._read())

    async def stop(self) -> None:
        """End it."""
        assert self._process is not None
        assert self._reader is not None
        self._reader.cancel()
        self._process.kill()
        await self._process.wait()

    async def after(self, kind: str, pid: int) -> float:
        """Seconds until the actor of this class answers well from another process than ``pid``."""
        assert self._process is not None
        assert self._process.stdin is not None
        self._waiting[pid] = asyncio.get_running_loop().create_future()
        self._process.stdin.write(json.dumps({"name": KINDS[kind], "pid": pid}).encode() + b"\n")
        return await self._waiting[pid]

    async def _read(self) -> None:
        assert self._process is not None
        assert self._process.stdout is not None
        while line := await self._process.stdout.readline():
            told = json.loads(line)
            self._waiting.pop(told["pid"]).set_result(told["seconds"])


async def _answer(ray: Any, name: str, pid: int) -> None:
    began = time.monotonic()
    while (passed := time.monotonic() - began) < _GIVE_UP_S:
        try:
            async with asyncio.timeout(_ASK_S):
                actor = await asyncio.to_thread(ray.get_actor, name, namespace="midwatch")
                health = await actor.health.remote()
            if health["ok"] and health["pid"] != pid:
                break
        except (ray.exceptions.RayError, ValueError, TimeoutError):
            pass
        await asyncio.sleep(_EVERY_S)
    print(json.dumps({"name": name, "pid": pid, "seconds": round(passed, 2)}), flush=True)


async def _serve(ray: Any) -> None:
    print("connected", flush=True)
    answers = set()
    while line := await asyncio.to_thread(sys.stdin.readline):
        asked = json.loads(line)
        answers.add(asyncio.create_task(_answer(ray, asked["name"], asked["pid"])))


def main() -> None:
    import ray  # in this process alone, with the house's environment

    ray.init(address=sys.argv[1], namespace="midwatch", log_to_driver=False, logging_level="ERROR")
    asyncio.run(_serve(ray))
    os._exit(0)


if __name__ == "__main__":
    main()
