"""Rule files: ``rules/*.yaml`` read strictly, rules and maintenance windows with the examples each carries."""

import re
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Annotated
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import msgspec

from midwatch.adapters.catalog.newest import Newest
from midwatch.adapters.catalog.yaml_source import Faults, Source, yaml_files
from midwatch.domain.conditions import CATALOGUE
from midwatch.domain.ids import SignalId
from midwatch.domain.matching import faults_of, matches_everything
from midwatch.domain.refs import ObjectRef, Severity
from midwatch.domain.rules import CAUSE, Grouping, Matcher, Rule, RuleSet, SeverityMap
from midwatch.domain.signals import Signal, SignalStatus, Tier
from midwatch.domain.silences import Window, hush, parse_when

_DURATION = re.compile(r"(\d+(?:\.\d+)?)(ms|s|m|h|d)")
_UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}


class ExampleSignal(msgspec.Struct, forbid_unknown_fields=True, frozen=True, kw_only=True):
    """A signal in short, for an example."""

    condition: str
    kind: str = "Pod"
    namespace: str = "shop"
    name: str = "web"
    source: str = "watch"
    cluster: str = "sandbox"
    severity: Severity = Severity.ERROR
    labels: dict[str, str] = {}


class Example(msgspec.Struct, forbid_unknown_fields=True, frozen=True, kw_only=True):
    """``expect: match`` or ``no_match`` by the rule the example stands in (alone, whatever other rules say)."""

    signal: ExampleSignal
    expect: str


class RuleFile(msgspec.Struct, forbid_unknown_fields=True, frozen=True, kw_only=True):
    """One rule as it stands in YAML."""

    id: str
    match: Matcher
    examples: tuple[Example, ...]
    description: str = ""
    priority: int = 0
    severity: Severity | SeverityMap | None = None
    tier: Tier = Tier.SUPERVISED
    playbook: str = ""
    hold: str = msgspec.field(default="0s", name="for")
    threshold: Annotated[int, msgspec.Meta(ge=1)] = 1
    window: str = "0s"
    cooldown: str = "0s"
    group_by: tuple[str, ...] = (CAUSE,)
    notify: tuple[str, ...] = ()
    drop: bool = False


class WindowExample(msgspec.Struct, forbid_unknown_fields=True, frozen=True, kw_only=True):
    """``expect: silenced`` or ``not_silenced`` for a signal at an instant."""

    signal: ExampleSignal
    at: Annotated[datetime, msgspec.Meta(tz=True)]
    expect: str


class WindowFile(msgspec.Struct, forbid_unknown_fields=True, frozen=True, kw_only=True):
    """One maintenance window as it stands in YAML."""

    id: str
    match: Matcher
    when: str
    examples: tuple[WindowExample, ...]
    timezone: str = "UTC"
    comment: str = ""


