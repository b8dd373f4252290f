"""Ports to the store that more than one service uses.

The store keeps the journal of each incident (truth), the inbox of signals, the clicks and messages of people, the work
that ``decide`` derived from the journal, and leases. Each port has an in-memory twin, and one contract suite runs over
both. All methods raise :class:`~midwatch.domain.errors.Transient` while the store is away.
"""

from collections.abc import Collection, Sequence
from datetime import datetime, timedelta
from typing import Protocol

import msgspec

from midwatch.domain.approvals import ApprovalRequest, Click
from midwatch.domain.audit import AuditRow
from midwatch.domain.events import AnyEvent, Entry
from midwatch.domain.ids import ApprovalId, ClickId, IncidentId, IncidentKey, SignalId
from midwatch.domain.incidents import Incident, State, Work
from midwatch.domain.reasons import Reason
from midwatch.domain.refs import ObjectRef, Severity
from midwatch.domain.signals import Signal
from midwatch.domain.silences import Silence
from midwatch.services.messaging import IncomingMessage


class Claim(msgspec.Struct, frozen=True):
    """The right of one process to do one piece of work on one incident until ``until``.

    ``token`` rises with every claim ever made: the store refuses an append under any token but the newest.
    """

    incident: IncidentId
    work: Work
    owner: str
    token: int
    until: datetime
    attempt: int = 1


class IncidentSummary(msgspec.Struct, frozen=True, kw_only=True):
    """One row of a list of incidents."""

    id: IncidentId
    seq: int
    state: State
    reason: Reason
    severity: Severity
    cluster: str
    condition: str
    title: str
    owner: ObjectRef
    opened_at: datetime
    updated_at: datetime
    ended_at: datetime | None = None
    active: int = 0
    members: int = 0


class Journal(Protocol):
    """Append-only entries per incident, and what is derived from them in the same transaction.

    An append of events computes the new incident with ``evolve`` and its work with ``decide``, and writes entries,
    snapshot, list row, approval row and work rows as one.
    """

    async def open(self, incident_id: IncidentId, events: Sequence[AnyEvent], *, at: datetime, by: str) -> Incident:
        """Begin an incident; the first event is ``IncidentOpened``.

        Raises ``Conflict`` when an incident with the same key is open (neither resolved nor closed).
        """
        ...

    async def append(
        self, incident: Incident, events: Sequence[AnyEvent], *, at: datetime, by: str, claim: Claim | None = None
    ) -> Incident:
        """Write events after ``incident.seq`` and return the incident they lead to.

        Raises ``Conflict`` when somebody wrote first, ``ClaimLost`` when ``claim`` is not the newest for its work or
        its work is no longer to be done.
        """
        ...

    async def read(self, incident_id: IncidentId) -> Incident:
        """The incident as it stands; ``NotFound`` when there is none. A unique prefix of 8 characters will do."""
        ...

    async def entries(self, incident_id: IncidentId, *, after: int = 0, limit: int = 1000) -> tuple[Entry, ...]:
        """Entries with ``seq > after``, in order."""
        ...

    async def find_open(self, key: IncidentKey) -> Incident | None:
        """The one incident with this key that is neither resolved nor closed."""
        ...

    async def find_ended(self, key: IncidentKey, *, since: datetime) -> Incident | None:
        """The incident with this key that was the last to be over, if that was at or after ``since``."""
        ...

    async def recent(
        self, *, open_only: bool = False, limit: int = 100, namespace: str = ""
    ) -> tuple[IncidentSummary, ...]:
        """List rows, newest change first."""
        ...

    async def find_approval(self, approval_id: ApprovalId) -> tuple[Incident, ApprovalRequest]:
        """The request and the incident it belongs to; ``NotFound`` for an unknown id (a prefix of 8 will do)."""
        ...

    async def approvals(
        self, *, open_only: bool = True, limit: int = 100
    ) -> tuple[tuple[Incident, ApprovalRequest], ...]:
        """Approval requests, newest first."""
        ...


