"""Channel gateways killed at random while incidents come, are decided and end: every card is there, and none twice.

Judged by what the stand-ins of Slack and Telegram have themselves, by the receiver of webhooks, and by the journal.
Slack takes a while to answer what it has done, so that deaths fall between a post and the record of it. Telegram
does not: it cannot be asked for a lost post, and a card twice is documented there (docs/telegram.md).

Prints a JSON line for each kill and one with the totals. Exit status 1 when anything was lost, shown twice or left
undecided.
"""

import argparse
import json
import random
import sys
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import httpx2
import psutil

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))  # run as a script, too

from tests.bench.channels import alerts, post
from tests.fixtures.channels import ChannelHouse, opened
from tests.fixtures.houses import eventually

ENVIRONMENT = {"MIDWATCH_TELEGRAM_CHAT": "42"}
"""A private chat takes one message a second; a group's twelve a minute would be another test."""
_SLOW_ANSWER_S = 0.4
_TARGETS = ("shop/cart", "shop/search", "shop/frontend", "payments/fraud-check", "platform/mail-relay")
_CALM_S = 600.0

Report = Callable[[dict[str, Any]], None]


class GatewayStorm:
    """One run over a house that watches."""

    def __init__(
        self, night: ChannelHouse, *, incidents: int, kills: int, decisions: int, seed: int, report: Report
    ) -> None:
        self._night, self._house, self._report = night, night.house, report
        self._incidents, self._kills, self._decisions = incidents, kills, decisions
        self._chance = random.Random(seed)
        self._over = threading.Event()
        self.killed = 0
        self.decided: dict[str, str] = {}
        """What people chose, by incident."""
        self.faults: list[str] = []
        self.seconds = 0.0

    def run(self) -> None:
        """Until everything ended and every gateway is at rest."""
        began = time.monotonic()
        self._night.slack.answers_after_s = _SLOW_ANSWER_S
        killer = threading.Thread(target=self._killer, daemon=True)
        killer.start()
        try:
            names = [f"service-{number}" for number in range(self._incidents - self._decisions)]
            every = max(1, len(names) // max(1, self._decisions))
            for number, name in enumerate(names):
                self._alert(name, over=False)
                if number % every == 0 and len(self.decided) < self._decisions:
                    self._decide(_TARGETS[len(self.decided) % len(_TARGETS)])
            for name in names:
                self._alert(name, over=True)
            killer.join()
        finally:
            self._over.set()
        self._night.slack.answers_after_s = 0.0
        self._judge()
        self.seconds = time.monotonic() - began

    def totals(self) -> dict[str, Any]:
        """Counts and faults."""
        return {
            "incidents": self._incidents,
            "decisions": len(self.decided),
            "kills": self.killed,
            "seconds": round(self.seconds),
            "telegram_twice": self._twice_in_telegram(),
            "faults": self.faults,
        }

    # what happens

    def _alert(self, name: str, *, over: bool) -> None:
        (body,) = alerts([{"namespace": "storm", "deployment": name, "pod": f"{name}-1"}], over=over)
        post(self._house, body)

    def _decide(self, target: str) -> None:
        """A request in the chat, whose card is answered in Slack."""
        space, name = target.split("/")
        known = {row["id"] for row in self._house.incidents(name)}
        with suppress(httpx2.HTTPError):  # its answer may die with the console's gateway; the question stands
            self._house.request("POST", "/api/chat", json={"text": f"restart deployment {name} in {space}"})
        incident = eventually(
            lambda: next((row["id"] for row in self._house.incidents(name) if row["id"] not in known), ""),
            within_s=120,
            what=f"request about {target}",
        )
        card = eventually(
            lambda: next((each for each in self._night.slack.cards.get(incident, ()) if each.buttons), None),
            within_s=240,
            what=f"question about {target} in Slack",
        )
        choice = self._chance.choice(("Approve", "Reject"))
        assert self._night.press(card, choice, "U1").status_code == 200
        self.decided[incident] = choice

    def _killer(self) -> None:
        while self.killed < self._kills and not self._over.is_set():
            time.sleep(self._chance.uniform(0.5, 4.0))
            gateways = self._house.processes("ray::ChannelGateway")
            if not gateways:
                continue
            victim = self._chance.choice(gateways)
            with suppress(psutil.NoSuchProcess):
                victim.kill()
                self.killed += 1
                self._report({"kill": self.killed, "pid": victim.pid})

    # what became of it

    def _judge(self) -> None:
        house, night = self._house, self._night
        with suppress(AssertionError):
            eventually(lambda: not self._behind(), within_s=_CALM_S, what="rest", every_s=1.0)
        self.faults += [f"{card} is behind" for card in self._behind()]
        rows = house.incidents()
        if len(rows) != self._incidents:
            self.faults.append(f"{len(rows)} incidents of {self._incidents}")
        for row in rows:
            self._judge_one(row["id"], row["state"])
        self.faults += [f"a limit was broken: {what}" for what in night.violations]

    def _behind(self) -> list[str]:
        """Incidents that are not over, or whose end some channel does not show."""
        told = {body["incident"]: body["state"] for body in self._night.webhook.bodies}
        behind = []
        for row in self._house.incidents():
            over = row["state"] in ("resolved", "closed")
            slack = [card.text for card in self._night.slack.cards.get(row["id"], ())]
            telegram = [card.text for card in self._night.in_telegram(row["id"])]
            shown = all(texts and "lasted" in texts[-1] for texts in (slack, telegram))
            if not (over and shown and told.get(row["id"]) == row["state"]):
                behind.append(f"{row['id']} ({row['state']})")
        return behind

    def _judge_one(self, incident: str, state: str) -> None:
        cards = self._night.slack.cards.get(incident, [])
        if len(cards) != 1:
            self.faults.append(f"{incident} has {len(cards)} cards in Slack")
        choice = self.decided.get(incident)
        if choice is None:
            return
        closed = [entry for entry in self._house.entries(incident) if entry["type"] == "approval-closed"]
        word = {"Approve": "Approved", "Reject": "Rejected"}[choice]
        if len(closed) != 1 or not any(f"{word} by user:ann" in card.text for card in cards):
            self.faults.append(f"{incident} ({state}): {choice} by ann is not shown, or was not the only end")

    def _twice_in_telegram(self) -> int:
        ids = [row["id"] for row in self._house.incidents()]
        return sum(len(self._night.in_telegram(incident)) > 1 for incident in ids)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--incidents", type=int, default=100)
    parser.add_argument("--kills", type=int, default=50)
    parser.add_argument("--decisions", type=int, default=15)
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(2**32))
    options = parser.parse_args()

    def report(line: dict[str, Any]) -> None:
        print(json.dumps(line), flush=True)

    report({"seed": options.seed})
    with opened(ENVIRONMENT) as night:
        night.link("ann", "U1")
        storm = GatewayStorm(night, incidents=options.incidents, kills=options.kills, decisions=options.decisions,
                             seed=options.seed, report=report)  # fmt: skip
        storm.run()
        report(storm.totals())
    return 1 if storm.faults else 0


if __name__ == "__main__":
    sys.exit(main())
