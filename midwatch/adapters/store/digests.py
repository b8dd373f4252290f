"""Digests in PostgreSQL, and the cards that wait for one."""

from datetime import datetime

import msgspec
from sqlalchemy import case, literal, or_, select, update
from sqlalchemy.dialects.postgresql import insert

from midwatch.adapters.store import tables as t
from midwatch.adapters.store.database import Database
from midwatch.domain.digests import Digest
from midwatch.domain.ids import IncidentId
from midwatch.services.digesting import DigestRow

_digest = msgspec.json.Decoder(Digest)


class PostgresDigests:
    """See :class:`midwatch.services.digesting.DigestBox`."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def held(self, channel: str, *, now: datetime, limit: int) -> tuple[IncidentId, ...]:
        c = t.cards.c
        query = select(c.incident_id).where(c.channel == channel, c.held_until <= now)
        async with self._database.begin() as connection:
            rows = (await connection.execute(query.order_by(c.held_until, c.incident_id).limit(limit))).scalars()
            return tuple(map(IncidentId, rows))

    async def begin(self, digest: Digest) -> bool:
        c = t.cards.c
        states = {line.incident: line.state for line in digest.lines}
        waiting = (
            select(c.incident_id)
            .where(c.channel == digest.channel, c.incident_id.in_(states), c.held_until <= digest.at)
            .order_by(c.incident_id)
            .with_for_update()
        )
        row = {
            "id": digest.id,
            "channel": digest.channel,
            "at": digest.at,
            "data": msgspec.json.encode(digest).decode(),
        }
        async with self._database.begin() as connection:
            found = set((await connection.execute(waiting)).scalars())
            if not digest.lines or found != set(states):
                return False
            told = case({incident: literal(state) for incident, state in states.items()}, value=c.incident_id)
            mine = update(t.cards).where(c.channel == digest.channel, c.incident_id.in_(states))
            await connection.execute(mine.values(held_until=None, shown=told))
            await connection.execute(insert(t.digests).values(row))
        return True

    async def unsent(self, channel: str, *, now: datetime) -> tuple[DigestRow, ...]:
        d = t.digests.c
        due = or_(d.next_at.is_(None), d.next_at <= now)
        query = select(d.data, d.attempts, d.posting_at).where(d.channel == channel, d.sent_at.is_(None), due)
        async with self._database.begin() as connection:
            rows = (await connection.execute(query.order_by(d.at, d.id))).all()
        return tuple(
            DigestRow(digest=_digest.decode(row.data), attempts=row.attempts, posting_at=row.posting_at) for row in rows
        )

    async def posting(self, digest_id: str, *, at: datetime) -> None:
        await self._write(digest_id, {"posting_at": at})

    async def sent(self, digest_id: str, ref: str, *, at: datetime) -> None:
        await self._write(digest_id, {"ref": ref, "sent_at": at, "posting_at": None, "next_at": None, "error": ""})

    async def failed(self, row: DigestRow, *, error: str, retry_at: datetime) -> None:
        failure = {"attempts": row.attempts + 1, "error": t.plain(error), "next_at": retry_at}
        await self._write(row.digest.id, {**failure, "posting_at": row.posting_at})

    async def _write(self, digest_id: str, values: dict[str, object]) -> None:
        async with self._database.begin() as connection:
            await connection.execute(update(t.digests).where(t.digests.c.id == digest_id).values(values))
