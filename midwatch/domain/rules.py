"""Rules: which signals become incidents, how severe, after how long, and who may act. Pure matching, with reasons."""

from collections import Counter
from collections.abc import Iterable, Iterator
from datetime import datetime, timedelta
from enum import StrEnum

import msgspec

from midwatch.domain.ids import IncidentKey
from midwatch.domain.matching import NAMES, Matcher, mismatch, values_of, wanted_by
from midwatch.domain.refs import Severity
from midwatch.domain.signals import Signal, Tier
from midwatch.domain.silences import Window

__all__ = [
    "CAUSE",
    "Grouping",
    "Match",
    "Matcher",
    "Rule",
    "RuleSet",
    "SeverityMap",
    "group_key",
    "mismatch",
    "ripe_at",
    "severity_under",
]

_MOST_KNOWN = 4096
CAUSE = "cause"
"""The grouping that is ours: by what is the cause (see :mod:`midwatch.domain.grouping`)."""


class Grouping(StrEnum):
    """What a rule may group by, besides ``label:NAME``."""

    CAUSE = CAUSE
    OWNER = "owner"
    NAMESPACE = "namespace"
    CLUSTER = "cluster"
    CONDITION = "condition"
    SUBJECT = "subject"


class SeverityMap(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Severity by a label's value; the signal's own where the value is not among those named."""

    label: str
    values: dict[str, Severity]


class Rule(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One rule as loaded; rules are tried in falling ``priority``, then as they stand. The first match counts.

    ``hold`` is how long a signal must fire before an incident opens; ``severity`` replaces the signal's own.
    ``threshold`` episodes of one group must begin within ``window`` before an incident opens. ``cooldown`` is how long
    after an incident recovered by itself the same trouble reopens it. ``group_by`` other than ``cause`` makes one
    incident of all that is equal in these. ``notify`` names channels.
    """

    id: str
    match: Matcher
    priority: int = 0
    severity: Severity | SeverityMap | None = None
    tier: Tier = Tier.SUPERVISED
    playbook: str = ""
    hold: timedelta = timedelta(0)
    threshold: int = 1
    window: timedelta = timedelta(0)
    cooldown: timedelta = timedelta(0)
    group_by: tuple[str, ...] = (CAUSE,)
    notify: tuple[str, ...] = ()
    drop: bool = False
    where: str = ""


class Match(msgspec.Struct, frozen=True):
    """The verdict on one signal: the rule that takes it, if any."""

    rule: Rule | None


class RuleSet:
    """Rules indexed by what each asks for, so that the cost of a match does not grow with their number.

    Each rule stands under one exact value that it asks for: that which the fewest rules share. A signal is held against
    the rules under its own values, and against the few that ask for nothing exact. ``windows`` are the maintenance
    windows that stand beside the rules.
    """

    def __init__(self, rules: Iterable[Rule], windows: Iterable[Window] = ()) -> None:
        self.windows = tuple(windows)
        self.rules: tuple[Rule, ...] = tuple(sorted(rules, key=lambda rule: -rule.priority))  # stable
        shared = Counter(entry for rule in self.rules for choice in _choices(rule.match) for entry in choice)
        self._index: dict[tuple[str, str], list[int]] = {}
        self._rest: list[int] = []
        self._labels: set[str] = set()
        self._prefixes: dict[str, set[int]] = {}
        self._told = tuple(sorted({label for rule in self.rules for label in rule.match.labels}))
        self._known: dict[tuple[object, ...], Match] = {}
        for place, rule in enumerate(self.rules):
            choices = list(_choices(rule.match))
            if not choices:
                self._rest.append(place)
                continue
            for name, value in min(choices, key=lambda choice: max(shared[entry] for entry in choice)):
                self._index.setdefault((name, value), []).append(place)
                if name.startswith("label:"):
                    self._labels.add(name)
                elif value.endswith("*"):
                    self._prefixes.setdefault(name, set()).add(len(value) - 1)

    def match(self, signal: Signal) -> Match:
        """The first rule that wants this signal. Signals that differ in nothing a rule asks for are matched once."""
        asked = (values_of(signal), signal.severity, *[signal.labels.get(label) for label in self._told])
        found = self._known.get(asked)
        if found is None:
            if len(self._known) >= _MOST_KNOWN:
                self._known.clear()
            found = self._known[asked] = self._match(signal)
        return found

    def _match(self, signal: Signal) -> Match:
        places = list(self._rest)
        for entry in self._entries(signal):
            places += self._index.get(entry, ())
        for place in sorted(set(places)):
            if not mismatch(self.rules[place].match, signal):
                return Match(self.rules[place])
        return Match(None)

    def _entries(self, signal: Signal) -> Iterator[tuple[str, str]]:
        for name, value in zip(NAMES, values_of(signal), strict=True):
            yield name, value
            for length in self._prefixes.get(name, ()):
                yield name, f"{value[:length]}*"
        for name in self._labels:
            yield name, signal.labels.get(name[6:], "")

    def explain(self, signal: Signal) -> tuple[tuple[Rule, str], ...]:
        """Every rule with why it does not match (empty where it does), for people."""
        return tuple((rule, mismatch(rule.match, signal)) for rule in self.rules)


def _choices(match: Matcher) -> Iterator[list[tuple[str, str]]]:
    """The ways in which a matcher could be indexed: each a list of values one of which a signal must have."""
    for label, value in match.labels.items():
        if not value.startswith("~"):
            yield [(f"label:{label}", value)]
    for name, wanted in zip(NAMES, wanted_by(match), strict=True):
        if wanted:
            yield [(name, value) for value in dict.fromkeys(wanted)]


def severity_under(rule: Rule, signal: Signal) -> Severity:
    """How bad a signal is by this rule."""
    match rule.severity:
        case SeverityMap(label=label, values=values):
            return values.get(signal.labels.get(label, ""), signal.severity)
        case None:
            return signal.severity
        case fixed:
            return fixed


def ripe_at(rule: Rule, signal: Signal) -> datetime:
    """When a signal that keeps firing becomes an incident under this rule."""
    return min(signal.starts_at, signal.received_at) + rule.hold


def group_key(rule: Rule, signal: Signal) -> IncidentKey | None:
    """The key of a rule that groups in its own way; ``None`` where the cause decides."""
    if rule.group_by == (CAUSE,):
        return None
    values = {
        Grouping.CAUSE: f"{signal.failure_class}:{signal.owner.path}",
        Grouping.OWNER: signal.owner.path,
        Grouping.NAMESPACE: signal.subject.namespace,
        Grouping.CLUSTER: signal.cluster,
        Grouping.CONDITION: signal.condition,
        Grouping.SUBJECT: signal.subject.path,
    }
    parts = [
        f"{name}={signal.labels.get(name[6:], '')}" if name.startswith("label:") else f"{name}={values[Grouping(name)]}"
        for name in rule.group_by
    ]
    return IncidentKey("|".join((signal.cluster, f"rule:{rule.id}", *parts)))
