"""From a fault in the sandbox to the card that asks for an approval."""

import time

from tests.bench.figures import percentile, say
from tests.fixtures.houses import RunningHouse, eventually

_ROUNDS = 10


def measure(house: RunningHouse) -> None:
    """Break the workload, wait for its card, heal it, again."""
    times = []
    for _ in range(_ROUNDS):
        asked = {item["id"] for item in _approvals(house)}
        began = time.monotonic()
        house.sandbox("POST", "/sandbox/scenarios/crashloop")
        eventually(
            lambda known=asked: [item for item in _approvals(house) if item["id"] not in known],
            within_s=60,
            what="card",
            every_s=0.02,
        )
        times.append(time.monotonic() - began)
        house.sandbox("DELETE", "/sandbox/scenarios/crashloop")
        eventually(lambda: not [i for i in house.incidents() if not _over(i)], within_s=90, what="quiet house")
    say("fault_to_card_p50", percentile(times, 0.5), "s", rounds=_ROUNDS)
    say("fault_to_card_p95", percentile(times, 0.95), "s", rounds=_ROUNDS)


def _approvals(house: RunningHouse) -> list[dict[str, object]]:
    found: list[dict[str, object]] = house.get("/api/approvals?all=1")["approvals"]
    return found


def _over(incident: dict[str, object]) -> bool:
    return incident["state"] in ("resolved", "closed")
