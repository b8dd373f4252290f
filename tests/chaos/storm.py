"""Whole incidents under random kills and faults of the API server: nothing lost, nothing twice, nothing stuck.

Several deployments break again and again; a person answers what is asked; processes die at random, and the API server
refuses, stalls, takes effect without an answer, and goes away. Judged by the API server's own record of changes and by
queries over the journal (``tests/chaos/judges.py``).

Prints a JSON line for each kill and each incident, and one with the totals. Exit status 1 when anything was lost, done
twice or left stuck, or when resuming took longer than allowed.
"""

import argparse
import asyncio
import json
import os
import random
import shutil
import statistics
import sys
import time
from collections import Counter
from collections.abc import Awaitable, Callable
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx2
import psutil
import yaml

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))  # run as a script, too

from midwatch.adapters.embedded.valkey import EmbeddedValkey
from tests.chaos.judges import contradictions, journal_faults, twice
from tests.chaos.returning import KINDS, back, starts
from tests.fixtures.gate import Reader
from tests.fixtures.houses import RunningHouse, house_folder, runtime_dir

VICTIMS = (*KINDS, "ServeReplica", "ProxyActor", "tools", "store", "redis")
"""Every process that may die: the actors, the edge, the executor's MCP server, PostgreSQL, Valkey."""
TARGETS = (
    "payments/payment-api",
    "payments/fraud-check",
    "shop/cart",
    "shop/frontend",
    "shop/search",
    "shop/checkout",
    "platform/mail-relay",
    "platform/report-builder",
)
FAULTS: tuple[dict[str, Any], ...] = (
    {"verb": "patch", "status": 429, "retry_after": 1, "times": 2},
    {"verb": "patch", "status": 409, "times": 1},
    {"verb": "patch", "status": 500, "times": 2},
    {"verb": "patch", "lost": True, "times": 1},
    {"verb": "patch", "lost": True, "hang": 2.0, "times": 1},
    {"verb": "get,list", "status": 429, "retry_after": 1, "times": 5},
    {"verb": "get,list", "status": 500, "times": 5},
    {"verb": "get", "delay": 1.5, "times": 5},
    {"verb": "patch", "delay": 2.0, "times": 2},
    {"outage": 3},
    {"watches": "disconnect"},
    {"compact": True},
)
"""What the API server does wrong; ``lost`` takes effect and is never answered."""
RESUME_P95_S = 5.0
_SEEN_S, _END_S, _CALM_S = 90.0, 240.0, 180.0
_REJECTS = 0.05
_JUMPS, _JUMP_S = 8, 30.0
"""Jumps of the cluster's clock: together less than the skew between two clocks that is put up with."""
_AT_WORK = ("open", "investigating", "proposed", "awaiting_approval", "acting", "verifying")

_LAST = """
    SELECT seq, at::text, by, type, reason, left(data::text, 300) AS data
      FROM incident_events WHERE incident_id = $1 ORDER BY seq DESC LIMIT 12
"""
_TO_DO = """
    SELECT work, due_at::text, retry_at::text, claim_owner, claim_until::text, attempts, error, now()::text
      FROM work WHERE incident_id = $1
"""
_FIRING = """
    SELECT status, received_at::text, due_at::text, settled, outcome, identity
      FROM signals WHERE incident_id = $1 OR NOT settled ORDER BY received_at DESC LIMIT 8
"""

Report = Callable[[dict[str, Any]], None]


