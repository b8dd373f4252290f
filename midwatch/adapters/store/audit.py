"""The audit trail in PostgreSQL, written in the transaction of what it records."""

from collections.abc import Sequence
from datetime import datetime

import msgspec
from sqlalchemy import insert, select, text
from sqlalchemy.ext.asyncio import AsyncConnection

from midwatch.adapters.store import tables as t
from midwatch.adapters.store.database import Database
from midwatch.domain.audit import START, AuditRecord, AuditRow, chained

_LOCK = text("SELECT pg_advisory_xact_lock(727002)")


async def record(connection: AsyncConnection, records: Sequence[AuditRecord]) -> None:
    """Add to the trail. Call it last in a transaction: until its end nobody else can add anything."""
    if not records:
        return
    # One writer at a time, by a lock and not by a row, taken by those alone who have something to record: a storm of
    # signals passes by. The statement after it sees what the one before us committed.
    plain = [msgspec.structs.replace(each, who=t.plain(each.who), why=t.plain(each.why)) for each in records]
    await connection.execute(_LOCK)
    a = t.audit.c
    last = (await connection.execute(select(a.number, a.hash).order_by(a.number.desc()).limit(1))).first()
    number, previous = (0, START) if last is None else (last.number, last.hash)
    await connection.execute(insert(t.audit), [_row(row) for row in chained(plain, number=number, previous=previous)])


class PostgresAudit:
    """See :class:`midwatch.services.ports.AuditTrail`."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def rows(self, *, after: int = 0, since: datetime | None = None, limit: int = 1000) -> tuple[AuditRow, ...]:
        a = t.audit.c
        query = select(t.audit).where(a.number > after).order_by(a.number).limit(limit)
        if since is not None:
            query = query.where(a.at >= since)
        async with self._database.begin() as connection:
            rows = (await connection.execute(query)).all()
        return tuple(
            AuditRow(
                number=row.number,
                previous=row.previous,
                hash=row.hash,
                record=AuditRecord(
                    at=row.at, who=row.who, what=row.what, why=row.why, about=row.about, seq=row.seq, data=row.data
                ),
            )
            for row in rows
        )


def _row(row: AuditRow) -> dict[str, object]:
    told = row.record
    return {
        "number": row.number,
        "at": told.at,
        "who": told.who,
        "what": told.what,
        "why": told.why,
        "about": told.about,
        "seq": told.seq,
        "data": told.data,
        "previous": row.previous,
        "hash": row.hash,
    }
