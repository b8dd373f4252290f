"""The journal in PostgreSQL: entries, and what is derived from them, in one transaction."""

from collections.abc import Sequence
from datetime import datetime

import msgspec
from sqlalchemy import ColumnElement, Select, insert, select, text, update
from sqlalchemy.dialects.postgresql import insert as upsert
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncConnection

from midwatch.adapters.store import tables as t
from midwatch.adapters.store.audit import record
from midwatch.adapters.store.database import Database
from midwatch.adapters.store.projection import Written, namespace_of, the_one, write
from midwatch.domain.approvals import ApprovalRequest
from midwatch.domain.errors import ClaimLost, Conflict, NotFound
from midwatch.domain.events import AnyEvent, Entry
from midwatch.domain.ids import ApprovalId, IncidentId, IncidentKey
from midwatch.domain.incidents import Incident, State, decide
from midwatch.domain.reasons import Reason
from midwatch.domain.refs import ObjectRef, Severity
from midwatch.services.ports import Claim, IncidentSummary

_encode = msgspec.json.encode
_event = msgspec.json.Decoder[AnyEvent](AnyEvent)
_incident = msgspec.json.Decoder(Incident)
_request = msgspec.json.Decoder(ApprovalRequest)
_owner = msgspec.json.Decoder(ObjectRef)

# What decide() says now replaces what it said before: gone work goes with its claim, work that stays keeps its own.
_SYNC_WORK = text("""
    WITH gone AS (
        DELETE FROM work WHERE incident_id = :id AND NOT work = ANY(CAST(:works AS text[]))
    )
    INSERT INTO work (incident_id, work, reason, due_at, severity_rank, created_at)
    SELECT :id, new.work, new.reason, new.due, CAST(:rank AS smallint), CAST(:at AS timestamptz)
      FROM unnest(CAST(:works AS text[]), CAST(:reasons AS text[]), CAST(:dues AS timestamptz[]))
           AS new(work, reason, due)
    ON CONFLICT (incident_id, work) DO UPDATE
       SET reason = excluded.reason, severity_rank = excluded.severity_rank, due_at = excluded.due_at,
           attempts = CASE WHEN work.due_at IS DISTINCT FROM excluded.due_at THEN 0 ELSE work.attempts END
""")


