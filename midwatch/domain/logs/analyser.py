"""The log analyser: many patterns over one log, in milliseconds."""

import re
from collections.abc import Iterable, Sequence
from datetime import datetime
from functools import cache

import msgspec

from midwatch.domain.diagnosis import Evidence, Finding
from midwatch.domain.logs.compiled import CompiledPattern, Probe, probes_of
from midwatch.domain.logs.levels import DEBUG, FATAL, INFO, WARN, instant_of, level_of
from midwatch.domain.logs.lines import Lines
from midwatch.domain.logs.patterns import LogPattern
from midwatch.domain.logs.report import Hit, LogReport
from midwatch.domain.logs.stacks import deepest, exception_name
from midwatch.domain.logs.unclassified import Template, rare_lines, recurring_words, severe_templates, telling
from midwatch.domain.refs import ObjectRef, Severity

MAX_HITS = 6
"""Findings told of one log: the likeliest cause and what stands beside it. More is noise."""
CITED = (2, 2, 2, 1, 1, 1)
"""Lines cited for the first, second, … finding."""
NAMED = 6
"""Words of the lines that a summary repeats: they tell which part of which program it is about."""
QUOTE = 400
"""Characters of a cited line."""
TRIED = 400
"""Lines tried for one text: the first ones and the last. What repeats more often than that needs no exact count."""
NUMBERED = 20_000
"""The same for texts about which the numbers in a line decide."""
OVERCOME, SILENT = 30, 10
"""How much lighter a passing trouble weighs when the log tells of success later, or just goes on without it."""
QUIET_AFTER = 20
"""Lines without a trouble after which it counts as gone."""
_NOTHING = re.compile(
    r"(?i)\b(?:errors?|failures?|failed|timeouts?|dropped|rejected|error_count)[\"']?\s*[=:]\s*[\"']?(?:0|false|none|null)\b"
    r"|: 0\s*$|(?<![\w.#:-])(?:0|no|without) (?:errors?|failures?|failed|problems?|issues?)\b(?! handler)"
)
_RECOVERY_STEMS = (b"connected", b"succe", b"recover", b"establish", b"resum", b"restor", b"ready", b"healthy")
_RECOVERY = re.compile(
    r"(?i)(?<!not )(?<!never )(?:\b(?:re)?connected\b|\bsucce(?:ss|ssful|ssfully|eded)\b|\brecovered\b|\bestablished\b"
    r"|\bresumed\b|\brestored\b|\bready\b|\bhealthy\b)(?! (?:0|false|failed|check failed|for connections))"
)


class LogAnalyser:
    """Holds patterns made ready; :meth:`analyse` is pure and may be called from many threads at once."""

    def __init__(self, patterns: Iterable[LogPattern]) -> None:
        """Raises :class:`midwatch.domain.errors.Invalid` for a regex that cannot be searched for."""
        self._probes = probes_of(map(CompiledPattern, patterns))

    def analyse(self, name: str, text: str, subject: ObjectRef | None = None) -> LogReport:
        """Find what the log ``name`` says is wrong. ``subject`` is whose log it is. Never raises, whatever the text."""
        lines = Lines(text)
        if not lines.count:
            return LogReport(name=name, lines=0)
        about = subject or ObjectRef("Log", name)
        found = self._match(lines)
        hits = [hit for pattern, at in found.items() if (hit := _judge(pattern, sorted(at), lines, name, about))]
        templates = severe_templates(lines)
        if not any(hit.finding.severity.rank >= Severity.WARNING.rank for hit in hits):
            hits += _unclassified(templates, lines, name, about)
        return LogReport(
            name=name,
            lines=lines.count,
            hits=_ranked(hits),
            rare=rare_lines(templates),
            first_at=_instant(lines, range(1, min(lines.count, 50) + 1)),
            last_at=_instant(lines, range(lines.count, max(0, lines.count - 50), -1)),
        )

    def _match(self, lines: Lines) -> dict[CompiledPattern, set[int]]:
        """The lines that match each pattern; of each kind of lines only the first, but for patterns of numbers."""
        known = cache(lines.kinds.vocabulary.__contains__)  # patterns share most of their words
        found: dict[CompiledPattern, set[int]] = {}
        text = cache(lines.text)
        for probe in self._probes:
            if not probe.possible(known):
                continue
            rows = lines.kinds.rows(probe.text, TRIED)
            shown = [lines.shown[row] for row in rows]
            for compiled, regex in probe.targets:
                tried = _numbered(probe, shown, lines) if compiled.pattern.numbers else shown
                if at := {
                    number for number in tried if compiled.matches(regex, text(number)) and _speaks(text(number))
                }:
                    found.setdefault(compiled, set()).update(at)
        return found


