"""Enrichment: metrics and collected logs around the beginning of an incident, within a fixed time."""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Sequence
from datetime import datetime
from typing import Protocol

from midwatch.domain.conditions import CATALOGUE
from midwatch.domain.enrichment import Question, Scope, claim, filled, questions_for, quoted, scope_of, told
from midwatch.domain.errors import MidwatchError
from midwatch.domain.incidents import Incident
from midwatch.domain.masking import mask
from midwatch.domain.metrics import Series
from midwatch.services.investigation import Look
from midwatch.services.runtime import Clock

log = logging.getLogger(__name__)

_STEP_S = 15.0
_MOST_LINES, _OUTPUT = 200, 4_000


class Ranges(Protocol):
    """A metrics store. Raises a ``MidwatchError`` when there is no answer."""

    async def query_range(self, expr: str, start: datetime, end: datetime, *, step_s: float) -> tuple[Series, ...]: ...


class Lines(Protocol):
    """A log store: lines of a stream selector, oldest first. Raises a ``MidwatchError`` when there is no answer."""

    async def lines(self, selector: str, start: datetime, end: datetime, *, limit: int) -> tuple[str, ...]: ...


class Enriching:
    """An :class:`~midwatch.services.investigation.Enricher`. All is asked side by side; what is late is a failed look.

    ``limit_s`` is the time for all of it together: the first report waits for it.
    """

    def __init__(
        self,
        questions: Callable[[], Sequence[Question]],
        clock: Clock,
        *,
        ranges: Ranges | None = None,
        lines: Lines | None = None,
        limit_s: float = 0.8,
    ) -> None:
        self._questions, self._clock, self._ranges, self._lines = questions, clock, ranges, lines
        self._limit = limit_s

    async def enrich(self, incident: Incident) -> tuple[Look, ...]:
        """Looks for the journal, masked and capped."""
        scope = scope_of(incident, self._clock.now())
        asked: list[tuple[str, str, Awaitable[tuple[str, str]]]] = []
        if self._ranges is not None:
            for question in questions_for(self._questions(), _families(incident), scope):
                expr = filled(question.expr, scope)
                asked.append(("prometheus.range", expr, self._range(self._ranges, question, expr, scope)))
        if self._lines is not None and scope.pods and scope.namespace:
            selector = f'{{namespace="{quoted(scope.namespace)}", pod=~"{quoted(scope.pods)}"}}'
            asked.append(("loki.lines", selector, self._collected(self._lines, selector, scope)))
        return tuple(await asyncio.gather(*(self._look(*each) for each in asked)))

    async def _look(self, tool: str, asked: str, answer: Awaitable[tuple[str, str]]) -> Look:
        began = time.perf_counter()
        cited = ""
        try:
            async with asyncio.timeout(self._limit):
                output, cited = await answer
            ok = True
        except TimeoutError:
            output, ok = f"no answer within {self._limit:g} s", False
        except MidwatchError as error:
            output, ok = str(error), False
        took_ms = round((time.perf_counter() - began) * 1000, 1)
        return Look(tool=tool, input=mask(asked), output=mask(output[:_OUTPUT]), ok=ok, took_ms=took_ms, claim=cited)

    async def _range(self, ranges: Ranges, question: Question, expr: str, scope: Scope) -> tuple[str, str]:
        series = await ranges.query_range(expr, scope.start, scope.end, step_s=_STEP_S)
        return told(question, series), claim(question, series)

    async def _collected(self, lines: Lines, selector: str, scope: Scope) -> tuple[str, str]:
        found = await lines.lines(selector, scope.start, scope.end, limit=_MOST_LINES)
        text = "\n".join(found) or "no lines"
        # The last lines before it broke say more than the first ones.
        return (text if len(text) <= _OUTPUT else f"… {text[-_OUTPUT + 2 :]}"), ""


def _families(incident: Incident) -> tuple[str, ...]:
    conditions = dict.fromkeys((incident.condition, *(member.condition for member in incident.members)))
    return tuple(CATALOGUE[condition].family for condition in conditions if condition in CATALOGUE)
