"""The newcomer's first five minutes, checked: fresh clone, `make run`, crash loop, approval, resolved, one mutation.

Standard library only, because it runs before anything is installed: ``python3 scripts/demo_check.py``.
"""

import argparse
import json
import os
import re
import signal
import subprocess
import sys
import tempfile
import time
import urllib.request
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent


def say(text: str) -> None:
    print(f"demo-check: {text}", flush=True)


def wait_for(what: str, look: Any, seconds: float, process: "subprocess.Popen[bytes]") -> Any:
    """The first true answer of ``look``; fails when the time is over or the house has ended."""
    began = time.monotonic()
    while time.monotonic() - began < seconds:
        if process.poll() is not None:
            raise SystemExit(f"demo-check: make run ended with {process.returncode} while waiting for {what}")
        if answer := look():
            say(f"{what} after {time.monotonic() - began:.1f} s")
            return answer
        time.sleep(0.5)
    raise SystemExit(f"demo-check: no {what} within {seconds:.0f} s")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--port", type=int, default=18420, help="port of the house that is started")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="mwdemo-") as folder:
        clone, state = Path(folder, "midwatch"), Path(folder, "state")
        subprocess.run(["git", "clone", "--quiet", str(ROOT), str(clone)], check=True)
        environment = {
            **{name: value for name, value in os.environ.items() if not name.startswith("MIDWATCH_")},
            "MIDWATCH_STATE_DIR": str(state),
            "MIDWATCH_PORT": str(options.port),
            "MIDWATCH_SANDBOX_SCENARIO": "crashloop",
        }
        environment.pop("VIRTUAL_ENV", None)
        log = Path(folder, "run.log")
        with log.open("wb") as output:
            house = subprocess.Popen(
                ["make", "run"],
                cwd=clone,
                env=environment,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
            try:
                check(clone, state, environment, house)
            except BaseException:
                print(log.read_text("utf-8", "replace")[-4000:], file=sys.stderr)
                raise
            finally:
                if house.poll() is None:
                    os.killpg(house.pid, signal.SIGINT)
                    house.wait(60)
        say("the house ended")
    say("passed")
    return 0


def check(clone: Path, state: Path, environment: dict[str, str], house: "subprocess.Popen[bytes]") -> None:
    midwatch = clone / ".venv" / "bin" / "midwatch"

    def command(*arguments: str) -> Any:
        run = subprocess.run(
            [midwatch, *arguments, "-o", "json"], env=environment, capture_output=True, text=True, timeout=60
        )
        return json.loads(run.stdout) if run.returncode == 0 and run.stdout.strip() else None

    wait_for("installed command", midwatch.exists, 600, house)
    wait_for("API", lambda: command("incidents") is not None, 120, house)
    asked = wait_for(
        "incident that waits for approval",
        lambda: [item for item in command("incidents") or [] if item["state"] == "awaiting_approval"],
        120,
        house,
    )
    incident = command("incidents", asked[0]["id"])
    approval = incident["approval"]["id"]
    subprocess.run([midwatch, "approve", approval, "--yes"], env=environment, check=True, timeout=60)
    wait_for(
        "resolved incident",
        lambda: (command("incidents", asked[0]["id"]) or {}).get("state") == "resolved",
        180,
        house,
    )
    record = mutations(state / "sandbox.kubeconfig")
    for item in record:
        say(f"the API server recorded: {item['verb']} {item['resource']} {item.get('namespace')}/{item['name']}")
    if len(record) != 1:
        raise SystemExit(f"demo-check: {len(record)} mutations on record, expected exactly one")


def mutations(kubeconfig: Path) -> list[dict[str, Any]]:
    """What the simulated API server itself recorded of changes by clients."""
    text = kubeconfig.read_text()
    server = re.search(r"server:\s*(\S+)", text)
    token = re.search(r"token:\s*(\S+)", text)
    if not server or not token:
        raise SystemExit("demo-check: the sandbox kubeconfig has no server or token")
    address, secret = server[1].strip("\"'"), token[1].strip("\"'")
    request = urllib.request.Request(f"{address}/sandbox/mutations", headers={"Authorization": f"Bearer {secret}"})
    with urllib.request.urlopen(request, timeout=10) as answer:
        body = json.load(answer)
    return list(body["items"] if isinstance(body, dict) else body)


if __name__ == "__main__":
    sys.exit(main())
