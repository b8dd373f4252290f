"""How fast a channel may be spoken to. Documented limits are kept before the channel has to say so."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

LOOK_S: Final = 0.3
"""How long one waits for a slot before one looks again whether something more urgent has come."""


@dataclass(frozen=True)
class Rate:
    """At most ``burst`` at once, then one every ``every_s`` seconds.

    In any minute no more than ``burst + 60 / every_s`` pass, also across a restart: a new process begins with nothing
    saved up. ``reserve`` of the burst is kept for what people wait for.
    """

    every_s: float
    burst: int = 1
    reserve: int = 0


class Pace:
    """Token buckets by kind of call (``post``, ``edit``); a kind without a rate is not limited.

    ``same`` says which kinds are counted as another one, and use up what is left of that.
    """

    def __init__(self, rates: Mapping[str, Rate], *, started: datetime, same: Mapping[str, str] | None = None) -> None:
        self._rates, self._same = dict(rates), dict(same or {})
        self._levels = dict.fromkeys(rates, (0.0, started))
        self._held_until = started

    def wait(self, kind: str, now: datetime, *, urgent: bool = False) -> float:
        """Seconds until such a call may be made; 0: now, and it is counted as made."""
        held = (self._held_until - now).total_seconds()
        if held > 0:
            return held
        kind = self._same.get(kind, kind)
        rate = self._rates.get(kind)
        if rate is None:
            return 0.0
        level, then = self._levels[kind]
        level = min(float(rate.burst), level + max(0.0, (now - then).total_seconds()) / rate.every_s)
        wanted = 1.0 if urgent else 1.0 + rate.reserve
        if level >= wanted - 1e-9:
            self._levels[kind] = (level - 1.0, now)
            return 0.0
        self._levels[kind] = (level, now)
        return (wanted - level) * rate.every_s

    def hold(self, seconds: float, now: datetime) -> None:
        """Nothing at all for so long: the channel said so."""
        self._held_until = max(self._held_until, now + timedelta(seconds=seconds))


def unlimited(now: datetime) -> Pace:
    """For a channel that is ourselves."""
    return Pace({}, started=now)
