"""The shipped rules leave nothing of the catalogue without an answer."""

import pytest

from midwatch.adapters.catalog.rules import ExampleSignal, example_signal, load_rules
from midwatch.domain.conditions import CATALOGUE
from midwatch.domain.refs import Severity
from midwatch.settings import ROOT

RULES = load_rules(ROOT / "rules")


@pytest.mark.parametrize("source", ["watch", "alertmanager"])
@pytest.mark.parametrize("id_", CATALOGUE)
def test_every_condition_is_taken_by_a_rule(id_: str, source: str) -> None:
    entry = CATALOGUE[id_]
    signal = example_signal(ExampleSignal(condition=id_, source=source, severity=entry.severity))
    rule = RULES.match(signal).rule
    assert rule is not None
    assert rule.drop == (entry.severity is Severity.INFO), "info wakes nobody, the rest does"


def test_an_alert_nobody_knows_is_taken_too() -> None:
    signal = ExampleSignal(condition="SomethingOfOurs", source="alertmanager", severity=Severity.WARNING)
    rule = RULES.match(example_signal(signal)).rule
    assert rule is not None
    assert not rule.drop
