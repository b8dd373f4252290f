"""Regular expressions that people write into rules and silences, and which of them could hang whoever matches. Pure.

Python's engine tries one way after another through a value. How many there can be at most is read off the expression:
``.*`` has as many as the value has characters, two of them the square of that, and a repeat within a repeat more than
anybody can wait for.
"""

import re
import warnings
from collections.abc import Iterable, Sequence
from functools import lru_cache
from typing import Any

_LONGEST = 500
_VALUE = 256
"""Longest value that an expression with several repeats is held against; a longer one does not match."""
_MOST_WAYS = 8 * _VALUE**3
_ENDLESS = float("inf")


@lru_cache(maxsize=4096)
def pattern(text: str) -> re.Pattern[str]:
    """A label's regular expression. Raises ``re.error`` for what is none; loading refuses that with file and line."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)  # "[[" may mean something else one day; today it is a bracket
        return re.compile(text, re.DOTALL)


def matches(text: str, value: str) -> bool:
    """Whether an expression is the whole of a value. One that could take long is no match: see :func:`fault_of`."""
    most = _ways_of(text)
    if most > _MOST_WAYS or (most > _VALUE and len(value) > _VALUE):
        return False
    return pattern(text).fullmatch(value) is not None


def fault_of(text: str) -> str:
    """What is wrong with an expression; empty for one that may be used."""
    if len(text) > _LONGEST:
        return f"it has {len(text)} characters, {_LONGEST} are allowed"
    try:
        most = _ways_of(text)
    except (re.error, RecursionError, OverflowError) as error:
        return f"it is no regular expression: {error}"
    if most > _MOST_WAYS:
        return "it could take too long: no repeat within a repeat, no back reference, at most three of .* and the like"
    return ""


@lru_cache(maxsize=4096)
def _ways_of(text: str) -> float:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)
        parsed = re._parser.parse(text, re.DOTALL)  # type: ignore[attr-defined]  # noqa: SLF001  no public parser
    return _ways(parsed)


def _ways(items: Iterable[tuple[Any, Any]]) -> float:
    """In how many ways a sequence could be matched at most."""
    most = 1.0
    for kind, told in items:
        most *= _ways_of_one(str(kind), told)
    return most


def _ways_of_one(kind: str, told: Any) -> float:
    match kind:
        case "MAX_REPEAT" | "MIN_REPEAT" | "POSSESSIVE_REPEAT":
            return _repeated(*told)
        case "BRANCH":
            return sum(_ways(branch) for branch in told[1])
        case "SUBPATTERN":
            return _ways(told[-1])
        case "ATOMIC_GROUP":
            return _ways(told)
        case "ASSERT" | "ASSERT_NOT":
            return _ways(told[1])
        case "GROUPREF" | "GROUPREF_EXISTS" | "GROUPREF_IGNORE":
            return _ENDLESS
        case _:
            return 1.0


def _repeated(least: int, most: int, inner: Sequence[tuple[Any, Any]]) -> float:
    within = _ways(inner)
    if int(most) > _VALUE:
        return float(_VALUE) if within == 1 else _ENDLESS
    try:
        return float((int(most) - int(least) + 1) * within ** int(most))
    except OverflowError:
        return _ENDLESS
