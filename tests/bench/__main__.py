"""Measure a whole house on this machine: start, memory, the way from a fault to a card, and what Serve costs.

Prints one JSON line a figure: name, value, unit, context. Nothing here passes or fails: figures depend on the machine,
so ratios and medians are given where its noise would lie. ``docs/benchmarks.md`` keeps what was measured.
"""

import argparse
import platform
import re
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

import psutil

from tests.bench import (
    cards,
    channels,
    intake,
    intents,
    logs,
    memory,
    nodes,
    reasoning,
    reports,
    rules,
    serving,
    storms,
    wire,
)
from tests.bench.figures import say
from tests.fixtures.houses import RunningHouse

IN_HOUSE: dict[str, Callable[[RunningHouse], None]] = {
    "memory": memory.measure,
    "cards": cards.measure,
    "serving": serving.measure,
}
ALONE: dict[str, Callable[[], None]] = {
    "rules": rules.measure,
    "storms": storms.measure,
    "intake": intake.measure,
    "reasoning": reasoning.measure,
    "channels": channels.measure,
    "intents": intents.measure,
    "nodes": nodes.measure,
    "wire": wire.measure,
    "logs": logs.measure,
}
"""What needs no house, or one of its own."""


def watching_after(house: RunningHouse) -> float:
    """Seconds until the watcher had listed its cluster, by the house's own word."""
    told = re.search(r"watching \S+ (\d+\.\d) s", house.log.read_text("utf-8", "replace"))
    assert told, "the house does not say when it watched"
    return float(told[1])


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("only", nargs="*", choices=["start", "reports", *ALONE, *IN_HOUSE], help="default: all")
    parser.add_argument("--pods", type=int, default=1_000, help="healthy pods around the faults of reports")
    options = parser.parse_args()
    chosen = set(options.only or ["start", "reports", *ALONE, *IN_HOUSE])
    say("machine", psutil.cpu_count() or 0, "cores", memory_gib=round(psutil.virtual_memory().total / 2**30, 1),
        python=platform.python_version(), load_1m=psutil.getloadavg()[0])  # fmt: skip
    for name in sorted(chosen & ALONE.keys()):
        ALONE[name]()
    if "reports" in chosen:
        reports.measure(options.pods)
    if chosen <= {"reports", *ALONE}:
        return 0
    with tempfile.TemporaryDirectory(prefix="mwbench-") as folder:
        house = RunningHouse(Path(folder), scenario="none")
        took = house.start()
        try:
            say("start_to_watching", watching_after(house), "s", what="midwatch up, fresh state directory")
            say("start_to_console", took, "s", what="the same, until the console answers")
            for name in sorted(chosen & IN_HOUSE.keys()):
                IN_HOUSE[name](house)
        finally:
            house.stop()
    return 0


if __name__ == "__main__":
    sys.exit(main())
