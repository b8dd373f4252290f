"""``midwatch silence`` against a real edge on loopback."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from midwatch.cli import app
from tests.integration.night import TOKEN, Night


@pytest.fixture
def night(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Night]:
    monkeypatch.setenv("MIDWATCH_STATE_DIR", str(tmp_path))
    (tmp_path / "api-token").write_text(TOKEN + "\n")
    with Night() as running:
        monkeypatch.setenv("MIDWATCH_PORT", str(running.port))
        yield running


def silence(*arguments: str) -> Result:
    return CliRunner().invoke(app, ["silence", *arguments])


def test_a_silence_from_the_command_line(night: Night) -> None:
    made = silence("add", "-n", "shop", "-l", "team=~a|b", "--for", "2h", "-m", "upgrade", "-o", "json")
    document = json.loads(made.stdout)
    assert (made.exit_code, document["active"], document["comment"]) == (0, True, "upgrade")
    assert document["match"]["labels"] == {"team": "~a|b"}

    listed = silence("list")
    row = next(line for line in listed.stdout.splitlines() if line.startswith(document["id"][:18]))
    assert "namespace shop, team~a|b" in row
    assert "upgrade" in row
    assert "announced-maintenance" in listed.stdout, "the windows of the rule files are shown beside them"

    ended = silence("end", document["id"][:18])
    assert (ended.exit_code, "is over" in ended.stdout) == (0, True)
    assert json.loads(silence("list", "--active", "-o", "json").stdout) == {"silences": []}


def test_what_the_api_refuses_ends_with_one_line(night: Night) -> None:
    assert silence("end", "00000000-nobody").exit_code == 1
    refused = silence("add", "-l", "team=~(", "--for", "1h")
    assert refused.exit_code == 1
    assert "no regular expression" in refused.output
    assert silence("add", "-n", "shop", "--for", "100d").exit_code == 1


def test_without_midwatch_it_says_so(night: Night, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MIDWATCH_PORT", "9")
    assert silence("list").exit_code == 3
