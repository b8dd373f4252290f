"""The pool over real nodes: it grows with the queue, spreads, stops at its limit, outlives a node, uses a new one.

A program, because a process is the driver of one Ray only. Arguments: the store's URL and an empty folder. Asserts on
the way, and prints one JSON line of seconds.
"""

import asyncio
import json
import sys
import time
from collections import Counter
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

from pydantic import SecretStr

from actors import clients, names
from actors.clients import make
from midwatch.adapters.store.database import Database
from midwatch.adapters.store.stores import Stores, open_stores
from midwatch.adapters.system import SystemClock
from midwatch.domain.ids import IncidentId
from midwatch.domain.incidents import Work
from midwatch.settings import Settings
from tests.fakes import samples
from tests.fixtures.ray_nodes import add_node, lose_node, ray_nodes
from tests.ray.residents import GatedPool

MOST, PLACES, INCIDENTS = 4, 3, 6
"""All workers have room on two nodes, however they are spread; not all of them on one."""
CLOCK = SystemClock()
_WAIT_S = 90.0


async def main(url: str, folder: Path) -> None:
    settings = Settings.model_construct(
        state_dir=folder,
        database_url=SecretStr(url),
        rca_workers=MOST,
        rca_slots=1,
        rca_idle_s=1.0,
        sweep_s=0.2,
        claim_ttl_s=600.0,  # longer than this takes: whatever is claimed again was given up by the pool
    )
    database = Database(url)
    stores = open_stores(database)
    found: dict[str, object] = {}
    try:
        with ray_nodes(names.NAMESPACE) as cluster:
            await lives(cluster, stores, settings, found)
    finally:
        await database.close()
    print(json.dumps(found))


async def lives(cluster: Any, stores: Stores, settings: Settings, found: dict[str, object]) -> None:
    lost, _ = add_node(cluster, PLACES), add_node(cluster, PLACES)
    pool = make(GatedPool, {"name": names.RCA_POOL, "resources": {"head": 0.01}}, settings, names.RCA_POOL)
    await until(lambda: seen(1), "the first worker")
    assert set(await workers()) == {names.rca_worker(1)}, "one is enough while nothing waits"

    incidents = [IncidentId(f"0192f0a0-1111-7000-8000-{number:012d}") for number in range(INCIDENTS)]
    for number, incident in enumerate(incidents):
        await stores.journal.open(
            incident, [samples.opened(f"{number}"), samples.attached()], at=CLOCK.now(), by="test"
        )
    found["grown_s"] = await until(lambda: busy(MOST), "as many workers as there may be, and work in each")
    spread = Counter(str(node) for node in (await places()).values())
    assert len(spread) == 2, "on both nodes"
    found["spread"] = sorted(spread.values())
    waiting = await stores.work.waiting((Work.INVESTIGATE,), now=CLOCK.now())
    assert waiting == INCIDENTS - MOST
    await asyncio.sleep(2)  # four looks at a queue that waits
    assert len(await workers()) == MOST, "it stops at its limit"

    lose_node(cluster, lost)
    joined = add_node(cluster, PLACES)
    found["refilled_s"] = await until(
        lambda: busy(MOST, joined.node_id), "the lost ones replaced, also on the new node"
    )

    (settings.state_dir / "open").touch()
    await until(lambda: reported(stores, incidents), "every incident reported")
    for incident in incidents:
        journal = Counter(type(entry.event).__name__ for entry in await stores.journal.entries(incident))
        assert journal["ReportMade"] == 1, journal
    found["shrunk_s"] = await until(lambda: seen(1), "the pool small again")
    assert (await pool.health.remote())["ok"]


async def workers() -> dict[str, dict[str, object]]:
    """The health of every worker that answers, by name."""
    there = [name for name in await clients.everyone() if name.startswith("rca-worker-")]
    told = {name: await clients.health(name, 2.0) for name in there}
    return {name: health for name, health in told.items() if health and health["ok"]}


async def places() -> dict[str, object]:
    """The node each worker is on."""
    return {name: health["node"] for name, health in (await workers()).items()}


async def seen(count: int) -> bool:
    return len(await workers()) == count


async def busy(count: int, node: str = "") -> bool:
    """So many workers have work, some of them on ``node``."""
    told = [health for health in (await workers()).values() if health["busy"]]
    return len(told) == count and (not node or any(health["node"] == node for health in told))


async def reported(stores: Stores, incidents: list[IncidentId]) -> bool:
    return all([(await stores.journal.read(incident)).report is not None for incident in incidents])


async def until(look: Callable[[], Awaitable[bool]], what: str) -> float:
    """Seconds until it is so."""
    began = time.monotonic()
    while not await look():
        assert time.monotonic() - began < _WAIT_S, f"no {what} in {_WAIT_S:.0f} s: {await workers()}"
        await asyncio.sleep(0.1)
    return round(time.monotonic() - began, 1)


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], Path(sys.argv[2])))
