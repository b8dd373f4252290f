"""Silences in PostgreSQL."""

from datetime import datetime

import msgspec
from sqlalchemy import select
from sqlalchemy.dialects.postgresql import insert as upsert

from midwatch.adapters.store import tables as t
from midwatch.adapters.store.audit import record
from midwatch.adapters.store.database import Database
from midwatch.adapters.store.projection import silence_record, the_one
from midwatch.domain.errors import NotFound
from midwatch.domain.silences import Silence

_silence = msgspec.json.Decoder(Silence)


class PostgresSilences:
    """See :class:`midwatch.services.ports.SilenceBook`."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def put(self, silence: Silence, *, by: str, at: datetime) -> None:
        row = {
            "starts_at": silence.starts_at,
            "ends_at": silence.ends_at,
            "data": msgspec.json.encode(silence).decode(),
        }
        writing = upsert(t.silences).values(id=silence.id, **row)
        async with self._database.begin() as connection:
            await connection.execute(writing.on_conflict_do_update(index_elements=["id"], set_=row))
            await record(connection, [silence_record(silence, by=by, at=at)])

    async def find(self, silence_id: str) -> Silence:
        s = t.silences.c
        begins = s.id.startswith(silence_id, autoescape=True) if len(silence_id) >= 8 else s.id == silence_id
        async with self._database.begin() as connection:
            rows = {row.id: row.data for row in await connection.execute(select(s.id, s.data).where(begins).limit(2))}
        if not rows:
            raise NotFound(f"there is no silence {silence_id}")
        return _silence.decode(rows[the_one(tuple(rows), silence_id, "silence")])

    async def active(self, now: datetime) -> tuple[Silence, ...]:
        s = t.silences.c
        query = select(s.data).where(s.ends_at > now, s.starts_at <= now).order_by(s.ends_at, s.id)
        async with self._database.begin() as connection:
            return tuple(_silence.decode(data) for data in (await connection.execute(query)).scalars())

    async def recent(self, *, limit: int = 100) -> tuple[Silence, ...]:
        s = t.silences.c
        query = select(s.data).order_by(s.ends_at.desc(), s.id.desc()).limit(limit)
        async with self._database.begin() as connection:
            return tuple(_silence.decode(data) for data in (await connection.execute(query)).scalars())
