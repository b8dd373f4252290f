"""From a fault in the sandbox to the card that asks for an approval."""

import time

from tests.bench.figures import percentile, say
from tests.fixtures.houses import RunningHouse, eventually

_TARGETS = (
    "payments/payment-api",
    "shop/frontend",
    "shop/cart",
    "payments/fraud-check",
    "platform/mail-relay",
    "shop/search",
    "shop/checkout",
)


def measure(house: RunningHouse) -> None:
    """Break one workload after another, each time from the request that breaks it to its card."""
    times = []
    for target in _TARGETS:
        asked = {item["id"] for item in _approvals(house)}
        began = time.monotonic()
        house.cluster.breaks("crashloop", target)
        eventually(
            lambda known=asked: [item for item in _approvals(house) if item["id"] not in known],
            within_s=60,
            what=f"card for {target}",
            every_s=0.02,
        )
        times.append(time.monotonic() - began)
    # The simulated kubelet lets a container live for a moment before it crashes, and counts in both figures.
    say("fault_to_card_p50", percentile(times, 0.5), "s", faults=len(times))
    say("fault_to_card_p95", percentile(times, 0.95), "s", faults=len(times))


def _approvals(house: RunningHouse) -> list[dict[str, object]]:
    found: list[dict[str, object]] = house.get("/api/approvals?all=1")["approvals"]
    return found
