"""What becomes of an alert that was posted: its way from the queue to a report, told from the store alone.

An alert that joined an incident follows that incident's investigation; so any replica can tell any viewer, and one that
comes late is told all.
"""

from collections.abc import AsyncIterator
from datetime import datetime
from enum import StrEnum

import msgspec

from midwatch.domain import events as ev
from midwatch.domain import markdown
from midwatch.domain.diagnosis import Diagnosis
from midwatch.domain.errors import NotFound, Transient
from midwatch.domain.ids import IncidentId, SignalId
from midwatch.domain.incidents import Incident, decide
from midwatch.domain.reasons import Reason
from midwatch.services.ports import SignalRow
from serve.dependencies import Edge
from serve.timeline import moment_of

_PAGE = 500
_ADOPTIONS = 5
_ANALYSING = frozenset({"investigate", "refine"})


class Status(StrEnum):
    QUEUED = "queued"
    PROCESSING = "processing"
    COMPLETED = "completed"
    ERROR = "error"

    @property
    def over(self) -> bool:
        return self in (Status.COMPLETED, Status.ERROR)


class Result(msgspec.Struct, frozen=True, kw_only=True):
    """The report so far: as data, and as Markdown."""

    markdown: str
    diagnosis: Diagnosis


class Processing(msgspec.Struct, frozen=True, kw_only=True):
    """``progress`` runs from 0 to 100, ``iterations`` counts rounds of analysis (the built-in one is the first)."""

    id: str
    status: Status
    progress: int
    current_step: str
    iterations: int = 0
    incident: IncidentId | None = None
    result: Result | None = None
    error: str = ""
    timestamp: datetime


class Told(msgspec.Struct, frozen=True):
    """What an incident's journal told so far that the incident itself does not keep."""

    incident: IncidentId | None = None
    after: int = 0
    rounds: int = 0
    step: str = ""

    def more(self, entries: tuple[ev.Entry, ...]) -> "Told":
        """With these entries read as well."""
        if not entries:
            return self
        rounds = sum(isinstance(entry.event, ev.IterationEnded) for entry in entries)
        return Told(self.incident, entries[-1].seq, self.rounds + rounds, moment_of(entries[-1]).title)


_OUTCOMES = {
    Reason.NO_RULE: "No rule asks for anything to be done about it",
    Reason.SILENCED: "A silence holds it back",
    Reason.BELOW_THRESHOLD: "Held back: a rule waits whether it lasts or comes more often",
    Reason.RESOLVED_BEFORE: "It had resolved before it was looked at",
    Reason.SIGNAL_CLEARED: "It says that the trouble is over",
    Reason.REPEATED: "It repeats what is known",
}


def of_signal(row: SignalRow, now: datetime) -> Processing:
    """An alert without an incident: it waits, or nothing more will come of it."""
    words = next((words for reason, words in _OUTCOMES.items() if reason == row.outcome), "")
    status = Status.COMPLETED if row.settled else Status.QUEUED
    step = words or ("Settled" if row.settled else "Waiting for the rules")
    return Processing(
        id=row.signal.id, status=status, progress=100 if row.settled else 0, current_step=step, timestamp=now
    )


def of_incident(asked: str, incident: Incident, told: Told, now: datetime) -> Processing:
    """An alert by the incident it joined."""
    report = incident.report
    analysing = bool({following.work.value for following in decide(incident)} & _ANALYSING)
    over = incident.state.final or not analysing
    gave_up = report is None and incident.reason is Reason.ATTEMPTS_EXHAUSTED
    status = Status.ERROR if gave_up else Status.COMPLETED if over else Status.PROCESSING
    return Processing(
        id=asked,
        status=status,
        progress=100 if status.over else _progress(incident, told),
        current_step=told.step or "Opened",
        iterations=told.rounds + (report is not None),
        incident=incident.id,
        result=None if report is None else Result(markdown=markdown.report(report), diagnosis=report),
        error=incident.outcome if gave_up else "",
        timestamp=incident.updated_at or now,
    )


def _progress(incident: Incident, told: Told) -> int:
    """How far it is, as a guess that never goes back: half the way is the first report."""
    if incident.report is None:
        return 30 if incident.attempts else 10
    return min(95, 50 + 8 * told.rounds)


async def look(edge: Edge, asked: str, told: Told) -> tuple[Processing, Told, tuple[ev.Entry, ...]]:
    """How it stands now, and the entries since ``told``. ``NotFound`` when no alert or incident has this id."""
    now = edge.clock.now()
    try:
        row: SignalRow | None = await edge.inbox.find(SignalId(asked))
    except NotFound:
        row = None
    if row is not None and row.incident is None:
        return of_signal(row, now), told, ()
    incident = await edge.journal.read(row.incident if row is not None and row.incident else IncidentId(asked))
    for _ in range(_ADOPTIONS):
        if incident.into is None:
            break
        incident = await edge.journal.read(incident.into)  # its story goes on in the cause's
    if told.incident != incident.id:
        told = Told(incident.id)
    entries: list[ev.Entry] = []
    while page := await edge.journal.entries(incident.id, after=told.after, limit=_PAGE):
        told = told.more(page)
        entries += page
    return of_incident(asked, incident, told, now), told, tuple(entries)


async def follow(edge: Edge, asked: str) -> AsyncIterator[tuple[Processing, tuple[ev.Entry, ...]] | None]:
    """How it stands and everything so far, then each change; ``None`` is a heartbeat. Ends when it is over.

    Raises ``NotFound`` at once for an unknown id; a store that is away is waited for.
    """
    told, quiet_s = Told(), 0.0
    shown: Processing | None = None
    while True:
        pause_s = edge.limits.poll_s
        try:
            now, told, entries = await look(edge, asked, told)
        except Transient as error:
            pause_s = max(pause_s, error.retry_in)
        else:
            fresh = msgspec.structs.replace(now, timestamp=shown.timestamp) if shown else None
            if entries or fresh != shown:
                shown, quiet_s = now, 0.0
                yield now, entries
            if now.status.over:
                return
        await edge.clock.sleep(pause_s)
        quiet_s += pause_s
        if quiet_s >= edge.limits.heartbeat_s:
            quiet_s = 0.0
            yield None
