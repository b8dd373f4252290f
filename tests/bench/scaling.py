"""The driver of ``tests.bench.nodes``. Arguments: the store's URL, a folder, the kubeconfig of a cluster to watch."""

import asyncio
import os
import sys
import time
from pathlib import Path
from typing import Any

import psutil
from pydantic import SecretStr

from actors import names
from actors.clients import Handle, end, make
from actors.rca_pool import RcaWorker
from midwatch.adapters.store.database import Database
from midwatch.adapters.store.migrate import migrate
from midwatch.adapters.store.stores import Stores, open_stores
from midwatch.adapters.system import SystemClock, SystemIds
from midwatch.domain import events as ev
from midwatch.domain.ids import IncidentId
from midwatch.domain.incidents import Work
from midwatch.domain.reasons import Reason
from midwatch.settings import Settings
from tests.bench.figures import say
from tests.bench.thinkers import LATENCY_S, Thinker
from tests.fakes.reasoning import FIRST, LOG
from tests.fakes.samples import attached, opened
from tests.fixtures.ray_nodes import add_node, ray_nodes

NODES = (1, 2, 4)
SLOTS, WORK = 10, 240
KINDS: dict[type, str] = {Thinker: "light_work", RcaWorker: "refinements"}


async def _scale(url: str, folder: Path, kubeconfig: Path) -> None:
    settings = Settings(
        state_dir=folder / "state",
        database_url=SecretStr(url),
        kubeconfig=kubeconfig,
        cluster="alpha",  # where the sample incidents are
        refine_slots=SLOTS,
        refine_race_below=0.0,
        day_budget_usd=0.0,
        claim_ttl_s=30.0,
        sweep_s=3600.0,  # nobody begins before the clock does
    )
    database = Database(url)
    try:
        await migrate(database)
        with ray_nodes(names.NAMESPACE) as cluster:
            there = 0
            alone: dict[str, float] = {}
            for nodes in NODES:
                for _ in range(nodes - there):
                    add_node(cluster, 1)
                there = nodes
                for kind in KINDS:
                    await _told(kind, nodes, open_stores(database), settings, alone)
    finally:
        await database.close()


async def _told(kind: type, nodes: int, stores: Stores, settings: Settings, alone: dict[str, float]) -> None:
    wall, cores = await _one(kind, nodes, stores, settings)
    what = KINDS[kind]
    first = alone.setdefault(what, wall)
    context: dict[str, Any] = {"work": WORK, "slots_a_node": SLOTS, "model_s": LATENCY_S}
    context |= {"cores_used": round(cores, 2), "load_1m": round(os.getloadavg()[0], 1)}
    say(f"{what}_on_{nodes}_nodes", wall, "s", **context)
    say(f"{what}_scaling_on_{nodes}_nodes", first / wall / nodes, "of N", **context)


async def _one(kind: type, nodes: int, stores: Stores, settings: Settings) -> tuple[float, float]:
    """Seconds from the first claim to the last end, with one worker a node; cores the whole machine used meanwhile."""
    options = {"resources": {"rca": 1}, "scheduling_strategy": "SPREAD"}
    called = [f"{kind.__name__}-{nodes}-{number}" for number in range(nodes)]
    workers = [make(kind, {"name": name, **options}, settings, name) for name in called]
    await asyncio.gather(*(_ready(worker) for worker in workers))
    incidents = await _incidents(stores, f"{kind.__name__}-{nodes}")
    began, busy = time.monotonic(), _busy_s()
    await asyncio.gather(*(worker.wake.remote() for worker in workers))
    while await stores.work.next_due((Work.REFINE,), now=SystemClock().now()) is not None:
        await asyncio.sleep(0.05)
    wall = time.monotonic() - began
    cores = (_busy_s() - busy) / wall
    for worker in workers:
        end(worker)
    for incident in incidents[:: WORK // 8]:
        last = (await stores.journal.entries(incident))[-1].event
        assert isinstance(last, ev.RefinementEnded), last
        assert last.reason is Reason.MODEL_REFINED, last
    return wall, cores


async def _ready(worker: Handle) -> None:
    while not (await worker.health.remote())["turns"]:
        await asyncio.sleep(0.1)


async def _incidents(stores: Stores, tag: str) -> list[IncidentId]:
    """Incidents with a first report each that a model may improve."""
    ids, clock = SystemIds(), SystemClock()
    found = [IncidentId(ids.new()) for _ in range(WORK)]
    look = ev.ToolCalled(
        reason=Reason.EVIDENCE_GATHERED, call_id="3.1", tool="kubernetes.log", input="web-1/app", output=LOG
    )
    for number, incident in enumerate(found):
        told: list[ev.AnyEvent] = [
            opened(f"{tag}-{number}"),
            attached(),
            ev.InvestigationStarted(reason=Reason.CLAIMED, worker="w"),
            look,
            ev.ReportMade(reason=Reason.BUILT_IN_ANALYSIS, diagnosis=FIRST, refine=True),
        ]
        await stores.journal.open(incident, told, at=clock.now(), by="bench")
    return found


def _busy_s() -> float:
    times = psutil.cpu_times()
    return float(times.user + times.nice + times.system)


if __name__ == "__main__":
    asyncio.run(_scale(sys.argv[1], Path(sys.argv[2]), Path(sys.argv[3])))
