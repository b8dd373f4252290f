"""A recorded stream of one Alertmanager to four receivers: the same incidents however it arrives.

The recording is no part of this repository; ``MIDWATCH_CORPUS`` names the folder that holds it.
"""

import json
import os
from collections import Counter
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from random import Random
from typing import Any

import pytest

from midwatch.adapters.catalog.rules import load_rules
from midwatch.domain.objects.view import ClusterView
from midwatch.domain.refs import Severity
from midwatch.domain.rules import Matcher, Rule, RuleSet
from midwatch.domain.signals import Signal, SignalStatus
from midwatch.services.ingestion import Ingestion
from midwatch.settings import ROOT
from serve.schemas.alertmanager import parse_alerts
from serve.schemas.meaning import meaning_of_alert
from tests.fakes.runtime import CountingIds, ManualClock
from tests.fakes.stores import MemoryStore
from tests.unit.ingestion.storm import Api

CORPUS = Path(os.environ.get("MIDWATCH_CORPUS", "")) / "alerts"
pytestmark = [
    pytest.mark.skipif(not (CORPUS / "stream.jsonl").is_file(), reason="MIDWATCH_CORPUS is not set"),
    pytest.mark.timeout(60),
]

ANY = RuleSet([Rule(id="any", match=Matcher())])
SHIPPED = load_rules(ROOT / "rules")


class House:
    """The rule engine over the in-memory store. Its clock stands at the hour of the recording's last word."""

    def __init__(self, rules: RuleSet) -> None:
        self.store, self.rules, self.ids = MemoryStore(), rules, CountingIds()
        self.clock = ManualClock(datetime(2026, 6, 1, tzinfo=UTC))
        self.ingestion = self.engine()

    def current(self) -> RuleSet:
        return self.rules

    def engine(self) -> Ingestion:
        store, api = self.store, Api(ClusterView())
        return Ingestion(store.inbox, store.journal, store.work, self, api, self.clock, self.ids, by="rules")

    def read(self, body: dict[str, Any]) -> Sequence[Signal]:
        raw = json.dumps(body).encode()
        now = self.clock.now()
        return parse_alerts(raw, now=now, new_id=self.ids.new, cluster="c", meaning=meaning_of_alert).signals

    async def take(self, bodies: Sequence[Sequence[Signal]], *, restart_at: int = -1) -> None:
        for number, signals in enumerate(bodies):
            if number == restart_at:
                await self.store.inbox.put(signals)  # committed, and the process dies
                self.ingestion = self.engine()
            await self.store.inbox.put(signals)
            await self.ingestion.drain()
            self.clock.advance(0.01)

    async def settled(self) -> set[tuple[str, frozenset[str]]]:
        """Let all that cleared come to its end; every incident by its key and what was counted in it."""
        self.clock.advance(60)
        await self.ingestion.settle_incidents(owner="rules", ttl=timedelta(seconds=6))
        rows = await self.store.journal.recent(limit=10_000)
        found = [await self.store.journal.read(row.id) for row in rows]
        assert all(incident.state.final for incident in found), "nothing is left open"
        return {(incident.key, frozenset(member.identity for member in incident.members)) for incident in found}

    async def told(self) -> Counter[tuple[str, str]]:
        rows = await self.store.inbox.recent(limit=100_000)
        assert all(row.settled for row in rows)
        return Counter((row.signal.fingerprint, str(row.signal.status)) for row in rows)


def bodies(house: House) -> list[Sequence[Signal]]:
    lines = (CORPUS / "stream.jsonl").read_text().splitlines()
    return [house.read(json.loads(line)["body"]) for line in lines]


def shuffled(given: Sequence[Sequence[Signal]], seed: int, *, causal: bool) -> list[Sequence[Signal]]:
    """Signals in any order, one a body; ``causal``: no episode ends before it began."""
    signals = [signal for body in given for signal in body]
    Random(seed).shuffle(signals)
    if causal:
        begun: set[str] = set()
        waiting = [signal for signal in signals if signal.status is SignalStatus.RESOLVED]
        firing = [signal for signal in signals if signal.status is SignalStatus.FIRING]
        signals = []
        for signal in firing:
            signals.append(signal)
            begun.add(signal.episode)
            due = [each for each in waiting if each.episode in begun][: Random(seed + len(signals)).randint(0, 2)]
            signals += due
            waiting = [each for each in waiting if each not in due]
        signals += waiting
    return [[signal] for signal in signals]


def expected() -> dict[str, Any]:
    document: dict[str, Any] = json.loads((CORPUS / "stream.expected.json").read_text())
    return document


def exact(told: Counter[tuple[str, str]]) -> bool:
    return told == {(each, status): 1 for each in expected()["fingerprints"] for status in ("firing", "resolved")}


@pytest.mark.parametrize("rules", [ANY, SHIPPED], ids=["any", "shipped"])
async def test_once_twice_and_with_a_restart_halfway_it_is_the_same(rules: RuleSet) -> None:
    once = House(rules)
    given = bodies(once)
    await once.take(given)
    wanted = await once.settled()
    assert exact(await once.told())
    if rules is ANY:
        counted = {identity for _, members in wanted for identity in members}
        assert len(counted) == expected()["unique_fingerprints"]
    await once.take(given)
    assert await once.settled() == wanted, "posted twice"

    restarted = House(rules)
    await restarted.take(bodies(restarted), restart_at=len(given) // 2)
    assert await restarted.settled() == wanted
    assert exact(await restarted.told())


@pytest.mark.parametrize("seed", range(3))
async def test_in_any_order_every_alert_counts_once_and_ends(seed: int) -> None:
    house = House(ANY)
    await house.take(shuffled(bodies(house), seed, causal=False))
    await house.settled()
    assert exact(await house.told())


@pytest.mark.parametrize("seed", range(3))
async def test_in_any_order_in_which_things_begin_before_they_end_the_incidents_are_the_same(seed: int) -> None:
    straight, mixed = House(ANY), House(ANY)
    await straight.take(bodies(straight))
    await mixed.take(shuffled(bodies(mixed), seed, causal=True))
    assert await mixed.settled() == await straight.settled()


async def test_what_is_only_worth_knowing_opens_nothing() -> None:
    house = House(SHIPPED)
    await house.take(bodies(house))
    rows = await house.store.journal.recent(limit=1000)
    assert rows
    assert all(row.severity.rank >= Severity.WARNING.rank for row in rows)
