"""The analyser names the cause, cites lines that are there, and keeps quiet where nothing is wrong."""

from datetime import UTC, datetime

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from midwatch.domain.errors import Invalid
from midwatch.domain.logs import Examples, LogAnalyser, LogPattern, LogReport, check_examples, diagnose_logs
from midwatch.domain.refs import ObjectRef, Severity


def pattern(
    name: str, *regexes: str, cause: int = 50, severity: Severity = Severity.ERROR, **more: object
) -> LogPattern:
    given_examples = Examples(match=("x",), no_match=("y",))
    return LogPattern(
        id=name,
        family=str(more.pop("family", name.replace("-", "_"))),
        severity=severity,
        cause=cause,
        title=f"Title of {name}",
        summary=f"What {name} means in plain words.",
        any=regexes,
        examples=given_examples,
        **more,  # type: ignore[arg-type]
    )


DISK = pattern("disk-full", "no space left", cause=90, severity=Severity.CRITICAL, any_level=True)
REFUSED = pattern("refused", "connection refused", cause=60, transient=True)
PROBE = pattern("probe", "probe failed", cause=20, severity=Severity.WARNING)
SLOW = pattern("slow", r"took [5-9]\d*\.\d s", cause=40, severity=Severity.WARNING, numbers=True, at_least=2)
ANALYSER = LogAnalyser([DISK, REFUSED, PROBE, SLOW])


def analyse(text: str) -> LogReport:
    return ANALYSER.analyse("app", text)


def conditions(report: LogReport) -> list[str]:
    return [finding.condition for finding in report.findings]


def test_the_cause_stands_before_louder_consequences() -> None:
    text = "ERROR probe failed\n" * 50 + "ERROR write: no space left on device\n" + "ERROR connection refused\n" * 90
    report = analyse(text)
    assert conditions(report) == ["log/disk-full", "log/refused", "log/probe"]
    assert report.hits[0].line == 51
    assert report.findings[0].evidence[0].line == 51
    assert report.findings[0].evidence[0].source == "logs:app"
    assert report.hits[1].count == 90


def test_the_earlier_of_two_equal_causes_comes_first() -> None:
    analyser = LogAnalyser([pattern("later", "second thing"), pattern("sooner", "first thing")])
    report = analyser.analyse("app", "the first thing\nthe second thing\n")
    assert conditions(report) == ["log/sooner", "log/later"]


def test_a_retry_that_succeeds_is_no_error() -> None:
    report = analyse("ERROR dial: connection refused\nERROR dial: connection refused\nINFO connected to db\n")
    assert [finding.severity for finding in report.findings] == [Severity.WARNING]
    assert report.hits[0].recovered


def test_an_error_after_the_success_counts() -> None:
    report = analyse("INFO connected to db\nERROR dial: connection refused\n")
    assert [finding.severity for finding in report.findings] == [Severity.ERROR]


def test_a_single_trouble_long_ago_weighs_less() -> None:
    report = analyse(
        "ERROR dial: connection refused\n" + "".join(f"INFO served {word}\n" for word in "klmnopqrstuvwxyz" * 3)
    )
    assert report.findings[0].severity is Severity.WARNING


def test_what_the_program_takes_lightly_is_a_warning() -> None:
    assert analyse("INFO connection refused, trying the next\n").findings[0].severity is Severity.WARNING
    assert analyse("DEBUG connection refused\n").findings[0].severity is Severity.INFO
    assert analyse("INFO no space left on device\n").findings[0].severity is Severity.CRITICAL


@pytest.mark.parametrize("line", ["summary: connection refused failed=0", "0 errors, connection refused count is nil"])
def test_a_count_of_no_failures_is_none(line: str) -> None:
    assert analyse(line).hits == ()


def test_lines_that_differ_in_numbers_only_are_told_apart_where_numbers_decide() -> None:
    assert conditions(analyse("took 0.1 s\ntook 7.5 s\ntook 0.2 s\ntook 9.1 s\n")) == ["log/slow"]
    assert analyse("took 0.1 s\ntook 7.5 s\ntook 0.2 s\n").hits == ()


def test_all_not_and_also() -> None:
    strict = pattern("strict", "widget", all=("broken",), not_=("repaired",), also=("marker",))
    analyser = LogAnalyser([strict])
    assert conditions(analyser.analyse("x", "widget is broken\nMarker\n")) == ["log/strict"]
    assert analyser.analyse("x", "widget is broken\n").hits == ()
    assert analyser.analyse("x", "widget is fine\nmarker\n").hits == ()
    assert analyser.analyse("x", "widget broken and repaired\nmarker\n").hits == ()


