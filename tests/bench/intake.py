"""Alerts in, at speed: a house and a real Alertmanager take the same alerts in turn; the ratio is the figure.

Fifty fresh alerts a body, eight connections. *Paced*: 100 bodies a second, each timed from the moment it was due, so
that a server that falls behind cannot hide it. *Full*: every connection sends as soon as it has its answer. The house
writes to its disk before it answers and judges the alerts meanwhile; Alertmanager keeps them in memory, tells nobody.
*Noted* alerts are stored, matched and settled (no rule asks for information); those of a *storm* become incidents of
200 workloads, which are analysed, planned for and shown while it lasts. Client, house and stores share the machine.
"""

import asyncio
import json
import shutil
import statistics
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import count
from pathlib import Path
from typing import Any

import aiohttp
import asyncpg
import httpx2
import psutil

from tests.bench.figures import percentile, say
from tests.fixtures.houses import RunningHouse, eventually, free_port, house_folder

ALERTS, CONNECTIONS = 50, 8
_RATE, _SECONDS, _ROUNDS = 100, 5.0, 3
_FRONTS: dict[str, dict[str, str]] = {
    "midwatch": {},
    "midwatch, HAProxy in front": {"RAY_SERVE_ENABLE_HA_PROXY": "1", "RAY_SERVE_THROUGHPUT_OPTIMIZED": "1"},
}
"""Ray Serve's own proxy as `midwatch up` has it, and what Ray offers to those who need more."""
_LOADS = (("noted", "info", "paced", _ROUNDS), ("noted", "info", "full", _ROUNDS), ("storm", "warning", "paced", 1))
"""What is made of the alerts, the severity that has it so, and how they come; the storm last, for it lasts."""
_NAMES = ("CheckoutIsSlow", "ErrorRateHigh", "QueueIsLong", "CacheMissesHigh", "LatencyHigh")
_fresh = count()


@dataclass(frozen=True)
class Target:
    """Where alerts go, and in which form."""

    name: str
    url: str
    headers: dict[str, str]
    webhook: bool
    pids: dict[str, int]
    """Processes whose use of the processor is told, by what they are."""


@dataclass(frozen=True)
class Run:
    """One stretch of load: seconds per body, answers by status, and processor seconds by process."""

    took_s: float
    latencies: list[float]
    statuses: dict[int, int]
    cpu_s: dict[str, float]

    @property
    def alerts_per_s(self) -> float:
        return ALERTS * sum(n for status, n in self.statuses.items() if status < 300) / self.took_s


def measure() -> None:
    """Rounds of both targets, paced and full, medians at the end; once for each front."""
    for name, environment in _FRONTS.items():
        _compare(name, environment)


def _compare(name: str, environment: Mapping[str, str]) -> None:
    with house_folder("mwbench-") as folder, _house(folder, environment) as house:
        targets = [_midwatch(name, house)]
        with _alertmanager(folder) as other:
            targets += [other] if other else []
            for target in targets:
                asyncio.run(_load(target, "info", paced=True, seconds=1.0))  # the first requests pay for caches
            for load, severity, kind, rounds in _LOADS:
                runs = _rounds(house, targets, severity, rounds, paced=kind == "paced")
                _tell_all(runs, f"{load}, {kind}")


def _rounds(
    house: RunningHouse, targets: Sequence[Target], severity: str, rounds: int, *, paced: bool
) -> dict[str, list[Run]]:
    runs: dict[str, list[Run]] = {target.name: [] for target in targets}
    for _ in range(rounds):
        for target in targets:
            _settle(house)
            runs[target.name].append(asyncio.run(_load(target, severity, paced=paced, seconds=_SECONDS)))
    return runs


def _tell_all(runs: Mapping[str, list[Run]], kind: str) -> None:
    for name, all_runs in runs.items():
        _tell(name, kind, all_runs)
    if len(runs) == 2:
        ours, theirs = runs.values()
        ratio = statistics.median(a.alerts_per_s / b.alerts_per_s for a, b in zip(ours, theirs, strict=True))
        say("intake_ratio", ratio, "of Alertmanager's", target=next(iter(runs)), kind=kind)


def _tell(target: str, kind: str, runs: Sequence[Run]) -> None:
    def median(values: Iterator[float]) -> float:
        return statistics.median(values)

    context: dict[str, Any] = {"target": target, "kind": kind, "rounds": len(runs)}
    say("intake_alerts", median(run.alerts_per_s for run in runs), "1/s", **context)
    for share in (0.5, 0.99):
        value = median(percentile(run.latencies, share) for run in runs)
        say(f"intake_latency_p{share * 100:.0f}", value * 1000, "ms", **context)
    for who in runs[0].cpu_s:
        say("intake_cpu", median(run.cpu_s[who] / run.took_s for run in runs), "cores", who=who, **context)
    refused = sum(n for run in runs for status, n in run.statuses.items() if status >= 300)
    say("intake_refused", refused, "bodies", load_1m=psutil.getloadavg()[0], **context)


@contextmanager
def _house(folder: Path, environment: Mapping[str, str]) -> Iterator[RunningHouse]:
    # A run brings more signals than the inbox takes unsettled by default; shedding is another measurement.
    house = RunningHouse(folder, scenario="none", environment={**environment, "MIDWATCH_INBOX_LIMIT": "10000000"})
    house.start()
    try:
        yield house
    finally:
        house.stop()


