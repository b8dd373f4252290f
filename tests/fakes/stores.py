"""The in-memory twin of the store: same ports, same semantics, shown to be so by the contract suite.

``MemoryStore`` has one attribute a port. Set ``away`` to make every call raise ``Transient``, as a store that is down
does. Calls yield to the event loop once, so that racing tasks do interleave; each is atomic after that.
"""

import asyncio
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from typing import TypeVar

import msgspec

from midwatch.adapters.store.projection import (
    Written,
    namespace_of,
    pause_record,
    silence_record,
    summary_of,
    the_one,
    write,
)
from midwatch.domain.approvals import ApprovalRequest, Click
from midwatch.domain.audit import START, AuditRecord, AuditRow, chained
from midwatch.domain.brakes import SHADOWS_KEPT, Deed, Pause
from midwatch.domain.errors import ClaimLost, Conflict, NotFound, Transient
from midwatch.domain.events import AnyEvent, Entry
from midwatch.domain.heartbeats import Heartbeat
from midwatch.domain.ids import ApprovalId, ClickId, IncidentId, IncidentKey, SignalId
from midwatch.domain.incidents import Incident, Next, Work, decide
from midwatch.domain.reasons import Reason
from midwatch.domain.refs import Severity
from midwatch.domain.shadows import Score, Shadow
from midwatch.domain.signals import Signal, SignalStatus
from midwatch.domain.silences import Silence
from midwatch.services.leases import Lease, LeaseState
from midwatch.services.ports import Claim, Deferral, IncidentSummary, PendingSignal, Receipt, SignalRow
from midwatch.services.runtime import LONGEST_REST, TURNED_BACK
from midwatch.services.spending import SpendRow
from tests.fakes.conversations import MemoryConversations
from tests.fakes.outbox import ArrivalRow, Card, DigestState, MemoryArrivals, MemoryCards, MemoryDigests
from tests.fakes.users import MemoryUsers

T = TypeVar("T")


@dataclass
class _WorkRow:
    incident: IncidentId
    next: Next
    severity: Severity
    created_at: datetime
    retry_at: datetime | None = None
    owner: str = ""
    token: int | None = None
    until: datetime | None = None
    attempts: int = 0
    error: str = ""

    @property
    def due(self) -> datetime:
        return max(when for when in (self.next.due, self.retry_at, self.created_at) if when is not None)

    def rank(self) -> tuple[int, datetime, str, str]:
        return (-self.severity.rank, self.created_at, self.incident, self.next.work)


@dataclass
class _SignalRow:
    signal: Signal
    place: int
    due: datetime
    looks: int = 0
    repeats: int = 0
    settled: bool = False
    outcome: str = ""
    incident: IncidentId | None = None

    def order(self) -> tuple[datetime, int, str]:
        return (self.signal.received_at, self.place, self.signal.id)


@dataclass
class _ClickRow:
    click: Click
    judged: tuple[str, str] | None = None


@dataclass
class _Tables:
    incidents: dict[IncidentId, Incident] = field(default_factory=dict)
    entries: dict[IncidentId, list[Entry]] = field(default_factory=dict)
    approvals: dict[ApprovalId, tuple[IncidentId, ApprovalRequest]] = field(default_factory=dict)
    work: dict[tuple[IncidentId, Work], _WorkRow] = field(default_factory=dict)
    signals: dict[str, _SignalRow] = field(default_factory=dict)
    clicks: dict[ClickId, _ClickRow] = field(default_factory=dict)
    leases: dict[str, Lease] = field(default_factory=dict)
    cards: dict[tuple[IncidentId, str], Card] = field(default_factory=dict)
    arrivals: dict[tuple[str, str], ArrivalRow] = field(default_factory=dict)
    digests: dict[str, DigestState] = field(default_factory=dict)
    silences: dict[str, Silence] = field(default_factory=dict)
    audit: list[AuditRow] = field(default_factory=list)
    pauses: dict[str, Pause] = field(default_factory=dict)
    deeds: dict[str, Deed] = field(default_factory=dict)
    shadows: dict[str, Shadow] = field(default_factory=dict)
    heartbeats: dict[str, Heartbeat] = field(default_factory=dict)
    spend: dict[tuple[date, str, str], SpendRow] = field(default_factory=dict)
    token: int = 0
    away: bool = False

    async def enter(self) -> None:
        await asyncio.sleep(0)
        if self.away:
            raise Transient("the database cannot be reached: switched off by a test", 0.01)

    def record(self, records: Sequence[AuditRecord]) -> None:
        number, previous = (self.audit[-1].number, self.audit[-1].hash) if self.audit else (0, START)
        self.audit.extend(chained(records, number=number, previous=previous))

    def next_token(self) -> int:
        self.token += 1
        return self.token


