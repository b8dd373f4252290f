"""Finding runbooks for an incident: in the folder, and where its alerts point to."""

import asyncio
import logging
from typing import Protocol

from midwatch.domain.diagnosis import Diagnosis
from midwatch.domain.errors import MidwatchError
from midwatch.domain.incidents import Incident
from midwatch.domain.masking import mask
from midwatch.domain.runbooks import RunbookPage, fitting
from midwatch.services.model_ports import Runbook

log = logging.getLogger(__name__)

MOST = 3
"""Runbooks for one incident: more than that nobody reads, neither people nor models."""
MAX_TEXT = 20_000
"""Characters of one that are handed on."""
_URLS = 2


class Library(Protocol):
    """The folder of runbooks."""

    def pages(self) -> tuple[RunbookPage, ...]: ...


class Fetcher(Protocol):
    """Gets a runbook from the network. Raises a ``MidwatchError`` for what may not or cannot be had."""

    async def fetch(self, url: str) -> str: ...


class RunbookSearch:
    """A :class:`~midwatch.services.model_ports.Runbooks`: by label, by annotation, by condition, by the cause."""

    def __init__(self, library: Library, fetcher: Fetcher | None = None) -> None:
        self._library, self._fetcher = library, fetcher

    async def find(self, incident: Incident, report: Diagnosis) -> tuple[Runbook, ...]:
        """At most three, masked and capped. What cannot be read is left out, and said in the log."""
        local = [
            Runbook(name=page.title, source=page.source, text=_fit(page.text), why=why)
            for page, why in fitting(self._library.pages(), incident, report)
        ]
        urls = list(dict.fromkeys(member.runbook_url for member in incident.members if member.runbook_url))[:_URLS]
        fetched = await asyncio.gather(*(self._fetched(incident, url) for url in urls))
        asked = [book for book in local if book.why == "an alert asks for it"]
        rest = [book for book in local if book not in asked]
        return (*asked, *(book for book in fetched if book is not None), *rest)[:MOST]

    async def _fetched(self, incident: Incident, url: str) -> Runbook | None:
        if self._fetcher is None:
            return None
        try:
            text = await self._fetcher.fetch(url)
        except MidwatchError as error:
            log.info("no runbook from an alert's address", extra={"incident": incident.id, "why": str(error)})
            return None
        first = next((line.lstrip("# ").strip() for line in text.splitlines() if line.strip()), "")
        name = mask(first)[:120] or "runbook"
        return Runbook(name=name, source=mask(url)[:300], text=_fit(text), why="an alert names its address")


def _fit(text: str) -> str:
    cut = len(text) - MAX_TEXT
    return mask(text[:MAX_TEXT]) + (f"\n[cut here: {cut} more characters]" if cut > 0 else "")
