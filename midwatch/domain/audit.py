"""The audit trail: who did what, when and why, each row bound to the one before it.

What was decided, asked, answered and done is recorded; what was only observed or thought is not: it stands in the
journal. Each row holds the hash of the one before, so that a row that was changed, taken out or put in later shows.
"""

import hashlib
from collections.abc import Iterable
from datetime import UTC, datetime

import msgspec

from midwatch.domain import events as ev
from midwatch.domain.approvals import ApprovalOutcome

OBSERVED = (
    ev.IncidentOpened,
    ev.SignalAttached,
    ev.SignalCleared,
    ev.InvestigationStarted,
    ev.ToolCalled,
    ev.RefinementStarted,
    ev.ModelTurned,
    ev.ModelBroke,
    ev.IterationEnded,
    ev.RefinementEnded,
    ev.ReportMade,
)
"""Events that are not recorded, because nobody decided or did anything. Every other one is, also one added later."""

START = ""
"""What stands before the first row."""


class AuditRecord(msgspec.Struct, frozen=True, kw_only=True):
    """One act. ``about`` is the incident (or silence), ``seq`` the journal entry that tells of it (0: none does).

    ``who`` is the deciding person where there is one (``channel:id``), else the actor. ``data`` is JSON.
    """

    at: datetime
    who: str
    what: str
    why: str
    about: str
    seq: int = 0
    data: str = "{}"


class AuditRow(msgspec.Struct, frozen=True, kw_only=True):
    """A record in its place. ``number`` counts from 1 without a gap; ``hash`` is over it and the row before."""

    number: int
    record: AuditRecord
    previous: str
    hash: str


class Broken(msgspec.Struct, frozen=True):
    """The first row that does not fit, and what is wrong with it."""

    number: int
    fault: str


def audited(entry: ev.Entry) -> AuditRecord | None:
    """What the trail says of a journal entry, or ``None`` when there is nothing to record."""
    if isinstance(entry.event, OBSERVED):
        return None
    return AuditRecord(
        at=entry.at,
        who=_who(entry),
        what=str(entry.event.__struct_config__.tag),
        why=entry.event.reason.value,
        about=entry.incident,
        seq=entry.seq,
        data=msgspec.json.encode(entry.event).decode(),
    )


def chained(records: Iterable[AuditRecord], *, number: int, previous: str) -> tuple[AuditRow, ...]:
    """The rows that follow a row with this number and hash (0 and :data:`START`: the first ones)."""
    rows = []
    for record in records:
        number += 1
        row = AuditRow(number=number, record=record, previous=previous, hash=_hash(number, previous, record))
        previous = row.hash
        rows.append(row)
    return tuple(rows)


def verify(rows: Iterable[AuditRow], *, number: int = 0, previous: str = START) -> Broken | AuditRow | None:
    """The first broken row, else the last row, else ``None`` where there is none. ``rows`` follow ``number``."""
    last: AuditRow | None = None
    for row in rows:
        if row.number != number + 1:
            return Broken(number + 1, f"is missing: row {row.number} comes after row {number}")
        if row.previous != previous:
            return Broken(row.number, "does not follow the row before it: that one was changed or taken out")
        if row.hash != _hash(row.number, previous, row.record):
            return Broken(row.number, "was changed: its content is not what its hash says")
        number, previous, last = row.number, row.hash, row
    return last


def _who(entry: ev.Entry) -> str:
    match entry.event:
        case ev.ApprovalVoted():
            return entry.event.vote.user
        case ev.ApprovalClosed(by=by, outcome=outcome) if by and outcome is not ApprovalOutcome.VOID:
            return by
        case ev.Closed(by=by) if by:
            return by
        case _:
            return entry.by


def _hash(number: int, previous: str, record: AuditRecord) -> str:
    at = record.at.astimezone(UTC).isoformat(timespec="microseconds")
    content = (previous, number, at, record.who, record.what, record.why, record.about, record.seq, record.data)
    return hashlib.sha256(msgspec.json.encode(content)).hexdigest()
