"""Kill every process between every two journal entries of the line, and see that nothing is lost and nothing twice.

A gate in the house's own PostgreSQL (a trigger that waits for an advisory lock) holds the append of one kind of event.
While it waits, one process is killed with SIGKILL; then the gate opens. The crash loop must still end `resolved`: one
incident, one card, one approval, and one mutation in the API server's own record.

Prints a JSON line for each kill and one with the totals. Exit status 1 when anything was lost or done twice, or when
resuming took longer than allowed.
"""

import argparse
import asyncio
import json
import random
import statistics
import sys
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import httpx2

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))  # run as a script, too

from tests.fixtures.gate import Gate, ask, install_gate
from tests.fixtures.houses import RunningHouse, house_folder

POINTS = (
    "incident-opened",
    "investigation-started",
    "report-made",
    "plan-proposed",
    "approval-requested",
    "approval-closed",
    "execution-started",
    "step-started",
    "step-acted",
    "step-verified",
    "resolved",
)
"""The entries of the straight line; each kill strikes while the append of one of them is under way."""
VICTIMS = (
    "Watcher",
    "RuleEngine",
    "RcaPool",
    "RcaWorker",
    "PlaybookExecutor",
    "ApprovalBroker",
    "ChannelGateway",
    "Supervisor",
    "ServeReplica",
    "ProxyActor",
    "store",
)
TARGETS = (
    "payments/payment-api",
    "payments/fraud-check",
    "shop/cart",
    "shop/frontend",
    "shop/search",
    "platform/mail-relay",
    "platform/report-builder",
)
RESUME_P95_S = 5.0
PROXY_BACK_S = 4.0
_ARRIVE_S = 60.0
_RESUME_S = 45.0
_END_S = 90.0

Report = Callable[[dict[str, Any]], None]


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """One kill and what came of it. ``resumed_s``: from the kill until the held entry stood in the journal."""

    point: str
    victim: str
    target: str
    state: str = "lost"
    mutations: int = -1
    resumed_s: float | None = None
    seconds: float = 0.0
    fault: str = ""


class Walk:
    """One house, walked through many kills, one incident after another."""

    def __init__(self, house: RunningHouse) -> None:
        self._house = house
        self._targets = deque(TARGETS)

    @property
    def able(self) -> bool:
        """Whether there is a workload left whose state is known."""
        return bool(self._targets)

    async def step(self, point: str, victim: str) -> Outcome:
        """Break one deployment, hold the line before ``point``, kill ``victim``, let go, and see it through."""
        target = self._targets[0]
        self._targets.rotate(-1)
        began = time.monotonic()
        step = _Step(self._house, target)
        try:
            found = await step.run(point, victim)
        except (AssertionError, TimeoutError, OSError, httpx2.HTTPError) as error:
            if target in self._targets:
                self._targets.remove(target)  # it may be in any state now: no good to judge by any more
            fault = f"{type(error).__name__}: {error}; {await step.told()}"
            return Outcome(point=point, victim=victim, target=target, seconds=_since(began), fault=fault)
        finally:
            await step.end()
        return Outcome(point=point, victim=victim, target=target, seconds=_since(began), **found)


