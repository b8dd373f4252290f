"""``midwatch incidents``, ``approve``, ``reject``, ``status``, ``signals`` against a real edge on loopback."""

import json
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml
from typer import Typer
from typer.testing import CliRunner, Result

from midwatch.commands import approvals, incidents, status
from midwatch.domain.approvals import Choice
from midwatch.domain.errors import Transient
from midwatch.domain.playbooks import Risk
from serve.dependencies import Subsystem
from tests.integration.night import TOKEN, Night
from tests.unit.edge import scenes

ONE = "0192f0a0-1111-7000-8000-000000000001"
TWO = "0192f0a0-2222-7000-8000-000000000002"

app = Typer()
app.command()(incidents.incidents)
app.command()(incidents.signals)
app.command()(incidents.postmortem)
app.command()(approvals.approve)
app.command()(approvals.reject)
app.command()(status.status)


@pytest.fixture
def night(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Night]:
    monkeypatch.setenv("MIDWATCH_STATE_DIR", str(tmp_path))
    (tmp_path / "api-token").write_text(TOKEN + "\n")
    with Night() as running:
        monkeypatch.setenv("MIDWATCH_PORT", str(running.port))
        yield running


@pytest.fixture
def asked(night: Night) -> Night:
    night.tell(ONE, scenes.opened(), scenes.diagnosed(), scenes.asked())
    return night


def midwatch(*arguments: str, typed: str | None = None) -> Result:
    return CliRunner().invoke(app, list(arguments), input=typed)


def test_a_quiet_night(night: Night) -> None:
    result = midwatch("incidents")
    assert (result.exit_code, result.stdout) == (0, "No incidents. All quiet.\n")


def test_incidents_are_listed_without_colours_when_piped(asked: Night) -> None:
    result = midwatch("incidents", "-o", "wide")
    assert result.exit_code == 0
    head, row = result.stdout.splitlines()
    wide = ["CLUSTER", "CONDITION", "SIGNALS", "UPDATED", "REASON"]
    assert head.split() == ["ID", "SEVERITY", "STATE", "INCIDENT", "OBJECT", "AGE", *wide]
    assert row.split()[0] == ONE[:18]
    assert "checkout keeps crashing" in row
    assert "2 min" in row
    assert "\x1b" not in result.stdout
    assert "No incidents" in midwatch("incidents", "-n", "elsewhere").stdout


def test_machines_get_the_apis_own_answer(asked: Night) -> None:
    listed = json.loads(midwatch("incidents", "-o", "json").stdout)
    assert [row["id"] for row in listed["incidents"]] == [ONE]
    one = yaml.safe_load(midwatch("incidents", ONE[:18], "-o", "yaml").stdout)
    assert one["state"] == "awaiting_approval"
    assert json.loads(midwatch("signals", "-o", "json").stdout) == {"signals": []}
    assert json.loads(midwatch("status", "-o", "json").stdout)["status"] == "ok"


def test_one_incident_is_told_whole(asked: Night) -> None:
    result = midwatch("incidents", ONE[:18])
    assert result.exit_code == 0
    for text in (
        "checkout keeps crashing",
        "The database refuses connections on port 5432",
        "86% sure",
        "logs:checkout-6d5f-x2x9k:2",
        "Roll checkout back to revision 41",
        "+    value: db.shop.svc",
        "Waiting for a person's word",
        f"midwatch approve {ONE[:18]}",
    ):
        assert text in result.stdout, text


def test_a_post_mortem_is_printed_or_kept(asked: Night, tmp_path: Path) -> None:
    printed = midwatch("postmortem", ONE[:13])
    assert printed.exit_code == 0
    assert printed.stdout.startswith("# Post-mortem: checkout keeps crashing\n")
    file = tmp_path / "review.md"
    assert midwatch("postmortem", ONE, "--to", str(file)).exit_code == 0
    assert file.read_text().startswith("# Post-mortem: ")
    again = midwatch("postmortem", ONE, "--to", str(file))
    assert again.exit_code == 2
    assert "name another file" in again.stderr
    assert midwatch("postmortem", "ffff").exit_code == 1


def test_watching_ends_when_the_incident_does(night: Night) -> None:
    night.tell(ONE, scenes.opened(), scenes.diagnosed(), scenes.asked(), scenes.voted(), scenes.fixed())
    result = midwatch("incidents", ONE, "--watch")
    assert result.exit_code == 0
    assert result.stdout.splitlines()[-1].split("  ")[1] == "Resolved"


def test_the_watched_list_is_printed_when_it_changes_and_outlives_an_outage(
    asked: Night, monkeypatch: pytest.MonkeyPatch
) -> None:
    turns = iter(range(6))

    def between_looks(_: float) -> None:
        turn = next(turns)
        if turn == 1:
            asked.tell(TWO, scenes.opened(title="billing does not start", namespace="payments"))
        if turn == 2:
            monkeypatch.setattr(asked.store.journal, "recent", away)
        if turn == 4:
            raise KeyboardInterrupt

    async def away(**_: object) -> None:
        raise Transient("the store is away", 1.0)

    monkeypatch.setattr(incidents.time, "sleep", between_looks)
    result = midwatch("incidents", "--watch")
    assert result.exit_code == 0, result.output
    assert result.stdout.count("ID ") == 2, "once at first, once when it changed"
    assert result.stdout.count("billing does not start") == 1
    assert result.stdout.count("checkout keeps crashing") == 2