class MemoryStore:
    """All ports over one set of tables."""

    def __init__(self) -> None:
        self._tables = _Tables()
        self.journal = MemoryJournal(self._tables)
        self.work = MemoryWork(self._tables)
        self.inbox = MemoryInbox(self._tables)
        self.clicks = MemoryClicks(self._tables)
        self.leases = MemoryLeases(self._tables)
        self.cards = MemoryCards(self._tables)
        self.silences = MemorySilences(self._tables)
        self.heartbeats = MemoryHeartbeats(self._tables)
        self.users = MemoryUsers(self._tables.record)
        self.audit = MemoryAudit(self._tables)
        self.attic = MemoryAttic(self._tables)
        self.pauses = MemoryPauses(self._tables)
        self.deeds = MemoryDeeds(self._tables)
        self.conversations = MemoryConversations()
        self.arrivals = MemoryArrivals(self._tables)
        self.digests = MemoryDigests(self._tables)
        self.spend = MemorySpend(self._tables)
        self.shadows = MemoryShadows(self._tables)

    @property
    def away(self) -> bool:
        """Whether the store is down."""
        return self._tables.away

    @away.setter
    def away(self, value: bool) -> None:
        self._tables.away = value


class _Port:
    def __init__(self, tables: _Tables) -> None:
        self._tables = tables