def _speaks(line: str) -> bool:
    """Whether a line tells of something, rather than counting no failures."""
    return not _NOTHING.search(line)


def _numbered(probe: Probe, shown: Sequence[int], lines: Lines) -> list[int]:
    """The lines to try for a pattern of numbers: those that hold the text, whatever their kind."""
    if any(48 <= code <= 57 for code in probe.text):
        return [row + 1 for row in lines.every.rows(probe.text, TRIED)]
    return lines.alike(shown)[:NUMBERED]


def _judge(compiled: CompiledPattern, at: Sequence[int], lines: Lines, name: str, about: ObjectRef) -> Hit | None:
    """What matched lines amount to: a hit with its severity and weight, or nothing where too few lines speak."""
    pattern = compiled.pattern
    count = len(at) if pattern.numbers else sum(map(lines.repeats, at))
    if count < pattern.at_least or not all(text in lines.kinds for text in compiled.also):
        return None
    last = at[-1] if pattern.numbers else max(map(lines.last_of_kind, at))
    severity = _severity(pattern, [level_of(lines.text(number)) for number in at[:50]])
    weight = pattern.cause - (pattern.severity.rank - severity.rank) * 10
    recovered = pattern.transient and _overcome(lines, last)
    if recovered or (pattern.transient and _fell_silent(lines, last, count)):
        severity = min(severity, Severity.WARNING, key=lambda level: level.rank)
        weight -= OVERCOME if recovered else SILENT
    at = [number for number in at if not lines.text(number).startswith("#")] or at  # comments only where nothing else
    first = at[0]
    told = f"Seen {count} times" if count > 1 else "Seen once"
    named = exception_name(lines.text(first))
    summary = f"{pattern.summary} {told}, first in line {first}" + (f" (exception {named})" if named else "")
    if recovered:
        summary += ", and the log tells of success later"
    if words := recurring_words(
        [lines.text(number) for number in at[:20]], f"{pattern.title} {pattern.summary}", NAMED
    ):
        summary += f"; the lines name {', '.join(words)}"
    finding = Finding(
        condition=pattern.condition,
        family=pattern.family,
        severity=severity,
        subject=about,
        title=pattern.title,
        summary=f"{summary}.",
        evidence=tuple(_quote(lines, name, number) for number in _telling_lines(lines, at)),
        since=instant_of(lines.text(first)),
    )
    return Hit(
        finding=finding,
        explanation=pattern.summary,
        weight=weight,
        line=first,
        count=count,
        recovered=recovered,
        checks=pattern.checks,
        remedy=pattern.remedy,
    )


def _severity(pattern: LogPattern, levels: Sequence[int | None]) -> Severity:
    """The pattern's severity, lowered where the program itself took the matter lightly."""
    if pattern.any_level or None in levels:
        return pattern.severity
    claimed = max(level for level in levels if level is not None)
    ceiling = {DEBUG: Severity.INFO, INFO: Severity.WARNING}.get(claimed, Severity.CRITICAL)
    if claimed == WARN and pattern.transient:
        ceiling = Severity.WARNING
    return min(pattern.severity, ceiling, key=lambda severity: severity.rank)


