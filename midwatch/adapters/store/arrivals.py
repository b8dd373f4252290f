"""Messages of people in PostgreSQL, stored before they are answered."""

from datetime import datetime

import msgspec
from sqlalchemy import or_, select, update
from sqlalchemy.dialects.postgresql import insert

from midwatch.adapters.store import tables as t
from midwatch.adapters.store.database import Database
from midwatch.services.messaging import IncomingMessage
from midwatch.services.ports import Arrival

_message = msgspec.json.Decoder(IncomingMessage)


class PostgresArrivals:
    """See :class:`midwatch.services.ports.ArrivalBox`."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def put(self, message: IncomingMessage) -> bool:
        row = {
            "channel": message.channel_type,
            "id": message.id,
            "at": message.at,
            "data": msgspec.json.encode(message).decode(),
        }
        storing = insert(t.arrivals).values(row).on_conflict_do_nothing().returning(t.arrivals.c.id)
        async with self._database.begin() as connection:
            return (await connection.execute(storing)).first() is not None

    async def pending(self, channel: str, *, now: datetime, limit: int = 100) -> tuple[Arrival, ...]:
        c = t.arrivals.c
        due = or_(c.next_at.is_(None), c.next_at <= now)
        query = select(c.data, c.ref, c.attempts).where(c.channel == channel, c.settled_at.is_(None), due)
        async with self._database.begin() as connection:
            rows = (await connection.execute(query.order_by(c.at, c.id).limit(limit))).all()
        return tuple(Arrival(message=_message.decode(row.data), ref=row.ref, attempts=row.attempts) for row in rows)

    async def answering(self, message: IncomingMessage, ref: str) -> None:
        await self._write(message, {"ref": ref})

    async def settle(self, message: IncomingMessage, *, at: datetime) -> None:
        await self._write(message, {"settled_at": at, "error": ""})

    async def failed(self, arrival: Arrival, *, error: str, retry_at: datetime) -> None:
        failure = {"attempts": arrival.attempts + 1, "error": t.plain(error), "next_at": retry_at}
        await self._write(arrival.message, failure)

    async def _write(self, message: IncomingMessage, values: dict[str, object]) -> None:
        c = t.arrivals.c
        writing = update(t.arrivals).where(c.channel == message.channel_type, c.id == message.id)
        async with self._database.begin() as connection:
            await connection.execute(writing.values(values))
