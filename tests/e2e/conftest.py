"""Bodies as senders of alerts write them."""

from collections.abc import Callable
from typing import Any

import pytest

Body = dict[str, Any]


@pytest.fixture
def alert() -> Callable[..., Body]:
    """Makes a webhook body of Alertmanager with one alert: its name, its labels, and when it ended (if it did)."""

    def make(name: str, *, starts_at: str, ends_at: str = "", **labels: str) -> Body:
        status = "resolved" if ends_at else "firing"
        one = {
            "status": status,
            "labels": {"alertname": name, "severity": "critical", **labels},
            "annotations": {"summary": f"{name} fires"},
            "startsAt": starts_at,
            "endsAt": ends_at or "0001-01-01T00:00:00Z",
        }
        return {"version": "4", "status": status, "receiver": "midwatch", "alerts": [one]}

    return make
