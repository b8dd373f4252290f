"""The outbox in PostgreSQL: a card is due while its incident's journal is longer than what the channel shows.

An append writes its number into the cards there are (``wanted``), so that those behind are found by an index however
long the history is; incidents without a card in a channel are looked for among the open and the lately ended.
"""

from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import (
    ColumnElement,
    Integer,
    Subquery,
    Text,
    and_,
    case,
    exists,
    literal,
    null,
    or_,
    select,
    union_all,
)
from sqlalchemy.dialects.postgresql import insert

from midwatch.adapters.store import tables as t
from midwatch.adapters.store.database import Database
from midwatch.adapters.store.projection import STALE, WAITED_FOR
from midwatch.domain.ids import IncidentId
from midwatch.domain.incidents import State
from midwatch.services.ports import CardRow


class PostgresCards:
    """See :class:`midwatch.services.ports.CardBox`."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def due(
        self, channel: str, *, now: datetime, limit: int = 50, gap: timedelta = timedelta(0)
    ) -> tuple[CardRow, ...]:
        i, c = t.incidents.c, t.cards.c
        news: ColumnElement[bool] = or_(i.ended_at.is_(None), i.ended_at > now - STALE)
        answered = and_(c.shown == State.AWAITING_APPROVAL, i.state != State.AWAITING_APPROVAL)
        behind = (
            select(i.id, i.updated_at, i.state, c.ref, c.seq, c.digest, c.attempts, c.posting_at, c.shown, c.held_until)
            .join_from(t.cards, t.incidents, c.incident_id == i.id)
            .where(c.channel == channel, c.wanted > c.seq)
            .where(or_(c.next_at.is_(None), c.next_at <= now), or_(c.seq > 0, news))
            .where(or_(c.sent_at.is_(None), c.sent_at <= now - gap, answered))
        )
        none, zero = literal("", Text), literal(0, Integer)
        unseen = select(
            i.id,
            i.updated_at,
            i.state,
            none.label("ref"),
            zero.label("seq"),
            none.label("digest"),
            zero.label("attempts"),
            null().cast(t.Instant).label("posting_at"),
            none.label("shown"),
            null().cast(t.Instant).label("held_until"),
        ).where(news, ~exists().where(and_(c.incident_id == i.id, c.channel == channel)))
        both = union_all(behind, unseen).subquery()
        query = select(both).order_by(_rank(both), both.c.updated_at, both.c.id).limit(limit)
        async with self._database.begin() as connection:
            rows = (await connection.execute(query)).all()
        return tuple(_card(row.id, channel, row) for row in rows)

    async def posting(self, card: CardRow, *, at: datetime) -> None:
        await self._write(card, {"posting_at": at})

    async def sent(self, card: CardRow, *, at: datetime) -> None:
        shown = {"ref": card.ref, "seq": card.seq, "digest": card.digest, "shown": card.shown, "sent_at": at}
        await self._write(
            card, {**shown, "attempts": 0, "error": "", "next_at": None, "posting_at": None, "held_until": None}
        )

    async def seen(self, card: CardRow) -> None:
        await self._write(card, {"seq": card.seq, "shown": card.shown, "held_until": None})

    async def failed(self, card: CardRow, *, error: str, retry_at: datetime) -> None:
        failure = {"attempts": card.attempts + 1, "error": t.plain(error), "next_at": retry_at}
        await self._write(card, {**failure, "posting_at": card.posting_at})

    async def put_off(self, card: CardRow, *, until: datetime) -> None:
        await self._write(card, {"seq": card.seq, "attempts": 0, "next_at": None, "held_until": until})

    async def get(self, incident_id: IncidentId, channel: str) -> CardRow | None:
        c = t.cards.c
        return await self._one(and_(c.incident_id == incident_id, c.channel == channel))

    async def find(self, channel: str, ref: str) -> CardRow | None:
        c = t.cards.c
        return await self._one(and_(c.channel == channel, c.ref == ref)) if ref else None

    async def _one(self, where: ColumnElement[bool]) -> CardRow | None:
        c = t.cards.c
        query = select(
            c.incident_id, c.channel, c.ref, c.seq, c.digest, c.attempts, c.posting_at, c.shown, c.held_until
        )
        async with self._database.begin() as connection:
            row = (await connection.execute(query.where(where).limit(1))).first()
        return None if row is None else _card(row.incident_id, row.channel, row)

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


def _rank(rows: Subquery) -> ColumnElement[int]:
    """See :func:`projection.urgency`."""
    r = rows.c
    asked = or_(r.state.in_(WAITED_FOR), r.shown == State.AWAITING_APPROVAL)
    return case(
        (and_(r.ref != "", asked), 0),
        (r.state == State.AWAITING_APPROVAL, 1),
        (r.state == State.ESCALATED, 2),
        else_=3,
    )


def _card(incident: str, channel: str, row: Any) -> CardRow:
    return CardRow(
        incident=IncidentId(incident),
        channel=channel,
        ref=row.ref,
        seq=row.seq,
        digest=row.digest,
        attempts=row.attempts,
        posting_at=row.posting_at,
        shown=row.shown,
        held_until=row.held_until,
    )
