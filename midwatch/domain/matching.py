"""What a signal must be like to be meant by a rule or a silence. Pure, with reasons."""

from collections.abc import Sequence

import msgspec

from midwatch.domain.patterns import fault_of, matches
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
    return matches(wanted[1:], value) if wanted.startswith("~") else value == wanted


def faults_of(match: Matcher) -> list[str]:
    """What is wrong with a matcher beyond its form: expressions that are none, or that could hang who matches."""
    told = [(label, value[1:]) for label, value in match.labels.items() if value.startswith("~")]
    faults = [(label, text, fault_of(text)) for label, text in told]
    return [f"label {label}: {text[:80]!r}: {fault}" for label, text, fault in faults if fault]


def matches_everything(match: Matcher) -> bool:
    """Whether a matcher asks for nothing: a silence of everything is a mistake more often than a wish."""
    return match == Matcher()