def _midwatch(name: str, house: RunningHouse) -> Target:
    titles = {"proxy": "ray::ProxyActor", "replica": "ray::ServeReplica", "rules": "ray::RuleEngine"}
    pids = {who: found[0].pid for who, title in titles.items() if (found := house.processes(title))}
    headers = {"Authorization": f"Bearer {house.token}", "Content-Type": "application/json"}
    return Target(name, f"{house.url}/api/alert/webhook", headers, webhook=True,
                  pids=pids | {"store": house.store_pid})  # fmt: skip


def _settle(house: RunningHouse) -> None:
    """Wait until the house has judged what an earlier run left: no run pays for another."""
    eventually(lambda: asyncio.run(_unsettled(house)) == 0, within_s=600, what="settled inbox", every_s=0.5)


async def _unsettled(house: RunningHouse) -> int:
    connection = await asyncpg.connect(house.dsn)
    try:
        return int(await connection.fetchval("SELECT count(*) FROM signals WHERE NOT settled"))
    finally:
        await connection.close()


@contextmanager
def _alertmanager(folder: Path) -> Iterator[Target | None]:
    program = shutil.which("prometheus-alertmanager") or shutil.which("alertmanager")
    if program is None:
        yield None
        return
    config = folder / "alertmanager.yml"
    config.write_text("route: {receiver: nobody, group_by: [alertname, namespace]}\nreceivers: [{name: nobody}]\n")
    url = f"http://127.0.0.1:{free_port()}"
    process = subprocess.Popen(
        [program, f"--config.file={config}", f"--storage.path={folder / 'alertmanager'}",
         f"--web.listen-address={url.removeprefix('http://')}", "--cluster.listen-address="],
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    try:
        eventually(lambda: _ready(url), within_s=20, what="ready Alertmanager")
        headers = {"Content-Type": "application/json"}
        yield Target("alertmanager", f"{url}/api/v2/alerts", headers, webhook=False, pids={"server": process.pid})
    finally:
        process.terminate()
        process.wait(10)


def _ready(url: str) -> bool:
    try:
        return httpx2.get(f"{url}/-/ready", timeout=2).status_code == 200
    except httpx2.TransportError:
        return False


def body(severity: str = "warning", *, webhook: bool) -> bytes:
    """Fifty alerts nobody has sent before, as Alertmanager sends them, or as it is sent them."""
    alerts = []
    for _ in range(ALERTS):
        number = next(_fresh)
        name, space = _NAMES[number % len(_NAMES)], f"team-{number // ALERTS % 10}"
        labels = {
            "alertname": name, "severity": severity, "cluster": "bench", "namespace": space,
            "deployment": f"service-{number % 20}", "pod": f"service-{number % 20}-{number:x}",
            "instance": f"10.0.{number // 250 % 250}.{number % 250}:9100", "job": "kubernetes-pods",
        }  # fmt: skip
        alert: dict[str, Any] = {
            "labels": labels,
            "annotations": {
                "summary": f"{name} of service-{number % 20}",
                "description": f"{name} in {space} has lasted for more than five minutes on {labels['instance']}.",
                "runbook_url": f"https://runbooks.example.com/{name}",
            },
            "startsAt": datetime.now(UTC).isoformat(),
            "generatorURL": "http://prometheus.example.com/graph?g0.expr=up",
        }
        if webhook:
            alert |= {"status": "firing", "endsAt": "0001-01-01T00:00:00Z", "fingerprint": f"{number:016x}"}
        alerts.append(alert)
    if not webhook:
        return json.dumps(alerts).encode()
    shared = {"receiver": "midwatch", "groupLabels": {}, "commonLabels": {}, "commonAnnotations": {}}
    whole = {"version": "4", "status": "firing", "groupKey": "{}", "truncatedAlerts": 0, **shared, "alerts": alerts}
    return json.dumps(whole).encode()


async def _load(target: Target, severity: str, *, paced: bool, seconds: float) -> Run:
    bodies = iter([body(severity, webhook=target.webhook) for _ in range(int(_RATE * seconds * (1 if paced else 8)))])
    run = Run(0.0, [], {}, {})
    before = _processor_seconds(target)
    mine, began = time.process_time(), time.perf_counter()
    due = (began + number / _RATE for number in count())

    async def connection(session: aiohttp.ClientSession) -> None:
        for data in bodies:
            start = next(due) if paced else time.perf_counter()
            if (ahead := start - time.perf_counter()) > 0:
                await asyncio.sleep(ahead)
            if start - began >= seconds:
                return
            async with session.post(target.url, data=data, headers=target.headers) as answer:
                await answer.read()
            run.latencies.append(time.perf_counter() - start)
            run.statuses[answer.status] = run.statuses.get(answer.status, 0) + 1

    connector = aiohttp.TCPConnector(limit=CONNECTIONS)
    async with aiohttp.ClientSession(connector=connector) as session:
        await asyncio.gather(*(connection(session) for _ in range(CONNECTIONS)))
    took = time.perf_counter() - began
    after = _processor_seconds(target)
    used = {who: after[who] - before[who] for who in before} | {"client": time.process_time() - mine}
    return Run(took, run.latencies, run.statuses, used)


def _processor_seconds(target: Target) -> dict[str, float]:
    """Of each process with its children, and of everybody on the machine: what others take is missing to the run."""
    used = {}
    for who, pid in target.pids.items():
        family = [psutil.Process(pid), *psutil.Process(pid).children(recursive=True)]
        used[who] = sum(times.user + times.system for times in (process.cpu_times() for process in family))
    everybody = psutil.cpu_times()
    used["machine"] = everybody.user + everybody.nice + everybody.system
    return used
