"""``midwatch rules explain`` and what ``midwatch silence`` sends."""

import json
from pathlib import Path

import msgspec
import pytest
from typer.testing import CliRunner

from midwatch.cli import app
from midwatch.commands.rules import read_signal
from midwatch.commands.silences import in_words
from midwatch.domain.errors import Invalid
from midwatch.domain.matching import Matcher
from midwatch.services.ports import SignalRow
from serve.schemas.plain import plain
from tests.fakes.samples import a_signal

RUN = CliRunner()
ROW = SignalRow(signal=a_signal(), settled=True)


@pytest.mark.parametrize(
    "shown",
    [plain({"signals": [ROW, ROW]}), plain(ROW), plain(ROW.signal), msgspec.to_builtins(ROW.signal)],
    ids=["list", "row", "signal", "short of defaults"],
)
def test_a_signal_is_read_as_the_api_shows_it(shown: object) -> None:
    assert read_signal(json.dumps(shown).encode()) == ROW.signal


def test_an_empty_list_is_no_signal() -> None:
    with pytest.raises(Invalid, match="no signal"):
        read_signal(b'{"signals": []}')


def test_explain_tells_programs_and_people(tmp_path: Path) -> None:
    path = tmp_path / "signal.json"
    path.write_text('{"condition": "OOMKilled"}')
    told = RUN.invoke(app, ["rules", "explain", str(path), "-o", "json"])
    document = json.loads(told.output)
    assert (told.exit_code, document["rule"], document["opens"]) == (0, "out-of-memory", True)
    assert document["group"] == "sandbox|workload|Pod/shop/web"
    reasons = {each["id"]: each["why"] for each in document["rules"]}
    assert reasons["node-down"] == "condition is OOMKilled, wanted Node*"
    people = RUN.invoke(app, ["rules", "explain", str(path)])
    assert "out-of-memory            takes it" in people.output


def test_explain_refuses_what_is_no_signal(tmp_path: Path) -> None:
    path = tmp_path / "signal.json"
    for text in ("[]", "{}", "{", '{"condition": "A", "colour": "red"}'):
        path.write_text(text)
        assert RUN.invoke(app, ["rules", "explain", str(path)]).exit_code == 2


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--for", "2h"], "say what to silence"),
        (["-n", "shop"], "either --for or --until"),
        (["-n", "shop", "--for", "2h", "--until", "2030-01-01T00:00:00Z"], "either --for or --until"),
        (["-n", "shop", "--for", "soon"], "is no duration"),
        (["-n", "shop", "--for", "0s"], "of no time"),
        (["-n", "shop", "--until", "2030-01-01T00:00:00"], "names no time zone"),
        (["-l", "team", "--for", "2h"], "is no label"),
    ],
)
def test_a_silence_that_makes_no_sense_is_not_sent(arguments: list[str], words: str) -> None:
    told = RUN.invoke(app, ["silence", "add", *arguments])
    assert told.exit_code == 2
    assert words in told.output


def test_a_matcher_in_words() -> None:
    match = Matcher(namespaces=("shop", "pay*"), labels={"team": "~a|b", "tier": "1"})
    assert in_words(match) == "namespace shop or pay*, team~a|b, tier=1"
