"""A watcher of a big cluster: from list to ready, memory, and how well it follows changes.

The simulated cluster runs in a process of its own; how long it takes to hand out its pages is reported apart.
Run it alone: ``python -m tests.bench.watching [PODS] [CHANGES_PER_SECOND]``.
"""

import asyncio
import json
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import msgspec
import psutil

from midwatch.adapters.kubernetes.client import ApiConnection
from midwatch.adapters.kubernetes.source import KubernetesSource
from midwatch.adapters.system import SystemClock, SystemIds
from midwatch.domain.signals import Signal
from midwatch.sandbox.client import ControlClient
from midwatch.services.watching import Watching
from tests.bench.figures import percentile, say

_FOLLOWED_S = 15.0


class _Meta(msgspec.Struct):
    more: str = msgspec.field(name="continue", default="")


class _Page(msgspec.Struct):
    metadata: _Meta


class _Nowhere:
    """A door that keeps nothing, and a past in which nothing was said."""

    async def accept(self, signals: Sequence[Signal]) -> None:
        del signals

    async def active(self, *, source: str, cluster: str) -> tuple[Signal, ...]:
        del source, cluster
        return ()

    async def resolved_since(self, episode: str) -> bool:
        del episode
        return False


async def measure(kubeconfig: Path, pods: int, rate: int) -> None:
    """Print the figures of one watcher."""
    connection = await ApiConnection.open(kubeconfig=kubeconfig)
    nowhere = _Nowhere()
    watch = Watching("bench", KubernetesSource(connection), nowhere, nowhere, SystemClock(), SystemIds())
    try:
        say("watch_pages", await _pages(connection), "s", pods=pods, what="the server's pages alone, not decoded")
        began, worked = time.monotonic(), time.process_time()
        task = asyncio.ensure_future(watch.run())
        while not watch.health().ready:
            await asyncio.sleep(0.02)
        say("watch_list_to_ready", time.monotonic() - began, "s", pods=pods, cpu_s=time.process_time() - worked)
        say(
            "watch_uss",
            psutil.Process().memory_full_info().uss / 2**20,
            "MiB",
            pods=pods,
            objects=watch.health().objects,
        )
        control = ControlClient(kubeconfig)
        await asyncio.to_thread(control.request, "POST", "/sandbox/churn", {"rate": rate})
        await asyncio.sleep(2)
        began, worked, before = time.monotonic(), time.process_time(), watch.health().changes
        lags = []
        while (took := time.monotonic() - began) < _FOLLOWED_S:
            lags.append(watch.health().lag_ms)
            await asyncio.sleep(0.01)
        say("watch_followed", (watch.health().changes - before) / took, "changes/s", asked=rate,
            cpu_share=(time.process_time() - worked) / took)  # fmt: skip
        say("watch_lag_p99", percentile(lags, 0.99), "ms", what="age of the oldest change not yet looked at")
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
    finally:
        await connection.close()


async def _pages(connection: ApiConnection) -> float:
    began, token = time.monotonic(), ""
    while True:
        more = {"continue": token} if token else {}
        body = await connection.get("/api/v1/pods", {"limit": 500, **more}, timeout_s=60)
        token = msgspec.json.decode(body, type=_Page).metadata.more
        if not token:
            return time.monotonic() - began


def main() -> int:
    pods, rate = (int(text) for text in (*sys.argv[1:3], *("50000", "2000")[len(sys.argv) - 1 :]))
    command = [sys.executable, "-m", "midwatch.sandbox", "--with-parent", "--scenario", "none", "--pods", str(pods)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as server:
        assert server.stdout is not None
        assert server.stdin is not None
        told = json.loads(server.stdout.readline())
        asyncio.run(measure(Path(told["kubeconfig"]), pods, rate))
        server.stdin.close()  # it leaves with its parent
    return 0


if __name__ == "__main__":
    sys.exit(main())
