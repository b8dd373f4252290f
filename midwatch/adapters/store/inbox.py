"""The inbox in PostgreSQL: each signal once, in the order it came, until it is settled."""

from collections.abc import Collection, Sequence
from datetime import datetime
from typing import Any

import asyncpg
import msgspec
from sqlalchemy import Row, exists, func, select

from midwatch.adapters.store import tables as t
from midwatch.adapters.store.database import Database
from midwatch.domain.errors import NotFound, Transient
from midwatch.domain.ids import IncidentId, SignalId
from midwatch.domain.reasons import Reason
from midwatch.domain.signals import Signal, SignalStatus
from midwatch.services.ports import Deferral, PendingSignal, Receipt, SignalRow

_signal = msgspec.json.Decoder(Signal)

_RACES = 10
_RETRY_S = 0.5

# One array a column: the statement's text, hence its plan, is the same for any number of signals. Rows are locked in
# the order of their delivery, here and in _SETTLE: who touches the same signals waits, but never in a ring.
_PUT = """
    INSERT INTO signals (id, delivery, episode, identity, source, cluster, status, received_at, due_at, place, repeats,
                         data)
    SELECT id, delivery, episode, identity, source, cluster, status, received_at, received_at, place, repeats, data
      FROM unnest($1::text[], $2::bytea[], $3::bytea[], $4::text[], $5::text[], $6::text[], $7::text[],
                  $8::timestamptz[], $9::int[], $10::int[], $11::json[])
           AS new(id, delivery, episode, identity, source, cluster, status, received_at, place, repeats, data)
     ORDER BY delivery
    ON CONFLICT (delivery) DO UPDATE
       SET repeats = signals.repeats + excluded.repeats + 1,
           -- what was taken for over without a word is looked at anew when the word comes after all
           settled = signals.settled AND signals.outcome <> 'resolve-lost',
           due_at = CASE WHEN signals.outcome = 'resolve-lost' THEN excluded.due_at ELSE signals.due_at END
    RETURNING id, delivery, repeats
"""

_PENDING = """
    SELECT data::text AS data, due_at, looks FROM signals
     WHERE NOT settled AND due_at <= $1 ORDER BY received_at, place, id LIMIT $2
"""

_SETTLE = """
    WITH locked AS (
        SELECT id FROM signals WHERE id = ANY($1::text[]) ORDER BY delivery FOR UPDATE
    )
    UPDATE signals SET settled = true, outcome = new.outcome, incident_id = new.incident
      FROM unnest($1::text[], $2::text[], $3::text[]) AS new(id, outcome, incident)
      JOIN locked ON locked.id = new.id
     WHERE signals.id = new.id
"""

_REPEATS = "SELECT id, repeats FROM signals WHERE id = ANY($1::text[])"

_DEFER = """
    UPDATE signals SET due_at = new.due, looks = looks + 1, outcome = new.shown
      FROM unnest($1::text[], $2::timestamptz[], $3::text[]) AS new(id, due, shown)
     WHERE signals.id = new.id AND NOT settled
"""

_TOLD = """
    SELECT episode,
           (array_agg(incident_id ORDER BY received_at DESC) FILTER (WHERE incident_id IS NOT NULL))[1] AS found
      FROM signals
     WHERE episode = ANY($1::bytea[]) AND status = $2
     GROUP BY episode
"""


