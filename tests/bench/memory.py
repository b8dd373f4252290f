"""Memory of every process of a house, stores and dashboard included: PSS, because RSS counts shared pages often."""

import time
from collections import Counter

import msgspec
import psutil

from midwatch.processes import Recorded
from tests.bench.figures import say
from tests.fixtures.houses import RunningHouse

_QUIET_S = 15.0
_KNOWN = (
    "gcs_server",
    "raylet",
    "dashboard/agent",
    "runtime_env/agent",
    "dashboard",
    "monitor",
    "midwatch.sandbox",
    "serve.up",
    "kubernetes_server",
    "postgres",
    "valkey",
    "log_monitor",
)


def measure(house: RunningHouse) -> None:
    """Wait until starting is over, then add up."""
    time.sleep(_QUIET_S)  # not a guess about an event: start-up garbage is what must not be measured
    sizes: Counter[str] = Counter()
    found = everything(house)
    for process in found:
        try:
            sizes[_title(process)] += process.memory_full_info().pss
        except (psutil.NoSuchProcess, psutil.AccessDenied):
            continue
    say("memory_pss", sum(sizes.values()) / 2**20, "MiB", processes=len(found))
    for title, size in sizes.most_common():
        say("memory_pss_of", size / 2**20, "MiB", process=title)


def everything(house: RunningHouse) -> list[psutil.Process]:
    """The starter, all below it, and the stores, which are daemons of their own."""
    recorded = msgspec.json.decode((house.state / "processes.json").read_bytes(), type=list[Recorded])
    roots = [psutil.Process(house.pid), *(psutil.Process(item.pid) for item in recorded if psutil.pid_exists(item.pid))]
    found = {process.pid: process for root in roots for process in (root, *root.children(recursive=True))}
    return list(found.values())


def _title(process: psutil.Process) -> str:
    words = process.cmdline()
    line = " ".join(words)
    if line.startswith("ray::"):
        return words[0].split(".")[0]
    for known in _KNOWN:
        if known in line:
            return known
    return process.name()
