"""Log patterns from ``rules/logs/*.yaml``."""

from pathlib import Path

from midwatch.adapters.catalog.yaml_source import Faults, Source, yaml_files
from midwatch.domain.errors import Invalid
from midwatch.domain.logs import LogPattern
from midwatch.domain.logs.compiled import CompiledPattern
from midwatch.domain.logs.patterns import PatternFile


def load_log_patterns(folder: Path) -> tuple[LogPattern, ...]:
    """Every pattern of the folder. Raises :class:`Faults` with all that is wrong, as ``file:line: message``."""
    patterns: list[LogPattern] = []
    faults: list[str] = []
    places: dict[str, str] = {}
    for path in yaml_files(folder):
        try:
            source = Source(path)
            loaded = source.convert(PatternFile).patterns
        except Faults as error:
            faults += error.faults
            continue
        for index, pattern in enumerate(loaded):
            place = source.at(f"$.patterns[{index}]")
            if pattern.id in places:
                faults.append(f"{place}: pattern {pattern.id} stands already at {places[pattern.id]}")
            places[pattern.id] = place
            try:
                CompiledPattern(pattern).check()
            except Invalid as error:
                faults.append(f"{place}: {error}")
            patterns.append(pattern)
    if faults:
        raise Faults(tuple(faults))
    return tuple(patterns)
