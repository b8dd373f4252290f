"""What a signal must be like to be meant by a rule or a silence. Pure, with reasons."""

import re
from collections.abc import Sequence
from functools import lru_cache

import msgspec

from midwatch.domain.refs import Severity
from midwatch.domain.signals import Signal


class Matcher(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, forbid_unknown_fields=True):
    """What a signal must be like; an empty field matches everything, a list matches any of its members.

    All lists take a trailing ``*``. ``labels`` must all be equal, or match where the value begins with ``~``: a regular
    expression for the whole value, of which an absent label is the empty one. Annotations are prose and match nothing.
    """

    conditions: tuple[str, ...] = ()
    families: tuple[str, ...] = ()
    sources: tuple[str, ...] = ()
    namespaces: tuple[str, ...] = ()
    kinds: tuple[str, ...] = ()
    clusters: tuple[str, ...] = ()
    labels: dict[str, str] = {}
    at_least: Severity = Severity.INFO


NAMES = ("condition", "namespace", "kind", "family", "cluster", "source")


def wanted_by(match: Matcher) -> tuple[tuple[str, ...], ...]:
    """What a matcher asks for, in the order of the names."""
    return (match.conditions, match.namespaces, match.kinds, match.families, match.clusters, match.sources)


def values_of(signal: Signal) -> tuple[str, ...]:
    """What a signal has, in the order of the names."""
    subject, family = signal.subject, signal.labels.get("family", "")
    return (signal.condition, subject.namespace, subject.kind, family, signal.cluster, signal.source)


def mismatch(match: Matcher, signal: Signal) -> str:
    """Why this signal is not meant; empty when it is."""
    for name, wanted, value in zip(NAMES, wanted_by(match), values_of(signal), strict=True):
        if wanted and not _among(value, wanted):
            return f"{name} is {value or 'empty'}, wanted {' or '.join(wanted)}"
    for label, wanted_value in match.labels.items():
        if not _equal(signal.labels.get(label, ""), wanted_value):
            return f"label {label} is {signal.labels.get(label, 'absent')}, wanted {wanted_value}"
    if signal.severity.rank < match.at_least.rank:
        return f"severity is {signal.severity}, wanted at least {match.at_least}"
    return ""


def _among(value: str, wanted: Sequence[str]) -> bool:
    return any(value.startswith(name[:-1]) if name.endswith("*") else value == name for name in wanted)


def _equal(value: str, wanted: str) -> bool:
    return pattern(wanted[1:]).fullmatch(value) is not None if wanted.startswith("~") else value == wanted


@lru_cache(maxsize=4096)
def pattern(text: str) -> re.Pattern[str]:
    """A label's regular expression. Raises ``re.error`` for what is none; loading refuses that with file and line."""
    return re.compile(text, re.DOTALL)


def faults_of(match: Matcher) -> list[str]:
    """What is wrong with a matcher beyond its form: regular expressions that are none."""
    faults = []
    for label, value in match.labels.items():
        try:
            if value.startswith("~"):
                pattern(value[1:])
        except re.error as error:
            faults.append(f"label {label}: {value[1:]!r} is no regular expression: {error}")
    return faults


def matches_everything(match: Matcher) -> bool:
    """Whether a matcher asks for nothing: a silence of everything is a mistake more often than a wish."""
    return match == Matcher()
