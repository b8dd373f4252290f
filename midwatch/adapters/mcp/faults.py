"""Errors across MCP: a tool's error is a sentence, with a word in front that says what to do about it."""

from midwatch.domain.errors import Conflict, MidwatchError, NotFound, Permanent, Refused, Transient

_WORDS: dict[str, type[MidwatchError]] = {
    "unavailable": Transient,
    "conflict": Conflict,
    "not-found": NotFound,
    "rejected": Permanent,
}

_MISCALLED = ("Unknown tool", "validation error")
"""What the SDK says before it runs anything: calling again in the same way will not help."""


def sentence(error: MidwatchError) -> str:
    """What the tool answers: ``conflict: …``, ``right-missing: …``; fit for a model and for :func:`error_of`."""
    if isinstance(error, Refused):
        return f"{error.reason}: {error.message}"
    word = next((word for word, kind in _WORDS.items() if isinstance(error, kind)), "rejected")
    return f"{word}: {error}"


def error_of(said: str, known_reasons: frozenset[str]) -> MidwatchError:
    """The error behind a tool's sentence. One without such a word is a crash of the tool: nothing is known."""
    word, _, rest = said.partition(": ")
    if word in _WORDS:
        return _WORDS[word](rest)
    if word in known_reasons:
        return Refused(word, rest)
    if any(mark in said for mark in _MISCALLED):
        return Permanent(f"the tool does not take this call: {said[:500]}")
    return Transient(f"the tool failed: {said[:500]}")