def _fell_silent(lines: Lines, last: int, count: int) -> bool:
    """Whether a trouble seen once or twice did not come back in a long rest of the log."""
    left = lines.count - last
    return count <= 2 and left >= QUIET_AFTER and left >= lines.count // 2


def _overcome(lines: Lines, last: int) -> bool:
    """Whether the log later tells of success."""
    if last == lines.count:
        return False
    rows = sorted({row for stem in _RECOVERY_STEMS for row in lines.kinds.rows(stem, 200)})
    later = (lines.last_of_kind(lines.shown[row]) for row in rows)
    texts = (lines.text(number) for number in later if number > last)
    return any(_RECOVERY.search(text) and (level_of(text) or INFO) < WARN for text in texts)


def _telling_lines(lines: Lines, at: Sequence[int]) -> tuple[int, ...]:
    """The lines to cite: the first, where its stack trace names the deepest cause, and others of another kind."""
    chosen = dict.fromkeys((at[0], deepest(lines.text, at[0], lines.count), *at[1 : CITED[0]]))
    return tuple(chosen)[: CITED[0]]


def _quote(lines: Lines, name: str, number: int) -> Evidence:
    return Evidence(source=f"logs:{name}", text=lines.text(number).strip()[:QUOTE], line=number)


def _unclassified(templates: Sequence[Template], lines: Lines, name: str, about: ObjectRef) -> list[Hit]:
    """One finding for severe lines that no pattern knows, told by what they have in common."""
    if not templates:
        return []
    order = telling(templates)
    first = order[0]
    deep = deepest(lines.text, first.line, lines.count)
    named = exception_name(lines.text(deep)) or exception_name(lines.text(first.line))
    words = recurring_words([lines.text(template.line) for template in order[:50]])
    total = sum(template.count for template in templates)
    told = f"{total} severe lines of {len(templates)} kinds" if total > 1 else "One severe line"
    summary = f"{told}, which no known pattern of failure explains"
    summary += f"; it names the exception {named}" if named else ""
    summary += f"; the words that recur: {', '.join(words)}." if words else "."
    cited = tuple(dict.fromkeys((first.line, deep, *(template.line for template in order[1:3]))))
    finding = Finding(
        condition="log/unclassified",
        family="unclassified",
        severity=Severity.ERROR if first.level >= FATAL else Severity.WARNING,
        subject=about,
        title=f"Unclassified errors: {named}" if named else "Unclassified errors",
        summary=summary,
        evidence=tuple(_quote(lines, name, number) for number in cited[: CITED[0]]),
        since=instant_of(lines.text(first.line)),
    )
    return [
        Hit(
            finding=finding,
            explanation=summary,
            weight=10,
            line=first.line,
            count=total,
            checks=("Read the cited lines and what stands just before the first of them",),
        )
    ]


def _ranked(hits: Iterable[Hit]) -> tuple[Hit, ...]:
    """The likeliest cause first: by weight in steps of ten, then by first line; of one family on one line, one hit."""
    order = sorted(hits, key=lambda hit: (-(hit.weight // 10), hit.line, -hit.weight))
    kept: list[Hit] = []
    for hit in order:
        if not any(other.finding.family == hit.finding.family and other.line == hit.line for other in kept):
            kept.append(hit)
    return tuple(_cited(hit, CITED[place]) for place, hit in enumerate(kept[:MAX_HITS]))


def _cited(hit: Hit, limit: int) -> Hit:
    finding = msgspec.structs.replace(hit.finding, evidence=hit.finding.evidence[:limit])
    return msgspec.structs.replace(hit, finding=finding)


def _instant(lines: Lines, numbers: Iterable[int]) -> datetime | None:
    return next((at for number in numbers if (at := instant_of(lines.text(number)))), None)
