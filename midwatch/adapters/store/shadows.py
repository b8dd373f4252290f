"""Shadows in PostgreSQL."""

from collections.abc import Sequence
from datetime import datetime

import msgspec
from sqlalchemy import select, update
from sqlalchemy.dialects.postgresql import insert

from midwatch.adapters.store import tables as t
from midwatch.adapters.store.database import Database
from midwatch.domain.shadows import Score, Shadow

_shadow = msgspec.json.Decoder(Shadow)
_OVER = ("resolved", "closed")


class PostgresShadows:
    """See :class:`midwatch.services.shadowing.ShadowBook`."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def put(self, shadow: Shadow) -> None:
        row = {
            "key": shadow.key,
            "incident_id": shadow.incident,
            "playbook": t.plain(shadow.playbook),
            "at": shadow.at,
            "data": msgspec.json.encode(shadow).decode(),
        }
        async with self._database.begin() as connection:
            await connection.execute(insert(t.shadows).values(row).on_conflict_do_nothing())

    async def due(self, *, limit: int = 50) -> Sequence[Shadow]:
        s, i = t.shadows.c, t.incidents.c
        query = (
            select(s.data)
            .join_from(t.shadows, t.incidents, s.incident_id == i.id)
            .where(s.scored_at.is_(None), i.state.in_(_OVER))
        )
        async with self._database.begin() as connection:
            found = (await connection.execute(query.order_by(s.at, s.key).limit(limit))).scalars()
            return tuple(_shadow.decode(data) for data in found)

    async def score(self, key: str, score: Score, *, at: datetime, detail: str) -> None:
        s = t.shadows.c
        async with self._database.begin() as connection:
            query = select(s.data).where(s.key == key, s.scored_at.is_(None)).with_for_update()
            data = (await connection.execute(query)).scalar()
            if data is None:
                return
            scored = msgspec.structs.replace(_shadow.decode(data), score=score, scored_at=at, detail=detail)
            values = {"score": score.value, "scored_at": at, "data": msgspec.json.encode(scored).decode()}
            await connection.execute(update(t.shadows).where(s.key == key).values(values))

    async def recent(self, *, playbook: str = "", limit: int = 1000) -> Sequence[Shadow]:
        s = t.shadows.c
        query = select(s.data).order_by(s.at.desc(), s.key.desc()).limit(limit)
        if playbook:
            query = query.where(s.playbook == t.plain(playbook))
        async with self._database.begin() as connection:
            return tuple(_shadow.decode(data) for data in (await connection.execute(query)).scalars())