class WorkQueue(Protocol):
    """What ``decide`` left to do, claimed under leases."""

    async def claim(
        self, works: Sequence[Work], *, owner: str, now: datetime, ttl: timedelta, limit: int = 1
    ) -> tuple[Claim, ...]:
        """Claim pieces of work that are due and not claimed (or whose claim ran out, or lies further ahead than
        ``TURNED_BACK``), most severe and oldest first.
        """
        ...

    async def renew(self, claim: Claim, *, now: datetime, ttl: timedelta) -> Claim:
        """Keep a claim; ``ClaimLost`` when another process holds it or the work is done."""
        ...

    async def release(self, claim: Claim, *, retry_at: datetime | None = None, error: str = "") -> None:
        """Give a claim back, to be claimed again not before ``retry_at``. Silent when it is lost already."""
        ...

    async def abandon(self, owner: str) -> int:
        """Free every claim of a dead ``owner`` at once, without waiting for its time; how many there were."""
        ...

    async def waiting(self, works: Sequence[Work], *, now: datetime) -> int:
        """How many pieces of such work could be claimed now."""
        ...

    async def next_due(self, works: Sequence[Work], *, now: datetime) -> datetime | None:
        """When the next unclaimed piece of such work falls due (or a claim of it runs out), if there is one."""
        ...


class PendingSignal(msgspec.Struct, frozen=True):
    """A signal in the inbox. ``first_at`` is when it came, ``due`` when it is to be looked at (again)."""

    signal: Signal
    due: datetime
    looks: int = 0


Deferral = tuple[SignalId, datetime, Reason | None]
"""A signal, when to look at it again, and the reason that is shown meanwhile, if there is one to show."""


class Receipt(msgspec.Struct, frozen=True):
    """What became of one signal at the door: its id (the earlier one's for a repeat) and whether it was new."""

    signal: SignalId
    new: bool


class SignalRow(msgspec.Struct, frozen=True, kw_only=True):
    """A signal and what became of it, for people."""

    signal: Signal
    settled: bool
    outcome: str = ""
    incident: IncidentId | None = None


class Inbox(Protocol):
    """Signals as they came, each kept once by its delivery key, until the rule engine settled them."""

    async def put(self, signals: Sequence[Signal]) -> tuple[Receipt, ...]:
        """Commit signals in one transaction; repeats (same ``delivery``) are counted, not kept twice."""
        ...

    async def pending(self, *, now: datetime, limit: int = 500) -> tuple[PendingSignal, ...]:
        """Unsettled signals that are due, in the order they came."""
        ...

    async def settle(self, outcomes: Sequence[tuple[SignalId, Reason, IncidentId | None]]) -> None:
        """Mark signals as dealt with. One that was taken for over (``resolve-lost``) is pending again once repeated."""
        ...

    async def defer(self, signals: Sequence[Deferral]) -> None:
        """Look at these signals again when they are due (a rule's ``for``, a silence's end)."""
        ...

    async def repeats_of(self, signals: Collection[SignalId]) -> dict[SignalId, int]:
        """How often each was repeated; without those that are not known (any more)."""
        ...

    async def resolved_since(self, episode: str) -> bool:
        """Whether the resolved signal of this episode has come already (a late firing is then ignored)."""
        ...

    async def resolved_among(self, episodes: Collection[str]) -> frozenset[str]:
        """Those of the episodes of which the resolved signal has come already."""
        ...

    async def incidents_of(self, episodes: Collection[str]) -> dict[str, IncidentId]:
        """For each episode the incident that its firing signal was settled into; without those that have none."""
        ...

    async def incident_of(self, episode: str) -> IncidentId | None:
        """The incident that a firing signal of this episode was settled into, if any."""
        ...

    async def depth(self) -> int:
        """How many signals are unsettled, those that a silence holds back left out."""
        ...

    async def active(self, *, source: str, cluster: str) -> tuple[Signal, ...]:
        """The last firing signal of each episode of this source that has no resolved one yet."""
        ...

    async def firing_since(self, since: datetime) -> tuple[Signal, ...]:
        """Every firing signal received at ``since`` or later, in the order they came; the first ten thousand."""
        ...

    async def find(self, signal_id: SignalId) -> SignalRow:
        """One signal and what became of it; ``NotFound`` for an unknown id (no prefixes: programs ask, not people)."""
        ...

    async def recent(self, *, limit: int = 100) -> tuple[SignalRow, ...]:
        """Signals with their outcomes, newest first."""
        ...


