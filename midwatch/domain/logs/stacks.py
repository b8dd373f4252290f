"""Stack traces: which line of one names the deepest cause."""

import re
from collections.abc import Callable

REACH = 400
"""Lines that one trace may span."""
_PYTHON = re.compile(r"Traceback \(most recent call last\)")
_FRAME = re.compile(
    r"^\s*(?:at\s+[\w$.<>\[\] /@-]+[(:]|File \"|\.\.\. \d+ (?:more|common frames)|Caused by:|Suppressed:|\^+\s*$|~+\^)"
    r"|^\s{2,}\S|^\s*$"
)
_CAUSED = re.compile(r"Caused by:\s*([\w.$]+)")
_NAMED = re.compile(
    r"\b((?:[a-zA-Z_][\w]*\.)*[A-Z]\w*(?:Error|Exception|Exit|Interrupt|Fault|Failure|Denied|Timeout|Warning))\b"
)
_CHAINED = ("During handling of the above exception", "The above exception was the direct cause")


def exception_name(line: str) -> str:
    """The name of the exception class in a line, without its package, or nothing."""
    match = _CAUSED.search(line) or _NAMED.search(line)
    return re.split(r"[.$]", match[1])[-1] if match else ""


def deepest(text: Callable[[int], str], number: int, count: int) -> int:
    """The line that names the deepest cause of the trace around line ``number``, or ``number`` itself.

    In Java and its kin that is the last ``Caused by``; in Python the line after the last frame of the first trace of a
    chain, since later ones came while the first was handled.
    """
    limit = min(count, number + REACH)
    if _PYTHON.search(text(number)):
        return _python_end(text, number, limit)
    found, line = number, number + 1
    while line <= limit and _FRAME.search(text(line)):
        if _CAUSED.search(text(line)):
            found = line
        line += 1
    return found


def _python_end(text: Callable[[int], str], number: int, limit: int) -> int:
    for line in range(number + 1, limit + 1):
        content = text(line)
        if not re.match(r"^\s", content) and content.strip():
            return number if content.startswith(_CHAINED) else line
    return number
