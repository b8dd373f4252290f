"""The outbox in PostgreSQL: a card is due while its incident's journal is longer than what the channel shows.

An append writes its number into the cards there are (``wanted``), so that those behind are found by an index however
long the history is; incidents without a card in a channel are looked for among the open and the lately ended.
"""

from datetime import datetime

from sqlalchemy import ColumnElement, Integer, Text, and_, exists, literal, or_, select, union_all
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
        news: ColumnElement[bool] = or_(i.ended_at.is_(None), i.ended_at > now - STALE)
        behind = (
            select(i.id, i.updated_at, c.ref, c.seq, c.digest, c.attempts)
            .join_from(t.cards, t.incidents, c.incident_id == i.id)
            .where(c.channel == channel, c.wanted > c.seq)
            .where(or_(c.next_at.is_(None), c.next_at <= now), or_(c.seq > 0, news))
        )
        none = literal("", Text)
        zero = literal(0, Integer)
        unseen = select(
            i.id,
            i.updated_at,
            none.label("ref"),
            zero.label("seq"),
            none.label("digest"),
            zero.label("attempts"),
        ).where(news, ~exists().where(and_(c.incident_id == i.id, c.channel == channel)))
        both = union_all(behind, unseen).subquery()
        query = select(both).order_by(both.c.updated_at, both.c.id).limit(limit)
        async with self._database.begin() as connection:
            rows = (await connection.execute(query)).all()
        return tuple(
            CardRow(
                incident=IncidentId(row.id),
                channel=channel,
                ref=row.ref,
                seq=row.seq,
                digest=row.digest,
                attempts=row.attempts,
            )
            for row in rows
        )

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
        if row is None:
            return None
        ref, seq, digest, attempts = row
        return CardRow(incident=incident_id, channel=channel, ref=ref, seq=seq, digest=digest, attempts=attempts)

    async def _write(self, card: CardRow, values: dict[str, object]) -> None:
        place = {"incident_id": card.incident, "channel": card.channel}
        i = t.incidents.c
        async with self._database.begin() as connection:
            # Shared lock: an append that is under way ends first, and its number is not lost on a card that is new.
            locking = select(i.seq).where(i.id == card.incident).with_for_update(read=True)
            wanted = (await connection.execute(locking)).scalar_one()
            writing = insert(t.cards).values({**place, **values, "wanted": wanted})
            changed = {name: writing.excluded[name] for name in (*values, "wanted")}
            await connection.execute(writing.on_conflict_do_update(index_elements=list(place), set_=changed))
