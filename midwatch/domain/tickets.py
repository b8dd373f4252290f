"""An incident as a ticket: what it says, the notes that follow its journal, and where it stands. Plain text."""

from datetime import datetime
from enum import StrEnum

import msgspec

from midwatch.domain import events as ev
from midwatch.domain.cards import who_may
from midwatch.domain.handover import handover
from midwatch.domain.ids import IncidentId
from midwatch.domain.incidents import Incident, State
from midwatch.domain.masking import mask
from midwatch.domain.refs import Severity

_LONGEST = 4000


class Standing(StrEnum):
    """Where a ticket stands. ESCALATED is assigned to whoever is on call."""

    OPEN = "open"
    ESCALATED = "escalated"
    CLOSED = "closed"


class Ticket(msgspec.Struct, frozen=True, kw_only=True):
    """A ticket as it is opened. ``incident`` is the marker that it is found by again."""

    incident: IncidentId
    title: str
    severity: Severity
    lines: tuple[str, ...]


class Note(msgspec.Struct, frozen=True, kw_only=True):
    """One step of the incident's way. ``key`` is the same at every try: a note is added once."""

    key: str
    at: datetime
    lines: tuple[str, ...]


def ticket_of(incident: Incident) -> Ticket:
    """What the ticket says when it is opened; later news come as notes."""
    lines = [
        f"Condition: {incident.condition}",
        f"Object: {incident.owner} in {incident.cluster}",
        f"Severity: {incident.severity}",
        f"Began: {incident.began_at:%Y-%m-%d %H:%M:%S} UTC" if incident.began_at else "",
    ]
    return Ticket(
        incident=incident.id,
        title=mask(f"{incident.title} ({incident.owner})")[:200],
        severity=incident.severity,
        lines=tuple(mask(line) for line in lines if line),
    )


def standing_of(incident: Incident) -> Standing:
    """Where its ticket should stand."""
    if incident.state.final:
        return Standing.CLOSED
    return Standing.ESCALATED if incident.state is State.ESCALATED else Standing.OPEN


def note_of(entry: ev.Entry, incident: Incident) -> Note | None:
    """What an entry adds to the ticket; ``None`` for what only matters inside. ``incident`` is as it stands now."""
    lines = _told(entry.event, incident)
    if not lines:
        return None
    said = tuple(mask(line)[:_LONGEST] for line in lines if line)
    return Note(key=f"{entry.incident}:{entry.seq}", at=entry.at, lines=said)


def _told(event: ev.AnyEvent, incident: Incident) -> tuple[str, ...]:
    match event:
        case ev.ReportMade():
            report = event.diagnosis
            return (f"Cause: {report.root_cause} ({report.confidence:.0%} sure, {report.author})", report.summary)
        case ev.PlanProposed():
            steps = (f"{number}. {step.summary}" for number, step in enumerate(event.plan.steps, 1))
            return (f"Plan: {event.plan.title} ({event.plan.risk} risk). {event.verdict.sentence}", *steps)
        case ev.PlanMissing():
            return ("No plan could be made.", event.detail)
        case ev.ApprovalRequested():
            return (f"Waiting for a person's word: {who_may(event.request)}.",)
        case ev.ApprovalClosed():
            by = f" by {event.by}" if event.by else ""
            return (f"The question is {event.outcome}{by}.", event.comment)
        case ev.Escalated():
            return ("A person must take over.", event.detail, *handover(incident))
        case ev.Resolved():
            return ("Resolved.", event.detail)
        case ev.Closed() | ev.Adopted():
            return ("Closed.", event.detail)
        case ev.Reopened():
            return ("Fired again: taken up anew.",)
        case ev.CancelAsked():
            return (f"{event.by} wants it to stop.", event.comment)
        case _:
            return _told_of_step(event)


def _told_of_step(event: ev.AnyEvent) -> tuple[str, ...]:
    match event:
        case ev.StepStarted():
            return (f"Step {event.index + 1}: checked, acting now.",)
        case ev.StepActed():
            return (f"Step {event.index + 1}: done, watching whether it helps.",)
        case ev.StepVerified():
            return (f"Step {event.index + 1}: verified.", event.detail)
        case ev.StepFailed():
            return (f"Step {event.index + 1}: did not work.", event.detail)
        case ev.StepUndone():
            return (f"Step {event.index + 1}: taken back.", event.detail)
        case ev.UndoFailed():
            return (f"Step {event.index + 1}: could not be taken back.", event.detail)
        case _:
            return ()
