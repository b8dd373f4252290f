"""From words to what is wanted: the readers, asked in order of priority."""

import re
from collections.abc import Callable
from typing import Final

from midwatch.domain.intents import changes, looks
from midwatch.domain.intents.words import LONGEST, Intent, Kind, clean

_POLITE = re.compile(
    r"^(?:(?:hey|hi|hello|ok|okay|please|pls|kindly|midwatch|bot|can you|could you|would you|i want to|i want you to|"
    r"let's|lets|just|kubectl)[,:!]?\s+)+"
)


def intent_of(text: str) -> Intent:
    """What a message wants; :attr:`Kind.CHAT` when no keyword tells. Never raises."""
    plain = clean(text)
    lowered = plain.lower()
    if len(lowered) != len(plain) or len(plain) > LONGEST:  # lower-casing that changes positions is no command of ours
        return Intent(kind=Kind.CHAT, rest=text)
    polite = _POLITE.match(lowered)
    start = polite.end() if polite else 0
    words, said = lowered[start:].rstrip(" .!?"), plain[start:]
    for read in _READERS:
        if (intent := read(words, said)) is not None:
            return intent
    if not words:
        return Intent(kind=Kind.HELP)
    return Intent(kind=Kind.CHAT, rest=text)


_ON_CALL = re.compile(r"\bon[ -]?call\b")
_MODEL = re.compile(
    r"^(?:use|switch to|set)\s+(?:the\s+)?model\s+(?:to\s+)?"
    r"(?P<model>[\w./:-]{1,100})(?P<always>\s+(?:always|for me))?$"
)
_WHICH_MODEL = re.compile(r"^(?:(?:which|what)\s+model\b.*|models?)$")
_CLEAR = re.compile(
    r"^(?:clear|forget|reset|new conversation|start over)"
    r"(?:\s+(?:this|the|our|my|everything|it|chat|conversation|history|all)){0,3}$"
)
_HELP = re.compile(
    r"^(?:help|\?+|commands|what can (?:you|i) (?:do|ask|say).*|how do i use .*|hi|hello|hey|start|/start|/help)?$"
)
_WHO = re.compile(r"^(?:who am i|whoami|what may i do)$")


def _rest(words: str, said: str) -> Intent | None:
    """What is left: who is on call, which model, forget, help."""
    if _ON_CALL.search(words) and len(words) < 120:
        return Intent(kind=Kind.ON_CALL)
    if found := _MODEL.match(words):
        name = said[found.start("model") : found.end("model")]
        return Intent(kind=Kind.MODEL, word=name, rest="always" if found["always"] else "")
    if _WHICH_MODEL.match(words):
        return Intent(kind=Kind.MODEL)
    if _CLEAR.match(words):
        return Intent(kind=Kind.CLEAR)
    if _WHO.match(words):
        return Intent(kind=Kind.WHO_AM_I)
    return Intent(kind=Kind.HELP) if _HELP.match(words) else None


_READERS: Final[tuple[Callable[[str, str], Intent | None], ...]] = (
    changes.decision,
    changes.link,
    changes.change,
    changes.quiet,
    looks.scan,
    looks.incidents,
    looks.kubernetes,
    _rest,
)
