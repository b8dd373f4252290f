"""Observed text on its way to a model: cleaned, cut into numbered lines, and fenced as data."""

import re

_INVISIBLE = re.compile(
    "[\u0000-\u0008\u000b-\u001f\u007f-\u009f\u00ad\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff\U000e0000-\U000e007f]"
)
_CONTROLS = bytes((*range(9), *range(11, 32), 127))
"""What :data:`_INVISIBLE` has of ASCII."""
_WIDTH = 400
_SOURCE = 120


def clean(text: str) -> str:
    """``text`` without what people do not see: control characters, zero-width and direction marks, hidden tags."""
    text = text.replace("\r\n", "\n").replace("\r", "\n")
    if text.isascii():  # nearly all there is, at a tenth of the price
        return text.encode("ascii").translate(None, _CONTROLS).decode("ascii")
    return _INVISIBLE.sub("", text)


def lines_of(text: str) -> tuple[str, ...]:
    """Lines as they are counted for citations, from 1; one of more than 400 characters counts as several."""
    lines = text.split("\n")
    if max(map(len, lines)) <= _WIDTH:
        return tuple(lines)
    found: list[str] = []
    for line in lines:
        if len(line) <= _WIDTH:
            found.append(line)
        else:
            found += [line[at : at + _WIDTH] for at in range(0, len(line), _WIDTH)]
    return tuple(found)


def numbered(lines: tuple[str, ...], first: int = 1) -> str:
    """Lines with their numbers in front."""
    return "\n".join(f"{number}| {line}" for number, line in enumerate(lines, first))


class Fence:
    """Marks text as data with a word that nobody could know before. ``nonce`` is random, one for each refinement."""

    def __init__(self, nonce: str) -> None:
        self.nonce = nonce

    def __call__(self, source: str, text: str) -> str:
        """``text`` as data from ``source``. Whatever it contains, it cannot end the fence: the word is taken out."""
        name = re.sub(r"[^\w ./:@=,{}()\[\]*-]", "_", self._without(clean(source)))[:_SOURCE]
        body = self._without(clean(text))
        return f'<data-{self.nonce} source="{name}">\n{body}\n</data-{self.nonce}>'

    def _without(self, text: str) -> str:
        while self.nonce in text:  # what is left after one pass may form it anew
            text = text.replace(self.nonce, "")
        return text
