"""The inbox in PostgreSQL: each signal once, in the order it came, until it is settled."""

from collections.abc import Collection, Sequence
from datetime import datetime
from typing import Any

import msgspec
from sqlalchemy import Row, exists, func, select, text, update

from midwatch.adapters.store import tables as t
from midwatch.adapters.store.database import Database
from midwatch.domain.errors import NotFound
from midwatch.domain.ids import IncidentId, SignalId
from midwatch.domain.reasons import Reason
from midwatch.domain.signals import Signal, SignalStatus
from midwatch.services.ports import PendingSignal, Receipt, SignalRow

_signal = msgspec.json.Decoder(Signal)

# One array a column: the statement's text, hence its plan, is the same for any number of signals. Rows are locked in
# the order of their delivery, here and in _SETTLE: who touches the same signals waits, but never in a ring.
_PUT = text("""
    INSERT INTO signals (id, delivery, episode, identity, source, cluster, status, received_at, due_at, place, repeats,
                         data)
    SELECT id, delivery, episode, identity, source, cluster, status, received_at, received_at, place, repeats, data
      FROM unnest(CAST(:id AS text[]), CAST(:delivery AS bytea[]), CAST(:episode AS bytea[]), CAST(:identity AS text[]),
                  CAST(:source AS text[]), CAST(:cluster AS text[]), CAST(:status AS text[]),
                  CAST(:received_at AS timestamptz[]), CAST(:place AS int[]), CAST(:repeats AS int[]),
                  CAST(:data AS json[]))
           AS new(id, delivery, episode, identity, source, cluster, status, received_at, place, repeats, data)
     ORDER BY delivery
    ON CONFLICT (delivery) DO UPDATE SET repeats = signals.repeats + excluded.repeats + 1
    RETURNING id, delivery, repeats
""")

_SETTLE = text("""
    WITH locked AS (
        SELECT id FROM signals WHERE id = ANY(CAST(:ids AS text[])) ORDER BY delivery FOR UPDATE
    )
    UPDATE signals SET settled = true, outcome = new.outcome, incident_id = new.incident
      FROM unnest(CAST(:ids AS text[]), CAST(:outcomes AS text[]), CAST(:incidents AS text[]))
           AS new(id, outcome, incident)
      JOIN locked ON locked.id = new.id
     WHERE signals.id = new.id
""")

_TOLD = text("""
    SELECT episode,
           (array_agg(incident_id ORDER BY received_at DESC) FILTER (WHERE incident_id IS NOT NULL))[1] AS found
      FROM signals
     WHERE episode = ANY(CAST(:digests AS bytea[])) AND status = :status
     GROUP BY episode
""")


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
        fresh = [(place, delivery, signals[place]) for delivery, place in first.items()]
        columns = {
            "id": [signal.id for _, _, signal in fresh],
            "delivery": [delivery for _, delivery, _ in fresh],
            "episode": [t.digest(signal.episode) for _, _, signal in fresh],
            "identity": [t.plain(signal.identity) for _, _, signal in fresh],
            "source": [t.plain(signal.source) for _, _, signal in fresh],
            "cluster": [t.plain(signal.cluster) for _, _, signal in fresh],
            "status": [signal.status.value for _, _, signal in fresh],
            "received_at": [signal.received_at for _, _, signal in fresh],
            "place": [place for place, _, _ in fresh],
            "repeats": [repeats[delivery] for _, delivery, _ in fresh],
            "data": [msgspec.json.encode(signal).decode() for _, _, signal in fresh],
        }
        async with self._database.begin() as connection:
            rows = {row.delivery: row for row in await connection.execute(_PUT, columns)}
        # A new row counts the repeats within this call only; one that was there has counted this call on top.
        return tuple(
            Receipt(
                SignalId(rows[delivery].id), first[delivery] == place and rows[delivery].repeats == repeats[delivery]
            )
            for place, delivery in enumerate(deliveries)
        )

    async def pending(self, *, now: datetime, limit: int = 500) -> tuple[PendingSignal, ...]:
        s = t.signals.c
        query = select(s.data, s.due_at, s.looks).where(~s.settled, s.due_at <= now)
        async with self._database.begin() as connection:
            rows = (await connection.execute(query.order_by(s.received_at, s.place, s.id).limit(limit))).all()
        return tuple(PendingSignal(_signal.decode(row.data), row.due_at, row.looks) for row in rows)

    async def settle(self, outcomes: Sequence[tuple[SignalId, Reason, IncidentId | None]]) -> None:
        if not outcomes:
            return
        columns = {
            "ids": [signal for signal, _, _ in outcomes],
            "outcomes": [reason.value for _, reason, _ in outcomes],
            "incidents": [incident for _, _, incident in outcomes],
        }
        async with self._database.begin() as connection:
            await connection.execute(_SETTLE, columns)

    async def defer(self, signal_id: SignalId, due: datetime, reason: Reason | None = None) -> None:
        s = t.signals.c
        shown = reason.value if reason else ""
        later = update(t.signals).where(s.id == signal_id, ~s.settled)
        later = later.values(due_at=due, looks=s.looks + 1, outcome=shown)
        async with self._database.begin() as connection:
            await connection.execute(later)

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
        columns = {"digests": list(by_digest), "status": status.value}
        async with self._database.begin() as connection:
            rows = (await connection.execute(_TOLD, columns)).all()
        return {by_digest[row.episode]: None if row.found is None else IncidentId(row.found) for row in rows}

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
