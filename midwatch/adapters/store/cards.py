"""The outbox in PostgreSQL: a card is due while its incident's journal is longer than what the channel shows."""

from datetime import datetime

from sqlalchemy import and_, func, or_, select
from sqlalchemy.dialects.postgresql import insert

from midwatch.adapters.store import tables as t
from midwatch.adapters.store.database import Database
from midwatch.adapters.store.projection import STALE
from midwatch.domain.ids import IncidentId
from midwatch.services.ports import CardRow


class PostgresCards:
    """See :class:`midwatch.services.ports.CardBox`."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def due(self, channel: str, *, now: datetime, limit: int = 50) -> tuple[CardRow, ...]:
        i, c = t.incidents.c, t.cards.c
        query = (
            select(i.id, c.ref, c.seq, c.digest, c.attempts)
            .join_from(t.incidents, t.cards, and_(c.incident_id == i.id, c.channel == channel), isouter=True)
            .where(
                i.seq > func.coalesce(c.seq, 0),
                or_(c.next_at.is_(None), c.next_at <= now),
                or_(c.seq > 0, i.ended_at.is_(None), i.ended_at > now - STALE),
            )
            .order_by(i.updated_at, i.id)
            .limit(limit)
        )
        async with self._database.begin() as connection:
            rows = (await connection.execute(query)).all()
        return tuple(_card(IncidentId(row.id), channel, row.ref, row.seq, row.digest, row.attempts) for row in rows)

    async def sent(self, card: CardRow, *, at: datetime) -> None:
        shown = {"ref": card.ref, "seq": card.seq, "digest": card.digest, "sent_at": at}
        await self._write(card, {**shown, "attempts": 0, "error": "", "next_at": None})

    async def failed(self, card: CardRow, *, error: str, retry_at: datetime) -> None:
        await self._write(card, {"attempts": card.attempts + 1, "error": t.plain(error), "next_at": retry_at})

    async def get(self, incident_id: IncidentId, channel: str) -> CardRow | None:
        c = t.cards.c
        query = select(c.ref, c.seq, c.digest, c.attempts)
        async with self._database.begin() as connection:
            row = (await connection.execute(query.where(c.incident_id == incident_id, c.channel == channel))).first()
        return None if row is None else _card(incident_id, channel, row.ref, row.seq, row.digest, row.attempts)

    async def _write(self, card: CardRow, values: dict[str, object]) -> None:
        place = {"incident_id": card.incident, "channel": card.channel}
        writing = insert(t.cards).values({**place, **values})
        async with self._database.begin() as connection:
            await connection.execute(
                writing.on_conflict_do_update(index_elements=list(place), set_={k: writing.excluded[k] for k in values})
            )


def _card(
    incident_id: IncidentId, channel: str, ref: str | None, seq: int | None, digest: str | None, attempts: int | None
) -> CardRow:
    """A card's row; an outer join gives ``None`` where the channel has none yet."""
    return CardRow(
        incident=incident_id,
        channel=channel,
        ref=ref or "",
        seq=seq or 0,
        digest=digest or "",
        attempts=attempts or 0,
    )
