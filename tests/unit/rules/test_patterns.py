"""No expression of a rule or a silence can hang who matches."""

import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from midwatch.domain.matching import Matcher, faults_of
from midwatch.domain.patterns import fault_of, matches

GOOD = (
    "prod|staging",
    "prod-.*",
    ".*-(eu|us)-[0-9]+.*",
    r"(\d{1,3}\.){3}\d{1,3}",
    "(?i)team-[a-z]{2,8}",
    "(?!kube-).*",
    "",
)
BAD = (
    "(a+)+$",
    "(.*)*x",
    "(a|aa)+$",
    "(a|b|ab)*c",
    r"(\w+)\1",
    ".*a.*b.*c.*d",
    "((a{1,50}){1,50}){1,50}",
    "([a-z]+[0-9]*)*!",
    "(" * 80 + "a" + ")*" * 80,
    "a" * 501,
    "[",
    "(?P<x",
    "*",
)


@pytest.mark.parametrize("text", GOOD)
def test_what_people_write_is_taken(text: str) -> None:
    assert fault_of(text) == ""


@pytest.mark.parametrize("text", BAD)
def test_what_could_hang_is_refused_and_says_why(text: str) -> None:
    assert fault_of(text)
    assert faults_of(Matcher(labels={"team": f"~{text}"}))


def test_what_is_refused_does_not_match_should_it_come_by_another_way() -> None:
    assert not matches("(a+)+$", "a" * 40)
    assert not matches(".*x.*", "x" * 4096)  # too long a value for two repeats
    assert matches(".*x.*", "axb")
    assert matches("a.*", "a" * 4096)


@settings(max_examples=150, deadline=None)
@given(st.text(alphabet="ab.*+?|()[]{}2,\\^$", max_size=24), st.integers(0, 256))
def test_whatever_is_taken_ends_soon(text: str, length: int) -> None:
    if fault_of(text):
        return
    began = time.process_time()
    matches(text, "ab" * (length // 2) + "!")
    assert time.process_time() - began < 5
