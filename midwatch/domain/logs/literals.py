"""What must stand in a line, letter by letter, for a regex to match it: the cheap search before the regex."""

import re

from midwatch.domain.errors import Invalid

MINIMUM = 3
_QUANTIFIER = re.compile(r"[*+?]\??|\{(\d*)(,\d*)?\}\??")


def required_literals(regex: str) -> tuple[str, ...]:
    """The longest literal run of each top-level alternative of ``regex``, in lower case.

    A line without any of them cannot match. Groups and classes count as gaps. Raises :class:`Invalid` where an
    alternative has no run of :data:`MINIMUM` characters, since that would have to be tried on every line.
    """
    found = []
    for branch in _branches(regex):
        best = max(_runs(branch), key=len, default="")
        if len(best) < MINIMUM:
            raise Invalid(f"regex {branch!r} holds no {MINIMUM} literal characters in a row outside groups")
        found.append(best.lower())
    return tuple(found)


def _branches(regex: str) -> list[str]:
    """Split at the alternations that stand in no group or class."""
    parts, start, position = [], 0, 0
    while position < len(regex):
        if regex[position] == "|":
            parts.append(regex[start:position])
            start = position + 1
        position = _next(regex, position)
    return [*parts, regex[start:]]


def _runs(branch: str) -> list[str]:
    runs, run, position = [], "", 0
    while position < len(branch):
        end = _next(branch, position)
        literal = _literal(branch[position:end])
        quantifier = _QUANTIFIER.match(branch, end)
        if literal and not quantifier:
            run += literal
        else:
            # A repeated character may be absent; one that must come at least once still ends the run.
            runs.append(run + literal if quantifier and quantifier[0][0] == "+" else run)
            run = ""
        position = quantifier.end() if quantifier else end
    return [*runs, run]


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