class PostgresJournal:
    """See :class:`midwatch.services.ports.Journal`."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def open(self, incident_id: IncidentId, events: Sequence[AnyEvent], *, at: datetime, by: str) -> Incident:
        written = write(Incident(id=incident_id), events, at=at, by=by)
        row = {"id": incident_id, "opened_at": at, **_columns(written.incident)}
        async with self._database.begin() as connection:
            opening = upsert(t.incidents).values(row).on_conflict_do_nothing().returning(t.incidents.c.id)
            if (await connection.execute(opening)).first() is None:
                raise Conflict(f"an incident is open already for {written.incident.key}")
            await _write_entries(connection, written)
            await _sync_work(connection, None, written, at)
            await _write_approvals(connection, written, at)
            await record(connection, written.audit)
        return written.incident

    async def append(
        self, incident: Incident, events: Sequence[AnyEvent], *, at: datetime, by: str, claim: Claim | None = None
    ) -> Incident:
        written = write(incident, events, at=at, by=by)
        async with self._database.begin() as connection:
            # First of all, because it locks the incident's row: whoever writes to one incident waits here.
            moved = await _move(connection, incident, written)
            if claim is not None:
                await _check(connection, claim)
            if not moved:
                raise Conflict(f"incident {incident.id} was written by another after entry {incident.seq}")
            await _write_entries(connection, written)
            await _sync_work(connection, incident, written, at)
            await _write_approvals(connection, written, at)
            await record(connection, written.audit)
        return written.incident

    async def read(self, incident_id: IncidentId) -> Incident:
        async with self._database.begin() as connection:
            query = select(t.incidents.c.id, t.incidents.c.snapshot).where(_begins(t.incidents.c.id, incident_id))
            rows = {row.id: row.snapshot for row in await connection.execute(query.limit(2))}
        if not rows:
            raise NotFound(f"there is no incident {incident_id}")
        return _incident.decode(rows[the_one(tuple(rows), incident_id, "incident")])

    async def entries(self, incident_id: IncidentId, *, after: int = 0, limit: int = 1000) -> tuple[Entry, ...]:
        e = t.incident_events.c
        query = select(e.seq, e.at, e.by, e.data).where(e.incident_id == incident_id, e.seq > after)
        async with self._database.begin() as connection:
            rows = (await connection.execute(query.order_by(e.seq).limit(limit))).all()
        return tuple(
            Entry(incident=incident_id, seq=row.seq, at=row.at, by=row.by, event=_event.decode(row.data))
            for row in rows
        )

    async def find_open(self, key: IncidentKey) -> Incident | None:
        i = t.incidents.c
        query = select(i.snapshot).where(i.key_digest == t.digest(key), t.IS_OPEN)
        async with self._database.begin() as connection:
            snapshot = (await connection.execute(query)).scalar()
        return None if snapshot is None else _incident.decode(snapshot)

    async def find_ended(self, key: IncidentKey, *, since: datetime) -> Incident | None:
        i = t.incidents.c
        query = select(i.snapshot).where(i.key_digest == t.digest(key), i.ended_at >= since)
        async with self._database.begin() as connection:
            snapshot = (await connection.execute(query.order_by(i.ended_at.desc(), i.id.desc()).limit(1))).scalar()
        return None if snapshot is None else _incident.decode(snapshot)

    async def recent(
        self, *, open_only: bool = False, limit: int = 100, namespace: str = ""
    ) -> tuple[IncidentSummary, ...]:
        i = t.incidents.c
        columns = [column for column in i if column.key not in {"snapshot", "key", "key_digest"}]
        query = select(*columns).order_by(i.updated_at.desc(), i.id.desc()).limit(limit)
        if open_only:
            query = query.where(t.IS_OPEN)
        if namespace:
            query = query.where(i.namespace == namespace)
        async with self._database.begin() as connection:
            rows = (await connection.execute(query)).all()
        return tuple(
            IncidentSummary(
                id=row.id,
                seq=row.seq,
                state=State(row.state),
                reason=Reason(row.reason),
                severity=Severity(row.severity),
                cluster=row.cluster,
                condition=row.condition,
                title=row.title,
                owner=_owner.decode(row.owner),
                opened_at=row.opened_at,
                updated_at=row.updated_at,
                ended_at=row.ended_at,
                active=row.active,
                members=row.members,
            )
            for row in rows
        )

    async def find_approval(self, approval_id: ApprovalId) -> tuple[Incident, ApprovalRequest]:
        query = _approvals().where(_begins(t.approvals.c.id, approval_id)).limit(2)
        async with self._database.begin() as connection:
            rows = {row.id: row for row in await connection.execute(query)}
        if not rows:
            raise NotFound(f"there is no approval {approval_id}")
        row = rows[the_one(tuple(rows), approval_id, "approval")]
        return _incident.decode(row.snapshot), _request.decode(row.data)

    async def approvals(
        self, *, open_only: bool = True, limit: int = 100
    ) -> tuple[tuple[Incident, ApprovalRequest], ...]:
        a = t.approvals.c
        query = _approvals().order_by(a.requested_at.desc(), a.id.desc()).limit(limit)
        if open_only:
            query = query.where(a.state == _OPEN)
        async with self._database.begin() as connection:
            rows = (await connection.execute(query)).all()
        return tuple((_incident.decode(row.snapshot), _request.decode(row.data)) for row in rows)


_OPEN = "open"


def _approvals() -> Select[tuple[str, str, bytes]]:
    a, i = t.approvals.c, t.incidents.c
    return select(a.id, a.data, i.snapshot).join_from(t.approvals, t.incidents, a.incident_id == i.id)


def _begins(column: ColumnElement[str], wanted: str) -> ColumnElement[bool]:
    """Equal, or beginning with it where at least 8 characters are given."""
    return column.startswith(wanted, autoescape=True) if len(wanted) >= 8 else column == wanted


def _columns(incident: Incident) -> dict[str, object]:
    """Everything of the list row that an append may change."""
    return {
        "key": t.plain(incident.key),
        "key_digest": t.digest(incident.key),
        "cluster": t.plain(incident.cluster),
        "namespace": t.plain(namespace_of(incident)),
        "state": incident.state.value,
        "reason": incident.reason.value,
        "severity": incident.severity.value,
        "severity_rank": incident.severity.rank,
        "condition": t.plain(incident.condition),
        "title": t.plain(incident.headline),
        "owner": _encode(incident.owner).decode(),
        "seq": incident.seq,
        "snapshot": _encode(incident),
        "updated_at": incident.updated_at,
        "ended_at": incident.ended_at,
        "active": len(incident.active),
        "members": len(incident.members),
    }


async def _move(connection: AsyncConnection, before: Incident, written: Written) -> bool:
    i, seq = t.incidents.c, written.incident.seq
    moving = update(t.incidents).where(i.id == before.id, i.seq == before.seq).values(_columns(written.incident))
    try:
        moved = (await connection.execute(moving)).rowcount == 1
    except IntegrityError as error:  # it would be open again, and another one with its key is
        raise Conflict(f"another incident is open for {before.key}") from error
    if moved:
        await connection.execute(update(t.cards).where(t.cards.c.incident_id == before.id).values(wanted=seq))
    return moved


async def _check(connection: AsyncConnection, claim: Claim) -> None:
    w = t.work.c
    query = select(w.work, w.claim_token).where(w.incident_id == claim.incident).order_by(w.work).with_for_update()
    held = {row.work: row.claim_token for row in await connection.execute(query)}
    if held.get(claim.work.value) != claim.token:
        raise ClaimLost(f"'{claim.work}' of incident {claim.incident} is no longer claimed by {claim.owner}")


async def _write_entries(connection: AsyncConnection, written: Written) -> None:
    rows = [
        {
            "incident_id": entry.incident,
            "seq": entry.seq,
            "at": entry.at,
            "by": t.plain(entry.by),
            "type": entry.event.__struct_config__.tag,
            "reason": entry.event.reason.value,
            "data": _encode(entry.event).decode(),
        }
        for entry in written.entries
    ]
    await connection.execute(insert(t.incident_events), rows)


async def _sync_work(connection: AsyncConnection, before: Incident | None, written: Written, at: datetime) -> None:
    following = decide(written.incident)
    severity = written.incident.severity
    if before is not None and following == decide(before) and severity is before.severity:
        return
    await connection.execute(
        _SYNC_WORK,
        {
            "id": written.incident.id,
            "works": [item.work.value for item in following],
            "reasons": [item.reason.value for item in following],
            "dues": [item.due for item in following],
            "rank": severity.rank,
            "at": at,
        },
    )


async def _write_approvals(connection: AsyncConnection, written: Written, at: datetime) -> None:
    if not written.approvals:
        return
    rows = [
        {
            "id": request.id,
            "incident_id": written.incident.id,
            "digest": request.digest,
            "state": request.outcome.value if request.outcome else _OPEN,
            "requested_at": request.requested_at,
            "expires_at": request.expires_at,
            "decided_at": at if request.outcome else None,
            "decided_by": t.plain(request.decided_by),
            "data": _encode(request).decode(),
        }
        for request in written.approvals
    ]
    writing = upsert(t.approvals)
    changed = {name: writing.excluded[name] for name in ("state", "expires_at", "decided_at", "decided_by", "data")}
    await connection.execute(writing.on_conflict_do_update(index_elements=["id"], set_=changed), rows)
