"""The in-memory twins of the outbox and of what came in."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Protocol

import msgspec

from midwatch.adapters.store.projection import STALE, urgency
from midwatch.domain.digests import Digest
from midwatch.domain.ids import IncidentId
from midwatch.domain.incidents import Incident, State
from midwatch.services.digesting import DigestRow
from midwatch.services.messaging import IncomingMessage
from midwatch.services.ports import Arrival, CardRow


@dataclass
class Card:
    row: CardRow
    next_at: datetime | None = None
    error: str = ""
    sent_at: datetime | None = None


@dataclass
class ArrivalRow:
    arrival: Arrival
    next_at: datetime | None = None
    settled: bool = False


class Tables(Protocol):
    incidents: dict[IncidentId, Incident]
    cards: dict[tuple[IncidentId, str], Card]
    arrivals: dict[tuple[str, str], ArrivalRow]
    digests: dict[str, DigestState]

    async def enter(self) -> None: ...


class MemoryCards:
    def __init__(self, tables: Tables) -> None:
        self._tables = tables

    async def due(
        self, channel: str, *, now: datetime, limit: int = 50, gap: timedelta = timedelta(0)
    ) -> tuple[CardRow, ...]:
        await self._tables.enter()
        found = []
        for incident in self._tables.incidents.values():
            card = self._card(incident.id, channel)
            behind = incident.seq > card.row.seq and (card.next_at is None or card.next_at <= now)
            news = card.row.seq > 0 or incident.ended_at is None or incident.ended_at > now - STALE
            answered = card.row.shown == State.AWAITING_APPROVAL != incident.state
            rested = card.sent_at is None or card.sent_at <= now - gap or answered
            if behind and news and rested and incident.updated_at is not None:
                rank = urgency(incident.state, posted=bool(card.row.ref), shown=card.row.shown)
                found.append((rank, incident.updated_at, incident.id, card.row))
        return tuple(row for *_, row in sorted(found, key=lambda item: item[:3])[:limit])

    async def posting(self, card: CardRow, *, at: datetime) -> None:
        await self._tables.enter()
        known = self._card(card.incident, card.channel)
        known.row = msgspec.structs.replace(known.row, posting_at=at)
        self._tables.cards[(card.incident, card.channel)] = known

    async def sent(self, card: CardRow, *, at: datetime) -> None:
        await self._tables.enter()
        row = msgspec.structs.replace(card, attempts=0, posting_at=None, held_until=None)
        self._tables.cards[(card.incident, card.channel)] = Card(row, sent_at=at)

    async def seen(self, card: CardRow) -> None:
        await self._tables.enter()
        known = self._card(card.incident, card.channel)
        known.row = msgspec.structs.replace(known.row, seq=card.seq, shown=card.shown, held_until=None)
        self._tables.cards[(card.incident, card.channel)] = known

    async def failed(self, card: CardRow, *, error: str, retry_at: datetime) -> None:
        await self._tables.enter()
        known = self._card(card.incident, card.channel)
        row = msgspec.structs.replace(known.row, attempts=card.attempts + 1, posting_at=card.posting_at)
        self._tables.cards[(card.incident, card.channel)] = Card(row, retry_at, error, known.sent_at)

    async def put_off(self, card: CardRow, *, until: datetime) -> None:
        await self._tables.enter()
        known = self._card(card.incident, card.channel)
        row = msgspec.structs.replace(known.row, seq=card.seq, attempts=0, held_until=until)
        self._tables.cards[(card.incident, card.channel)] = Card(row, None, "", known.sent_at)

    async def get(self, incident_id: IncidentId, channel: str) -> CardRow | None:
        await self._tables.enter()
        card = self._tables.cards.get((incident_id, channel))
        return card.row if card else None

    async def find(self, channel: str, ref: str) -> CardRow | None:
        await self._tables.enter()
        rows = (card.row for card in self._tables.cards.values())
        return next((row for row in rows if row.channel == channel and row.ref == ref), None) if ref else None

    def _card(self, incident: IncidentId, channel: str) -> Card:
        return self._tables.cards.get((incident, channel), Card(CardRow(incident=incident, channel=channel)))


@dataclass
class DigestState:
    row: DigestRow
    next_at: datetime | None = None
    ref: str = ""
    sent: bool = False


class MemoryDigests:
    def __init__(self, tables: Tables) -> None:
        self._tables = tables

    async def held(self, channel: str, *, now: datetime, limit: int) -> tuple[IncidentId, ...]:
        await self._tables.enter()
        rows = (card.row for card in self._tables.cards.values() if card.row.channel == channel)
        due = [(row.held_until, row.incident) for row in rows if row.held_until and row.held_until <= now]
        return tuple(incident for _, incident in sorted(due)[:limit])

    async def begin(self, digest: Digest) -> bool:
        await self._tables.enter()
        cards = [self._tables.cards.get((line.incident, digest.channel)) for line in digest.lines]
        waiting = [card for card in cards if card and card.row.held_until and card.row.held_until <= digest.at]
        if not cards or len(waiting) < len(cards):
            return False
        for card, line in zip(waiting, digest.lines, strict=True):
            card.row = msgspec.structs.replace(card.row, held_until=None, shown=line.state)
        self._tables.digests[digest.id] = DigestState(DigestRow(digest=digest))
        return True

    async def unsent(self, channel: str, *, now: datetime) -> tuple[DigestRow, ...]:
        await self._tables.enter()
        states = [state for state in self._tables.digests.values() if state.row.digest.channel == channel]
        due = [state.row for state in states if not state.sent and (state.next_at is None or state.next_at <= now)]
        return tuple(sorted(due, key=lambda row: (row.digest.at, row.digest.id)))

    async def posting(self, digest_id: str, *, at: datetime) -> None:
        await self._tables.enter()
        state = self._tables.digests[digest_id]
        state.row = msgspec.structs.replace(state.row, posting_at=at)

    async def sent(self, digest_id: str, ref: str, *, at: datetime) -> None:
        await self._tables.enter()
        state = self._tables.digests[digest_id]
        state.ref, state.sent, state.row = ref, True, msgspec.structs.replace(state.row, posting_at=None)

    async def failed(self, row: DigestRow, *, error: str, retry_at: datetime) -> None:
        await self._tables.enter()
        state = self._tables.digests[row.digest.id]
        state.row = msgspec.structs.replace(state.row, attempts=row.attempts + 1, posting_at=row.posting_at)
        state.next_at = retry_at


class MemoryArrivals:
    def __init__(self, tables: Tables) -> None:
        self._tables = tables

    async def put(self, message: IncomingMessage) -> bool:
        await self._tables.enter()
        place = (message.channel_type, message.id)
        if place in self._tables.arrivals:
            return False
        self._tables.arrivals[place] = ArrivalRow(Arrival(message=message))
        return True

    async def pending(self, channel: str, *, now: datetime, limit: int = 100) -> tuple[Arrival, ...]:
        await self._tables.enter()
        rows = [row for (of, _), row in self._tables.arrivals.items() if of == channel and not row.settled]
        due = [row.arrival for row in rows if row.next_at is None or row.next_at <= now]
        return tuple(sorted(due, key=lambda arrival: (arrival.message.at, arrival.message.id))[:limit])

    async def answering(self, message: IncomingMessage, ref: str) -> None:
        row = await self._row(message)
        row.arrival = msgspec.structs.replace(row.arrival, ref=ref)

    async def settle(self, message: IncomingMessage, *, at: datetime) -> None:
        (await self._row(message)).settled = True

    async def failed(self, arrival: Arrival, *, error: str, retry_at: datetime) -> None:
        row = await self._row(arrival.message)
        row.arrival = msgspec.structs.replace(row.arrival, attempts=arrival.attempts + 1)
        row.next_at = retry_at

    async def _row(self, message: IncomingMessage) -> ArrivalRow:
        await self._tables.enter()
        return self._tables.arrivals[(message.channel_type, message.id)]
