"""Silences and maintenance windows: which signals open no incident for a while. Pure.

What is silenced is recorded, and looked at again when the silence ends: what fires still then opens its incident.
"""

import re
from collections.abc import Iterable
from datetime import date, datetime, time, timedelta
from zoneinfo import ZoneInfo

import msgspec

from midwatch.domain.matching import Matcher, mismatch
from midwatch.domain.signals import Signal

_DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
_WHEN = re.compile(r"(?P<days>\S+)\s+(?P<begins>\d{2}:\d{2})-(?P<ends>\d{2}:\d{2})")


class Silence(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One stretch of time in which matching signals open nothing. Times are aware; it ends at ``ends_at`` sharp."""

    id: str
    match: Matcher
    starts_at: datetime
    ends_at: datetime
    by: str
    comment: str = ""

    def until(self, now: datetime) -> datetime | None:
        """When the silence ends, if it holds now."""
        return self.ends_at if self.starts_at <= now < self.ends_at else None


class Window(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A maintenance window that comes back every week. ``days`` (0 is Monday) are those on which it begins.

    A window that ends at or before the time it begins runs into the next day. Times are those of the wall clock in
    ``zone``, whatever its offset is on that day.
    """

    id: str
    match: Matcher
    days: tuple[int, ...]
    begins: time
    ends: time
    zone: str = "UTC"
    comment: str = ""
    where: str = ""

    def until(self, now: datetime) -> datetime | None:
        """When the window ends, if it is open now."""
        today = now.astimezone(ZoneInfo(self.zone)).date()
        for day in (today, today - timedelta(days=1)):
            begins, ends = self._span(day)
            if day.weekday() in self.days and begins <= now < ends:
                return ends
        return None

    def _span(self, day: date) -> tuple[datetime, datetime]:
        zone = ZoneInfo(self.zone)
        last = day + timedelta(days=1) if self.ends <= self.begins else day
        return datetime.combine(day, self.begins, zone), datetime.combine(last, self.ends, zone)


class Hush(msgspec.Struct, frozen=True):
    """Why a signal is silenced: the id of what silences it, and until when."""

    id: str
    until: datetime


def hush(signal: Signal, silences: Iterable[Silence | Window], now: datetime) -> Hush | None:
    """What silences a signal the longest, if anything does."""
    found = [
        Hush(each.id, until)
        for each in silences
        if (until := each.until(now)) is not None and not mismatch(each.match, signal)
    ]
    return max(found, key=lambda each: each.until, default=None)


def parse_when(text: str) -> tuple[tuple[int, ...], time, time]:
    """``Mon-Fri 22:00-06:00``, ``Sat,Sun 00:00-24:00``, ``* 02:00-03:00``. Raises ``ValueError``, showing the form."""
    matched = _WHEN.fullmatch(text.strip())
    if matched is None:
        raise ValueError(f"{text!r} is no window: write Mon-Fri 22:00-06:00, Sat,Sun 00:00-24:00 or * 02:00-03:00")
    return parse_days(matched["days"]), _clock(matched["begins"]), _clock(matched["ends"])


def parse_days(text: str) -> tuple[int, ...]:
    """``*``, ``Mon-Fri``, ``Sat,Sun``, ``Fri-Mon`` as numbers of days. Raises ``ValueError``."""
    if text == "*":
        return tuple(range(7))
    days: set[int] = set()
    for part in text.lower().split(","):
        first, dash, last = part.partition("-")
        ends = [first, last] if dash else [first, first]
        if not all(end in _DAYS for end in ends):
            raise ValueError(f"{part!r} is no day: write Mon, Mon-Fri, Sat,Sun or *")
        start, stop = (_DAYS.index(end) for end in ends)
        days |= {day % 7 for day in range(start, (stop if stop >= start else stop + 7) + 1)}
    return tuple(sorted(days))


def _clock(text: str) -> time:
    if text == "24:00":
        return time(0, 0)
    try:
        return time.fromisoformat(text)
    except ValueError as error:
        raise ValueError(f"{text!r} is no time of day") from error
