"""Rules: which signals become incidents, how severe, after how long, and who may act. Pure matching, with reasons."""

from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta

import msgspec

from midwatch.domain.refs import Severity
from midwatch.domain.signals import Signal, Tier


class Matcher(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, forbid_unknown_fields=True):
    """What a signal must be like; an empty field matches everything, a list matches any of its members.

    ``conditions`` and ``namespaces`` take a trailing ``*``. ``labels`` must all be equal.
    """

    conditions: tuple[str, ...] = ()
    families: tuple[str, ...] = ()
    sources: tuple[str, ...] = ()
    namespaces: tuple[str, ...] = ()
    kinds: tuple[str, ...] = ()
    clusters: tuple[str, ...] = ()
    labels: dict[str, str] = {}
    at_least: Severity = Severity.INFO


class Rule(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One rule as loaded; rules are tried in falling ``priority``, then as they stand. The first match counts.

    ``hold`` is how long a signal must fire before an incident opens; ``severity`` replaces the signal's own.
    ``cooldown`` is how long after an incident recovered by itself the same trouble reopens it.
    """

    id: str
    match: Matcher
    priority: int = 0
    severity: Severity | None = None
    tier: Tier = Tier.SUPERVISED
    playbook: str = ""
    hold: timedelta = timedelta(0)
    cooldown: timedelta = timedelta(0)
    notify: tuple[str, ...] = ()
    drop: bool = False
    where: str = ""


class Match(msgspec.Struct, frozen=True):
    """The verdict on one signal: the rule that matched, if any, and why each one before it did not."""

    rule: Rule | None
    passed_over: tuple[tuple[str, str], ...] = ()


class RuleSet:
    """Rules indexed by condition, so that the cost of a match does not grow with the number of rules."""

    def __init__(self, rules: Iterable[Rule]) -> None:
        ordered = sorted(rules, key=lambda rule: -rule.priority)  # stable: equal priorities keep their order
        self.rules: tuple[Rule, ...] = tuple(ordered)
        self._exact: dict[str, list[tuple[int, Rule]]] = {}
        self._open: list[tuple[int, Rule]] = []
        for place, rule in enumerate(ordered):
            exact = rule.match.conditions and not any(name.endswith("*") for name in rule.match.conditions)
            if not exact:
                self._open.append((place, rule))
            for name in rule.match.conditions if exact else ():
                self._exact.setdefault(name, []).append((place, rule))

    def match(self, signal: Signal) -> Match:
        """The first rule that wants this signal."""
        candidates = sorted([*self._exact.get(signal.condition, ()), *self._open], key=lambda pair: pair[0])
        passed: list[tuple[str, str]] = []
        for _, rule in candidates:
            objection = mismatch(rule.match, signal)
            if not objection:
                return Match(rule, tuple(passed))
            passed.append((rule.id, objection))
        return Match(None, tuple(passed))

    def explain(self, signal: Signal) -> tuple[tuple[Rule, str], ...]:
        """Every rule with why it does not match (empty where it does), for people."""
        return tuple((rule, mismatch(rule.match, signal)) for rule in self.rules)


def mismatch(match: Matcher, signal: Signal) -> str:
    """Why this signal is not meant; empty when it is."""
    tests = (
        ("condition", match.conditions, signal.condition),
        ("family", match.families, signal.labels.get("family", "")),
        ("source", match.sources, signal.source),
        ("namespace", match.namespaces, signal.subject.namespace),
        ("kind", match.kinds, signal.subject.kind),
        ("cluster", match.clusters, signal.cluster),
    )
    for name, wanted, value in tests:
        if wanted and not _among(value, wanted):
            return f"{name} is {value or 'empty'}, wanted {' or '.join(wanted)}"
    for label, wanted_value in match.labels.items():
        if signal.labels.get(label) != wanted_value:
            return f"label {label} is {signal.labels.get(label, 'absent')}, wanted {wanted_value}"
    if signal.severity.rank < match.at_least.rank:
        return f"severity is {signal.severity}, wanted at least {match.at_least}"
    return ""


def _among(value: str, wanted: Sequence[str]) -> bool:
    return any(value.startswith(name[:-1]) if name.endswith("*") else value == name for name in wanted)


def severity_under(rule: Rule, signal: Signal) -> Severity:
    """How bad a signal is by this rule."""
    return rule.severity or signal.severity


def ripe_at(rule: Rule, signal: Signal) -> datetime:
    """When a signal that keeps firing becomes an incident under this rule."""
    return min(signal.starts_at, signal.received_at) + rule.hold
