"""Labels of an alert only lower authority; a stricter rule that joins later lowers it too."""

from datetime import timedelta

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from midwatch.domain import events as ev
from midwatch.domain.authority import authority, lower, route
from midwatch.domain.events import Entry
from midwatch.domain.ids import IncidentId
from midwatch.domain.incidents import Incident, Next, Work, decide, fold
from midwatch.domain.refs import Severity
from midwatch.domain.rules import Matcher, Rule, RuleSet
from midwatch.domain.signals import Signal, Tier
from midwatch.services.ingestion import AsNamed, Ingestion
from tests.fakes.runtime import NOON, CountingIds, ManualClock
from tests.fakes.samples import a_signal, attached, opened
from tests.fakes.stores import MemoryStore

ORDER = [Tier.AUTONOMOUS, Tier.SUPERVISED, Tier.HUMAN_ONLY]
ID = IncidentId("0000000a-0000-7000-8000-000000000001")


@pytest.mark.parametrize(
    ("tier", "labels", "left"),
    [
        (Tier.AUTONOMOUS, {}, Tier.AUTONOMOUS),
        (Tier.AUTONOMOUS, {"tier": "supervised"}, Tier.SUPERVISED),
        (Tier.SUPERVISED, {"tier": "autonomous"}, Tier.SUPERVISED),
        (Tier.SUPERVISED, {"tier": "Human-Only"}, Tier.HUMAN_ONLY),
        (Tier.HUMAN_ONLY, {"tier": "autonomous", "agent_action": "remediate"}, Tier.HUMAN_ONLY),
        (Tier.AUTONOMOUS, {"tier": "frontend"}, Tier.AUTONOMOUS),  # a word that means something else to its sender
        (Tier.AUTONOMOUS, {"agent_action": "investigate"}, Tier.AUTONOMOUS),
        (Tier.AUTONOMOUS, {"agent_action": "notify", "tier": "supervised"}, Tier.HUMAN_ONLY),
        (Tier.AUTONOMOUS, {"agent_action": "Propose"}, Tier.SUPERVISED),
    ],
)
def test_tiers(tier: Tier, labels: dict[str, str], left: Tier) -> None:
    assert authority(tier, labels).tier is left


@given(
    st.sampled_from(ORDER), st.dictionaries(st.sampled_from(["tier", "agent_action", "escalate_threshold"]), st.text())
)
def test_no_label_raises_authority(tier: Tier, labels: dict[str, str]) -> None:
    left = authority(tier, labels)
    assert ORDER.index(left.tier) >= ORDER.index(tier)
    assert 0 <= left.threshold <= 1


@pytest.mark.parametrize(
    ("text", "threshold"),
    [("0.9", 0.9), ("90%", 0.9), ("", 0.0), ("much", 0.0), ("nan", 0.0), ("-1", 0.0), ("7", 0.0), ("1e999", 0.0)],
)
def test_thresholds(text: str, threshold: float) -> None:
    assert authority(Tier.AUTONOMOUS, {"escalate_threshold": text}).threshold == pytest.approx(threshold)


@pytest.mark.parametrize(
    ("tier", "severity", "name"),
    [
        (Tier.AUTONOMOUS, Severity.CRITICAL, "sre-critical"),
        (Tier.SUPERVISED, Severity.CRITICAL, "sre-critical"),
        (Tier.SUPERVISED, Severity.ERROR, "sre-warning"),
        (Tier.AUTONOMOUS, Severity.WARNING, "sre-warning"),
        (Tier.AUTONOMOUS, Severity.INFO, "sre-info"),
        (Tier.HUMAN_ONLY, Severity.CRITICAL, "sre-info"),
    ],
)
def test_routes(tier: Tier, severity: Severity, name: str) -> None:
    assert route(tier, severity) == name


def test_less_of_two() -> None:
    assert lower(Tier.HUMAN_ONLY, Tier.AUTONOMOUS) is Tier.HUMAN_ONLY
    assert lower(Tier.AUTONOMOUS, Tier.SUPERVISED) is Tier.SUPERVISED


def told(*events: ev.AnyEvent) -> Incident:
    entries = [
        Entry(incident=ID, seq=n, at=NOON + timedelta(seconds=n), by="test", event=e) for n, e in enumerate(events, 1)
    ]
    return fold(ID, entries)


def test_a_journal_from_before_keeps_its_tier() -> None:
    assert told(msgspec.structs.replace(opened(), tier=Tier.AUTONOMOUS), attached()).tier is Tier.AUTONOMOUS


async def test_a_stricter_rule_that_joins_later_takes_authority_away() -> None:
    store, clock = MemoryStore(), ManualClock()

    class Rules:
        def current(self) -> RuleSet:
            strict = Rule(id="strict", match=Matcher(labels={"team": "bank"}), priority=1, tier=Tier.HUMAN_ONLY)
            return RuleSet([strict, Rule(id="any", match=Matcher(), tier=Tier.AUTONOMOUS)])

    class Nobody(AsNamed):
        async def top_owner(self, cluster: str, subject: object) -> object:
            return subject

    async def take(signal: Signal) -> Incident:
        await store.inbox.put([signal])
        rules = Ingestion(
            store.inbox,
            store.journal,
            store.work,
            Rules(),
            Nobody(),
            clock,
            CountingIds(int(signal.id[:8], 16)),
            by="r",  # type: ignore[arg-type]
        )
        await rules.drain()
        (row,) = await store.journal.recent()
        return await store.journal.read(row.id)

    first = await take(a_signal(1))
    assert (first.tier, first.threshold) == (Tier.AUTONOMOUS, 0.0)
    sure = msgspec.structs.replace(a_signal(2, pod="web-2"), labels={"escalate_threshold": "0.95", "runbook_id": "x"})
    second = await take(sure)
    assert (second.tier, second.threshold, second.wanted) == (Tier.AUTONOMOUS, 0.95, "x")
    bank = msgspec.structs.replace(a_signal(3, pod="web-3"), labels={"team": "bank"})
    third = await take(bank)
    assert (third.tier, third.threshold, third.wanted) == (Tier.HUMAN_ONLY, 0.95, "x")
    assert (await take(a_signal(4, pod="web-4"))).tier is Tier.HUMAN_ONLY
    assert Next(Work.INVESTIGATE, decide(third)[0].reason) in decide(third)
