"""Lines of the same kind are looked at once; levels and instants are read from what programs print."""

from datetime import UTC, datetime

import pytest

from midwatch.domain.logs.levels import DEBUG, ERROR, FATAL, INFO, WARN, instant_of, level_of
from midwatch.domain.logs.lines import Lines


def test_lines_that_differ_in_ids_are_of_one_kind() -> None:
    lines = Lines("job 1 done\njob 22 done\nother\njob 3fa done\n")
    assert lines.count == 4
    assert lines.shown == [1, 3]
    assert lines.repeats(1) == 3
    assert lines.last_of_kind(2) == 4
    assert lines.alike([2]) == [1, 2, 4]


@pytest.mark.parametrize("text", ["", "\n"])
def test_an_empty_log_has_at_most_empty_lines(text: str) -> None:
    assert Lines(text).count == len(text)


def test_a_huge_line_is_cut_and_bad_text_replaced() -> None:
    lines = Lines("x" * 3_000_000 + "\n\ud800 lone surrogate\r\n")
    assert len(lines.text(1)) == 8_192
    assert lines.text(2) == "? lone surrogate"


@pytest.mark.parametrize(
    ("line", "level"),
    [
        ("2026-01-01T10:00:00Z ERROR it broke", ERROR),
        ("2026-01-01T10:00:00.1Z\terror\tpkg/file.go:3\tit broke", ERROR),
        ('{"level":"warn","msg":"hm"}', WARN),
        ('{"t":{"$date":"2026"},"s":"I","c":"NETWORK","msg":"x"}', INFO),
        ('{"level":50,"msg":"pino"}', ERROR),
        ("ts=2026 level=info msg=fine", INFO),
        ("E0101 10:00:00.000001       1 controller.go:1] broke", ERROR),
        ("2026/01/01 10:00:00 [crit] 3#3: accept failed", FATAL),
        ("[2026-01-01 10:00:00,000] INFO started (kafka)", INFO),
        ("DEBUG:app:detail", DEBUG),
        ("[2026-01-01 10:00:00,363 W 16288 19983] (agent) x.cc:67: hm", WARN),
        ("2026-01-01 10:00:00.997 UTC [15876] LOG:  shut down", INFO),
        ("FATAL:  role does not exist", FATAL),
        ("just words about an error", None),
        ("", None),
    ],
)
def test_levels(line: str, level: int | None) -> None:
    assert level_of(line) == level


@pytest.mark.parametrize(
    ("line", "instant"),
    [
        ("2026-01-02T03:04:05.5Z x", datetime(2026, 1, 2, 3, 4, 5, 500_000, UTC)),
        ("2026-01-02 03:04:05,250 x", datetime(2026, 1, 2, 3, 4, 5, 250_000, UTC)),
        ("2026/01/02 03:04:05 [error]", datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)),
        ("2026-01-02T03:04:05+02:00 x", datetime(2026, 1, 2, 1, 4, 5, tzinfo=UTC)),
        ("2026-13-42T03:04:05Z x", None),
        ("no time", None),
    ],
)
def test_instants(line: str, instant: datetime | None) -> None:
    assert instant_of(line) == instant
