"""Pauses and deeds in PostgreSQL."""

from collections.abc import Callable
from datetime import datetime
from typing import TypeVar

import msgspec
from sqlalchemy import Delete, Row, delete, or_, select, text, update
from sqlalchemy.dialects.postgresql import insert

from midwatch.adapters.store import tables as t
from midwatch.adapters.store.audit import record
from midwatch.adapters.store.database import Database
from midwatch.adapters.store.projection import pause_record
from midwatch.domain.brakes import Deed, Pause

T = TypeVar("T")
_pause = msgspec.json.Decoder(Pause)
_ONE_AT_A_TIME = text("LOCK TABLE deeds IN SHARE ROW EXCLUSIVE MODE")
"""Whoever counts waits here for whoever is about to be counted; readers do not."""


class PostgresPauses:
    """See :class:`midwatch.services.brakes.PauseBook`."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def put(self, pause: Pause, *, by: str, at: datetime) -> None:
        row = {
            "starts_at": pause.starts_at,
            "ends_at": pause.ends_at,
            "data": msgspec.json.encode(pause).decode(),
        }
        writing = insert(t.pauses).values(id=pause.id, **row)
        async with self._database.begin() as connection:
            await connection.execute(writing.on_conflict_do_update(index_elements=["id"], set_=row))
            await record(connection, [pause_record(pause, by=by, at=at)])

    async def active(self, now: datetime) -> tuple[Pause, ...]:
        p = t.pauses.c
        query = select(p.data).where(or_(p.ends_at.is_(None), p.ends_at > now))
        async with self._database.begin() as connection:
            found = (await connection.execute(query.order_by(p.starts_at, p.id))).scalars()
            return tuple(pause for data in found if (pause := _pause.decode(data)).holds(now))

    async def recent(self, *, limit: int = 100) -> tuple[Pause, ...]:
        p = t.pauses.c
        query = select(p.data).order_by(p.starts_at.desc(), p.id.desc()).limit(limit)
        async with self._database.begin() as connection:
            return tuple(_pause.decode(data) for data in (await connection.execute(query)).scalars())


class PostgresDeeds:
    """See :class:`midwatch.services.brakes.DeedBook`."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def admit(
        self, key: str, *, now: datetime, since: datetime, judge: Callable[[tuple[Deed, ...]], T | None]
    ) -> T | None:
        d = t.deeds.c
        async with self._database.begin() as connection:
            await connection.execute(_ONE_AT_A_TIME)
            others = (await connection.execute(_since(since).where(d.key != key))).all()
            objection = judge(tuple(_deed(row) for row in others))
            if objection is None:
                writing = insert(t.deeds).values(key=key, at=now)
                await connection.execute(writing.on_conflict_do_nothing(index_elements=["key"]))
            else:
                await connection.execute(_withdrawn(key))
            return objection

    async def end(self, key: str, *, at: datetime, failed: bool) -> None:
        d = t.deeds.c
        ending = update(t.deeds).where(d.key == key, d.ended_at.is_(None)).values(ended_at=at, failed=failed)
        async with self._database.begin() as connection:
            await connection.execute(ending)

    async def withdraw(self, key: str) -> None:
        async with self._database.begin() as connection:
            await connection.execute(_withdrawn(key))

    async def since(self, at: datetime) -> tuple[Deed, ...]:
        async with self._database.begin() as connection:
            return tuple(_deed(row) for row in (await connection.execute(_since(at))).all())


def _withdrawn(key: str) -> Delete:
    return delete(t.deeds).where(t.deeds.c.key == key, t.deeds.c.ended_at.is_(None))


def _since(at: datetime):  # type: ignore[no-untyped-def]  # the type of a Select of four columns says nothing
    d = t.deeds.c
    return select(d.key, d.at, d.ended_at, d.failed).where(or_(d.at >= at, d.ended_at >= at)).order_by(d.at, d.key)


def _deed(row: Row[tuple[str, datetime, datetime | None, bool]]) -> Deed:
    return Deed(key=row.key, at=row.at, ended_at=row.ended_at, failed=row.failed)
