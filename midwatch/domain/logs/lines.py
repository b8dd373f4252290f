"""A log as lines of which equal ones are looked at once, and a fast search for those worth a closer look."""

from bisect import bisect_right
from collections import Counter
from collections.abc import Iterable, Sequence
from functools import cached_property
from itertools import accumulate

_LOWER = bytes(range(256)).lower()
_VARYING = b"0123456789abcdefABCDEF"
MAX_LINE = 8_192
"""Bytes of a line that are looked at; a failure is named within that or not at all."""
MAX_CANDIDATES = 6_000
"""Different lines looked at closely. Beyond it the first two thirds and the last third are kept."""


class Haystack:
    """Rows of lower-case bytes in one buffer, searched for plain text. Row numbers are 0-based."""

    def __init__(self, buffer: bytes, rows: Sequence[bytes]) -> None:
        self._buffer = buffer
        self._starts = list(accumulate((len(row) + 1 for row in rows), initial=0))

    def rows(self, text: bytes, after: int = 0) -> list[int]:
        """The rows from row ``after`` on that hold ``text``, in order."""
        found = []
        position = self._buffer.find(text, self._starts[after])
        while position >= 0:
            row = bisect_right(self._starts, position) - 1
            found.append(row)
            position = self._buffer.find(text, self._starts[row + 1])
        return found


class Lines:
    """One log, split at line feeds; numbers are 1-based, as editors count.

    Lines that differ only in digits and in the letters a to f (times, ids, hashes) count as the same *kind*; a kind is
    shown by its first line. That makes most logs ten to a thousand times smaller for all that follows.
    """

    def __init__(self, text: str) -> None:
        self._raw = text.encode("utf-8", "replace")
        self._rows = self._raw.split(b"\n")
        if self._rows[-1] == b"":
            self._rows.pop()
        self.count = len(self._rows)
        self._kinds = self._raw.translate(_LOWER, _VARYING).split(b"\n")[: self.count]

    def text(self, number: int) -> str:
        """Line ``number`` without its line feed, cut at :data:`MAX_LINE`."""
        return self._rows[number - 1][:MAX_LINE].decode("utf-8", "replace").rstrip("\r")

    @cached_property
    def haystack(self) -> Haystack:
        """Every line, in lower case."""
        return Haystack(self._raw.translate(_LOWER), self._rows)

    @cached_property
    def _counts(self) -> Counter[bytes]:
        return Counter(self._kinds)

    @cached_property
    def _last(self) -> dict[bytes, int]:
        return dict(zip(self._kinds, range(1, self.count + 1), strict=True))

    def repeats(self, number: int) -> int:
        """How many lines are of the same kind as line ``number``."""
        return self._counts[self._kinds[number - 1]]

    def last_of_kind(self, number: int) -> int:
        """The number of the last line of the same kind."""
        return self._last[self._kinds[number - 1]]

    def kinds(self) -> list[int]:
        """The number of the first line of every kind, in order."""
        return sorted(dict(zip(reversed(self._kinds), range(self.count, 0, -1), strict=True)).values())

    def candidates(self, stems: Iterable[bytes]) -> tuple[list[int], Haystack]:
        """The first line of each kind that holds one of ``stems``: numbers in order, and a haystack of just those."""
        numbers = self.kinds()
        kinds = self._gather(numbers)
        chosen = [numbers[row] for row in sorted({row for stem in stems for row in kinds.rows(stem)})]
        if len(chosen) > MAX_CANDIDATES:
            tail = MAX_CANDIDATES // 3
            chosen = chosen[: MAX_CANDIDATES - tail] + chosen[-tail:]
        return chosen, self._gather(chosen)

    def _gather(self, numbers: Sequence[int]) -> Haystack:
        rows = [self._rows[number - 1][:MAX_LINE] for number in numbers]
        return Haystack(b"\n".join(rows).translate(_LOWER), rows)
