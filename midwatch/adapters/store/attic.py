"""Deleting what is over for long from PostgreSQL."""

from datetime import datetime

from sqlalchemy import delete, select, text, tuple_

from midwatch.adapters.store import tables as t
from midwatch.adapters.store.database import Database
from midwatch.domain.brakes import SHADOWS_KEPT

_ABOUT = tuple(
    table.c.incident_id
    for table in t.metadata.sorted_tables
    if any(key.target_fullname == "incidents.id" for key in table.foreign_keys)
)
"""The columns that hold on to an incident, of tables that are there now and of any that is added."""

_SIGNALS = text("""
    DELETE FROM signals WHERE id IN (
        SELECT s.id FROM signals s LEFT JOIN incidents i ON i.id = s.incident_id
         WHERE s.settled AND s.received_at < :before AND (i.id IS NULL OR i.ended_at < :before)
         ORDER BY s.received_at LIMIT :limit
    )
""")


_DEEDS = text("""
    DELETE FROM deeds WHERE key IN (
        SELECT key FROM deeds
         WHERE ended_at < :before
            OR ended_at IS NULL AND at < :before AND NOT EXISTS (
                SELECT 1 FROM incidents i
                 WHERE i.id = split_part(deeds.key, ':', 1) AND i.state NOT IN ('resolved', 'closed'))
         LIMIT :limit)
""")
_PAUSES = text("DELETE FROM pauses WHERE id IN (SELECT id FROM pauses WHERE ends_at < :before LIMIT :limit)")
_SHADOWS = text("""
    DELETE FROM shadows WHERE key IN (
        SELECT key FROM (
            SELECT key, at, scored_at, incident_id,
                   row_number() OVER (PARTITION BY playbook ORDER BY at DESC, key DESC) AS place
              FROM shadows) s
         WHERE s.at < :before AND s.place > :kept
           AND (s.scored_at IS NOT NULL OR NOT EXISTS (
                SELECT 1 FROM incidents i WHERE i.id = s.incident_id AND i.state NOT IN ('resolved', 'closed')))
         LIMIT :limit)
""")


class PostgresAttic:
    """See :class:`midwatch.services.retention.Attic`."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def forget_incidents(self, *, ended_before: datetime, limit: int) -> int:
        i, a = t.incidents.c, t.approvals.c
        # Those that somebody writes to at this moment (one is reopened) are passed over.
        old = select(i.id).where(i.ended_at < ended_before).order_by(i.ended_at).limit(limit)
        async with self._database.begin() as connection:
            ids = list((await connection.execute(old.with_for_update(skip_locked=True))).scalars())
            if not ids:
                return 0
            asked = select(a.id).where(a.incident_id.in_(ids))
            await connection.execute(delete(t.clicks).where(t.clicks.c.approval_id.in_(asked)))
            for column in _ABOUT:
                await connection.execute(delete(column.table).where(column.in_(ids)))
            await connection.execute(delete(t.incidents).where(i.id.in_(ids)))
        return len(ids)

    async def forget_signals(self, *, received_before: datetime, limit: int) -> int:
        async with self._database.begin() as connection:
            return (await connection.execute(_SIGNALS, {"before": received_before, "limit": limit})).rowcount

    async def forget_messages(self, *, before: datetime, limit: int) -> int:
        a = t.arrivals.c
        old = select(a.channel, a.id).where(a.at < before).order_by(a.at).limit(limit)
        async with self._database.begin() as connection:
            await connection.execute(delete(t.digests).where(t.digests.c.at < before))  # one a day, or few more
            return (await connection.execute(delete(t.arrivals).where(tuple_(a.channel, a.id).in_(old)))).rowcount

    async def forget_brakes(self, *, before: datetime, limit: int) -> int:
        wanted = {"before": before, "limit": limit, "kept": SHADOWS_KEPT}
        async with self._database.begin() as connection:
            return sum([(await connection.execute(query, wanted)).rowcount for query in (_DEEDS, _PAUSES, _SHADOWS)])
