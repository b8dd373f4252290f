"""A backtest of rules: what another set would have said of the signals that came in. Nothing is opened or told."""

from collections import Counter
from collections.abc import Iterable
from datetime import datetime

import msgspec

from midwatch.domain.grouping import group_of
from midwatch.domain.ids import IncidentKey
from midwatch.domain.refs import Severity
from midwatch.domain.rules import Rule, RuleSet, severity_under
from midwatch.domain.signals import Signal, SignalStatus, Tier
from midwatch.domain.silences import hush


class Ruling(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What a set says of one signal. An empty ``rule``: none takes it. ``silenced``: by a maintenance window."""

    rule: str = ""
    opens: bool = False
    severity: Severity = Severity.INFO
    tier: Tier = Tier.SUPERVISED
    playbook: str = ""
    silenced: str = ""


class Change(msgspec.Struct, frozen=True, kw_only=True):
    """Signals of one condition that both sets rule differently, ``count`` of them, ``last`` when the latest came."""

    condition: str
    before: Ruling
    after: Ruling
    count: int
    example: str
    last: datetime


class Backtest(msgspec.Struct, frozen=True, kw_only=True):
    """The outcome. ``groups_*`` count the groups that open incidents, each holding one incident at a time or more."""

    signals: int
    same: int
    groups_before: int
    groups_after: int
    changes: tuple[Change, ...]


def ruling(rule: Rule | None, rules: RuleSet, signal: Signal) -> Ruling:
    """What a set says of a signal at the moment when it came. ``rule``: the one of the set that takes it."""
    if rule is None:
        return Ruling(severity=signal.severity)
    silence = hush(signal, rules.windows, signal.received_at)
    return Ruling(
        rule=rule.id,
        opens=not rule.drop and silence is None,
        severity=severity_under(rule, signal),
        tier=rule.tier,
        playbook=rule.playbook,
        silenced=silence.id if silence else "",
    )


def backtest(before: RuleSet, after: RuleSet, signals: Iterable[Signal]) -> Backtest:
    """Hold both sets against the firing signals; the most frequent change first.

    Thresholds, holds and cooldowns are not played through: what is compared is which rule takes a signal, and how.
    """
    same = 0
    groups: tuple[set[IncidentKey], set[IncidentKey]] = (set(), set())
    differing: Counter[tuple[str, Ruling, Ruling]] = Counter()
    latest: dict[tuple[str, Ruling, Ruling], Signal] = {}
    for signal in signals:
        if signal.status is not SignalStatus.FIRING:
            continue
        told: list[Ruling] = []
        for rules, keys in zip((before, after), groups, strict=True):
            rule = rules.match(signal).rule
            told.append(ruling(rule, rules, signal))
            if told[-1].opens and rule is not None:
                keys.add(group_of(signal, rule))
        old, new = told
        if old == new:
            same += 1
            continue
        what = (signal.condition, old, new)
        differing[what] += 1
        if what not in latest or latest[what].received_at < signal.received_at:
            latest[what] = signal
    return Backtest(
        signals=same + differing.total(),
        same=same,
        groups_before=len(groups[0]),
        groups_after=len(groups[1]),
        changes=tuple(
            Change(
                condition=what[0],
                before=what[1],
                after=what[2],
                count=count,
                example=str(latest[what].subject),
                last=latest[what].received_at,
            )
            for what, count in differing.most_common()
        ),
    )
