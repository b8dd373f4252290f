"""Stopping: a person pauses all actions, lets them go on, or cancels one incident's plan."""

import logging
from datetime import datetime, timedelta
from typing import Final

import msgspec

from midwatch.domain import events as ev
from midwatch.domain.approvals import ApprovalOutcome
from midwatch.domain.brakes import Pause
from midwatch.domain.errors import Conflict, Invalid, Transient
from midwatch.domain.ids import IncidentId
from midwatch.domain.incidents import Incident, State
from midwatch.domain.reasons import Reason
from midwatch.services.brakes import PauseBook
from midwatch.services.ports import Journal
from midwatch.services.runtime import Clock, Ids

log = logging.getLogger(__name__)
_TRIES = 100
LONGEST: Final = timedelta(days=90)


class Stopping:
    """What ``midwatch freeze``, the console's button and ``midwatch cancel`` do."""

    def __init__(self, journal: Journal, pauses: PauseBook, clock: Clock, ids: Ids) -> None:
        self._journal, self._pauses, self._clock, self._ids = journal, pauses, clock, ids

    async def freeze(
        self, *, by: str, namespaces: tuple[str, ...] = ("*",), ends_at: datetime | None = None, reason: str = ""
    ) -> Pause:
        """From now on no act begins there; what has been sent is verified, or taken back, as it would be.

        Raises ``Invalid`` for an end that is past or beyond 90 days.
        """
        now = self._clock.now()
        if ends_at is not None and not now < ends_at <= now + LONGEST:
            raise Invalid(f"a pause ends after it began, and within {LONGEST.days} days")
        if not namespaces or not all(namespaces):
            raise Invalid("name the namespaces, or leave them out to pause everything")
        pause = Pause(
            id=self._ids.new(), starts_at=now, by=by, namespaces=namespaces, ends_at=ends_at, reason=reason[:500]
        )
        await self._pauses.put(pause, by=by, at=now)
        log.warning("actions paused", extra={"by_": by, "namespaces": list(namespaces)})
        return pause

    async def unfreeze(self, *, by: str, namespaces: tuple[str, ...] = ()) -> tuple[Pause, ...]:
        """End the pauses of exactly these namespaces now, or every pause when none are named; which ones ended."""
        now = self._clock.now()
        wanted = [p for p in await self._pauses.active(now) if not namespaces or set(p.namespaces) == set(namespaces)]
        ended = tuple(msgspec.structs.replace(pause, ends_at=now, lifted=True) for pause in wanted)
        for pause in ended:
            await self._pauses.put(pause, by=by, at=now)
        if ended:
            log.warning("actions go on", extra={"by_": by, "pauses": len(ended)})
        return ended

    async def cancel(self, incident_id: IncidentId, *, by: str, comment: str = "") -> Incident:
        """Give the incident to a person. A step that runs ends as it would; no other begins.

        Raises ``Conflict`` where nothing is left to cancel, ``NotFound`` for an unknown incident.
        """
        for _ in range(_TRIES):
            incident = await self._journal.read(incident_id)
            if incident.state.final or incident.state is State.ESCALATED:
                raise Conflict(f"incident {incident.id} is {incident.state}: nothing is left to cancel")
            if incident.cancelled_by:
                return incident
            try:
                return await self._journal.append(incident, _cancelling(incident, by, comment), at=self._now(), by=by)
            except Conflict:
                continue  # the executor or a signal was first: look again
        raise Transient(f"{incident_id}: the incident changes faster than it can be cancelled")

    def _now(self) -> datetime:
        return self._clock.now()


def _cancelling(incident: Incident, by: str, comment: str) -> list[ev.AnyEvent]:
    asked = ev.CancelAsked(reason=Reason.CANCELLED, by=by, comment=comment)
    if incident.execution is not None:
        return [asked]
    said = f"Cancelled by {by}" + (f": {comment}" if comment else ".")
    events: list[ev.AnyEvent] = [asked]
    if incident.approval is not None and incident.approval.outcome is None:
        void = ApprovalOutcome.VOID
        closed = ev.ApprovalClosed(
            reason=Reason.CANCELLED, approval=incident.approval.id, outcome=void, by=by, comment=said
        )
        events.append(closed)
    return [*events, ev.Escalated(reason=Reason.CANCELLED, detail=said)]