class MemoryJournal(_Port):
    async def open(self, incident_id: IncidentId, events: Sequence[AnyEvent], *, at: datetime, by: str) -> Incident:
        await self._tables.enter()
        written = write(Incident(id=incident_id), events, at=at, by=by)
        if incident_id in self._tables.incidents or self._open(written.incident.key) is not None:
            raise Conflict(f"an incident is open already for {written.incident.key}")
        self._store(written, at)
        return written.incident

    async def append(
        self, incident: Incident, events: Sequence[AnyEvent], *, at: datetime, by: str, claim: Claim | None = None
    ) -> Incident:
        await self._tables.enter()
        written = write(incident, events, at=at, by=by)
        row = self._tables.work.get((claim.incident, claim.work)) if claim else None
        if claim is not None and (row is None or row.token != claim.token):
            raise ClaimLost(f"'{claim.work}' of incident {claim.incident} is no longer claimed by {claim.owner}")
        stored = self._tables.incidents.get(incident.id)
        if stored is None or stored.seq != incident.seq:
            raise Conflict(f"incident {incident.id} was written by another after entry {incident.seq}")
        if not written.incident.state.final and (other := self._open(incident.key)) and other.id != incident.id:
            raise Conflict(f"another incident is open for {incident.key}")
        self._store(written, at)
        return written.incident

    def _store(self, written: Written, at: datetime) -> None:
        incident = written.incident
        # Through JSON and back, as in the database: what does not survive that must fail here too.
        self._tables.incidents[incident.id] = msgspec.json.decode(msgspec.json.encode(incident), type=Incident)
        for entry in written.entries:
            self._tables.entries.setdefault(incident.id, []).append(
                msgspec.json.decode(msgspec.json.encode(entry), type=Entry)
            )
        self._tables.record(written.audit)
        for request in written.approvals:
            self._tables.approvals[request.id] = (incident.id, request)
        following = {item.work: item for item in decide(incident)}
        for work in Work:
            place, row = (incident.id, work), self._tables.work.get((incident.id, work))
            if work not in following:
                self._tables.work.pop(place, None)
            elif row is None:
                self._tables.work[place] = _WorkRow(incident.id, following[work], incident.severity, at)
            else:
                if row.next.due != following[work].due:
                    row.attempts = 0  # another instant that is waited for is another piece of work
                row.next, row.severity = following[work], incident.severity

    async def read(self, incident_id: IncidentId) -> Incident:
        await self._tables.enter()
        return self._tables.incidents[IncidentId(_find(self._tables.incidents, incident_id, "incident"))]

    async def entries(self, incident_id: IncidentId, *, after: int = 0, limit: int = 1000) -> tuple[Entry, ...]:
        await self._tables.enter()
        return tuple(self._tables.entries.get(incident_id, ())[after : after + limit])

    async def find_open(self, key: IncidentKey) -> Incident | None:
        await self._tables.enter()
        return self._open(key)

    def _open(self, key: IncidentKey) -> Incident | None:
        return next((i for i in self._tables.incidents.values() if i.key == key and not i.state.final), None)

    async def find_ended(self, key: IncidentKey, *, since: datetime) -> Incident | None:
        await self._tables.enter()
        of_key = [incident for incident in self._tables.incidents.values() if incident.key == key]
        ended = [(incident.ended_at, incident.id, incident) for incident in of_key if incident.ended_at is not None]
        found = max(ended, key=lambda item: item[:2], default=None)
        return found[2] if found is not None and found[0] >= since else None

    async def recent(
        self, *, open_only: bool = False, limit: int = 100, namespace: str = ""
    ) -> tuple[IncidentSummary, ...]:
        await self._tables.enter()
        found = [
            summary_of(incident)
            for incident in self._tables.incidents.values()
            if not (open_only and incident.state.final) and namespace in ("", namespace_of(incident))
        ]
        return tuple(sorted(found, key=lambda row: (row.updated_at, row.id), reverse=True)[:limit])

    async def find_approval(self, approval_id: ApprovalId) -> tuple[Incident, ApprovalRequest]:
        await self._tables.enter()
        found = ApprovalId(_find(self._tables.approvals, approval_id, "approval"))
        incident_id, request = self._tables.approvals[found]
        return self._tables.incidents[incident_id], request

    async def approvals(
        self, *, open_only: bool = True, limit: int = 100
    ) -> tuple[tuple[Incident, ApprovalRequest], ...]:
        await self._tables.enter()
        found = [
            (self._tables.incidents[incident_id], request)
            for incident_id, request in self._tables.approvals.values()
            if not (open_only and request.outcome)
        ]
        return tuple(sorted(found, key=lambda pair: (pair[1].requested_at, pair[1].id), reverse=True)[:limit])


def _find(known: Iterable[str], wanted: str, what: str) -> str:
    ids = [found for found in known if found == wanted or (len(wanted) >= 8 and found.startswith(wanted))]
    if not ids:
        raise NotFound(f"there is no {what} {wanted}")
    return the_one(ids, wanted, what)


