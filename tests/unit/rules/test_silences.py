"""Maintenance windows hold by the wall clock of their place, over midnight and over the change of the clocks."""

from datetime import UTC, datetime, time, timedelta

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from midwatch.adapters.catalog.rules import load_rules
from midwatch.adapters.catalog.yaml_source import Faults
from midwatch.domain.matching import Matcher
from midwatch.domain.silences import Silence, Window, hush, parse_when
from tests.fakes.runtime import NOON
from tests.fakes.samples import a_signal

SHOP = Matcher(namespaces=("shop",))


def window(when: str, zone: str = "UTC") -> Window:
    days, begins, ends = parse_when(when)
    return Window(id="w", match=SHOP, days=days, begins=begins, ends=ends, zone=zone)


def at(text: str) -> datetime:
    return datetime.fromisoformat(text).astimezone(UTC)


@pytest.mark.parametrize(
    ("when", "zone", "instant", "until"),
    [
        ("Sun 02:00-05:00", "UTC", "2026-11-22T02:00:00+00:00", "2026-11-22T05:00:00+00:00"),
        ("Sun 02:00-05:00", "UTC", "2026-11-22T05:00:00+00:00", None),
        ("Sun 02:00-05:00", "UTC", "2026-11-23T03:00:00+00:00", None),
        ("Fri 22:00-06:00", "UTC", "2026-11-21T05:59:00+00:00", "2026-11-21T06:00:00+00:00"),
        ("Sat 22:00-06:00", "UTC", "2026-11-21T05:59:00+00:00", None),
        ("Sat,Sun 00:00-24:00", "UTC", "2026-11-22T23:59:59+00:00", "2026-11-23T00:00:00+00:00"),
        ("Fri-Mon 01:00-02:00", "UTC", "2026-11-23T01:30:00+00:00", "2026-11-23T02:00:00+00:00"),
        ("* 01:00-02:00", "Europe/Berlin", "2026-11-23T00:30:00+00:00", "2026-11-23T01:00:00+00:00"),
        ("* 01:00-02:00", "Europe/Berlin", "2026-07-23T23:30:00+00:00", "2026-07-24T00:00:00+00:00"),
        # the night in which an hour happens twice: it lasts until the wall clock says three
        ("Sun 01:00-03:00", "Europe/Berlin", "2026-10-25T01:30:00+00:00", "2026-10-25T02:00:00+00:00"),
        ("Mon 00:00-12:00", "Pacific/Auckland", "2026-11-22T20:00:00+00:00", "2026-11-22T23:00:00+00:00"),
    ],
)
def test_when_a_window_is_open(when: str, zone: str, instant: str, until: str | None) -> None:
    assert window(when, zone).until(at(instant)) == (at(until) if until else None)


@given(st.datetimes(datetime(2026, 1, 1), datetime(2027, 1, 1), timezones=st.just(UTC)), st.integers(0, 6))
def test_an_open_window_ends_in_the_future_and_within_a_day(now: datetime, day: int) -> None:
    each = Window(id="w", match=SHOP, days=(day,), begins=time(21), ends=time(4), zone="America/New_York")
    until = each.until(now)
    assert until is None or timedelta(0) < until - now <= timedelta(hours=8)


@pytest.mark.parametrize("text", ["", "Sun", "Sun 2-5", "Xyz 01:00-02:00", "Sun 25:00-26:00", "Mon- 01:00-02:00"])
def test_what_is_no_window(text: str) -> None:
    with pytest.raises(ValueError, match="is no"):
        parse_when(text)


def test_the_longest_silence_that_matches_counts() -> None:
    silence = Silence(id="s", match=SHOP, starts_at=NOON, ends_at=NOON + timedelta(minutes=5), by="ann")
    longer = msgspec.structs.replace(silence, id="l", ends_at=NOON + timedelta(hours=1))
    foreign = msgspec.structs.replace(longer, id="f", match=Matcher(namespaces=("pay",)))
    found = hush(a_signal(), [silence, longer, foreign], NOON)
    assert found is not None
    assert (found.id, found.until) == ("l", longer.ends_at)
    assert hush(a_signal(), [silence], NOON - timedelta(seconds=1)) is None
    assert hush(a_signal(), [silence], silence.ends_at) is None


GOOD = """\
silences:
  - id: nightly
    match: {namespaces: [batch]}
    when: "Mon-Fri 01:00-03:30"
    timezone: Europe/Berlin
    examples:
      - {signal: {condition: JobFailed, namespace: batch}, at: 2026-11-23T02:00:00+01:00, expect: silenced}
      - {signal: {condition: JobFailed}, at: 2026-11-23T02:00:00+01:00, expect: not_silenced}
"""


def test_a_window_is_read_with_its_examples(tmp_path) -> None:
    (tmp_path / "a.yaml").write_text(GOOD)
    (each,) = load_rules(tmp_path).windows
    assert (each.id, each.days, each.zone) == ("nightly", (0, 1, 2, 3, 4), "Europe/Berlin")


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("Europe/Berlin", "Europe/Nowhere", "Europe/Nowhere"),
        ("Mon-Fri 01:00-03:30", "weekdays", "is no window"),
        ("{namespaces: [batch]}", "{}", "would silence everything"),
        ("{namespaces: [batch]}", '{labels: {a: "~("}}', "no regular expression"),
        ("expect: silenced", "expect: not_silenced", "example 1: it is silenced"),
        ("timezone:", "zone:", "unknown field"),
        ("2026-11-23T02:00:00+01:00, expect: silenced", "2026-11-23T02:00:00, expect: silenced", "timezone"),
    ],
)
def test_a_mistake_in_a_window_is_named(tmp_path, old: str, new: str, words: str) -> None:
    (tmp_path / "a.yaml").write_text(GOOD.replace(old, new))
    with pytest.raises(Faults, match=words):
        load_rules(tmp_path)


RULE = """\
rules:
  - id: crash
    match: {conditions: [CrashLoopBackOff]}
    examples: [{signal: {condition: CrashLoopBackOff}, expect: match}]
"""


@pytest.mark.parametrize(
    ("more", "words"),
    [
        ("    threshold: 3\n", "needs a window"),
        ("    threshold: 0\n", "Expected `int` >= 1"),
        ("    group_by: [team]\n", "'team' is none of"),
        ("    group_by: []\n", "group_by: empty"),
        ("    cooldown: soon\n", "'soon' is no duration"),
        ("    severity: {label: priority, values: {P1: dire}}\n", "Invalid enum value 'dire'"),
    ],
)
def test_a_mistake_in_a_rule_is_named(tmp_path, more: str, words: str) -> None:
    (tmp_path / "a.yaml").write_text(RULE + more)
    with pytest.raises(Faults, match=words):
        load_rules(tmp_path)


def test_every_field_of_a_rule_is_read(tmp_path) -> None:
    (tmp_path / "a.yaml").write_text(
        RULE
        + "    threshold: 3\n    window: 10m\n    cooldown: 5m\n    group_by: [namespace, 'label:team']\n"
        + "    notify: [pagers]\n    severity: {label: priority, values: {P1: critical}}\n"
    )
    (rule,) = load_rules(tmp_path).rules
    assert (rule.threshold, rule.window, rule.cooldown) == (3, timedelta(minutes=10), timedelta(minutes=5))
    assert (rule.group_by, rule.notify) == (("namespace", "label:team"), ("pagers",))
