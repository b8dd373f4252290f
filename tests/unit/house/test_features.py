"""docs/features.md is true: all rows once, and every file and test it names exists."""

import ast
import re
from pathlib import Path
from typing import NamedTuple

import pytest

ROOT = Path(__file__).parents[3]
LAST = {"A": 24, "B": 11, "C": 9, "D": 10, "E": 15, "F": 5}
NONE = "–"


class Row(NamedTuple):
    id: str
    what: str
    status: str
    where: str
    test: str
    lacks: str


def parse(text: str) -> list[Row]:
    """The table rows of a features page, in order. A row with another number of cells raises."""
    rows = []
    for line in text.splitlines():
        if re.match(r"\| [A-F]\d+ \|", line):
            rows.append(Row(*(cell.strip() for cell in line.strip().strip("|").split("|"))))
    return rows


def faults(row: Row) -> list[str]:
    """What is wrong with one row, in words."""
    found = []
    if row.status not in {"planned", "partial", "done"}:
        found.append(f"unknown status {row.status!r}")
    if row.status == "planned":
        found += [
            f"planned, hence {column} must be {NONE}" for column in ("where", "test") if getattr(row, column) != NONE
        ]
    else:
        found += [
            f"{row.status}, but names no {column}" for column in ("where", "test") if "`" not in getattr(row, column)
        ]
    if (row.status == "partial") != (row.lacks != NONE):
        found.append("a partial row says what it lacks, and only a partial one does")
    for named in re.findall(r"`([^`]+)`", f"{row.where} {row.test}"):
        path, _, function = named.partition("::")
        if not (ROOT / path).exists():
            found.append(f"{path} does not exist")
        elif function and function not in functions(ROOT / path):
            found.append(f"{path} has no {function}")
    found += [f"{named} is no test" for named in re.findall(r"`([^`]+)`", row.test) if not named.startswith("tests/")]
    return found


def functions(path: Path) -> set[str]:
    kinds = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)
    return {node.name for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, kinds)}


PAGE = parse((ROOT / "docs" / "features.md").read_text())


def test_every_row_is_there() -> None:
    expected = [f"{letter}{number}" for letter, last in LAST.items() for number in range(1, last + 1)]
    assert [row.id for row in PAGE] == expected


@pytest.mark.parametrize("row", PAGE, ids=[row.id for row in PAGE])
def test_a_row_is_true(row: Row) -> None:
    assert faults(row) == []


GOOD = "| A1 | x | done | `docs/features.md` | `tests/unit/house/test_features.py::test_a_row_is_true` | – |"


@pytest.mark.parametrize(
    ("change", "fault"),
    [
        (("done", "finished"), "unknown status"),
        (("done", "planned"), "must be –"),
        (("done", "partial"), "says what it lacks"),
        (("docs/features.md", "docs/none.md"), "does not exist"),
        (("test_a_row_is_true", "test_of_dreams"), "has no test_of_dreams"),
        (("`docs/features.md`", "somewhere"), "names no where"),
        (("`tests/unit/house/test_features.py::test_a_row_is_true`", "`README.md`"), "is no test"),
    ],
    ids=lambda value: value if isinstance(value, str) else value[1],
)
def test_an_untrue_row_is_found(change: tuple[str, str], fault: str) -> None:
    assert faults(parse(GOOD)[0]) == []
    assert any(fault in found for found in faults(parse(GOOD.replace(*change))[0]))