class MemoryWork(_Port):
    async def claim(
        self, works: Sequence[Work], *, owner: str, now: datetime, ttl: timedelta, limit: int = 1
    ) -> tuple[Claim, ...]:
        await self._tables.enter()
        free = self._free(works, now)
        claims = []
        for row in sorted(free, key=_WorkRow.rank)[:limit]:
            row.owner, row.token, row.until = owner, self._tables.next_token(), now + ttl
            row.attempts += 1
            claims.append(Claim(row.incident, row.next.work, owner, row.token, row.until, row.attempts))
        return tuple(claims)

    def _free(self, works: Sequence[Work], now: datetime) -> list[_WorkRow]:
        return [
            row
            for (_, work), row in self._tables.work.items()
            if work in works and _due(row, now) and (row.until is None or _come(row.until, now))
        ]

    async def waiting(self, works: Sequence[Work], *, now: datetime) -> int:
        await self._tables.enter()
        return len(self._free(works, now))

    async def renew(self, claim: Claim, *, now: datetime, ttl: timedelta) -> Claim:
        await self._tables.enter()
        row = self._held(claim)
        if row is None:
            raise ClaimLost(f"'{claim.work}' of incident {claim.incident} is no longer claimed by {claim.owner}")
        row.until = now + ttl
        return msgspec.structs.replace(claim, until=row.until)

    async def release(self, claim: Claim, *, retry_at: datetime | None = None, error: str = "") -> None:
        await self._tables.enter()
        if (row := self._held(claim)) is not None:
            row.owner, row.token, row.until, row.retry_at, row.error = "", None, None, retry_at, error

    async def abandon(self, owner: str) -> int:
        await self._tables.enter()
        held = [row for row in self._tables.work.values() if row.owner == owner]
        for row in held:
            row.owner, row.token, row.until = "", None, None
        return len(held)

    async def next_due(self, works: Sequence[Work], *, now: datetime) -> datetime | None:
        await self._tables.enter()
        rows = [row for (_, work), row in self._tables.work.items() if work in works]
        dues = [max(row.due, row.until) if row.until and row.until > now else row.due for row in rows]
        return min(dues, default=None)

    def _held(self, claim: Claim) -> _WorkRow | None:
        row = self._tables.work.get((claim.incident, claim.work))
        return row if row is not None and row.token == claim.token else None


