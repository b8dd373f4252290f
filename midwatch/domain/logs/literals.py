"""What must stand in a line, letter by letter, for a regex to match it: the cheap search before the regex."""

import re
from collections.abc import Callable, Iterator

from midwatch.domain.errors import Invalid

MINIMUM = 3
Literals = frozenset[str]
_QUANTIFIER = re.compile(r"[*+?]\??|\{(\d*)(,\d*)?\}\??")
_GROUP = re.compile(r"\((?:\?:|\?-?[a-z]+:|\?P<\w+>|(?!\?))")


def required_literals(regex: str, telling: Callable[[str], bool]) -> Literals:
    """Lower-case texts of which every matching line holds at least one.

    For each alternative that is a run of plain characters, or one for each branch of a group. ``telling`` says which
    texts are worth searching for; of several choices those are taken, then the longest. Raises :class:`Invalid` where
    an alternative has none of :data:`MINIMUM` characters, since it would have to be tried on every line.
    """
    found = _required(regex, telling)
    if found is None or min(map(len, found)) < MINIMUM:
        raise Invalid(f"regex {regex!r} holds no {MINIMUM} literal characters in a row in each alternative")
    return found


def _required(regex: str, telling: Callable[[str], bool]) -> Literals | None:
    chosen: Literals = frozenset()
    for branch in _branches(regex):
        choices = list(_choices(branch, telling))
        if not choices:
            return None
        chosen |= max(choices, key=lambda texts: (all(map(telling, texts)), min(map(len, texts)), -len(texts)))
    return chosen


def _choices(branch: str, telling: Callable[[str], bool]) -> Iterator[Literals]:
    """Every set of texts of which one must stand in what ``branch`` matches."""
    run, position = "", 0
    while position < len(branch):
        end = _next(branch, position)
        atom = branch[position:end]
        quantifier = _QUANTIFIER.match(branch, end)
        needed = not quantifier or quantifier[0][0] == "+"
        literal = _literal(atom)
        if literal and not quantifier:
            run += literal
        else:
            if literal and needed:
                run += literal
            if run:
                yield frozenset((run.lower(),))
            run = ""
            if needed and (head := _GROUP.match(atom)) and (inner := _required(atom[head.end() : -1], telling)):
                yield inner
        position = quantifier.end() if quantifier else end
    if run:
        yield frozenset((run.lower(),))


def _branches(regex: str) -> list[str]:
    """Split at the alternations that stand in no group or class."""
    parts, start, position = [], 0, 0
    while position < len(regex):
        if regex[position] == "|":
            parts.append(regex[start:position])
            start = position + 1
        position = _next(regex, position)
    return [*parts, regex[start:]]


def _next(regex: str, position: int) -> int:
    """Where the atom at ``position`` ends: an escape, a class, a group, or one character."""
    char = regex[position]
    if char == "\\":
        return position + 2
    if char == "[":
        return _class_end(regex, position)
    if char != "(":
        return position + 1
    depth = 0
    while position < len(regex):
        char = regex[position]
        if char in "\\[":
            position = _next(regex, position)
            continue
        depth += (char == "(") - (char == ")")
        position += 1
        if depth == 0:
            break
    return position


def _class_end(regex: str, position: int) -> int:
    position += 2 if regex[position + 1 : position + 2] == "^" else 1
    position += regex[position : position + 1] == "]"
    while position < len(regex) and regex[position] != "]":
        position += 2 if regex[position] == "\\" else 1
    return position + 1


def _literal(atom: str) -> str:
    """The character an atom stands for, or nothing where it may be several."""
    if len(atom) == 1:
        return "" if atom in ".^$" else atom
    if len(atom) == 2 and atom[0] == "\\" and not atom[1].isalnum():
        return atom[1]
    return ""
