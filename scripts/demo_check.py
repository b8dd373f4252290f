"""The newcomer's first five minutes, checked: fresh clone, `make run`, crash loop, approval, resolved, one mutation.

Standard library only, because it runs before anything is installed: ``python3 scripts/demo_check.py``. It leaves
nothing behind but pip's cache.
"""

import argparse
import base64
import contextlib
import json
import os
import shutil
import signal
import socket
import ssl
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
INSTALL_S, START_S, CARD_S, FIX_S, END_S = 900.0, 180.0, 120.0, 180.0, 60.0


def say(text: str) -> None:
    print(f"demo-check: {text}", flush=True)


class House:
    """`make run` in a fresh clone, and the commands of that clone."""

    def __init__(self, folder: Path, port: int) -> None:
        self.clone, self.state, self.log = folder / "midwatch", folder / "state", folder / "run.log"
        self.state.mkdir(mode=0o711)
        subprocess.run(["git", "clone", "--quiet", str(ROOT), str(self.clone)], check=True)
        inherited = {name: value for name, value in os.environ.items() if not name.startswith("MIDWATCH_")}
        # make's own variables would be those of the make that runs this
        for name in ("VIRTUAL_ENV", "MAKEFLAGS", "MAKELEVEL", "MFLAGS"):
            inherited.pop(name, None)
        self.environment = {**inherited, "MIDWATCH_STATE_DIR": str(self.state), "MIDWATCH_PORT": str(port)}
        with self.log.open("wb") as output:
            self.process = subprocess.Popen(
                ["make", "run"],
                cwd=self.clone,
                env=self.environment,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    @property
    def bin(self) -> Path:
        return self.clone / ".venv" / "bin"

    def run(self, *command: str) -> "subprocess.CompletedProcess[str]":
        """One of the clone's own programs."""
        program = str(self.bin / command[0])
        return subprocess.run(
            [program, *command[1:]], env=self.environment, capture_output=True, text=True, timeout=60, check=False
        )

    def ask(self, *arguments: str) -> Any:
        """What ``midwatch … -o json`` answers; ``None`` while it cannot."""
        run = self.run("midwatch", *arguments, "-o", "json")
        return json.loads(run.stdout) if run.returncode == 0 and run.stdout.strip() else None

    def wait_for(self, what: str, look: Callable[[], Any], seconds: float) -> Any:
        """The first true answer of ``look``; fails when the time is over or the house has ended."""
        began = time.monotonic()
        while time.monotonic() - began < seconds:
            if self.process.poll() is not None:
                raise SystemExit(f"demo-check: make run ended with {self.process.returncode}, waiting for {what}")
            if answer := look():
                say(f"{what} after {time.monotonic() - began:.1f} s")
                return answer
            time.sleep(0.2)
        raise SystemExit(f"demo-check: no {what} within {seconds:.0f} s")

    def interrupt(self) -> None:
        """Ctrl-C, which a terminal sends to everything in the foreground."""
        if self.process.poll() is None:
            os.killpg(self.process.pid, signal.SIGINT)
            self.process.wait(END_S)

    def mutations(self) -> list[dict[str, Any]]:
        """What the simulated API server itself recorded of changes by clients."""
        config = json.loads((self.state / "sandbox.kubeconfig").read_text())
        cluster = config["clusters"][0]["cluster"]
        authority = base64.b64decode(cluster["certificate-authority-data"]).decode()
        request = urllib.request.Request(
            f"{cluster['server']}/sandbox/mutations",
            headers={"Authorization": f"Bearer {config['users'][0]['user']['token']}"},
        )
        trust = ssl.create_default_context(cadata=authority)
        with urllib.request.urlopen(request, timeout=10, context=trust) as answer:
            return list(json.load(answer)["mutations"])


def free_port() -> int:
    """A port nobody listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextlib.contextmanager
def started(port: int) -> Iterator[House]:
    """A house in a folder of its own; ended as Ctrl-C does, and everything removed."""
    with tempfile.TemporaryDirectory(prefix="mw-demo-", ignore_cleanup_errors=True) as name:
        folder = Path(name)
        folder.chmod(0o711)  # root's PostgreSQL runs as nobody, and must be able to pass
        house = House(folder, port)
        try:
            yield house
        except BaseException:
            print(house.log.read_text("utf-8", "replace")[-4000:], file=sys.stderr)
            raise
        finally:
            try:
                house.interrupt()
            finally:
                if (house.bin / "midwatch").exists():
                    house.run("midwatch", "down")
                    where = "from midwatch.settings import load_settings; print(load_settings().runtime_dir)"
                    if sockets := house.run("python", "-c", where).stdout.strip():
                        shutil.rmtree(sockets, ignore_errors=True)


def check(house: House) -> None:
    """From the first install to the one mutation."""
    house.wait_for("installed command", (house.bin / "midwatch").exists, INSTALL_S)
    house.wait_for("API", lambda: house.ask("incidents") is not None, START_S)

    def asked() -> Any:
        rows = (house.ask("incidents") or {"incidents": ()})["incidents"]
        return [item for item in rows if item["state"] == "awaiting_approval"]

    incident = house.wait_for("incident that waits for approval", asked, CARD_S)[0]
    say(f"  {incident['title']}")
    approved = house.run("midwatch", "approve", incident["id"], "--yes")
    if approved.returncode:
        raise SystemExit(f"demo-check: midwatch approve ended with {approved.returncode}: {approved.stderr}")
    house.wait_for(
        "resolved incident", lambda: (house.ask("incidents", incident["id"]) or {}).get("state") == "resolved", FIX_S
    )
    record = house.mutations()
    for item in record:
        say(f"  the API server recorded: {item['verb']} {item['resource']} {item['namespace']}/{item['name']}")
    if len(record) != 1:
        raise SystemExit(f"demo-check: {len(record)} mutations on record, expected exactly one")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--port", type=int, default=0, help="port of the house that is started (default: a free one)")
    options = parser.parse_args()
    with started(options.port or free_port()) as house:
        check(house)
        began = time.monotonic()
        house.interrupt()
        say(f"ended {time.monotonic() - began:.1f} s after Ctrl-C")
        if "Stopping. State is kept" not in house.log.read_text():
            raise SystemExit("demo-check: it did not end as Ctrl-C should end it")
    say("passed")
    return 0


if __name__ == "__main__":
    sys.exit(main())