class MemoryInbox(_Port):
    async def put(self, signals: Sequence[Signal]) -> tuple[Receipt, ...]:
        await self._tables.enter()
        receipts = []
        for place, signal in enumerate(signals):
            known = self._tables.signals.get(signal.delivery)
            if known is None:
                self._tables.signals[signal.delivery] = _SignalRow(signal, place, signal.received_at)
            else:
                known.repeats += 1
                if known.outcome == Reason.RESOLVE_LOST:
                    known.settled, known.due = False, signal.received_at
            receipts.append(Receipt(known.signal.id if known else signal.id, known is None))
        return tuple(receipts)

    async def pending(self, *, now: datetime, limit: int = 500) -> tuple[PendingSignal, ...]:
        await self._tables.enter()
        rows = [row for row in self._tables.signals.values() if not row.settled and row.due <= now]
        rows = sorted(rows, key=_SignalRow.order)[:limit]
        return tuple(PendingSignal(row.signal, row.due, row.looks) for row in rows)

    async def settle(self, outcomes: Sequence[tuple[SignalId, Reason, IncidentId | None]]) -> None:
        await self._tables.enter()
        told = {signal: (reason, incident) for signal, reason, incident in outcomes}
        for row in self._tables.signals.values():
            if row.signal.id in told:
                reason, row.incident = told[row.signal.id]
                row.settled, row.outcome = True, reason.value

    async def defer(self, signals: Sequence[Deferral]) -> None:
        await self._tables.enter()
        later = {signal_id: (due, reason) for signal_id, due, reason in signals}
        for row in self._tables.signals.values():
            if row.signal.id in later and not row.settled:
                row.due, reason = later[row.signal.id]
                row.looks, row.outcome = row.looks + 1, reason.value if reason else ""

    async def repeats_of(self, signals: Collection[SignalId]) -> dict[SignalId, int]:
        await self._tables.enter()
        return {row.signal.id: row.repeats for row in self._tables.signals.values() if row.signal.id in set(signals)}

    async def resolved_since(self, episode: str) -> bool:
        await self._tables.enter()
        return self._resolved(episode)

    async def resolved_among(self, episodes: Collection[str]) -> frozenset[str]:
        await self._tables.enter()
        rows = self._tables.signals.values()
        found = {row.signal.episode for row in rows if row.signal.status is SignalStatus.RESOLVED}
        return frozenset(found & set(episodes))

    async def incidents_of(self, episodes: Collection[str]) -> dict[str, IncidentId]:
        await self._tables.enter()
        wanted = set(episodes)
        rows = [row for row in self._tables.signals.values() if row.signal.episode in wanted]
        firing = [row for row in rows if row.signal.status is SignalStatus.FIRING and row.incident is not None]
        return {row.signal.episode: row.incident for row in sorted(firing, key=_SignalRow.order) if row.incident}

    async def incident_of(self, episode: str) -> IncidentId | None:
        await self._tables.enter()
        rows = [row for row in self._episode(episode, SignalStatus.FIRING) if row.incident is not None]
        return max(rows, key=_SignalRow.order).incident if rows else None

    async def depth(self) -> int:
        await self._tables.enter()
        return sum(not row.settled and row.outcome != Reason.SILENCED for row in self._tables.signals.values())

    async def firing_since(self, since: datetime) -> tuple[Signal, ...]:
        await self._tables.enter()
        rows = sorted(self._tables.signals.values(), key=_SignalRow.order)
        signals = [row.signal for row in rows if row.signal.status is SignalStatus.FIRING]
        return tuple(signal for signal in signals if signal.received_at >= since)

    async def active(self, *, source: str, cluster: str) -> tuple[Signal, ...]:
        await self._tables.enter()
        rows = [
            row
            for row in self._tables.signals.values()
            if (row.signal.source, row.signal.cluster) == (source, cluster)
            and row.signal.status is SignalStatus.FIRING
            and not self._resolved(row.signal.episode)
        ]
        return tuple({row.signal.episode: row.signal for row in sorted(rows, key=_SignalRow.order)}.values())

    async def find(self, signal_id: SignalId) -> SignalRow:
        await self._tables.enter()
        for row in self._tables.signals.values():
            if row.signal.id == signal_id:
                return SignalRow(signal=row.signal, settled=row.settled, outcome=row.outcome, incident=row.incident)
        raise NotFound(f"no alert {signal_id}")

    async def recent(self, *, limit: int = 100) -> tuple[SignalRow, ...]:
        await self._tables.enter()
        rows = sorted(self._tables.signals.values(), key=_SignalRow.order, reverse=True)[:limit]
        return tuple(
            SignalRow(signal=row.signal, settled=row.settled, outcome=row.outcome, incident=row.incident)
            for row in rows
        )

    def _resolved(self, episode: str) -> bool:
        return bool(self._episode(episode, SignalStatus.RESOLVED))

    def _episode(self, episode: str, status: SignalStatus) -> list[_SignalRow]:
        rows = self._tables.signals.values()
        return [row for row in rows if row.signal.episode == episode and row.signal.status is status]


class MemorySilences(_Port):
    async def put(self, silence: Silence, *, by: str, at: datetime) -> None:
        await self._tables.enter()
        self._tables.record([silence_record(silence, by=by, at=at)])
        self._tables.silences[silence.id] = silence

    async def find(self, silence_id: str) -> Silence:
        await self._tables.enter()
        return self._tables.silences[_find(self._tables.silences, silence_id, "silence")]

    async def active(self, now: datetime) -> tuple[Silence, ...]:
        await self._tables.enter()
        return tuple(each for each in self._all() if each.until(now) is not None)[::-1]

    async def recent(self, *, limit: int = 100) -> tuple[Silence, ...]:
        await self._tables.enter()
        return self._all()[:limit]

    def _all(self) -> tuple[Silence, ...]:
        return tuple(sorted(self._tables.silences.values(), key=lambda each: (each.ends_at, each.id), reverse=True))


