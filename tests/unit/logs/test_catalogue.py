"""The shipped patterns: they load, hold their examples, find what software prints, and leave healthy logs alone."""

from pathlib import Path

import pytest

from midwatch.adapters.catalog.log_patterns import load_log_patterns
from midwatch.adapters.catalog.yaml_source import Faults
from midwatch.domain.logs import LogAnalyser, LogPattern, check_examples
from midwatch.domain.refs import Severity
from midwatch.settings import Settings

HEALTHY = Path(__file__).parents[2] / "fixtures" / "logs" / "healthy.txt"
GOOD = """
patterns:
  - id: a
    family: b
    severity: error
    cause: 5
    title: A title
    summary: A summary that is long enough.
    any: ['some text']
    examples: {match: ['some text'], no_match: ['none']}
"""


@pytest.fixture(scope="module")
def patterns() -> tuple[LogPattern, ...]:
    return load_log_patterns(Settings().rules_dir / "logs")


@pytest.fixture(scope="module")
def analyser(patterns: tuple[LogPattern, ...]) -> LogAnalyser:
    return LogAnalyser(patterns)


def test_every_example_holds(patterns: tuple[LogPattern, ...]) -> None:
    assert len(patterns) > 100
    assert check_examples(patterns) == ()


def test_every_pattern_says_what_to_do(patterns: tuple[LogPattern, ...]) -> None:
    mute = [item.id for item in patterns if not item.checks and item.severity is not Severity.WARNING]
    assert mute == []


def test_each_healthy_line_is_below_error(analyser: LogAnalyser) -> None:
    loud = [
        (hit.finding.condition, line)
        for line in HEALTHY.read_text("utf-8").splitlines()
        for hit in analyser.analyse("x", line).hits
        if hit.finding.severity.rank >= Severity.ERROR.rank
    ]
    assert loud == []


def test_a_healthy_log_is_below_error(analyser: LogAnalyser) -> None:
    report = analyser.analyse("x", HEALTHY.read_text("utf-8"))
    assert report.severity is None or report.severity.rank < Severity.ERROR.rank


@pytest.mark.parametrize(
    ("line", "family"),
    [
        (
            "=WARNING REPORT==== Mnesia('rabbit@r-0'): ** WARNING ** Mnesia is overloaded: {dump_log,time}",
            "cpu_overload",
        ),
        ("[warning] memory resource limit alarm set on node rabbit@r-0.", "memory_pressure"),
        ("2026/01/01 10:00:00 [crit] 4#4: accept4() failed (24: Too many open files)", "fd_exhaustion"),
        ("[7] [WRN] JetStream cluster consumer 'A > B > C' has NO quorum, stalled.", "quorum_loss"),
        ("FATAL:  remaining connection slots are reserved for superusers", "connection_exhausted"),
        ("PANIC:  could not locate a valid checkpoint record", "data_corruption"),
        ('{"level":"warn","msg":"apply request took too long","took":"1.2s"}', "slow_queries"),
        ("NVRM: Xid (PCI:0000:3b:00): 79, pid=1, GPU has fallen off the bus.", "gpu_failure"),
        ("vault: Error making API request. Errors: * Vault is sealed", "missing_secret"),
        ("[CRITICAL] WORKER TIMEOUT (pid:22)", "worker_crash"),
        ("langgraph.errors.GraphRecursionError: Recursion limit of 25 reached", "runaway_loop"),
        ("Error: Error acquiring the state lock: ConditionalCheckFailedException", "lock_contention"),
        ('E0101 1 scraper.go] "Failed to scrape node" err="x509: cannot validate certificate"', "tls_cert"),
        ("ORA-12541: TNS:no listener", "connection_lost"),
        ("Error: INSTALLATION FAILED: cannot re-use a name that is still in use", "controller_error"),
        ("kernel: nf_conntrack: nf_conntrack: table full, dropping packet", "network_device"),
        ('psycopg2.OperationalError: FATAL: password authentication failed for user "x"', "auth_failure"),
    ],
)
def test_what_software_prints_is_known(analyser: LogAnalyser, line: str, family: str) -> None:
    assert analyser.analyse("x", line).hits[0].finding.family == family


@pytest.mark.parametrize(
    ("wrong", "right", "fault"),
    [
        ("cause: 5", "cause: 500", "bad.yaml:6: "),
        ("family: b", "familie: b", "bad.yaml:3: "),
        ("any: ['some text']", "any: ['(unclosed text']", "regex"),
        ("any: ['some text']", "any: ['[0-9]+']", "literal"),
        ("id: a", "id: Not Kebab", "bad.yaml:3: "),
        ("severity: error", "severity: loud", "bad.yaml:5: "),
        ("no_match: ['none']", "no_match: []", "bad.yaml:10: "),
    ],
)
def test_a_wrong_file_is_refused_with_its_place(tmp_path: Path, wrong: str, right: str, fault: str) -> None:
    (tmp_path / "bad.yaml").write_text(GOOD.replace(wrong, right), "utf-8")
    with pytest.raises(Faults) as refused:
        load_log_patterns(tmp_path)
    assert fault in str(refused.value)


def test_an_id_may_stand_once_only(tmp_path: Path) -> None:
    (tmp_path / "one.yaml").write_text(GOOD, "utf-8")
    (tmp_path / "two.yaml").write_text(GOOD, "utf-8")
    with pytest.raises(Faults, match=r"two\.yaml:3: pattern a stands already at .*one\.yaml:3"):
        load_log_patterns(tmp_path)
