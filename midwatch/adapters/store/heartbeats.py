"""Heartbeats in PostgreSQL: one row a sender."""

from datetime import datetime

from midwatch.adapters.store import tables as t
from midwatch.adapters.store.database import Database
from midwatch.domain.heartbeats import Heartbeat

_HEARD = """
    INSERT INTO heartbeats AS h (id, cluster, source, name, seen_at, gap_s, beats) VALUES ($1, $2, $3, $4, $5, 0, 1)
    ON CONFLICT (id) DO UPDATE SET
        gap_s = greatest(h.gap_s * 0.9, extract(epoch FROM excluded.seen_at - h.seen_at)),
        seen_at = excluded.seen_at, beats = h.beats + 1
     WHERE h.seen_at < excluded.seen_at
"""
_EXPECT = """
    INSERT INTO heartbeats (id, cluster, source, name, seen_at, gap_s, beats) VALUES ($1, $2, '', $3, $4, 0, 0)
    ON CONFLICT (id) DO NOTHING
"""
_ALL = "SELECT cluster, source, name, seen_at, gap_s, beats FROM heartbeats ORDER BY id"


class PostgresHeartbeats:
    """See :class:`midwatch.services.heartbeats.HeartbeatBook`."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def heard(self, cluster: str, source: str, name: str, at: datetime) -> None:
        cluster, source, name = (t.plain(text) for text in (cluster, source, name))
        await self._database.fetch(_HEARD, _id(cluster, source, name), cluster, source, name, at)

    async def expect(self, cluster: str, name: str, since: datetime) -> None:
        cluster, name = t.plain(cluster), t.plain(name)
        await self._database.fetch(_EXPECT, _id(cluster, "", name), cluster, name, since)

    async def all(self) -> tuple[Heartbeat, ...]:
        return tuple(
            Heartbeat(
                cluster=row["cluster"],
                source=row["source"],
                name=row["name"],
                seen_at=row["seen_at"],
                gap_s=row["gap_s"],
                beats=row["beats"],
            )
            for row in await self._database.fetch(_ALL)
        )


def _id(*parts: str) -> bytes:
    return t.digest("|".join(parts))
