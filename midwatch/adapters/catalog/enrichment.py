"""The queries of ``rules/enrichment.yaml``: which numbers are looked at for which family of conditions."""

from pathlib import Path
from typing import Annotated

import msgspec

from midwatch.adapters.catalog.yaml_source import Faults, Source
from midwatch.domain.conditions import CATALOGUE
from midwatch.domain.enrichment import PLACEHOLDERS, UNITS, Question


class _Row(msgspec.Struct, forbid_unknown_fields=True, frozen=True, kw_only=True):
    id: str
    title: str
    expr: Annotated[str, msgspec.Meta(min_length=1, max_length=2_000)]
    unit: str = "count"
    families: tuple[str, ...] = ()
    cite_above: float | None = None


class _File(msgspec.Struct, forbid_unknown_fields=True, frozen=True, kw_only=True):
    queries: tuple[_Row, ...]


def load_questions(path: Path) -> tuple[Question, ...]:
    """Every query of the file. Raises :class:`Faults` with all that is wrong, as ``file:line: message``."""
    source = Source(path)
    families = {entry.family for entry in CATALOGUE.values()}
    faults: list[str] = []
    seen: set[str] = set()
    questions: list[Question] = []
    for index, row in enumerate(source.convert(_File).queries):
        where = source.at(f"$.queries[{index}]")
        question = Question(**{name: getattr(row, name) for name in row.__struct_fields__})
        if row.id in seen:
            faults.append(f"{where}: query {row.id} stands twice")
        if row.unit not in UNITS:
            faults.append(f"{where}: unknown unit {row.unit!r}; there are {', '.join(sorted(UNITS))}")
        if unknown := sorted(set(row.families) - families):
            faults.append(f"{where}: unknown family {unknown[0]!r}")
        if unknown := sorted(question.needs - PLACEHOLDERS):
            faults.append(f"{where}: unknown placeholder ${unknown[0]}")
        if not question.needs:
            faults.append(f"{where}: needs $namespace, $pods or $node: it would read every series there is")
        seen.add(row.id)
        questions.append(question)
    if faults:
        raise Faults(tuple(faults))
    return tuple(questions)
