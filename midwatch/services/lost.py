"""Lost resolves: look after alerts that nobody repeats, and end those whose object shows that they are over."""

import logging
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Protocol

from midwatch.domain import events as ev
from midwatch.domain.errors import Conflict
from midwatch.domain.ids import IncidentId, SignalId
from midwatch.domain.incidents import Incident, Member
from midwatch.domain.lost import OWN_SOURCES, Lost, Silence, Standing, judge, silent_since
from midwatch.domain.reasons import Reason
from midwatch.domain.refs import ObjectRef
from midwatch.services.ports import Inbox, Journal
from midwatch.services.runtime import Clock

log = logging.getLogger(__name__)

_MOST_OPEN = 1000
_LOOKS = 50
"""Objects looked at in one round, at most: the rest waits for the next."""


class LooksAtObjects(Protocol):
    """Sees how an object stands now."""

    async def standing_of(self, cluster: str, ref: ObjectRef) -> Standing:
        """Its standing; ``UNSEEN`` for whatever goes wrong. Does not raise."""
        ...


class LostResolves:
    """One round every ``every``. What it knows of silences is a cache: after a restart it waits ``after`` anew."""

    def __init__(
        self,
        inbox: Inbox,
        journal: Journal,
        looks: LooksAtObjects,
        clock: Clock,
        *,
        by: str,
        after: timedelta,
        every: timedelta = timedelta(minutes=1),
    ) -> None:
        self._inbox, self._journal, self._looks, self._clock = inbox, journal, looks, clock
        self._by, self._after, self._every = by, after, every
        self._silences: dict[SignalId, Silence] = {}
        self._next: datetime | None = None

    async def look(self) -> int:
        """Returns how many members were ended."""
        now = self._clock.now()
        if self._next is not None and now < self._next:
            return 0
        self._next = now + self._every
        rows = await self._journal.recent(open_only=True, limit=_MOST_OPEN)
        foreign = [incident for row in rows if _told_by_others(incident := await self._journal.read(row.id))]
        members = [(incident, member) for incident in foreign for member in _told_by_others(incident)]
        repeats = await self._inbox.repeats_of([member.signal for _, member in members])
        self._silences = {
            member.signal: silent_since(self._silences.get(member.signal), repeats.get(member.signal, 0), now)
            for _, member in members
        }
        quiet = [each for each in members if now - self._silences[each[1].signal].since >= self._after][:_LOOKS]
        over: dict[IncidentId, list[tuple[Member, Lost]]] = {}
        for incident, member in quiet:
            standing = await self._looks.standing_of(incident.cluster, member.subject)
            lost = judge(member, self._silences[member.signal], standing, after=self._after, now=now)
            if lost.over:
                over.setdefault(incident.id, []).append((member, lost))
        by_id = {incident.id: incident for incident in foreign}
        ended = 0
        for incident_id, lost_ones in over.items():
            ended += await self._end(by_id[incident_id], lost_ones)
        return ended

    async def _end(self, incident: Incident, lost: Sequence[tuple[Member, Lost]]) -> int:
        events = [
            ev.SignalCleared(
                reason=why.reason,
                signal=member.signal,
                identity=member.identity,
                episode=member.episode,
                detail=why.sentence,
            )
            for member, why in lost
        ]
        try:
            await self._journal.append(incident, events, at=self._clock.now(), by=self._by)
        except Conflict:
            return 0  # something happened to it: the next round looks again
        # A repeat that comes after all must be looked at as if it were new.
        await self._inbox.settle([(member.signal, Reason.RESOLVE_LOST, incident.id) for member, _ in lost])
        log.info("resolves lost", extra={"incident": incident.id, "members": len(lost)})
        return len(lost)


def _told_by_others(incident: Incident) -> tuple[Member, ...]:
    return tuple(member for member in incident.active if member.source not in OWN_SOURCES and member.signal)
