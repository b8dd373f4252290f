"""Sandbox time: real time, faster or ahead when asked; or time that moves only by hand."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol


class Clock(Protocol):
    """Seconds since the epoch, in sandbox time."""

    def now(self) -> float: ...


class SteppedClock(Clock, Protocol):
    """A clock that can also be moved by hand."""

    def advance(self, seconds: float) -> None: ...


class ManualClock:
    """Moves only when told to: for tests."""

    def __init__(self, start: float = 1_790_000_000.0) -> None:
        self._now = start

    def now(self) -> float:
        return self._now

    def advance(self, seconds: float) -> None:
        self._now += seconds


class PacedClock:
    """Follows ``source`` (seconds since the epoch), ``speed`` times as fast, plus what was skipped."""

    def __init__(self, source: Callable[[], float], speed: float = 1.0) -> None:
        self._source = source
        self._speed = speed
        self._real_base = source()
        self._base = self._real_base

    @property
    def speed(self) -> float:
        return self._speed

    def now(self) -> float:
        return self._base + (self._source() - self._real_base) * self._speed

    def set_speed(self, speed: float) -> None:
        """Go on from now at another speed."""
        self._base, self._real_base = self.now(), self._source()
        self._speed = speed

    def advance(self, seconds: float) -> None:
        """Jump ahead."""
        self._base += seconds
