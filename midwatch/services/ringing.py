"""Persist, then poke: a journal that rings for what each append left to do."""

from collections.abc import Sequence
from datetime import datetime

from midwatch.domain.approvals import ApprovalRequest
from midwatch.domain.events import AnyEvent, Entry
from midwatch.domain.ids import ApprovalId, IncidentId, IncidentKey
from midwatch.domain.incidents import Incident, decide
from midwatch.services.ports import Claim, IncidentSummary, Journal
from midwatch.services.runtime import Bells


class RingingJournal:
    """Passes everything to the store's journal; after a committed append rings whoever is needed next."""

    def __init__(self, journal: Journal, bells: Bells) -> None:
        self._journal, self._bells = journal, bells

    async def open(self, incident_id: IncidentId, events: Sequence[AnyEvent], *, at: datetime, by: str) -> Incident:
        return self._rung(await self._journal.open(incident_id, events, at=at, by=by))

    async def append(
        self, incident: Incident, events: Sequence[AnyEvent], *, at: datetime, by: str, claim: Claim | None = None
    ) -> Incident:
        return self._rung(await self._journal.append(incident, events, at=at, by=by, claim=claim))

    def _rung(self, incident: Incident) -> Incident:
        for following in decide(incident):
            if following.due is None:
                self._bells.work(following.work)
        self._bells.changed()
        return incident

    async def read(self, incident_id: IncidentId) -> Incident:
        return await self._journal.read(incident_id)

    async def entries(self, incident_id: IncidentId, *, after: int = 0, limit: int = 1000) -> tuple[Entry, ...]:
        return await self._journal.entries(incident_id, after=after, limit=limit)

    async def find_open(self, key: IncidentKey) -> Incident | None:
        return await self._journal.find_open(key)

    async def find_ended(self, key: IncidentKey, *, since: datetime) -> Incident | None:
        return await self._journal.find_ended(key, since=since)

    async def recent(
        self, *, open_only: bool = False, limit: int = 100, namespace: str = ""
    ) -> tuple[IncidentSummary, ...]:
        return await self._journal.recent(open_only=open_only, limit=limit, namespace=namespace)

    async def find_approval(self, approval_id: ApprovalId) -> tuple[Incident, ApprovalRequest]:
        return await self._journal.find_approval(approval_id)

    async def approvals(
        self, *, open_only: bool = True, limit: int = 100
    ) -> tuple[tuple[Incident, ApprovalRequest], ...]:
        return await self._journal.approvals(open_only=open_only, limit=limit)