class MemoryAudit(_Port):
    @property
    def trail(self) -> list[AuditRow]:
        """The rows themselves, for a test that tampers with them."""
        return self._tables.audit

    async def rows(self, *, after: int = 0, since: datetime | None = None, limit: int = 1000) -> tuple[AuditRow, ...]:
        await self._tables.enter()
        found = [row for row in self._tables.audit if row.number > after and (since is None or row.record.at >= since)]
        return tuple(found[:limit])


class MemoryPauses(_Port):
    async def put(self, pause: Pause, *, by: str, at: datetime) -> None:
        await self._tables.enter()
        self._tables.record([pause_record(pause, by=by, at=at)])
        self._tables.pauses[pause.id] = pause

    async def active(self, now: datetime) -> tuple[Pause, ...]:
        await self._tables.enter()
        return tuple(pause for pause in self._all() if pause.holds(now))

    async def recent(self, *, limit: int = 100) -> tuple[Pause, ...]:
        await self._tables.enter()
        return self._all()[::-1][:limit]

    def _all(self) -> tuple[Pause, ...]:
        return tuple(sorted(self._tables.pauses.values(), key=lambda pause: (pause.starts_at, pause.id)))


class MemoryDeeds(_Port):
    async def admit(
        self, key: str, *, now: datetime, since: datetime, judge: Callable[[tuple[Deed, ...]], T | None]
    ) -> T | None:
        await self._tables.enter()
        objection = judge(tuple(deed for deed in self._since(since) if deed.key != key))
        known = self._tables.deeds.get(key)
        if objection is None:
            self._tables.deeds.setdefault(key, Deed(key=key, at=now))
        elif known is not None and known.ended_at is None:
            del self._tables.deeds[key]
        return objection

    async def end(self, key: str, *, at: datetime, failed: bool) -> None:
        await self._tables.enter()
        deed = self._tables.deeds.get(key)
        if deed is not None and deed.ended_at is None:
            self._tables.deeds[key] = msgspec.structs.replace(deed, ended_at=at, failed=failed)

    async def withdraw(self, key: str) -> None:
        await self._tables.enter()
        deed = self._tables.deeds.get(key)
        if deed is not None and deed.ended_at is None:
            del self._tables.deeds[key]

    async def since(self, at: datetime) -> tuple[Deed, ...]:
        await self._tables.enter()
        return self._since(at)

    def _since(self, at: datetime) -> tuple[Deed, ...]:
        deeds = sorted(self._tables.deeds.values(), key=lambda deed: (deed.at, deed.key))
        return tuple(deed for deed in deeds if deed.at >= at or (deed.ended_at is not None and deed.ended_at >= at))


class MemoryHeartbeats(_Port):
    async def heard(self, cluster: str, source: str, name: str, at: datetime) -> None:
        cluster, source, name = (text.replace("\0", "\ufffd") for text in (cluster, source, name))
        new = Heartbeat(cluster=cluster, source=source, name=name, seen_at=at, beats=1)
        known = self._tables.heartbeats.get(new.key)
        if known is None:
            self._tables.heartbeats[new.key] = new
        elif known.seen_at < at:
            gap = max(known.gap_s * 0.9, (at - known.seen_at).total_seconds())
            self._tables.heartbeats[new.key] = msgspec.structs.replace(new, gap_s=gap, beats=known.beats + 1)

    async def expect(self, cluster: str, name: str, since: datetime) -> None:
        wanted = Heartbeat(cluster=cluster, source="", name=name, seen_at=since)
        self._tables.heartbeats.setdefault(wanted.key, wanted)

    async def all(self) -> tuple[Heartbeat, ...]:
        return tuple(self._tables.heartbeats.values())