class Storm:
    """One house under way; build it over a house that runs."""

    def __init__(
        self,
        house: RunningHouse,
        *,
        incidents: int,
        kills: int,
        seed: int,
        report: Report,
        minutes: float = 240.0,
        lines: int = len(TARGETS),
    ) -> None:
        self._house, self._report = house, report
        self._targets = TARGETS[:lines]
        self._until_s = time.monotonic() + minutes * 60
        self._incidents, self._kills = incidents, kills
        self._chance = random.Random(seed)
        self._begun = self.ended = self.killed = 0
        self.faults: list[str] = []
        self.ends: Counter[str] = Counter()
        self.injected = 0
        self._jumps = 0
        self._choices: dict[str, str] = {}
        self.resumed: list[tuple[float, str]] = []
        self._valkey = EmbeddedValkey(house.state, runtime_dir(house.state))
        self._reader = Reader(house.dsn)

    async def run(self) -> None:
        """Until all incidents ended and all kills were dealt."""
        try:
            async with asyncio.TaskGroup() as group:
                people = group.create_task(self._people())
                weather = group.create_task(self._weather())
                killer = group.create_task(self._killer(group))
                await asyncio.gather(*(self._line(target) for target in self._targets), killer)
                people.cancel()
                weather.cancel()
        finally:
            self._reader.close()
        await self._judge()

    @property
    def _late(self) -> bool:
        """Whether nothing new is begun any more."""
        return time.monotonic() > self._until_s

    # incidents

    async def _line(self, target: str) -> None:
        """One deployment, broken again and again until there are enough incidents."""
        while self._begun < self._incidents and not self._late:
            self._begun += 1
            began = time.monotonic()
            try:
                state = await self._incident(target)
            except (AssertionError, OSError, httpx2.HTTPError) as error:
                self.faults.append(f"{target}: {error}")
                self._report({"target": target, "fault": str(error), "told": await self._told(target)})
                return  # its state is unknown from here on
            self.ended += 1
            self.ends[state] += 1
            self._report({"incident": self.ended, "target": target, "state": state, "seconds": _since(began)})

    async def _incident(self, target: str) -> str:
        name = target.split("/")[1]
        before = await self._entries(name)
        scenario = "imagepull" if self._chance.random() < 0.15 else "crashloop"
        await self._cluster(lambda: self._house.cluster.breaks(scenario, target))
        try:
            await self._until(lambda: self._moved(name, before), _SEEN_S, f"lost: {scenario} was not seen")
            await self._until(lambda: self._over(name, before), _END_S, f"stuck: {scenario} did not end")
            state = (await self._owned(name))[0]["state"]
        finally:
            await self._cluster(lambda: self._house.cluster.heals(scenario, target))
        if state == "escalated":  # a person takes over, and does not wait until a back-off of minutes is outlived
            await self._cluster(lambda: self._fresh_pods(target))
        await self._until(lambda: self._calm(name), _CALM_S, f"stuck: {scenario} was healed and is not closed")
        return str(state)

    async def _told(self, target: str) -> list[dict[str, Any]]:
        """Where its latest incident stands, for whoever looks into a fault: the journal's end, and what is to do."""
        told: list[dict[str, Any]] = []
        for row in (await self._owned(target.split("/")[1]))[:1]:
            for query in (_LAST, _TO_DO, _FIRING):
                told += await self._reader.ask(query, row["id"])
        return told

    def _fresh_pods(self, target: str) -> None:
        namespace, name = target.split("/")
        path = f"/api/v1/namespaces/{namespace}/pods"
        for pod in self._house.cluster("GET", path)["items"]:
            if pod["metadata"]["name"].startswith(f"{name}-") and not pod["metadata"].get("deletionTimestamp"):
                self._house.cluster("DELETE", f"{path}/{pod['metadata']['name']}")

    async def _owned(self, name: str) -> list[dict[str, Any]]:
        query = "SELECT id, state, seq FROM incidents WHERE owner::json->>'name' = $1 ORDER BY updated_at DESC"
        return await self._reader.ask(query, name)

    async def _entries(self, name: str) -> int:
        return sum(row["seq"] for row in await self._owned(name))

    async def _moved(self, name: str, before: int) -> bool:
        return await self._entries(name) > before

    async def _over(self, name: str, before: int) -> bool:
        rows = await self._owned(name)
        told = sum(row["seq"] for row in rows) > before
        return told and not any(row["state"] in _AT_WORK for row in rows)

    async def _calm(self, name: str) -> bool:
        return all(row["state"] in ("resolved", "closed") for row in await self._owned(name))

    async def _until(self, look: Callable[[], Awaitable[bool]], within_s: float, what: str) -> None:
        deadline = time.monotonic() + within_s
        while not await look():
            assert time.monotonic() < deadline, f"{what} within {within_s:.0f} s"
            await asyncio.sleep(0.2)

    async def _cluster(self, call: Callable[[], object]) -> None:
        """The sandbox's own API, asked again where an outage or another fault strikes us too."""
        for _ in range(60):
            with suppress(httpx2.HTTPError):
                await asyncio.to_thread(call)
                return
            await asyncio.sleep(0.5)
        raise AssertionError("the sandbox does not answer")

    # people, weather, death

    async def _people(self) -> None:
        """Everything that is asked is answered, mostly by yes."""
        answering: dict[str, asyncio.Task[None]] = {}
        while True:
            with suppress(OSError):
                for row in await self._reader.ask("SELECT id FROM approvals WHERE state = 'open'"):
                    if row["id"] not in answering or answering[row["id"]].done():
                        answering[row["id"]] = asyncio.create_task(self._answer(row["id"]))
            await asyncio.sleep(0.3)

    async def _answer(self, approval: str) -> None:
        choice = self._choices.setdefault(approval, "reject" if self._chance.random() < _REJECTS else "approve")
        with suppress(AssertionError, ValueError):  # the edge is away for long, or ends in mid-answer: asked again
            judged = await asyncio.to_thread(self._house.answer, approval, choice)
            if judged.get("outcome") in ("needs-confirmation", "repeated"):
                await asyncio.to_thread(self._house.answer, approval, "confirm")

    async def _weather(self) -> None:
        """One fault of the API server after another, and jumps of the cluster's own clock."""
        while True:
            await asyncio.sleep(self._chance.uniform(2.0, 8.0))
            with suppress(httpx2.HTTPError):
                if self._chance.random() < 0.1 and self._jumps < _JUMPS:
                    self._jumps += 1
                    await asyncio.to_thread(self._house.cluster, "POST", "/sandbox/clock", json={"advance": _JUMP_S})
                else:
                    fault = self._chance.choice(FAULTS)
                    await asyncio.to_thread(self._house.cluster, "POST", "/sandbox/faults", json=fault)
                self.injected += 1

    async def _killer(self, group: asyncio.TaskGroup) -> None:
        """Kills in proportion to the incidents that ended, at most two victims on their way back at once."""
        victims: list[str] = []
        returning: set[asyncio.Task[None]] = set()
        while self.killed < self._kills and not self._late:
            done = self.ended >= self._incidents or len(self.faults) >= len(self._targets)
            due = self._kills if done else self._kills * (self.ended + 1) / self._incidents
            if self.killed >= due or len(returning) >= 2:
                await asyncio.sleep(0.2)
            else:
                victims = victims or self._chance.sample(VICTIMS, len(VICTIMS))
                victim = victims.pop()
                self.killed += 1
                task = group.create_task(self._kill(victim))
                returning.add(task)
                task.add_done_callback(returning.discard)
                await asyncio.sleep(self._chance.uniform(0.2, 2.5))
        await asyncio.gather(*returning)

    async def _kill(self, victim: str) -> None:
        try:
            seconds = await self._strike(victim)
        except (AssertionError, psutil.NoSuchProcess) as error:
            self._report({"kill": self.killed, "victim": victim, "missed": str(error)})
            self.killed -= 1
            return
        self.resumed.append((seconds, victim))
        self._report({"kill": self.killed, "victim": victim, "resumed_s": seconds, "load": round(os.getloadavg()[0])})

    async def _strike(self, victim: str) -> float:
        """Kill; seconds until what was killed does its work again."""
        house = self._house
        match victim:
            case "store":
                await asyncio.to_thread(house.kill_store)
                return await _timed(lambda: self._reader.ask("SELECT 1"))
            case "redis":
                pid = self._valkey.pid
                assert pid is not None, "Valkey does not run"
                psutil.Process(pid).kill()
                return await _timed(lambda: self._until(self._valkey_is_back, 60, "Valkey was not back"))
            case "tools":
                found = await asyncio.to_thread(house.processes, "midwatch.adapters.mcp.kubernetes_server")
                assert found, "no process of the executor's tools"
                found[0].kill()
                return await _timed(lambda: self._until(lambda: self._tools(found[0].pid), 60, "no tools"))
            case "ServeReplica" | "ProxyActor":
                await asyncio.to_thread(house.kill_actor, victim)
                return await _timed(lambda: self._until(self._served, 60, "HTTP was not back"))
            case _:
                pid = await self._actor(victim)
                psutil.Process(pid).kill()
                return await back(house.state / "logs", victim, pid, datetime.now(UTC))

    async def _actor(self, kind: str) -> int:
        """The process of an actor; of workers the first one's, which is never dismissed."""
        logs = self._house.state / "logs"
        for _ in range(100):
            alive = {process.pid for process in await asyncio.to_thread(self._house.processes, f"ray::{kind}")}
            for _, pid in starts(logs, kind):
                if pid in alive:
                    return pid
            await asyncio.sleep(0.1)
        raise AssertionError(f"no process of {kind}")

    async def _valkey_is_back(self) -> bool:
        return self._valkey.alive()

    async def _tools(self, dead: int) -> bool:
        found = await asyncio.to_thread(self._house.processes, "midwatch.adapters.mcp.kubernetes_server")
        return any(process.pid != dead for process in found)

    async def _served(self) -> bool:
        try:
            page = await asyncio.to_thread(httpx2.get, f"{self._house.url}/static/midwatch.css", timeout=1)
            return page.status_code == 200
        except httpx2.HTTPError:
            return False

    async def _judge(self) -> None:
        house = self._house
        await self._cluster(lambda: house.cluster("DELETE", "/sandbox/faults"))
        mutations = house.cluster.mutations()
        self.faults += twice(mutations)
        self.faults += await contradictions(house.dsn, mutations)
        self.faults += await journal_faults(house.dsn)
        self.mutations = len(mutations)

    def totals(self) -> dict[str, Any]:
        """Counts, faults, and seconds until what was killed worked again."""
        seconds = sorted(each for each, _ in self.resumed)
        by_victim: dict[str, list[float]] = {}
        for each, victim in self.resumed:
            by_victim.setdefault(victim, []).append(each)
        return {
            "incidents": self.ended,
            "ends": dict(self.ends),
            "kills": self.killed,
            "api_faults": self.injected,
            "mutations": self.mutations,
            "faults": self.faults,
            "resume_p50_s": round(statistics.median(seconds), 2) if seconds else None,
            "resume_p95_s": round(statistics.quantiles(seconds, n=20, method="inclusive")[-1], 2)
            if len(seconds) > 1
            else None,
            "resume_max_s": max(seconds, default=None),
            "by_victim": {name: [round(statistics.median(all_), 2), max(all_)] for name, all_ in by_victim.items()},
        }


