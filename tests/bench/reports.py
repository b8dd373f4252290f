"""From the first signal of a fault to the first report, in a house that watches a sandbox of many pods.

Read from the journal: when the first signal was received, and when the built-in analyser's report was written.
"""

from datetime import datetime
from pathlib import Path
from typing import Any

import psutil

from midwatch.sandbox.kubeconfig import ADMIN_CONTEXT
from tests.bench.figures import percentile, say
from tests.fixtures.houses import RunningHouse, RunningSandbox, eventually, house_folder

_FAULTS = (
    ("crashloop", "payments/payment-api"),
    ("crashloop", "shop/frontend"),
    ("crashloop", "shop/cart"),
    ("crashloop", "payments/fraud-check"),
    ("crashloop", "platform/mail-relay"),
    ("crashloop", "platform/report-builder"),
    ("oom", "shop/search"),
    ("imagepull", "shop/checkout"),
)


def measure(pods: int) -> None:
    """One fault after another."""
    with house_folder("mw-reports-") as folder:
        sandbox = RunningSandbox(folder, pods=pods)
        house = _house(folder, sandbox)
        try:
            house.start()
            times = [_report_after(house, sandbox, *fault) for fault in _FAULTS]
        finally:
            house.stop()
            sandbox.stop()
    context = {"pods": pods, "faults": len(times), "load_1m": psutil.getloadavg()[0]}
    say("signal_to_report_p50", percentile(times, 0.5), "s", **context)
    say("signal_to_report_p95", percentile(times, 0.95), "s", **context)


def _house(folder: Path, sandbox: RunningSandbox) -> RunningHouse:
    arguments = ("--context", ADMIN_CONTEXT, "--kubeconfig", str(sandbox.kubeconfig))
    return RunningHouse(folder, arguments=arguments, environment={"MIDWATCH_CLUSTER": "bench"})


def _report_after(house: RunningHouse, sandbox: RunningSandbox, scenario: str, target: str) -> float:
    """Seconds from the receipt of the incident's first signal to its first report."""
    known = {row["id"] for row in house.incidents()}
    sandbox.client.breaks(scenario, target)
    name = target.rpartition("/")[2]

    def reported() -> dict[str, Any] | None:
        rows = [row for row in house.incidents(name) if row["id"] not in known]
        return next((incident for row in rows if (incident := house.incident(row["id"]))["report"]), None)

    incident = eventually(reported, within_s=120, what=f"report about {target}")
    made = next(entry for entry in house.entries(incident["id"]) if entry["type"] == "report-made")
    received = [row["signal"]["received_at"] for row in house.signals() if row["incident"] == incident["id"]]
    return (datetime.fromisoformat(made["at"]) - min(map(datetime.fromisoformat, received))).total_seconds()