class PostgresInbox:
    """See :class:`midwatch.services.ports.Inbox`."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def put(self, signals: Sequence[Signal]) -> tuple[Receipt, ...]:
        if not signals:
            return ()
        deliveries = [t.digest(signal.delivery) for signal in signals]
        first: dict[bytes, int] = {}
        repeats: dict[bytes, int] = {}
        for place, delivery in enumerate(deliveries):
            first.setdefault(delivery, place)
            repeats[delivery] = repeats.get(delivery, -1) + 1
        fresh = [signals[place] for place in first.values()]
        rows = await self._put(
            [signal.id for signal in fresh],
            list(first),
            [t.digest(signal.episode) for signal in fresh],
            [t.plain(signal.identity) for signal in fresh],
            [t.plain(signal.source) for signal in fresh],
            [t.plain(signal.cluster) for signal in fresh],
            [signal.status.value for signal in fresh],
            [signal.received_at for signal in fresh],
            list(first.values()),
            [repeats[delivery] for delivery in first],
            [msgspec.json.encode(signal).decode() for signal in fresh],
        )
        kept = {row["delivery"]: (SignalId(row["id"]), row["repeats"]) for row in rows}
        # A new row counts the repeats within this call only; one that was there has counted this call on top.
        return tuple(
            Receipt(kept[delivery][0], first[delivery] == place and kept[delivery][1] == repeats[delivery])
            for place, delivery in enumerate(deliveries)
        )

    async def _put(self, *columns: Sequence[object]) -> list[asyncpg.Record]:
        """ON CONFLICT takes care of one delivery under two ids; that of the very same id can still race.

        Who is told that the id is taken finds the other's row the next time.
        """
        for _ in range(_RACES):
            try:
                return await self._database.fetch(_PUT, *columns)
            except asyncpg.UniqueViolationError:
                continue
        raise Transient(f"the same alerts were being stored {_RACES} times over", _RETRY_S)

    async def pending(self, *, now: datetime, limit: int = 500) -> tuple[PendingSignal, ...]:
        rows = await self._database.fetch(_PENDING, now, limit)
        return tuple(PendingSignal(_signal.decode(row["data"]), row["due_at"], row["looks"]) for row in rows)

    async def settle(self, outcomes: Sequence[tuple[SignalId, Reason, IncidentId | None]]) -> None:
        if outcomes:
            ids, reasons, incidents = zip(*outcomes, strict=True)
            await self._database.fetch(_SETTLE, ids, [reason.value for reason in reasons], incidents)

    async def defer(self, signals: Sequence[Deferral]) -> None:
        if signals:
            ids, dues, reasons = zip(*signals, strict=True)
            await self._database.fetch(_DEFER, ids, dues, [reason.value if reason else "" for reason in reasons])

    async def repeats_of(self, signals: Collection[SignalId]) -> dict[SignalId, int]:
        rows = await self._database.fetch(_REPEATS, list(signals)) if signals else []
        return {SignalId(row["id"]): row["repeats"] for row in rows}

    async def resolved_since(self, episode: str) -> bool:
        s = t.signals.c
        query = select(exists().where(s.episode == t.digest(episode), s.status == SignalStatus.RESOLVED.value))
        async with self._database.begin() as connection:
            return bool((await connection.execute(query)).scalar())

    async def resolved_among(self, episodes: Collection[str]) -> frozenset[str]:
        told = await self._told_of(episodes, SignalStatus.RESOLVED)
        return frozenset(told)

    async def incidents_of(self, episodes: Collection[str]) -> dict[str, IncidentId]:
        told = await self._told_of(episodes, SignalStatus.FIRING)
        return {episode: incident for episode, incident in told.items() if incident is not None}

    async def _told_of(self, episodes: Collection[str], status: SignalStatus) -> dict[str, IncidentId | None]:
        """The episodes of which such a signal is here, and the incident of the latest that has one."""
        if not episodes:
            return {}
        by_digest = {t.digest(episode): episode for episode in episodes}
        rows = await self._database.fetch(_TOLD, list(by_digest), status.value)
        return {by_digest[row["episode"]]: row["found"] and IncidentId(row["found"]) for row in rows}

    async def incident_of(self, episode: str) -> IncidentId | None:
        s = t.signals.c
        firing = (s.episode == t.digest(episode), s.status == SignalStatus.FIRING.value)
        query = select(s.incident_id).where(*firing, s.incident_id.is_not(None))
        async with self._database.begin() as connection:
            found = (await connection.execute(query.order_by(s.received_at.desc()).limit(1))).scalar()
        return None if found is None else IncidentId(found)

    async def depth(self) -> int:
        s = t.signals.c
        query = select(func.count()).select_from(t.signals).where(~s.settled, s.outcome != Reason.SILENCED.value)
        async with self._database.begin() as connection:
            return int((await connection.execute(query)).scalar_one())

    async def active(self, *, source: str, cluster: str) -> tuple[Signal, ...]:
        s, later = t.signals.c, t.signals.alias("later")
        told = exists().where(later.c.episode == s.episode, later.c.status == SignalStatus.RESOLVED.value)
        mine = (s.source == source, s.cluster == cluster, s.status == SignalStatus.FIRING.value, ~told)
        query = select(s.data).where(*mine).order_by(s.received_at, s.place, s.id)
        async with self._database.begin() as connection:
            rows = (await connection.execute(query)).scalars().all()
        return tuple({signal.episode: signal for signal in map(_signal.decode, rows)}.values())

    async def firing_since(self, since: datetime) -> tuple[Signal, ...]:
        s = t.signals.c
        query = select(s.data).where(s.status == SignalStatus.FIRING.value, s.received_at >= since)
        async with self._database.begin() as connection:
            rows = await connection.execute(query.order_by(s.received_at, s.place, s.id).limit(10_000))
            return tuple(_signal.decode(data) for data in rows.scalars())

    async def find(self, signal_id: SignalId) -> SignalRow:
        query = _ROW.where(t.signals.c.id == t.plain(signal_id))
        async with self._database.begin() as connection:
            row = (await connection.execute(query)).one_or_none()
        if row is None:
            raise NotFound(f"no alert {signal_id[:60]}")
        return _row(row)

    async def recent(self, *, limit: int = 100) -> tuple[SignalRow, ...]:
        s = t.signals.c
        query = _ROW.order_by(s.received_at.desc(), s.place.desc(), s.id.desc()).limit(limit)
        async with self._database.begin() as connection:
            rows = (await connection.execute(query)).all()
        return tuple(map(_row, rows))


_ROW = select(t.signals.c.data, t.signals.c.settled, t.signals.c.outcome, t.signals.c.incident_id)


def _row(row: Row[Any, Any, Any, Any]) -> SignalRow:
    incident = None if row.incident_id is None else IncidentId(row.incident_id)
    return SignalRow(signal=_signal.decode(row.data), settled=row.settled, outcome=row.outcome, incident=incident)