class SilenceBook(Protocol):
    """The silences that people made."""

    async def put(self, silence: Silence, *, by: str, at: datetime) -> None:
        """Commit a silence, or what it is changed to, and record in the audit trail who wanted it."""
        ...

    async def find(self, silence_id: str) -> Silence:
        """``NotFound`` for an unknown id; a unique prefix of 8 characters will do."""
        ...

    async def active(self, now: datetime) -> tuple[Silence, ...]:
        """Those that hold at this instant."""
        ...

    async def recent(self, *, limit: int = 100) -> tuple[Silence, ...]:
        """All, the last to end first."""
        ...


class AuditTrail(Protocol):
    """Who did what, when and why, in rows chained by their hashes.

    Nothing is put in by hand: an append to the journal, or a silence that is made, writes its rows in its own
    transaction.
    """

    async def rows(self, *, after: int = 0, since: datetime | None = None, limit: int = 1000) -> tuple[AuditRow, ...]:
        """Rows with a number above ``after``, in order, leaving out those before ``since``."""
        ...


class ClickBox(Protocol):
    """People's answers, stored before they are judged."""

    async def put(self, click: Click) -> bool:
        """Commit a click; ``False`` when its id is known (a redelivery)."""
        ...

    async def pending(self, *, limit: int = 100) -> tuple[Click, ...]: ...

    async def settle(self, click_id: ClickId, *, outcome: str, sentence: str) -> None: ...

    async def outcome(self, click_id: ClickId) -> tuple[str, str] | None:
        """``(outcome, sentence)`` once judged, ``None`` before."""
        ...


class CardRow(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One incident's message in one channel. ``ref`` is the channel's own id of it, empty before the first post.

    ``posting_at`` is set while a first post was begun and nobody knows whether it arrived. ``shown`` is the incident's
    state on the card that the channel shows, or in the digest that told of it; ``held_until`` when a digest is to.
    """

    incident: IncidentId
    channel: str
    ref: str = ""
    seq: int = 0
    digest: str = ""
    attempts: int = 0
    posting_at: datetime | None = None
    shown: str = ""
    held_until: datetime | None = None


class CardBox(Protocol):
    """The outbox: which incidents changed since their card in a channel was last sent."""

    async def due(
        self, channel: str, *, now: datetime, limit: int = 50, gap: timedelta = timedelta(0)
    ) -> tuple[CardRow, ...]:
        """Cards behind their incident's journal whose retry time has come and whose last edit is ``gap`` old.

        What people wait for comes first: cards they were asked on, then new questions, which expire, then escalations,
        then the rest; within each the oldest change. A card that shows a question which is answered by now does not
        wait for ``gap``.
        """
        ...

    async def posting(self, card: CardRow, *, at: datetime) -> None:
        """Record, before it is done, that the card is about to be posted for the first time."""
        ...

    async def sent(self, card: CardRow, *, at: datetime) -> None:
        """Record that ``card.seq`` is what the channel shows now, under ``card.ref``."""
        ...

    async def seen(self, card: CardRow) -> None:
        """Record that up to ``card.seq`` there is nothing to show."""
        ...

    async def failed(self, card: CardRow, *, error: str, retry_at: datetime) -> None:
        """Wait until ``retry_at``; ``card.posting_at`` is kept as given."""
        ...

    async def put_off(self, card: CardRow, *, until: datetime) -> None:
        """Hold a card back for a digest from its ``seq`` on: it is due again when the incident changes."""
        ...

    async def get(self, incident_id: IncidentId, channel: str) -> CardRow | None: ...

    async def find(self, channel: str, ref: str) -> CardRow | None:
        """The card that the channel knows as ``ref``."""
        ...


class Arrival(msgspec.Struct, frozen=True, kw_only=True):
    """A message that came in, and the channel's id of the answer as far as one was shown."""

    message: IncomingMessage
    ref: str = ""
    attempts: int = 0


class ArrivalBox(Protocol):
    """What people wrote, stored before it is answered."""

    async def put(self, message: IncomingMessage) -> bool:
        """Commit a message; ``False`` when its id is known in its channel (a redelivery)."""
        ...

    async def pending(self, channel: str, *, now: datetime, limit: int = 100) -> tuple[Arrival, ...]:
        """Unanswered messages whose retry time has come, in the order they came."""
        ...

    async def answering(self, message: IncomingMessage, ref: str) -> None:
        """Record the channel's id of the answer that is being shown."""
        ...

    async def settle(self, message: IncomingMessage, *, at: datetime) -> None:
        """The message is answered, or needs no answer."""
        ...

    async def failed(self, arrival: Arrival, *, error: str, retry_at: datetime) -> None: ...