async def _timed(back: Callable[[], Awaitable[object]]) -> float:
    began = time.monotonic()
    await back()
    return round(time.monotonic() - began, 2)


def _since(began: float) -> float:
    return round(time.monotonic() - began, 1)


def _line(record: dict[str, Any]) -> None:
    print(json.dumps({"at": f"{datetime.now(UTC):%H:%M:%S}", **record}, default=str), flush=True)


def hurry(folder: Path, timeout_s: float = 45.0) -> None:
    """Give up a fix that does not help sooner than one would outside: half a minute is a long time in the sandbox."""
    for path in sorted((folder / "playbooks").glob("*.yaml")):
        body = yaml.safe_load(path.read_text())
        for check in (check for step in body.get("steps", ()) for check in step.get("verify", ())):
            check["timeout_s"] = timeout_s
        path.write_text(yaml.safe_dump(body, sort_keys=False))


def start(house: RunningHouse, tries: int = 3) -> None:
    """Start a house, again where Ray gave up on itself: on a crowded machine its raylet may take over 30 s."""
    for left in reversed(range(tries)):
        try:
            house.start()
        except AssertionError:
            if not left:
                raise
            house.stop()
        else:
            return


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--incidents", type=int, default=300, metavar="N")
    parser.add_argument("--kills", type=int, default=200, metavar="N")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--keep", type=Path, metavar="DIR", help="copy the logs of the house there at the end")
    parser.add_argument("--minutes", type=float, default=240.0, help="begin nothing new after so long (240)")
    parser.add_argument("--lines", type=int, default=len(TARGETS), metavar="N", help="so many deployments break (all)")
    parser.add_argument("--spares", type=int, default=1, metavar="N", help="processes that the house keeps ready (1)")
    options = parser.parse_args()
    began = time.monotonic()
    with house_folder("mw-storm-") as folder:
        spares = {"MIDWATCH_SPARE_PROCESSES": str(options.spares)}
        house = RunningHouse(folder, scenario="none", environment=spares)
        try:
            hurry(folder)
            start(house)
            storm = Storm(
                house,
                incidents=options.incidents,
                kills=options.kills,
                seed=options.seed,
                report=_line,
                minutes=options.minutes,
                lines=options.lines,
            )
            asyncio.run(storm.run())
        finally:
            house.stop()
            if options.keep is not None:
                shutil.copytree(house.state / "logs", options.keep, dirs_exist_ok=True)
    summary = storm.totals() | {"minutes": round((time.monotonic() - began) / 60, 1), "load": os.getloadavg()}
    _line(summary)
    return 1 if summary["faults"] or (summary["resume_p95_s"] or 0) >= RESUME_P95_S else 0


if __name__ == "__main__":
    sys.exit(main())
