"""Other rules on the signals that came in: what they would have said, and nothing is done."""

import json
from datetime import timedelta
from pathlib import Path

import msgspec
import pytest
from typer.testing import CliRunner

from midwatch.cli import app
from midwatch.domain.backtest import backtest, ruling
from midwatch.domain.matching import Matcher
from midwatch.domain.refs import Severity
from midwatch.domain.rules import Rule, RuleSet
from midwatch.domain.signals import Signal, SignalStatus, Tier
from midwatch.services.ports import SignalRow
from serve.schemas.plain import plain
from tests.fakes.samples import a_signal

RUN = CliRunner()
CRASH = Rule(id="crash", match=Matcher(conditions=("CrashLoopBackOff",)))
WINDOW = """\
silences:
  - id: nightly
    match: {{conditions: [{condition}]}}
    when: "* 00:00-24:00"
    examples:
      - {{signal: {{condition: {condition}}}, at: 2026-01-05T03:00:00Z, expect: silenced}}
"""


def signals(count: int, **changes: object) -> list[Signal]:
    return [msgspec.structs.replace(a_signal(n, pod=f"web-{n}"), **changes) for n in range(count)]


def test_equal_rules_change_nothing() -> None:
    found = backtest(RuleSet([CRASH]), RuleSet([CRASH]), signals(5))
    assert (found.signals, found.same, found.changes) == (5, 5, ())
    assert found.groups_before == found.groups_after >= 1


def test_a_change_is_counted_with_its_latest_example() -> None:
    louder = msgspec.structs.replace(CRASH, severity=Severity.CRITICAL, tier=Tier.HUMAN_ONLY)
    came = signals(3)
    came[1] = msgspec.structs.replace(came[1], received_at=came[1].received_at + timedelta(hours=1))
    (change,) = backtest(RuleSet([CRASH]), RuleSet([louder]), came).changes
    assert change.count == 3
    assert change.example == str(came[1].subject)
    assert (change.before.tier, change.after.tier) == (Tier.SUPERVISED, Tier.HUMAN_ONLY)
    assert change.after.severity is Severity.CRITICAL


def test_what_no_rule_takes_any_more_opens_no_group() -> None:
    found = backtest(RuleSet([CRASH]), RuleSet([]), signals(4))
    assert found.groups_before >= 1
    assert found.groups_after == 0
    assert found.changes[0].after.rule == ""


def test_one_group_where_a_rule_groups_wider() -> None:
    wide = msgspec.structs.replace(CRASH, group_by=("namespace",))
    apart = msgspec.structs.replace(CRASH, group_by=("subject",))
    found = backtest(RuleSet([apart]), RuleSet([wide]), signals(4))
    assert (found.groups_before, found.groups_after) == (4, 1)


def test_what_has_cleared_is_left_out() -> None:
    assert backtest(RuleSet([CRASH]), RuleSet([]), signals(2, status=SignalStatus.RESOLVED)).signals == 0


def test_a_signal_that_is_dropped_opens_nothing() -> None:
    (signal,) = signals(1)
    dropping = RuleSet([msgspec.structs.replace(CRASH, drop=True)])
    assert ruling(dropping.match(signal).rule, dropping, signal).rule == "crash"
    assert not ruling(dropping.match(signal).rule, dropping, signal).opens


@pytest.fixture
def shown(tmp_path: Path) -> Path:
    path = tmp_path / "signals.json"
    rows = [SignalRow(signal=signal, settled=True) for signal in signals(3)]
    path.write_text(json.dumps(plain({"signals": rows})))
    return path


def test_the_command_compares_with_the_rules_in_force(shown: Path, tmp_path: Path) -> None:
    folder = tmp_path / "rules"
    folder.mkdir()
    (folder / "a.yaml").write_text(WINDOW.format(condition="CrashLoopBackOff"))
    told = RUN.invoke(app, ["rules", "backtest", str(folder), "--signals", str(shown)])
    assert told.exit_code == 1, told.output
    assert "no rule" in told.stdout
    assert "0 of 3 firing signals are ruled the same." in " ".join(told.stdout.split())
    program = RUN.invoke(app, ["rules", "backtest", str(folder), "--signals", str(shown), "-o", "json"])
    assert json.loads(program.stdout)["changes"][0]["count"] == 3


def test_what_cannot_be_read_is_exit_code_2(shown: Path, tmp_path: Path) -> None:
    for folder, file in ((tmp_path / "none", shown), (tmp_path, tmp_path / "none.json")):
        told = RUN.invoke(app, ["rules", "backtest", str(folder), "--signals", str(file)])
        assert told.exit_code == 2, told.output
