"""Whether patterns find what their examples say they find."""

from collections.abc import Iterable

from midwatch.domain.logs.analyser import LogAnalyser
from midwatch.domain.logs.patterns import LogPattern


def check_examples(patterns: Iterable[LogPattern]) -> tuple[str, ...]:
    """Run every pattern over its own examples; one sentence for each that does not hold, nothing when all do."""
    faults = []
    seen: set[str] = set()
    for pattern in patterns:
        if pattern.id in seen:
            faults.append(f"pattern {pattern.id} stands twice")
        seen.add(pattern.id)
        analyser = LogAnalyser((pattern,))
        for wanted, texts in ((True, pattern.examples.match), (False, pattern.examples.no_match)):
            for number, text in enumerate(texts, 1):
                found = any(
                    hit.finding.condition == pattern.condition for hit in analyser.analyse("example", text).hits
                )
                if found is not wanted:
                    kind = "match" if wanted else "no_match"
                    said = "is not found" if wanted else "is found"
                    faults.append(f"pattern {pattern.id}: {kind} example {number} {said}: {text[:120]!r}")
    return tuple(faults)
