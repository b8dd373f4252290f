"""Text from outside, made fit to be shown: without what hides, reorders or breaks, and no longer than there is room."""

import re
import unicodedata
from datetime import timedelta
from typing import Final

_HIDDEN: Final = re.compile(
    "[\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff\u00ad\u061c\u180e\ufff9-\ufffb\U000e0000-\U000e007f]"
)
"""Zero-width and bidirectional controls, tags: they show nothing, and can make a text read as another."""


def clean(text: str) -> str:
    """``text`` without hidden and control characters; newlines and tabs stay. Right-to-left script stays readable."""
    text = _HIDDEN.sub("", text.replace("\r\n", "\n").replace("\r", "\n"))
    return "".join(
        char for char in text if char in "\n\t" or unicodedata.category(char) not in ("Cc", "Cs", "Cn", "Co")
    )


def one_line(text: str) -> str:
    """``text`` on one line, its white space made single spaces."""
    return " ".join(clean(text).split())


def cut(text: str, room: int) -> str:
    """``text`` in at most ``room`` characters, with an ellipsis where something was left out."""
    return text if len(text) <= room else text[: max(0, room - 1)].rstrip() + "…" * (room > 0)


def span(length: timedelta) -> str:
    """A length of time as people say it: ``45 s``, ``12 min``, ``3 h 5 min``, ``2 d 4 h``."""
    seconds = max(0, int(length.total_seconds()))
    if seconds < 60:
        return f"{seconds} s"
    minutes = seconds // 60
    if minutes < 60:
        return f"{minutes} min"
    hours, minutes = divmod(minutes, 60)
    if hours < 48:
        return f"{hours} h {minutes} min" if minutes else f"{hours} h"
    days, hours = divmod(hours, 24)
    return f"{days} d {hours} h" if hours else f"{days} d"
