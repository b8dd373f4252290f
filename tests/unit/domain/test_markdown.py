"""A report as Markdown says what it says: nothing observed can format, link or mention."""

import re

from hypothesis import given
from hypothesis import strategies as st

from midwatch.domain import markdown
from midwatch.domain.diagnosis import Diagnosis, Evidence


def test_a_report_has_its_parts_in_order() -> None:
    diagnosis = Diagnosis(
        root_cause="the database refuses connections",
        summary="checkout cannot reach its database",
        confidence=0.8,
        title="checkout crashes",
        evidence=(Evidence("logs:checkout-1/app", "ERROR connection refused", line=7),),
        factors=("no retry",),
        next_checks=("kubectl get endpoints db",),
        recommended_action="Start the database.",
    )
    text = markdown.report(diagnosis)
    titles = [
        "## checkout crashes",
        "**Cause:** the database",
        "### Evidence",
        "### What added to it",
        "**What to do:**",
    ]
    places = [text.index(title) for title in titles]
    assert places == sorted(places)
    assert "`ERROR connection refused` — logs:checkout-1/app line 7" in text
    assert "`kubectl get endpoints db`" in text


@given(st.text(alphabet=st.characters(codec="utf-8"), max_size=80))
def test_code_spans_hold_whatever_is_in_them(text: str) -> None:
    span = markdown.code(text)
    if not span:
        assert not text.split()
        return
    fence = re.match("`+", span)
    assert fence is not None
    inner = span[len(fence.group()) : -len(fence.group())]
    assert fence.group() not in re.findall("`+", inner), "no run of backticks inside closes it"
    assert "\n" not in span


@given(st.text(alphabet="[]()<>*_`#@a \n\\|~", max_size=60))
def test_plain_text_formats_nothing(text: str) -> None:
    shown = markdown.plain(text)
    assert not re.search(r"(?<!\\)(?:\\\\)*[\[\]<>*_`#]", shown)
