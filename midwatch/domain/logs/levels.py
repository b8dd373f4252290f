"""What a line says of itself: how bad, and when."""

import re
from datetime import UTC, datetime

_LEVEL = re.compile(
    r"""(?xi)
    ["']?(?:level|lvl|severity|log\.level|loglevel|s)["']?\s*[=:]\s*["']?(?P<named>[a-z]+|\d\d)\b   # level=error
    | [\[<|(]\s*(?P<boxed>[a-z]+)(?=\s*[\]>|)/])                                                        # [error]
    """
)
_LEADING = re.compile(
    r"(?i)^[\W\d]{0,4}(?:[\dT:.,+/Z -]{6,40}|\w{3} +\d+ [\d:]+ )?[^a-z]{0,20}(?P<word>[a-z]{3,11})(?=[\s:|\]]|$)"
)
_SHOUTED = re.compile(
    r"\b(TRACE|DEBUG|INFO|NOTICE|WARN|WARNING|ERR|ERROR|CRIT|CRITICAL|ALERT|FATAL|PANIC|SEVERE|LOG(?=:))\b"
)
_KLOG = re.compile(r"(?:^|\s)([IWEF])(?:\d{4} \d\d:\d\d:\d\d| \d+ \d+\])")
_LEVELS = {
    "trace": 0, "debug": 0, "dbg": 0, "d": 0, "verbose": 0, "fine": 0, "finer": 0,
    "info": 1, "inf": 1, "notice": 1, "information": 1, "i": 1, "log": 1, "normal": 1,
    "warn": 2, "warning": 2, "w": 2, "wrn": 2,
    "error": 3, "err": 3, "eror": 3, "e": 3, "severe": 3,
    "critical": 4, "crit": 4, "alert": 4, "emerg": 4, "fatal": 4, "f": 4, "panic": 4, "dpanic": 4,
    "10": 0, "20": 0, "30": 1, "40": 2, "50": 3, "60": 4,
}  # fmt: skip
DEBUG, INFO, WARN, ERROR, FATAL = range(5)


def level_of(line: str) -> int | None:
    """The level a line claims (:data:`DEBUG` to :data:`FATAL`), or none. Only its beginning is read, and JSON keys."""
    head = line[:160]
    if match := _KLOG.search(head):
        return _LEVELS[match[1].lower()]
    for match in _LEVEL.finditer(line[:600]):
        named = (match["named"] or match["boxed"] or "").lower()
        if named in _LEVELS and not (match["boxed"] and match.start() > 120):
            return _LEVELS[named]
    if (match := _LEADING.match(head)) and (found := _LEVELS.get(match["word"].lower())) is not None:
        return found
    if match := _SHOUTED.search(head):
        return _LEVELS[match[1].lower()]
    return None


_INSTANT = re.compile(r"(\d{4})[-/](\d\d)[-/](\d\d)[T ](\d\d):(\d\d):(\d\d)(?:[.,](\d{1,9}))?\s?(Z|[+-]\d\d:?\d\d)?")


def instant_of(line: str) -> datetime | None:
    """The first full instant in the beginning of a line, in UTC; an instant without a zone is taken for UTC."""
    match = _INSTANT.search(line[:200])
    if match is None:
        return None
    year, month, day, hour, minute, second = (int(part) for part in match.groups()[:6])
    micro = int((match[7] or "0")[:6].ljust(6, "0"))
    zone = match[8] or "Z"
    try:
        instant = datetime(year, month, day, hour, minute, second, micro, UTC)
        offset = datetime.strptime("+0000" if zone == "Z" else zone, "%z").utcoffset()
        return instant - offset if offset else instant
    except (ValueError, OverflowError):
        return None  # digits that look like a time and are none
