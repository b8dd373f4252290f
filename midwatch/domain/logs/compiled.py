"""Patterns made ready to run: texts to search for, each with the regexes to try where it stands."""

import re
from collections.abc import Callable, Iterable, Iterator
from functools import cache

from midwatch.domain.errors import Invalid
from midwatch.domain.logs.literals import required_literals
from midwatch.domain.logs.patterns import LogPattern

STEMS = (
    "fail", "err", "exception", "fatal", "panic", "traceback", "severe", "crit", "emerg", "denied", "refused",
    "timeout", "timed out", "unable", "cannot", "could not", "not found", "kill", "memory", "invalid", "missing",
    "expired", "no such", "unavailable", "unreachable", "exceed", "exhaust", "corrupt", "reject", "unauthorized",
    "forbidden", "too many", "abort", "crash", "deadlock", "disconnect", "required", "not supported",
    "does not exist", "unknown", "space left", "limit", "segfault", "oom", "lost", "violat", "conflict", "in use",
    "slow", "not ready", "closed", "throttl", "overload", "stale", "mismatch", "insufficient", "unhealthy",
)  # fmt: skip
"""Parts of words in which failures are told: the best texts to search for."""
_WORD = re.compile(r"[a-z]+")


class CompiledPattern:
    """One pattern with its regexes, each compiled when first needed."""

    def __init__(self, pattern: LogPattern) -> None:
        """Raises :class:`Invalid` for a regex that holds no text to search for."""
        self.pattern = pattern
        try:
            self.literals = {
                regex: tuple(text.encode() for text in sorted(required_literals(regex, _telling)))
                for regex in pattern.any
            }
        except Invalid as error:
            raise Invalid(f"pattern {pattern.id}: {error}") from error
        self.also = tuple(text.lower().encode() for text in pattern.also)

    def check(self) -> None:
        """Compile every regex now. Raises :class:`Invalid` for one that is none."""
        for regex in (*self.pattern.any, *self.pattern.all, *self.pattern.not_):
            try:
                _compile(regex)
            except re.error as error:
                raise Invalid(f"pattern {self.pattern.id}: regex {regex!r}: {error}") from error

    def matches(self, regex: str, line: str) -> bool:
        """Whether the line matches by this one of the pattern's regexes."""
        return (
            _compile(regex).search(line) is not None
            and all(_compile(other).search(line) for other in self.pattern.all)
            and not any(_compile(other).search(line) for other in self.pattern.not_)
        )


class Probe:
    """A text to search for, the words it takes, and which regexes of which patterns to try where it stands."""

    def __init__(self, text: bytes) -> None:
        self.text = text
        self.words = tuple(_words(text.decode()))
        self.targets: list[tuple[CompiledPattern, str]] = []

    def possible(self, known: Callable[[bytes], bool]) -> bool:
        """Whether a log of which ``known`` tells the words can hold the text: a quick no spares the search."""
        return all(map(known, self.words))


def probes_of(patterns: Iterable[CompiledPattern]) -> tuple[Probe, ...]:
    """One probe for each different text."""
    probes: dict[bytes, Probe] = {}
    for compiled in patterns:
        for regex, texts in compiled.literals.items():
            for text in texts:
                probes.setdefault(text, Probe(text)).targets.append((compiled, regex))
    return tuple(probes.values())


def _words(text: str) -> Iterator[bytes]:
    """The words of a text as they must stand in a vocabulary; one at its edge may be part of a longer word."""
    for match in _WORD.finditer(text):
        before = b" " if match.start() > 0 else b""
        after = b" " if match.end() < len(text) else b""
        yield before + match[0].encode() + after


def _telling(text: str) -> bool:
    return any(stem in text for stem in STEMS)


@cache
def _compile(regex: str) -> re.Pattern[str]:
    return re.compile(regex, re.IGNORECASE)
