"""A pattern made ready to run."""

import re

from midwatch.domain.errors import Invalid
from midwatch.domain.logs.literals import required_literals
from midwatch.domain.logs.patterns import LogPattern

STEMS = (
    "fail", "err", "exception", "fatal", "panic", "traceback", "severe", "crit", "emerg", "denied", "refused",
    "timeout", "timed out", "unable", "cannot", "could not", "not found", "kill", "memory", "invalid", "missing",
    "expired", "no such", "unavailable", "unreachable", "exceed", "exhaust", "corrupt", "reject", "unauthorized",
    "forbidden", "too many", "abort", "crash", "deadlock", "disconnect", "required", "not supported",
    "does not exist", "unknown", "space left", "limit", "segfault", "oom", "lost", "violat", "conflict", "in use",
    "slow", "not ready", "closed",
)  # fmt: skip
"""Parts of words in which failures are told. Every literal of a pattern holds one, or is searched for by itself."""


class CompiledPattern:
    """One pattern with its regexes compiled. Raises :class:`Invalid` for a regex that is none or cannot be searched."""

    def __init__(self, pattern: LogPattern) -> None:
        self.pattern = pattern
        try:
            self._any = tuple(map(_compile, pattern.any))
            self._all = tuple(map(_compile, pattern.all))
            self._not = tuple(map(_compile, pattern.not_))
            self.literals = tuple(text.encode() for regex in pattern.any for text in required_literals(regex))
        except Invalid as error:
            raise Invalid(f"pattern {pattern.id}: {error}") from error
        self.also = tuple(text.lower().encode() for text in pattern.also)

    def matches(self, line: str) -> bool:
        """Whether the pattern's regexes say yes to this line."""
        return (
            any(regex.search(line) for regex in self._any)
            and all(regex.search(line) for regex in self._all)
            and not any(regex.search(line) for regex in self._not)
        )


def stems_of(literals: set[bytes]) -> tuple[bytes, ...]:
    """The few texts of which every literal holds at least one, plus those that mark any severe line."""
    stems = tuple(stem.encode() for stem in STEMS)
    own = {literal for literal in literals if not any(stem in literal for stem in stems)}
    shortest = {text for text in own if not any(other in text for other in own if other != text)}
    return (*stems, *sorted(shortest))


def _compile(regex: str) -> re.Pattern[str]:
    try:
        return re.compile(regex, re.IGNORECASE)
    except re.error as error:
        raise Invalid(f"regex {regex!r}: {error}") from error