class MemoryAttic(_Port):
    async def forget_incidents(self, *, ended_before: datetime, limit: int) -> int:
        await self._tables.enter()
        tables = self._tables
        old = [each for each in tables.incidents.values() if each.ended_at and each.ended_at < ended_before]
        gone = {each.id for each in sorted(old, key=lambda each: (each.ended_at, each.id))[:limit]}
        asked = {id_ for id_, (incident, _) in tables.approvals.items() if incident in gone}
        tables.clicks = {id_: row for id_, row in tables.clicks.items() if row.click.approval_id not in asked}
        tables.approvals = {id_: row for id_, row in tables.approvals.items() if id_ not in asked}
        tables.cards = {place: row for place, row in tables.cards.items() if place[0] not in gone}
        tables.work = {place: row for place, row in tables.work.items() if place[0] not in gone}
        tables.entries = {id_: rows for id_, rows in tables.entries.items() if id_ not in gone}
        tables.incidents = {id_: row for id_, row in tables.incidents.items() if id_ not in gone}
        return len(gone)

    async def forget_signals(self, *, received_before: datetime, limit: int) -> int:
        await self._tables.enter()
        rows = sorted(self._tables.signals.items(), key=lambda item: item[1].order())
        gone = [key for key, row in rows if self._forgettable(row, received_before)][:limit]
        for key in gone:
            del self._tables.signals[key]
        return len(gone)

    async def forget_messages(self, *, before: datetime, limit: int) -> int:
        await self._tables.enter()
        rows = sorted(self._tables.arrivals.items(), key=lambda item: item[1].arrival.message.at)
        gone = [key for key, row in rows if row.arrival.message.at < before][:limit]
        for key in gone:
            del self._tables.arrivals[key]
        digests = self._tables.digests
        self._tables.digests = {key: state for key, state in digests.items() if state.row.digest.at >= before}
        return len(gone)

    async def forget_brakes(self, *, before: datetime, limit: int) -> int:
        await self._tables.enter()
        tables = self._tables
        deeds = [
            key
            for key, deed in tables.deeds.items()
            if (
                deed.ended_at < before
                if deed.ended_at
                else deed.at < before and self._over_or_gone(key.partition(":")[0])
            )
        ][:limit]
        pauses = [id_ for id_, pause in tables.pauses.items() if pause.ends_at and pause.ends_at < before][:limit]
        shadows = [
            key
            for key, shadow in tables.shadows.items()
            if shadow.at < before
            and (shadow.scored_at or self._over_or_gone(shadow.incident))
            and not self._newest(shadow)
        ][:limit]
        for found, table in ((deeds, tables.deeds), (pauses, tables.pauses), (shadows, tables.shadows)):
            for key in found:
                del table[key]  # type: ignore[attr-defined]
        return len(deeds) + len(pauses) + len(shadows)

    def _over_or_gone(self, incident_id: str) -> bool:
        incident = self._tables.incidents.get(IncidentId(incident_id))
        return incident is None or incident.state.final

    def _newest(self, shadow: Shadow) -> bool:
        mine = [each for each in self._tables.shadows.values() if each.playbook == shadow.playbook]
        return shadow in sorted(mine, key=lambda each: (each.at, each.key))[-SHADOWS_KEPT:]

    def _forgettable(self, row: _SignalRow, before: datetime) -> bool:
        incident = self._tables.incidents.get(row.incident) if row.incident else None
        over = incident is None or (incident.ended_at is not None and incident.ended_at < before)
        return row.settled and row.signal.received_at < before and over


class MemorySpend(_Port):
    async def add(self, row: SpendRow) -> None:
        await self._tables.enter()
        key = (row.day, row.provider, row.model)
        known = self._tables.spend.get(key)
        self._tables.spend[key] = row if known is None else known + row

    async def since(self, day: date) -> tuple[SpendRow, ...]:
        await self._tables.enter()
        return tuple(row for key, row in sorted(self._tables.spend.items()) if key[0] >= day)


