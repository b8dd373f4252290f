"""A log as lines of which equal ones are looked at once, and a fast search over them."""

from bisect import bisect_right
from collections import Counter
from collections.abc import Iterable, Sequence
from functools import cached_property
from itertools import accumulate

_LOWER = bytes(range(256)).lower()
_VARYING = b"0123456789abcdefABCDEF"
_WORDS = bytes(code if chr(code).isalpha() and code < 128 else 32 for code in _LOWER)
MAX_LINE = 8_192
"""Bytes of a line that are looked at; a failure is named within that or not at all."""


class Haystack:
    """Rows of bytes in one buffer, searched for plain text. Row numbers are 0-based."""

    def __init__(self, buffer: bytes, rows: Sequence[bytes]) -> None:
        self._buffer = buffer
        self._starts = list(accumulate((len(row) + 1 for row in rows), initial=0))

    def rows(self, text: bytes, limit: int) -> list[int]:
        """At most ``limit`` rows that hold ``text``: the first ones, and the last of all."""
        found: list[int] = []
        position = self._buffer.find(text)
        while position >= 0:
            row = bisect_right(self._starts, position) - 1
            found.append(row)
            if len(found) >= limit - 1:
                last = bisect_right(self._starts, self._buffer.rfind(text)) - 1
                return found if last == row else [*found, last]
            position = self._buffer.find(text, self._starts[row + 1])
        return found

    def __contains__(self, text: bytes) -> bool:
        return text in self._buffer

    @cached_property
    def vocabulary(self) -> bytes:
        """Every word (run of ASCII letters, in lower case) once, each between spaces: what a text may be made of."""
        return b" %b " % b" ".join(set(self._buffer.translate(_WORDS).split()))


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
        firsts = dict(zip(reversed(self._kinds), range(self.count, 0, -1), strict=True))
        self.shown: list[int] = sorted(firsts.values())
        """The number of the first line of every kind, in order: the rows of :attr:`kinds`."""

    def text(self, number: int) -> str:
        """Line ``number`` without its line feed, cut at :data:`MAX_LINE`."""
        return self._rows[number - 1][:MAX_LINE].decode("utf-8", "replace").rstrip("\r")

    @cached_property
    def every(self) -> Haystack:
        """Every line, as it stands."""
        return Haystack(self._raw, self._rows)

    @cached_property
    def kinds(self) -> Haystack:
        """The first line of every kind, in lower case."""
        rows = [self._rows[number - 1][:MAX_LINE] for number in self.shown]
        return Haystack(b"\n".join(rows).translate(_LOWER), rows)

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

    def alike(self, numbers: Iterable[int]) -> list[int]:
        """The numbers of all lines of the same kinds as the given ones, in order."""
        wanted = {self._kinds[number - 1] for number in numbers}
        return [number for number, kind in enumerate(self._kinds, 1) if kind in wanted] if wanted else []
