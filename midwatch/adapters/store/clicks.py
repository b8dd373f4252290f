"""People's answers in PostgreSQL, stored before they are judged."""

import msgspec
from sqlalchemy import select, update
from sqlalchemy.dialects.postgresql import insert

from midwatch.adapters.store import tables as t
from midwatch.adapters.store.database import Database
from midwatch.domain.approvals import Click
from midwatch.domain.ids import ClickId

_click = msgspec.json.Decoder(Click)


class PostgresClicks:
    """See :class:`midwatch.services.ports.ClickBox`."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def put(self, click: Click) -> bool:
        row = {
            "id": click.id,
            "approval_id": click.approval_id,
            "at": click.at,
            "data": msgspec.json.encode(click).decode(),
        }
        storing = insert(t.clicks).values(row).on_conflict_do_nothing().returning(t.clicks.c.id)
        async with self._database.begin() as connection:
            return (await connection.execute(storing)).first() is not None

    async def pending(self, *, limit: int = 100) -> tuple[Click, ...]:
        c = t.clicks.c
        query = select(c.data).where(c.outcome.is_(None)).order_by(c.at, c.id).limit(limit)
        async with self._database.begin() as connection:
            return tuple(map(_click.decode, (await connection.execute(query)).scalars()))

    async def settle(self, click_id: ClickId, *, outcome: str, sentence: str) -> None:
        c = t.clicks.c
        # The first judgement stands: one told again after a crash must not change what the person was told.
        judged = update(t.clicks).where(c.id == click_id, c.outcome.is_(None))
        async with self._database.begin() as connection:
            await connection.execute(judged.values(outcome=outcome, sentence=t.plain(sentence)))

    async def outcome(self, click_id: ClickId) -> tuple[str, str] | None:
        c = t.clicks.c
        query = select(c.outcome, c.sentence).where(c.id == click_id, c.outcome.is_not(None))
        async with self._database.begin() as connection:
            row = (await connection.execute(query)).first()
        return None if row is None else (row.outcome, row.sentence)
