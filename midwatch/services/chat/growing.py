"""An answer while a model writes it: shown now and then, as far as no half of a secret can stand in it."""

import asyncio
import logging
import re
from contextlib import suppress
from typing import Final

from midwatch.domain.errors import MidwatchError
from midwatch.domain.masking import mask
from midwatch.services.messaging import Stream
from midwatch.services.runtime import Clock

log = logging.getLogger(__name__)

_SHOW_EVERY_S: Final = 0.7
_FENCE: Final = "```"
_UNSURE: Final = re.compile(
    r"(?im)^[ \t>-]*[\"']?(?:data|stringData)[\"']?[ \t]*:|-----BEGIN|\{[^{}]*[\"'](?:data|stringData)[\"']"
)
"""Where what belongs to a Secret may begin, before the word that says so has come."""
_TELLING: Final = re.compile(
    r"(?i)(?:pass|secret|token|key|credential|authorization|bearer|basic|value|name)[\w.-]*[\"']?[ \t]*[:=]?\s*[\"']?\Z"
)
"""A word after which a secret may follow."""


class Growing:
    """Collects a model's pieces and shows them to ``stream``: the pieces come faster than a channel edits.

    ``most`` is how many characters are shown of what grows; the whole answer is shown by others.
    """

    def __init__(self, stream: Stream, clock: Clock, *, most: int) -> None:
        self._stream, self._clock, self._most = stream, clock, most
        self._so_far, self._shown, self._news = "", "", asyncio.Event()
        self._showing: asyncio.Task[None] | None = None

    def begin(self) -> None:
        """Another reply begins: what was said before the tools were called is not the answer."""
        self._so_far = ""

    def text(self, piece: str) -> None:
        """One more piece. Does not block."""
        self._so_far += piece
        self._news.set()

    async def __aenter__(self) -> "Growing":
        self._showing = asyncio.create_task(self._show())
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._showing is not None:
            self._showing.cancel()
            with suppress(asyncio.CancelledError):
                await self._showing

    async def _show(self) -> None:
        while True:
            await self._news.wait()
            self._news.clear()
            text = presentable(self._so_far, self._most)
            if text and text != self._shown:
                self._shown = text
                try:
                    await self._stream(f"{text} …")
                except MidwatchError as error:  # the whole answer follows; what grows may be missed
                    log.info("an answer cannot be shown while it grows", extra={"error": str(error)})
            await self._clock.sleep(_SHOW_EVERY_S)


def presentable(so_far: str, most: int) -> str:
    """What of an unfinished text may be shown, masked.

    Its last word is held back, because it may be half of a secret that is not recognised yet, and so is a word that
    announces one, an open block of code, and what may belong to a Secret. Pure.
    """
    text = so_far[: most + 1]
    if len(so_far) <= most:  # the last word may go on
        text = text[: max((at + 1 for at, character in enumerate(text) if character.isspace()), default=0)]
    else:
        text = text[:most].rpartition(" ")[0]
    if text.count(_FENCE) % 2:
        text = text[: text.rindex(_FENCE)]
    if unsure := _UNSURE.search(text):
        text = text[: unsure.start()]
    while telling := _TELLING.search(text):
        text = text[: telling.start()]
    return mask(text).rstrip()
