"""What a storm costs the rule engine over PostgreSQL: one lost node, and as many strangers.

Needs no house: ``python -m tests.bench.storms``.
"""

import asyncio
import tempfile
import time
from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path

import msgspec

from midwatch.adapters.embedded.postgres import EmbeddedPostgres
from midwatch.adapters.store.database import Database
from midwatch.adapters.store.migrate import migrate
from midwatch.adapters.store.stores import Stores, open_stores
from midwatch.domain.matching import Matcher
from midwatch.domain.refs import ObjectRef
from midwatch.domain.rules import Rule, RuleSet
from midwatch.domain.signals import Signal
from midwatch.services.ingestion import Ingestion
from tests.bench.figures import say
from tests.fakes.runtime import NOON, CountingIds, ManualClock
from tests.fakes.samples import a_signal
from tests.unit.conditions.objects import NOW
from tests.unit.ingestion import storm

_STRANGERS = 1000


class _Any:
    def current(self) -> RuleSet:
        return RuleSet([Rule(id="any", match=Matcher())])


def strangers() -> list[Signal]:
    """As many workloads, each in trouble for reasons of its own."""
    return [
        msgspec.structs.replace(
            a_signal(number, pod=f"p{number}-1"), owner=ObjectRef("Deployment", f"p{number}", "shop")
        )
        for number in range(_STRANGERS)
    ]


async def _took(stores: Stores, api: storm.Api, signals: Sequence[Signal]) -> float:
    """Seconds from committed to placed, settled and written."""
    clock = ManualClock(max(NOW, NOON) + timedelta(seconds=100))
    rules, ids = _Any(), CountingIds(start=1_000_000)
    engine = Ingestion(stores.inbox, stores.journal, stores.work, rules, api, clock, ids, by="bench", surroundings=api)
    for start in range(0, len(signals), 500):
        await stores.inbox.put(signals[start : start + 500])
    began = time.perf_counter()
    await engine.drain()
    return time.perf_counter() - began


async def _measure(folder: Path) -> None:
    server = EmbeddedPostgres(folder / "state", folder / "run")
    server.start()
    database = Database(server.url)
    try:
        await migrate(database)
        stores = open_stores(database)
        signals, api = await storm.inputs()
        took = await _took(stores, api, signals)
        rows = await stores.journal.recent(open_only=True)
        say("storm_of_one_node", took, "s", inputs=len(signals), incidents=len(rows))
        alone = strangers()
        took = await _took(stores, api, alone)
        say(
            "strangers",
            took,
            "s",
            inputs=len(alone),
            incidents=len(await stores.journal.recent(limit=5000)) - len(rows),
        )
        over = [storm.over(signal, number, NOON) for number, signal in enumerate([*signals, *alone])]
        took = await _took(stores, api, list({each.episode: each for each in over}.values()))
        say("all_resolved", took, "s", inputs=len({each.episode for each in over}))
    finally:
        await database.close()
        server.stop()


def measure() -> None:
    """Print the figures."""
    with tempfile.TemporaryDirectory(prefix="mws-") as folder:
        Path(folder).chmod(0o711)
        asyncio.run(_measure(Path(folder)))


if __name__ == "__main__":
    measure()
