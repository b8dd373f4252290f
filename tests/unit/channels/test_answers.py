"""Answers as channels carry them: a button's token and a line that a person writes."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from midwatch.domain.answers import button_token, read_line, read_token
from midwatch.domain.approvals import Choice
from tests.unit.channels.cards import APPROVAL, APPROVE, CONFIRM, REJECT


@pytest.mark.parametrize("button", [APPROVE, CONFIRM, REJECT], ids=lambda button: button.label)
def test_a_button_says_what_was_decided_about_which_plan(button) -> None:
    answer = read_token(button_token(button))
    assert answer is not None
    assert (answer.choice, answer.approval) == (button.choice, APPROVAL)
    assert button.digest.startswith(answer.digest)
    assert len(button_token(button).encode()) <= 64


@pytest.mark.parametrize(
    "token", ["", "approve", "x:0199f3c2:dd", "a:1:dd", "a:0199f3c2-b1b2:zz", "a:0199f3c2:d:e", "a:" + "0" * 300 + ":d"]
)
def test_no_other_token_is_an_answer(token: str) -> None:
    assert read_token(token) is None


@pytest.mark.parametrize(
    ("line", "choice", "comment"),
    [
        ("approve 0199f3c2-b1b2-7abc", Choice.APPROVE, ""),
        ("  Approve\t`0199F3C2-B1B2-7ABC` ", Choice.APPROVE, ""),
        ("/approve@midwatch_bot 0199f3c2-b1b2-7abc", Choice.APPROVE, ""),
        ("confirm 0199f3c2-b1b2-7abc", Choice.CONFIRM, ""),
        ("reject 0199f3c2-b1b2-7abc, not during the sale", Choice.REJECT, "not during the sale"),
        ("reject 0199f3c2-b1b2-7abc: لا 🔥", Choice.REJECT, "لا 🔥"),
    ],
)
def test_a_line_is_an_answer(line: str, choice: Choice, comment: str) -> None:
    answer = read_line(line)
    assert answer is not None
    assert (answer.choice, answer.approval, answer.comment) == (choice, "0199f3c2-b1b2-7abc", comment)


@pytest.mark.parametrize(
    "line", ["approve", "approve it", "please approve 0199f3c2", "approve 0199f3c", "approved 0199f3c2", "yes", ""]
)
def test_no_other_line_is(line: str) -> None:
    assert read_line(line) is None


@given(st.text())
def test_no_text_makes_reading_fail(text: str) -> None:
    read_line(text)
    read_token(text)
    answer = read_line(f"reject 0199f3c2 {text}")
    assert answer is None or len(answer.comment) <= 500
