"""What one append derives: pure, and the same for PostgreSQL and the in-memory twin."""

from collections.abc import Sequence
from datetime import datetime, timedelta

import msgspec

from midwatch.domain.approvals import ApprovalOutcome, ApprovalRequest
from midwatch.domain.audit import AuditRecord, audited
from midwatch.domain.brakes import Pause
from midwatch.domain.errors import Invalid
from midwatch.domain.events import AnyEvent, Entry, IncidentOpened
from midwatch.domain.ids import ApprovalId
from midwatch.domain.incidents import Incident, State, evolve
from midwatch.domain.silences import Silence
from midwatch.domain.users import By, UserChange
from midwatch.services.ports import IncidentSummary

STALE = timedelta(days=1)
"""An incident that ended so long before a channel ever showed it is not news there: a channel that is switched on
later does not begin by posting the whole past."""


WAITED_FOR = (State.AWAITING_APPROVAL, State.ACTING, State.VERIFYING)
"""States in which people look at the card they were asked on."""


def urgency(state: State, *, posted: bool, shown: str) -> int:
    """What is sent first: 0 for cards that people were asked on, 1 for new questions (they expire), 2 for escalations,
    3 for the rest. ``posted``: the card stands in the channel, and shows the state ``shown``.
    """
    if posted and (state in WAITED_FOR or shown == State.AWAITING_APPROVAL):
        return 0
    return {State.AWAITING_APPROVAL: 1, State.ESCALATED: 2}.get(state, 3)


class Written(msgspec.Struct, frozen=True):
    """Entries to be stored, the incident they lead to, every approval they opened, changed or made void, and what of
    them goes into the audit trail.
    """

    incident: Incident
    entries: tuple[Entry, ...]
    approvals: tuple[ApprovalRequest, ...]
    audit: tuple[AuditRecord, ...]


def write(incident: Incident, events: Sequence[AnyEvent], *, at: datetime, by: str) -> Written:
    """Fold ``events`` onto ``incident``. Raises ``Invalid`` when there are none or they do not fit."""
    if not events:
        raise Invalid(f"{incident.id}: nothing to write")
    if (incident.seq == 0) is not isinstance(events[0], IncidentOpened):
        raise Invalid(f"{incident.id}: a journal begins with the opening, and only there")
    entries: list[Entry] = []
    approvals: dict[ApprovalId, ApprovalRequest] = {}
    for event in events:
        entry = Entry(incident=incident.id, seq=incident.seq + 1, at=at, by=by, event=event)
        before, incident = incident.approval, evolve(incident, entry)
        after = incident.approval
        if before is not None and before.outcome is None and (after is None or after.id != before.id):
            approvals[before.id] = msgspec.structs.replace(before, outcome=ApprovalOutcome.VOID, decided_by=by)
        if after is not None and after != before:
            approvals[after.id] = after
        entries.append(entry)
    records = tuple(record for entry in entries if (record := audited(entry)) is not None)
    return Written(incident, tuple(entries), tuple(approvals.values()), records)


def silence_record(silence: Silence, *, by: str, at: datetime) -> AuditRecord:
    """What the audit trail says of a silence that somebody made or ended."""
    what = "silence-ended" if silence.ends_at <= at else "silence-made"
    data = msgspec.json.encode(silence).decode()
    return AuditRecord(at=at, who=by, what=what, why=silence.comment, about=silence.id, data=data)


def pause_record(pause: Pause, *, by: str, at: datetime) -> AuditRecord:
    """What the audit trail says of a pause that somebody called or lifted."""
    what = "pause-ended" if pause.ends_at is not None and pause.ends_at <= at else "pause-called"
    data = msgspec.json.encode(pause).decode()
    return AuditRecord(at=at, who=by, what=what, why=pause.reason, about=pause.id, data=data)


def user_record(change: UserChange, by: By) -> AuditRecord:
    """What the audit trail says of a change of a user, their tokens or identities."""
    data = msgspec.json.encode(change).decode()
    return AuditRecord(at=by.at, who=by.who, what=change.what, why=by.why, about=change.user.id, data=data)


def namespace_of(incident: Incident) -> str:
    """Where people look for it: the owner's namespace, or the subject's."""
    return incident.owner.namespace or incident.subject.namespace


def summary_of(incident: Incident) -> IncidentSummary:
    """The list row of an incident that has been opened."""
    assert incident.opened_at is not None
    assert incident.updated_at is not None
    return IncidentSummary(
        id=incident.id,
        seq=incident.seq,
        state=incident.state,
        reason=incident.reason,
        severity=incident.severity,
        cluster=incident.cluster,
        condition=incident.condition,
        title=incident.headline,
        owner=incident.owner,
        opened_at=incident.opened_at,
        updated_at=incident.updated_at,
        ended_at=incident.ended_at,
        active=len(incident.active),
        members=len(incident.members),
    )


def the_one(found: Sequence[str], wanted: str, what: str) -> str:
    """The id meant by a prefix among the ids that begin so; ``Invalid`` when that is more than one."""
    if wanted in found:
        return wanted
    if len(found) != 1:
        raise Invalid(f"'{wanted}' is the beginning of more than one {what}: give more characters")
    return found[0]
