"""Logs of containers: of the current run and of the one before."""

from __future__ import annotations

from dataclasses import dataclass

from midwatch.sandbox.clock import Clock
from midwatch.sandbox.store import Record

Line = tuple[float, str]
_KEPT_BEATS = 500


@dataclass(slots=True)
class _Run:
    lines: list[Line]
    beat: str = ""
    ended: float = 0.0

    def read(self, now: float) -> list[Line]:
        until = self.ended or now
        lines = [line for line in self.lines if line[0] <= until]
        if not self.beat or not lines:
            return lines
        first = lines[-1][0]
        beats = int((until - first) // 10)
        start = max(1, beats - _KEPT_BEATS + 1)
        return lines + [(first + 10 * n, self.beat) for n in range(start, beats + 1)]


class Logbook:
    """Lines per container run; what a test set by hand wins."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._current: dict[tuple[str, str], _Run] = {}
        self._previous: dict[tuple[str, str], _Run] = {}
        self._fixed: dict[tuple[str, str, bool], list[Line]] = {}

    def begin(self, uid: str, container: str, lines: list[Line], beat: str = "") -> None:
        """A run starts; the one before becomes the previous one."""
        key = (uid, container)
        if key in self._current:
            self._previous[key] = self._current[key]
        self._current[key] = _Run(lines, beat)

    def append(self, uid: str, container: str, lines: list[Line]) -> None:
        """More lines of the current run."""
        run = self._current.setdefault((uid, container), _Run([]))
        run.lines += lines
        run.beat = ""

    def end(self, uid: str, container: str) -> None:
        """The current run is over."""
        if run := self._current.get((uid, container)):
            run.ended = self._clock.now()

    def forget(self, uid: str) -> None:
        """The pod is gone."""
        for book in (self._current, self._previous):
            for key in [key for key in book if key[0] == uid]:
                del book[key]

    def set(self, pod: Record, container: str, text: str, *, previous: bool) -> None:
        """Fix the logs of a container, for tests."""
        now = self._clock.now()
        self._fixed[pod.uid, container, previous] = [(now, line) for line in text.splitlines()]

    def read(self, pod: Record, container: str, *, previous: bool) -> list[Line] | None:
        """The lines with their times, or None where there is no such run."""
        if (fixed := self._fixed.get((pod.uid, container, previous))) is not None:
            return fixed
        run = (self._previous if previous else self._current).get((pod.uid, container))
        if run is not None:
            return run.read(self._clock.now())
        if previous or pod.pod is None or pod.pod.phase == "Pending":
            return None
        return []