class MemoryShadows(_Port):
    async def put(self, shadow: Shadow) -> None:
        await self._tables.enter()
        self._tables.shadows.setdefault(shadow.key, shadow)

    async def due(self, *, limit: int = 50) -> tuple[Shadow, ...]:
        await self._tables.enter()
        found = [item for item in self._all() if item.scored_at is None and self._over(item)]
        return tuple(found[:limit])

    async def score(self, key: str, score: Score, *, at: datetime, detail: str) -> None:
        await self._tables.enter()
        known = self._tables.shadows.get(key)
        if known is not None and known.scored_at is None:
            scored = msgspec.structs.replace(known, score=score, scored_at=at, detail=detail)
            self._tables.shadows[key] = scored

    async def recent(self, *, playbook: str = "", limit: int = 1000) -> tuple[Shadow, ...]:
        await self._tables.enter()
        return tuple(item for item in self._all()[::-1] if playbook in ("", item.playbook))[:limit]

    def _all(self) -> list[Shadow]:
        return sorted(self._tables.shadows.values(), key=lambda item: (item.at, item.key))

    def _over(self, shadow: Shadow) -> bool:
        incident = self._tables.incidents.get(shadow.incident)
        return incident is not None and incident.state.final


class MemoryClicks(_Port):
    async def put(self, click: Click) -> bool:
        await self._tables.enter()
        if click.id in self._tables.clicks:
            return False
        self._tables.clicks[click.id] = _ClickRow(click)
        return True

    async def pending(self, *, limit: int = 100) -> tuple[Click, ...]:
        await self._tables.enter()
        waiting = [row.click for row in self._tables.clicks.values() if row.judged is None]
        return tuple(sorted(waiting, key=lambda click: (click.at, click.id))[:limit])

    async def settle(self, click_id: ClickId, *, outcome: str, sentence: str) -> None:
        await self._tables.enter()
        row = self._tables.clicks.get(click_id)
        if row is not None and row.judged is None:
            row.judged = (outcome, sentence)

    async def outcome(self, click_id: ClickId) -> tuple[str, str] | None:
        await self._tables.enter()
        row = self._tables.clicks.get(click_id)
        return row.judged if row else None


class MemoryLeases(_Port):
    async def acquire(
        self, resource: str, *, holder: str, now: datetime, ttl: timedelta, rest: timedelta = LONGEST_REST
    ) -> Lease:
        await self._tables.enter()
        known = self._tables.leases.get(resource)
        if known is not None and known.holder != holder and known.until > now:
            latest = now + (rest if known.state is LeaseState.COOLING else ttl)
            known = self._tables.leases[resource] = msgspec.structs.replace(known, until=min(known.until, latest))
            return known
        token = known.token if known is not None and known.holder == holder else self._tables.next_token()
        lease = Lease(resource, LeaseState.BUSY, holder, token, now + ttl)
        self._tables.leases[resource] = lease
        return msgspec.structs.replace(lease, state=LeaseState.HELD)

    async def release(self, resource: str, *, holder: str, now: datetime, cooldown: timedelta) -> None:
        await self._tables.enter()
        known = self._tables.leases.get(resource)
        if known is not None and known.holder == holder and known.state is LeaseState.BUSY:
            cooling = msgspec.structs.replace(known, state=LeaseState.COOLING, until=now + cooldown)
            self._tables.leases[resource] = cooling

    async def forsaken(self, *, now: datetime) -> tuple[IncidentId, ...]:
        await self._tables.enter()
        held = {lease.holder for lease in self._tables.leases.values() if self._held(lease, now)}
        return tuple(sorted(IncidentId(holder) for holder in held))

    def _held(self, lease: Lease, now: datetime) -> bool:
        executing = (IncidentId(lease.holder), Work.EXECUTE) in self._tables.work
        return lease.state is LeaseState.BUSY and lease.until > now and not executing


def _due(row: _WorkRow, now: datetime) -> bool:
    return (row.next.due is None or row.next.due <= now) and (row.retry_at is None or _come(row.retry_at, now))


def _come(at: datetime, now: datetime) -> bool:
    """Whether it has come, or was written by a clock that was turned back since."""
    return at <= now or at > now + TURNED_BACK
