"""Cron schedules: whether one is valid, and when it last fell due."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

_NAMES = {
    "@yearly": "0 0 1 1 *",
    "@annually": "0 0 1 1 *",
    "@monthly": "0 0 1 * *",
    "@weekly": "0 0 * * 0",
    "@daily": "0 0 * * *",
    "@midnight": "0 0 * * *",
    "@hourly": "0 * * * *",
}
_MONTHS = {
    name: number
    for number, name in enumerate(
        ["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"], 1
    )
}
_DAYS = {name: number for number, name in enumerate(["sun", "mon", "tue", "wed", "thu", "fri", "sat"])}
_FIELDS: tuple[tuple[str, int, int, dict[str, int]], ...] = (
    ("minute", 0, 59, {}),
    ("hour", 0, 23, {}),
    ("day", 1, 31, {}),
    ("month", 1, 12, _MONTHS),
    ("weekday", 0, 7, _DAYS),
)
_LONGEST = timedelta(days=366 * 5)


class BadSchedule(ValueError):
    """A schedule that no controller would accept; the message says which field."""


@dataclass(frozen=True)
class Schedule:
    """The values each field allows. Day and weekday are alternatives when both are restricted, as in cron."""

    minutes: frozenset[int]
    hours: frozenset[int]
    days: frozenset[int]
    months: frozenset[int]
    weekdays: frozenset[int]
    any_day: bool
    any_weekday: bool
    zone: ZoneInfo

    def allows(self, day: datetime) -> bool:
        """Whether runs may fall on this day."""
        in_month, in_week = day.day in self.days, day.isoweekday() % 7 in self.weekdays
        fits = in_month and in_week if self.any_day or self.any_weekday else in_month or in_week
        return day.month in self.months and fits


def parse_schedule(text: str, zone: str = "") -> Schedule | None:
    """A schedule; ``None`` for a plain interval (``@every 5m``). Raises :class:`BadSchedule`."""
    text = text.strip()
    for prefix in ("TZ=", "CRON_TZ="):
        if text.startswith(prefix):
            zone, _, text = text.removeprefix(prefix).partition(" ")
    text = text.strip()
    if text.startswith("@every "):
        return None
    fields = _NAMES.get(text.lower(), text).split()
    if len(fields) != 5:
        raise BadSchedule(f"it has {len(fields)} fields instead of 5")
    minutes, hours, days, months, weekdays = (
        _values(field, *form) for field, form in zip(fields, _FIELDS, strict=True)
    )
    try:
        known = ZoneInfo(zone or "UTC")
    except (ZoneInfoNotFoundError, ValueError, OSError) as error:
        raise BadSchedule("its time zone is not known") from error
    folded = frozenset(day % 7 for day in weekdays)
    return Schedule(minutes, hours, days, months, folded, _free(fields[2]), _free(fields[4]), known)


def last_due(schedule: Schedule | None, now: datetime) -> datetime | None:
    """The latest instant not after ``now`` at which a run fell due; ``None`` where there was none in years."""
    if schedule is None or not (schedule.minutes and schedule.hours):
        return None
    local = now.astimezone(schedule.zone)
    day = local.replace(hour=0, minute=0, second=0, microsecond=0)
    for _ in range(_LONGEST.days):
        if schedule.allows(day):
            for hour in sorted(schedule.hours, reverse=True):
                for minute in sorted(schedule.minutes, reverse=True):
                    due = day.replace(hour=hour, minute=minute)
                    if due <= local:
                        return due.astimezone(now.tzinfo)
        if day.year <= 2:
            return None
        day -= timedelta(days=1)
    return None


def _free(field: str) -> bool:
    return field.split("/", maxsplit=1)[0] in ("*", "?")


def _values(field: str, what: str, low: int, high: int, names: dict[str, int]) -> frozenset[int]:
    found: set[int] = set()
    for part in field.split(","):
        span, _, step = part.partition("/")
        if step and (not step.isdecimal() or int(step) == 0):
            raise BadSchedule(f"the step of the {what} is not a number above 0")
        if span in ("*", "?"):
            first, last = low, high
        else:
            start, dash, end = span.partition("-")
            first = _number(start, what, names)
            last = _number(end, what, names) if dash else (high if step else first)
        if not low <= first <= last <= high:
            raise BadSchedule(f"the {what} lies outside {low} to {high}")
        found.update(range(first, last + 1, int(step or 1)))
    return frozenset(found)


def _number(text: str, what: str, names: dict[str, int]) -> int:
    if text.lower() in names:
        return names[text.lower()]
    if not (text.isascii() and text.isdecimal()) or len(text) > 4:
        raise BadSchedule(f"the {what} is not a number")
    return int(text)
