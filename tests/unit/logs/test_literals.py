"""Every regex has texts of which a matching line holds one."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from midwatch.domain.errors import Invalid
from midwatch.domain.logs.literals import required_literals


def _any(_: str) -> bool:
    return True


@pytest.mark.parametrize(
    ("regex", "wanted"),
    [
        ("no space left on device", {"no space left on device"}),
        (r"disk (is )?full", {"disk ", "full"}),
        (r"\bENOSPC\b", {"enospc"}),
        (r"exit(ed)? code 1\d+", {" code 1"}),
        (r"alpha|beta", {"alpha", "beta"}),
        (r"x(?:lost|gone) [ab]c", {"lost", "gone"}),
        (r"colou?r chart", {"r chart"}),
        (r"ab+cdef", {"cdef"}),
        (r"\(null\)", {"(null)"}),
    ],
)
def test_a_text_is_chosen_that_must_be_there(regex: str, wanted: set[str]) -> None:
    found = required_literals(regex, _any)
    assert found <= wanted


@pytest.mark.parametrize("regex", [r"\d+", "a|verylong", "(x)?", "[a-z]+ [0-9]", ".*", "(a|b)c"])
def test_a_regex_without_one_is_refused(regex: str) -> None:
    with pytest.raises(Invalid, match="literal"):
        required_literals(regex, _any)


def test_telling_texts_are_preferred() -> None:
    found = required_literals("the very long beginning .* (failed|crashed)", lambda text: "ed" in text)
    assert found == {"failed", "crashed"}


_ATOMS = st.sampled_from(["abc", "de", r"\d", "x?", "(foo|barr)", "(?:yes )?", "[xyz]", ".{0,3}", r"\.", "q+"])


@given(st.lists(_ATOMS, min_size=1, max_size=6).map("".join), st.text("abcdefoobarrxyzq.0 ", max_size=30))
def test_no_match_without_a_required_text(regex: str, line: str) -> None:
    try:
        texts = required_literals(regex, _any)
    except Invalid:
        return
    if re.search(regex, line, re.IGNORECASE):
        assert any(text in line.lower() for text in texts)