def test_an_unknown_incident_is_exit_code_1(night: Night) -> None:
    result = midwatch("incidents", "ffffffff-ffff")
    assert result.exit_code == 1
    assert result.stderr


def test_approving_shows_the_plan_and_asks_twice_for_high_risk(asked: Night, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(approvals, "_may_ask", lambda: True)
    result = midwatch("approve", ONE[:18], "--reason", "seen it", typed="y\ny\n")
    assert result.exit_code == 0, result.output
    assert result.stdout.index("db-new.shop.svc") < result.stdout.index("Approve this plan?")
    assert "Undo: Rolls forward" in result.stdout
    assert "3 pods restart" in result.stdout
    assert "Approved: Midwatch acts now." in result.stdout
    assert asked.clicks == [(Choice.APPROVE, "seen it"), (Choice.CONFIRM, "seen it")]


@pytest.mark.parametrize(("typed", "clicks"), [("n\n", 0), ("y\nn\n", 1), ("", 0)])
def test_doubt_is_not_consent(typed: str, clicks: int, asked: Night, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(approvals, "_may_ask", lambda: True)
    result = midwatch("approve", ONE, typed=typed)
    assert result.exit_code == 1
    assert len(asked.clicks) == clicks
    assert all(choice is Choice.APPROVE for choice, _ in asked.clicks)


def test_without_a_terminal_yes_must_be_said(asked: Night) -> None:
    refused = midwatch("approve", ONE)
    assert refused.exit_code == 2
    assert "--yes" in refused.stderr
    assert asked.clicks == []
    assert midwatch("approve", scenes.APPROVAL[:20], "--yes").exit_code == 0
    assert [choice for choice, _ in asked.clicks] == [Choice.APPROVE, Choice.CONFIRM]


def test_medium_risk_is_asked_once(night: Night) -> None:
    night.tell(ONE, scenes.opened(), scenes.diagnosed(), scenes.asked(Risk.MEDIUM))
    assert midwatch("approve", ONE, "--yes").exit_code == 0
    assert [choice for choice, _ in night.clicks] == [Choice.APPROVE]


def test_too_late_an_answer_is_exit_code_1_and_says_why(asked: Night) -> None:
    assert midwatch("approve", ONE, "--yes").exit_code == 0
    late = midwatch("approve", ONE, "--yes")
    assert late.exit_code == 1
    assert "Already approved by console:operator." in late.stderr


def test_rejecting_needs_a_reason(asked: Night) -> None:
    assert midwatch("reject", ONE).exit_code == 2
    result = midwatch("reject", ONE, "--reason", "not at night")
    assert (result.exit_code, asked.clicks) == (0, [(Choice.REJECT, "not at night")])


def test_nothing_to_answer_is_said(night: Night) -> None:
    night.tell(TWO, scenes.opened())
    for arguments, words in (
        (("approve", TWO), "nothing is asked"),
        (("approve", "ffffffff-0"), "no approval or incident"),
    ):
        result = midwatch(*arguments, "--yes")
        assert result.exit_code == 1
        assert words in result.stderr


def test_status_says_what_waits(asked: Night) -> None:
    asked.parts.append(Subsystem(name="watcher lab", ok=False, detail="the API server does not answer"))
    result = midwatch("status")
    assert result.exit_code == 0
    for text in ("degraded", "the API server does not answer", "1 open incident", "Waits for you", "midwatch approve"):
        assert text in result.stdout, text
    asked.parts[0] = Subsystem(name="store", ok=False, required=True)
    down = midwatch("status")
    assert (down.exit_code, "down" in down.stdout) == (1, True)


def test_nobody_there_is_exit_code_3_and_says_how_to_start(night: Night, monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        free = taken.getsockname()[1]
    monkeypatch.setenv("MIDWATCH_PORT", str(free))
    for arguments in (["incidents"], ["incidents", ONE, "--watch"], ["status"], ["approve", ONE, "--yes"], ["signals"]):
        result = midwatch(*arguments)
        assert result.exit_code == 3, arguments
        assert "midwatch up" in result.stderr


def test_a_wrong_or_missing_token_is_said(night: Night, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("MIDWATCH_API_TOKEN", "wrong")
    result = midwatch("incidents")
    assert result.exit_code == 1
    assert "token" in result.stderr
    assert "wrong" not in result.stderr
    monkeypatch.delenv("MIDWATCH_API_TOKEN")
    (tmp_path / "api-token").unlink()
    assert midwatch("incidents").exit_code == 3


def test_an_unknown_setting_is_wrong_usage(night: Night, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MIDWATCH_PROT", "1")
    result = midwatch("incidents")
    assert result.exit_code == 2
    assert "MIDWATCH_PORT" in result.stderr


def test_what_is_observed_is_text_and_not_markup(night: Night) -> None:
    night.tell(
        ONE, scenes.opened(title="[red]boom[/] [link=x]y[/link] \x1b[31m"), scenes.diagnosed(cause="[/nothing] \x07")
    )
    for arguments in (["incidents"], ["incidents", ONE], ["status"]):
        result = midwatch(*arguments)
        assert result.exit_code == 0, result.output
        assert "\x1b" not in result.stdout
        assert "\x07" not in result.stdout
    assert "[red]boom[/]" in midwatch("incidents").stdout