class _Step:
    """One incident, from the break to the end."""

    def __init__(self, house: RunningHouse, target: str) -> None:
        self._house = house
        self._namespace, self._name = target.split("/")
        self._target = target
        self._answering: asyncio.Task[None] | None = None
        self._known: set[str] = set()

    async def run(self, point: str, victim: str) -> dict[str, Any]:
        house, dsn = self._house, self._house.dsn
        made_before = len(await asyncio.to_thread(house.cluster.mutations, self._namespace, self._name))
        known = self._known = {row["id"] for row in await self._incidents()}
        async with Gate(dsn, point) as gate:
            await asyncio.to_thread(house.cluster.breaks, "crashloop", self._target)
            self._answering = asyncio.create_task(self._approve(known))
            await gate.someone_waits(_ARRIVE_S)
            await asyncio.to_thread(house.kill_store if victim == "store" else lambda: house.kill_actor(victim))
            killed = time.monotonic()
        resumed = await self._resumed(known, point, killed)
        await asyncio.wait_for(self._answering, _END_S)
        state = await self._ended(known)
        made = len(await asyncio.to_thread(house.cluster.mutations, self._namespace, self._name)) - made_before
        return {
            "state": state,
            "mutations": made,
            "resumed_s": resumed,
            "fault": "; ".join(await self._faults(known, state, made)),
        }

    async def told(self) -> str:
        """How far the journal came, for whoever looks into a fault."""
        query = (
            "SELECT type, reason, at::text FROM incident_events WHERE incident_id::text = $1 ORDER BY seq DESC LIMIT 4"
        )
        told = []
        for row in await self._new(self._known):
            last = [
                f"{item['type']} ({item['reason']}) {item['at']}"
                for item in await ask(self._house.dsn, query, row["id"])
            ]
            told.append(f"{row['id']} {row['state']}, last first: {', '.join(last)}")
        return "; ".join(told) or "no incident was opened"

    async def end(self) -> None:
        """Leave the target whole."""
        if self._answering is not None:
            self._answering.cancel()
        await asyncio.to_thread(self._house.cluster.heals, "crashloop", self._target)

    async def _incidents(self) -> list[dict[str, Any]]:
        query = "SELECT id::text, state, seq FROM incidents WHERE owner::json->>'name' = $1 ORDER BY opened_at"
        return await ask(self._house.dsn, query, self._name)

    async def _new(self, known: set[str]) -> list[dict[str, Any]]:
        return [row for row in await self._incidents() if row["id"] not in known]

    async def _approve(self, known: set[str]) -> None:
        """A person who answers what is asked, as often as the edge lets them down."""
        deadline = time.monotonic() + _ARRIVE_S + _RESUME_S
        while time.monotonic() < deadline:
            for row in await self._new(known):
                if row["state"] == "awaiting_approval":
                    incident = await asyncio.to_thread(self._house.incident, row["id"])
                    if (approval := incident.get("approval")) and not approval.get("outcome"):
                        judged = await asyncio.to_thread(self._house.answer, approval["id"], "approve")
                        if judged.get("outcome") in ("approved", "already-decided", "repeated", "pending"):
                            return
            await asyncio.sleep(0.05)
        raise AssertionError("nobody was asked")

    async def _resumed(self, known: set[str], point: str, killed: float) -> float:
        """Seconds from the kill until the held entry stood in the journal."""
        while (passed := time.monotonic() - killed) < _RESUME_S:
            for row in await self._new(known):
                query = "SELECT 1 AS found FROM incident_events WHERE incident_id::text = $1 AND type = $2"
                if await ask(self._house.dsn, query, row["id"], point):
                    return round(time.monotonic() - killed, 2)
            await asyncio.sleep(0.02)
        raise AssertionError(f"{point} was not in the journal {passed:.0f} s after the kill")

    async def _ended(self, known: set[str]) -> str:
        deadline = time.monotonic() + _END_S
        while time.monotonic() < deadline:
            rows = await self._new(known)
            if rows and rows[0]["state"] in ("resolved", "escalated", "closed"):
                return str(rows[0]["state"])
            await asyncio.sleep(0.1)
        raise AssertionError(f"not at its end after {_END_S:.0f} s: {await self._new(known)}")

    async def _faults(self, known: set[str], state: str, made: int) -> list[str]:
        """What was lost or done twice."""
        rows = await self._new(known)
        faults = [] if state == "resolved" else [f"ended {state}"]
        faults += [] if made == 1 else [f"{made} mutations"]
        faults += [] if len(rows) == 1 else [f"{len(rows)} incidents"]
        for row in rows[:1]:
            query = "SELECT type, count(*) FROM incident_events WHERE incident_id::text = $1 GROUP BY type"
            told = {item["type"]: item["count"] for item in await ask(self._house.dsn, query, row["id"])}
            for once in ("incident-opened", "approval-requested", "execution-started", "step-acted", "resolved"):
                if told.get(once) != 1:
                    faults.append(f"{told.get(once, 0)} entries {once}")
            cards = await self._cards(row["id"])
            faults += [] if cards == 1 else [f"{cards} cards"]
        return faults

    async def _cards(self, incident: str) -> int:
        """How many there are in the end: the gateway may be on its way back from the kill before this one."""
        query = "SELECT count(*) AS cards FROM cards WHERE incident_id::text = $1"
        deadline = time.monotonic() + _RESUME_S
        while not (cards := int((await ask(self._house.dsn, query, incident))[0]["cards"])):
            if time.monotonic() > deadline:
                break
            await asyncio.sleep(0.1)
        return cards


