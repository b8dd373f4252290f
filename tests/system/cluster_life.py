"""A cluster of three nodes loses one, gains one, and loses its head, while incidents are under way.

Run inside a network namespace of its own (see ``test_cluster_life.py``): addresses on its loopback are the machines.
Ray's own state is kept in Redis. Prints one JSON line of what was found; asserts on the way.
"""

import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx2
import psutil

from tests.fixtures.houses import RunningHouse, eventually

ROOT = Path(__file__).resolve().parents[2]

TARGETS = ("payments/payment-api", "shop/cart", "platform/mail-relay", "shop/search")
HEAD, REDIS_PORT, PASSWORD = "10.9.0.1", 6390, "a-made-up-one"
_START_S, _BACK_S, _END_S = 240.0, 240.0, 240.0


class Machines:
    """The nodes: scripts in the foreground, each with everything that it started below it."""

    def __init__(self, folder: Path, token: Path) -> None:
        self._folder = folder
        self._environment = {
            **os.environ,
            "RAY_AUTH_TOKEN_PATH": str(token),
            "RAY": str(Path(sys.executable).parent / "ray"),
            "RAY_REDIS_ADDRESS": f"{HEAD}:{REDIS_PORT}",
            "REDIS_PASSWORD": PASSWORD,
        }
        self._running: dict[str, subprocess.Popen[bytes]] = {}
        self._starts = 0

    def redis(self) -> None:
        """Debian's server, with what it is told on disk."""
        command = ["redis-server", "--port", str(REDIS_PORT), "--bind", HEAD, "--requirepass", PASSWORD]
        self._spawn("redis", [*command, "--dir", str(self._folder), "--appendonly", "yes"], {}, "Ready to accept")

    def head(self) -> None:
        """In a process namespace of its own, as on a machine of its own: Ray looks around for others like it."""
        apart = ["unshare", "--pid", "--fork", "--mount-proc", "--kill-child"]
        more = {"NODE_IP": HEAD, "TEMP_DIR": str(self._folder / "h")}
        self._spawn("head", [*apart, str(ROOT / "cluster_config/ray/head.sh")], more, "runtime started")

    def worker(self, number: int) -> None:
        """A worker; its ports differ from those of the others, for it shares their machine in truth."""
        base = 7000 + 100 * number
        ports = f"--node-manager-port={base} --object-manager-port={base + 1}"
        ports += f" --min-worker-port={30000 + 1000 * number} --max-worker-port={30999 + 1000 * number}"
        more = {"HEAD_IP": HEAD, "NODE_IP": self.address(number), "PORTS": ports}
        more["TEMP_DIR"] = str(self._folder / f"w{number}")
        self._spawn(f"worker-{number}", [str(ROOT / "cluster_config/ray/worker.sh")], more, "runtime started")

    @staticmethod
    def address(number: int) -> str:
        return f"10.9.0.{number + 1}"

    def investigators(self, number: int) -> int:
        """How many workers of the pool run on a node."""
        return sum("ray::RcaWorker" in " ".join(process.cmdline()) for process in self._tree(f"worker-{number}"))

    def kill(self, name: str) -> None:
        """A machine loses power: all that runs on it, at once, by pid."""
        for process in self._tree(name):
            try:
                process.kill()
            except psutil.NoSuchProcess:
                continue
        self._running.pop(name).wait(20)

    def stop(self) -> None:
        for name in list(self._running):
            self.kill(name)

    def _tree(self, name: str) -> list[psutil.Process]:
        top = psutil.Process(self._running[name].pid)
        return [top, *top.children(recursive=True)]

    def _spawn(self, name: str, command: list[str], more: dict[str, str], said: str) -> None:
        self._starts += 1
        log = self._folder / f"{name}-{self._starts}.log"
        with log.open("wb") as output:
            self._running[name] = subprocess.Popen(
                command, env={**self._environment, **more}, stdin=subprocess.DEVNULL, stdout=output, stderr=output
            )
        eventually(lambda: said in log.read_text(errors="replace"), within_s=_START_S, what=f"{name} ({log})")


def timed(look: Callable[[], object], what: str, within_s: float) -> float:
    """Seconds until ``look`` is true."""
    began = time.monotonic()
    eventually(look, within_s=within_s, what=what, every_s=0.2)
    return round(time.monotonic() - began, 1)


def answers(house: RunningHouse) -> bool:
    try:
        return httpx2.get(f"{house.url}/ready", timeout=2).status_code == 200
    except httpx2.HTTPError:
        return False


def main() -> None:
    folder = Path(sys.argv[1])
    state = folder / "state"
    token = state / "ray-token"
    token.write_text("0123456789abcdef0123456789abcdef")
    token.chmod(0o600)
    machines = Machines(folder, token)
    house = RunningHouse(
        folder, scenario="none", environment={"MIDWATCH_RAY_ADDRESS": f"{HEAD}:6379", "MIDWATCH_RCA_WORKERS": "4"}
    )
    found: dict[str, Any] = {}
    try:
        machines.redis()
        machines.head()
        machines.worker(1)
        machines.worker(2)
        house.start()
        eventually(
            lambda: machines.investigators(1) and machines.investigators(2),
            within_s=_START_S,
            what="investigators on both workers",
        )
        found["spread"] = [machines.investigators(1), machines.investigators(2)]
        lose_a_worker(machines, house, found)
        lose_the_head(machines, house, found)
    finally:
        if house.spawned:
            house.stop()
        machines.stop()
    print(json.dumps(found))


def lose_a_worker(machines: Machines, house: RunningHouse, found: dict[str, Any]) -> None:
    """In the middle of four investigations one node goes and another comes: each ends, and ends once."""
    slow = {"verb": "get,list", "resource": "pods,events", "delay": 1.0, "times": 40}
    house.cluster("POST", "/sandbox/faults", json=slow)
    for target in TARGETS:
        house.cluster.breaks("crashloop", target)
    names = [target.split("/")[1] for target in TARGETS]

    def begun() -> bool:
        return any(row["state"] == "investigating" for name in names for row in house.incidents(name))

    eventually(begun, within_s=90, what="investigation under way")
    machines.kill("worker-1")
    machines.worker(3)
    for name in names:
        incident = house.wait_for_state("awaiting_approval", about=name, within_s=_END_S)
        told = [entry["type"] for entry in house.entries(incident["id"])]
        assert told.count("report-made") == 1, (name, told)
    found["joined_s"] = timed(lambda: machines.investigators(3), "investigator on the node that joined", _BACK_S)


def lose_the_head(machines: Machines, house: RunningHouse, found: dict[str, Any]) -> None:
    """The head goes while people are asked; it comes back, and what was asked is answered and carried out once."""
    machines.kill("head")
    time.sleep(3)  # as long as a machine takes at least
    machines.head()
    if house.gone(30):
        house.start()  # what a service manager does with `midwatch up`, which lived by the head
        found["restarted"] = True
    found["head_back_s"] = timed(lambda: answers(house), "HTTP after the loss of the head", _BACK_S)
    for target in TARGETS:
        namespace, name = target.split("/")
        house.approve(house.wait_for_state("awaiting_approval", about=name, within_s=_END_S))
        house.wait_for_state("resolved", about=name, within_s=_END_S)
        made = house.cluster.mutations(namespace, name)
        assert len(made) == 1, (target, made)
    found["resolved"] = len(TARGETS)


if __name__ == "__main__":
    if not shutil.which("redis-server"):
        raise SystemExit("redis-server is not installed")
    main()