def test_unknown_errors_are_told_by_their_recurring_words() -> None:
    text = "INFO fine\n" + "".join(
        f"2026-01-01T00:00:0{n}Z ERROR flux capacitor misaligned, id {n}\n" for n in range(5)
    )
    report = analyse(text)
    finding = report.findings[0]
    assert finding.condition == "log/unclassified"
    assert finding.severity is Severity.WARNING
    assert "capacitor" in finding.summary
    assert "5 severe lines of 1 kinds" in finding.summary
    assert finding.since == datetime(2026, 1, 1, tzinfo=UTC)
    assert finding.evidence[0].line == 2


def test_the_deepest_cause_of_a_java_trace_is_cited() -> None:
    text = (
        "ERROR request failed oddly\n"
        "a.b.OuterException: outer\n"
        "\tat a.b.C.d(C.java:1)\n"
        "Caused by: a.b.MiddleException: middle\n"
        "\tat a.b.C.e(C.java:2)\n"
        "Caused by: a.b.InnerException: inner\n"
        "\tat a.b.C.f(C.java:3)\n"
    )
    analyser = LogAnalyser([pattern("outer", "outerexception")])
    assert [piece.line for piece in analyser.analyse("x", text).findings[0].evidence] == [2, 6]


def test_the_last_line_of_a_python_trace_is_cited_and_the_first_of_a_chain() -> None:
    text = (
        "Traceback (most recent call last):\n"
        '  File "a.py", line 1, in f\n'
        "    g()\n"
        "KeyError: 'first'\n"
        "\n"
        "During handling of the above exception, another exception occurred:\n"
        "\n"
        "Traceback (most recent call last):\n"
        '  File "a.py", line 3, in h\n'
        "RuntimeError: second\n"
    )
    analyser = LogAnalyser([pattern("python", "traceback")])
    assert [piece.line for piece in analyser.analyse("x", text).findings[0].evidence] == [1, 4]


def test_the_rare_line_stands_out() -> None:
    text = "ERROR loud thing again\n" * 40 + "ERROR quiet thing once\n" + "ERROR loud thing again\n" * 40
    assert analyse(text).rare == (41,)


def test_the_subject_is_whose_log_it_is() -> None:
    pod = ObjectRef("Pod", "web-1", "shop")
    assert ANALYSER.analyse("x", "connection refused", pod).findings[0].subject == pod


def test_a_diagnosis_takes_the_weightiest_over_all_logs() -> None:
    reports = [
        ANALYSER.analyse("a", "ERROR connection refused"),
        ANALYSER.analyse("b", "ERROR no space left on device"),
    ]
    found = diagnose_logs(reports)
    assert found is not None
    assert found.condition == "log/disk-full"
    assert found.confidence == 0.85
    assert found.factors == ("Title of refused",)
    assert {piece.source for piece in found.evidence} == {"logs:a", "logs:b"}
    assert diagnose_logs([ANALYSER.analyse("a", "DEBUG connection refused")]) is None


def test_a_regex_without_plain_text_is_refused() -> None:
    with pytest.raises(Invalid, match="pattern vague"):
        LogAnalyser([pattern("vague", r"\d+\s*")])


def test_examples_that_do_not_hold_are_told() -> None:
    wrong = pattern("wrong", "needle")
    faults = check_examples([wrong, wrong])
    assert "pattern wrong: match example 1 is not found: 'x'" in faults
    assert "pattern wrong stands twice" in faults


_LINE = st.one_of(
    st.text(max_size=60),
    st.sampled_from(
        ["ERROR connection refused", "INFO connected", "Traceback (most recent call last):", '  File "a"', "took 7.5 s",
         "Caused by: a.B", "FATAL no space left", "E0101 00:00:00.1 1 a.go] x", '{"level":"error"}', "\tat a.b(c)"]
    ),
)  # fmt: skip


@settings(max_examples=150, deadline=None)
@given(st.lists(_LINE, max_size=30).map("\n".join))
def test_arbitrary_text_never_raises_and_citations_stand_in_it(text: str) -> None:
    report = analyse(text)
    lines = text.removesuffix("\n").split("\n")
    for finding in report.findings:
        assert finding.evidence
        for piece in finding.evidence:
            assert piece.line is not None
            assert 1 <= piece.line <= len(lines)
    assert sum(len(finding.evidence) for finding in report.findings) <= 10
    assert all(1 <= number <= len(lines) for number in report.rare)