def pairs(count: int, seed: int) -> Iterator[tuple[str, str]]:
    """All pairs of point and victim, or ``count`` of them drawn by ``seed``, each victim once before any twice."""
    if not count:
        yield from ((point, victim) for point in POINTS for victim in VICTIMS)
        return
    chance = random.Random(seed)
    points, victims = list(POINTS), list(VICTIMS)
    chance.shuffle(points)
    chance.shuffle(victims)
    for number in range(count):
        yield points[number % len(points)], victims[number % len(victims)]


async def walk(house: RunningHouse, kills: Iterator[tuple[str, str]], report: Report) -> list[Outcome]:
    """Walk, and report each kill as its incident ends."""
    await install_gate(house.dsn)
    walker = Walk(house)
    outcomes = []
    for point, victim in kills:
        if not walker.able:
            report({"gave_up": "too much was lost to judge any further", "next": [point, victim]})
            break
        outcomes.append(await walker.step(point, victim))
        report(asdict(outcomes[-1]))
    return outcomes


def proxy_outage(house: RunningHouse, within_s: float = 60.0) -> float:
    """Kill Serve's proxy; seconds from the kill until HTTP answers again."""
    house.kill_actor("ProxyActor")
    killed = time.monotonic()
    while (passed := time.monotonic() - killed) < within_s:
        try:
            if httpx2.get(f"{house.url}/ready", timeout=1).status_code == 200:
                return round(time.monotonic() - killed, 2)
        except httpx2.TransportError:
            time.sleep(0.02)
    raise AssertionError(f"HTTP was not back {passed:.0f} s after the kill of the proxy")


def totals(outcomes: Sequence[Outcome]) -> dict[str, Any]:
    """Kills, faults, and how long resuming took, in seconds; most kills strike somebody who was not at work then."""
    timed = sorted((one.resumed_s, one.point, one.victim) for one in outcomes if one.resumed_s is not None)
    resumed = [seconds for seconds, _, _ in timed]
    return {
        "kills": len(outcomes),
        "faults": sum(bool(outcome.fault) for outcome in outcomes),
        "resume_p50_s": round(statistics.median(resumed), 2) if resumed else None,
        "resume_p95_s": round(statistics.quantiles(resumed, n=20, method="inclusive")[-1], 2)
        if len(resumed) > 1
        else None,
        "resume_max_s": resumed[-1] if resumed else None,
        "slowest": timed[:-6:-1],
    }


def _since(began: float) -> float:
    return round(time.monotonic() - began, 1)


def _line(record: dict[str, Any]) -> None:
    print(json.dumps(record), flush=True)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--steps", type=int, default=0, metavar="N", help="so many pairs, drawn by the seed (all)")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--point", action="append", choices=POINTS, help="only before this entry; may be repeated")
    parser.add_argument("--victim", action="append", choices=VICTIMS, help="only this process; may be repeated")
    parser.add_argument("--proxies", type=int, default=3, metavar="N", help="kills of the proxy that are timed (3)")
    options = parser.parse_args()
    kills = (
        (point, victim)
        for point, victim in pairs(options.steps, options.seed)
        if point in (options.point or POINTS) and victim in (options.victim or VICTIMS)
    )
    with house_folder("mw-walk-") as folder:
        house = RunningHouse(folder, scenario="none")
        try:
            house.start()
            outcomes = asyncio.run(walk(house, kills, _line))
            outages = [proxy_outage(house) for _ in range(options.proxies)]
        finally:
            house.stop()
    summary = totals(outcomes) | {"proxy_back_s": outages}
    _line(summary)
    slow = (summary["resume_p95_s"] or 0) >= RESUME_P95_S or max(outages, default=0) >= PROXY_BACK_S
    return 1 if summary["faults"] or slow else 0


if __name__ == "__main__":
    sys.exit(main())