class RulesFile(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    rules: tuple[RuleFile, ...] = ()
    silences: tuple[WindowFile, ...] = ()


def load_rules(folder: Path, *, playbooks: frozenset[str] | None = None) -> RuleSet:
    """Every rule of a folder. Raises :class:`Faults` with all faults of all files.

    ``playbooks`` are the known ids; a rule that names another is a fault (``None``: not checked).
    """
    faults: list[str] = []
    rules: list[Rule] = []
    windows: list[Window] = []
    for path in yaml_files(folder):
        try:
            source = Source(path)
            parsed = source.convert(RulesFile)
        except Faults as error:
            faults += error.faults
            continue
        for number, item in enumerate(parsed.rules):
            where = source.at(f"$.rules[{number}]")
            rule, problems = _rule(item, where)
            known = {other.id: other.where for other in rules}
            if item.id in known:
                problems.append(f"rule {item.id!r} stands already at {known[item.id]}")
            if playbooks is not None and item.playbook and item.playbook not in playbooks:
                problems.append(f"rule {item.id!r} names unknown playbook {item.playbook!r}")
            faults += [f"{where}: {problem}" for problem in problems]
            rules.append(rule)
        for number, silence in enumerate(parsed.silences):
            where = source.at(f"$.silences[{number}]")
            window, problems = read_window(silence, where)
            if any(other.id == silence.id for other in windows):
                problems.append(f"silence {silence.id!r} stands twice")
            faults += [f"{where}: {problem}" for problem in problems]
            windows += [window] if window else []
    if faults:
        raise Faults(tuple(faults))
    return RuleSet(rules, windows)


def _rule(item: RuleFile, where: str) -> tuple[Rule, list[str]]:
    problems = [f"rule {item.id!r}: {problem}" for problem in (*_grouping(item), *faults_of(item.match))]
    spans: dict[str, timedelta] = {}
    for name, text in (("for", item.hold), ("window", item.window), ("cooldown", item.cooldown)):
        try:
            spans[name] = duration(text)
        except ValueError as error:
            problems.append(f"rule {item.id!r}: {name}: {error}")
    none = timedelta(0)
    if item.threshold > 1 and not spans.get("window", none):
        problems.append(f"rule {item.id!r}: a threshold of {item.threshold} needs a window to count in")
    rule = Rule(
        id=item.id,
        match=item.match,
        priority=item.priority,
        severity=item.severity,
        tier=item.tier,
        playbook=item.playbook,
        hold=spans.get("for", none),
        threshold=item.threshold,
        window=spans.get("window", none),
        cooldown=spans.get("cooldown", none),
        group_by=item.group_by,
        notify=item.notify,
        drop=item.drop,
        where=where,
    )
    if not item.examples:
        problems.append(f"rule {item.id!r} has no examples: give one that matches and one that does not")
    if problems:
        return rule, problems
    alone = RuleSet([rule])
    for number, example in enumerate(item.examples, 1):
        if example.expect not in ("match", "no_match"):
            problems.append(f"rule {item.id!r}, example {number}: expect is {example.expect!r}, not match or no_match")
            continue
        matched = alone.match(example_signal(example.signal)).rule is not None
        if matched != (example.expect == "match"):
            found = "matches" if matched else "does not match"
            problems.append(f"rule {item.id!r}, example {number}: it {found}, expected {example.expect}")
    return rule, problems


def _grouping(item: RuleFile) -> list[str]:
    known = {each.value for each in Grouping}
    odd = [name for name in item.group_by if name not in known and not (name.startswith("label:") and name[6:])]
    named = ", ".join(sorted(known))
    problems = [f"group_by: {name!r} is none of {named}, label:NAME" for name in odd]
    return problems if item.group_by else [f"group_by: empty; name some of {named}, label:NAME"]


def read_window(item: WindowFile, where: str) -> tuple[Window | None, list[str]]:
    """A maintenance window, and what is wrong with it."""
    problems = faults_of(item.match)
    if matches_everything(item.match):
        problems.append("it would silence everything: name what it is about")
    window = None
    try:
        days, begins, ends = parse_when(item.when)
        ZoneInfo(item.timezone)
        window = Window(
            id=item.id,
            match=item.match,
            days=days,
            begins=begins,
            ends=ends,
            zone=item.timezone,
            comment=item.comment,
            where=where,
        )
    except (ValueError, OSError, ZoneInfoNotFoundError) as error:
        problems.append(str(error).strip("'"))
    if not item.examples:
        problems.append("it has no examples: give an instant that is silenced and one that is not")
    for number, example in enumerate(item.examples if window and not problems else (), 1):
        if example.expect not in ("silenced", "not_silenced"):
            problems.append(f"example {number}: expect is {example.expect!r}, not silenced or not_silenced")
            continue
        silenced = window is not None and hush(example_signal(example.signal), [window], example.at) is not None
        if silenced != (example.expect == "silenced"):
            problems.append(f"example {number}: it is {'silenced' if silenced else 'not silenced'}")
    return window, [f"silence {item.id!r}: {problem}" for problem in problems]


def example_signal(example: ExampleSignal) -> Signal:
    """The signal an example stands for, at a fixed instant."""
    began = datetime(2026, 1, 1, tzinfo=UTC)
    namespace = "" if example.kind in ("Node", "PersistentVolume") else example.namespace
    subject = ObjectRef(example.kind, example.name, namespace)
    entry = CATALOGUE.get(example.condition)
    return Signal(
        id=SignalId("example"),
        source=example.source,
        cluster=example.cluster,
        status=SignalStatus.FIRING,
        condition=example.condition,
        severity=example.severity,
        subject=subject,
        owner=subject,
        title=example.condition,
        labels=({"family": entry.family} if entry else {}) | example.labels,
        starts_at=began,
        received_at=began,
    )


def duration(text: str) -> timedelta:
    """``90s``, ``1h30m``, ``500ms``. Raises ``ValueError`` that shows the form."""
    parts = _DURATION.findall(text)
    if not parts or "".join(number + unit for number, unit in parts) != text:
        raise ValueError(f"{text!r} is no duration: write 30s, 5m or 1h30m")
    return timedelta(seconds=sum(float(number) * _UNITS[unit] for number, unit in parts))


class FolderRules(Newest[RuleSet]):
    """The rules of a folder in force. See :class:`Newest`."""

    def __init__(self, folder: Path, *, playbooks: frozenset[str] | None = None) -> None:
        super().__init__(folder, partial(load_rules, playbooks=playbooks))
