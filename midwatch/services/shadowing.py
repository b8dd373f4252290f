"""Shadow mode: plans that are only said are kept, and scored once their incident is over."""

import logging
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Protocol

from midwatch.domain.errors import Refused, Transient
from midwatch.domain.playbooks import Plan
from midwatch.domain.shadows import Score, Shadow, judge, streak
from midwatch.services.effects import LiveObjects
from midwatch.services.runtime import Clock
from midwatch.services.waiting import each_once

log = logging.getLogger(__name__)
_LATELY = 200
_PAGE = 50


class ShadowBook(Protocol):
    """What playbooks in shadow mode would have done."""

    async def put(self, shadow: Shadow) -> None:
        """Keep it; the first of its key stands."""
        ...

    async def due(self, *, limit: int = 50) -> Sequence[Shadow]:
        """Those without a score whose incident is over, the oldest first."""
        ...

    async def score(self, key: str, score: Score, *, at: datetime, detail: str) -> None: ...

    async def recent(self, *, playbook: str = "", limit: int = 1000) -> Sequence[Shadow]:
        """The last ones, newest first."""
        ...


class Shadowing:
    """Keeps and scores. ``live`` holds a look at each cluster, by its name."""

    def __init__(self, book: ShadowBook, live: Mapping[str, LiveObjects], clock: Clock) -> None:
        self._book, self._live, self._clock = book, live, clock

    async def keep(self, shadow: Shadow) -> None:
        """What would have been done."""
        await self._book.put(shadow)

    async def streak(self, plan: Plan) -> int:
        """How many good ones in a row the plan's playbook has, unedited, told by its last 200."""
        return streak(await self._book.recent(playbook=plan.playbook, limit=_LATELY), plan.playbook_digest)

    async def drain(self) -> int:
        """Score what is over; how many. What cannot be looked at now is tried again at the next sweep."""
        away = set[str]()
        scored = [
            await self._scored(shadow, away)
            async for shadow in each_once(self._book.due, lambda shadow: shadow.key, page=_PAGE)
        ]
        return sum(scored)

    async def _scored(self, shadow: Shadow, away: set[str]) -> bool:
        """Whether it could be scored. A cluster that does not answer is asked once, and added to those ``away``."""
        cluster = self._live.get(shadow.cluster)
        if cluster is None or shadow.cluster in away:
            return False  # one that is not watched any more: nobody can tell
        try:
            after = await cluster.observe(shadow.before.ref)
        except Transient as error:
            away.add(shadow.cluster)
            log.warning("shadows cannot be scored now", extra={"cluster": shadow.cluster, "error": str(error)})
            return False
        except Refused as error:
            log.warning("a shadow cannot be scored", extra={"incident": shadow.incident, "error": str(error)})
            return False
        score, detail = judge(shadow.plan, shadow.before, after)
        await self._book.score(shadow.key, score, at=self._clock.now(), detail=detail)
        return True
