"""The channels under load: clicks with 200 incidents open, a storm of 1,000 signals, and questions without a model.

Slack, Telegram and a receiver of webhooks are stand-ins beside the house that keep to the documented limits and count
what breaks them. A click's time is that of its HTTP request; an edit's is until the stand-in has it.
"""

import json
import time
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from itertools import pairwise
from typing import Any

import psutil

from tests.bench.figures import percentile, say
from tests.fakes import slack_server as slack
from tests.fakes import telegram_server as telegram
from tests.fixtures.channels import ChannelHouse, opened
from tests.fixtures.houses import RunningHouse, eventually

OPEN, STORM, BODY = 200, 1_000, 50
_CLICKS, _BETWEEN_S = 24, 6.0
_STORM_S = 20.0
_STARTED = datetime.now(UTC)
_QUESTIONS = ("help", "who am i", "incidents", "approvals", "silences", "who is on call?")
_ASKED = 8
_TARGETS = (
    "payments/payment-api",
    "payments/fraud-check",
    "shop/cart",
    "shop/frontend",
    "shop/search",
    "shop/checkout",
    "platform/mail-relay",
)


def measure() -> None:
    """Print the figures."""
    with opened() as night:
        night.link("ann", "U1")
        _storm(night)
        _fill(night.house)
        _clicks(night)
        _questions(night.house)
        say("channel_violations", len(night.violations), "broken limits", what=sorted(set(night.violations)))


def alerts(labels: Iterable[dict[str, str]], *, over: bool = False) -> Iterator[bytes]:
    """Bodies as Alertmanager sends them, at most fifty alerts each: firing, or ``over``."""
    waiting, status = list(labels), "resolved" if over else "firing"
    while waiting:
        part, waiting = waiting[:BODY], waiting[BODY:]
        fired = [
            {
                "status": status,
                "labels": {"alertname": "QueueIsLong", "severity": "warning", **each},
                "annotations": {"summary": f"The queue of {each['deployment']} is long"},
                "startsAt": _STARTED.isoformat(),
                "endsAt": datetime.now(UTC).isoformat() if over else "0001-01-01T00:00:00Z",
            }
            for each in part
        ]
        yield json.dumps({"version": "4", "status": status, "receiver": "midwatch", "alerts": fired}).encode()


def post(house: RunningHouse, body: bytes) -> None:
    """One body of alerts, which is taken."""
    headers = {"Content-Type": "application/json"}
    answer = house.request("POST", "/api/alert/webhook", content=body, headers=headers)
    assert answer.status_code < 300, answer.text


def _storm(night: ChannelHouse) -> None:
    """All signals of one workload, told over some seconds."""
    labels = ({"namespace": "storm", "deployment": "queue", "pod": f"queue-{number}"} for number in range(STORM))
    bodies = list(alerts(labels))
    for body in bodies:
        post(night.house, body)
        time.sleep(_STORM_S / len(bodies))
    (row,) = eventually(lambda: night.house.incidents("queue"), within_s=60, what="incident of the storm")
    incident = row["id"]
    counted = f"{STORM} affected"
    card = eventually(
        lambda: next((card for card in night.slack.cards.get(incident, ()) if counted in card.text), None),
        within_s=60,
        what=f"card that counts {STORM}",
    )
    gaps = [later - earlier for earlier, later in pairwise(card.at)]
    about = {"signals": STORM, "over_s": _STORM_S}
    say("storm_messages", len(night.slack.cards[incident]), "in Slack", **about)
    say("storm_messages", len(night.in_telegram(incident)), "in Telegram", **about)
    say("storm_edits", len(gaps), "in Slack", least_gap_s=round(min(gaps[1:] or gaps, default=0.0), 2), **about)


def _fill(house: RunningHouse) -> None:
    """As many incidents as are to be open meanwhile."""
    labels = (
        {"namespace": f"team-{n % 10}", "deployment": f"service-{n}", "pod": f"service-{n}-1"} for n in range(OPEN)
    )
    for body in alerts(labels):
        post(house, body)
    eventually(lambda: len(house.incidents()) >= OPEN, within_s=300, what=f"{OPEN} incidents", every_s=1.0)


def _questions(house: RunningHouse) -> None:
    """From the question's row to the row of its whole answer."""
    times = []
    for _ in range(_ASKED):
        for text in _QUESTIONS:
            told = house.request("POST", "/api/chat", json={"text": text}).json()
            assert told["state"] == "done", told
            times.append(_between(house, told["conversation"]))
    about = {"questions": len(times), "open": OPEN, "load_1m": round(psutil.getloadavg()[0], 1)}
    say("intent_p50", percentile(times, 0.5) * 1000, "ms", **about)
    say("intent_p95", percentile(times, 0.95) * 1000, "ms", **about)


def _between(house: RunningHouse, conversation: str) -> float:
    asked, answered = house.get(f"/api/chat/{conversation}")["messages"][-2:]
    return (datetime.fromisoformat(answered["at"]) - datetime.fromisoformat(asked["at"])).total_seconds()


def _clicks(night: ChannelHouse) -> None:
    """One question after another is put in the chat and answered by a click in Slack."""
    stored, here_s, there_s = [], [], []
    for number in range(_CLICKS):
        here, there = _asked(night, _TARGETS[number % len(_TARGETS)])
        body = night.pressed(here, "Reject", "U1")
        began = time.monotonic()
        answer = night.send(body)
        stored.append(time.monotonic() - began)
        assert answer.status_code == 200, answer.text
        here_s.append(_edited(here, began))
        there_s.append(_edited(there, began))
        time.sleep(max(0.0, began + _BETWEEN_S - time.monotonic()))
    about: dict[str, Any] = {"clicks": _CLICKS, "open": len(night.house.incidents())}
    about["load_1m"] = round(psutil.getloadavg()[0], 1)
    for name, times in (("click_stored", stored), ("card_edited_slack", here_s), ("card_edited_telegram", there_s)):
        say(f"{name}_p50", percentile(times, 0.5), "s", **about)
        say(f"{name}_p95", percentile(times, 0.95), "s", worst=round(max(times), 2), **about)


def _asked(night: ChannelHouse, target: str) -> tuple[slack.Message, telegram.Message]:
    """A request to restart a workload, once both of its cards ask."""
    space, name = target.split("/")
    known = {row["id"] for row in night.house.incidents(name)}
    night.house.request("POST", "/api/chat", json={"text": f"restart deployment {name} in {space}"})
    (row,) = eventually(
        lambda: [row for row in night.house.incidents(name) if row["id"] not in known], within_s=60, what="request"
    )
    return eventually(lambda: night.cards(row["id"]), within_s=120, what=f"cards that ask about {target}", every_s=0.05)


def _edited(card: slack.Message | telegram.Message, began: float) -> float:
    """Seconds from ``began`` until the card bore no buttons."""
    eventually(lambda: not card.buttons, within_s=60, what="card that shows the decision", every_s=0.01)
    return next(at for at in card.at if at > began) - began


if __name__ == "__main__":
    measure()
