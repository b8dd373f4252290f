"""Notification: one message per incident and channel, edited in place as the incident moves on.

Delivery is at least once. That a first post begins is a row before it is made: where its outcome is unknown (a death, a
timeout) the message is looked for in the channel before it is posted again. A channel that cannot be searched may show
such a card twice; it never loses one.
"""

import logging
from collections.abc import Callable
from datetime import datetime, timedelta
from enum import Enum
from typing import Protocol, runtime_checkable

import msgspec

from midwatch.domain.cards import Card, card_digest, card_of
from midwatch.domain.errors import NotFound, Permanent, Throttled, Transient
from midwatch.domain.ids import IncidentId
from midwatch.domain.incidents import Incident, State
from midwatch.domain.reasons import Reason
from midwatch.domain.rota import Delivery, How
from midwatch.services.pacing import LOOK_S, Pace, unlimited
from midwatch.services.ports import CardBox, CardRow, Journal
from midwatch.services.runtime import Clock

log = logging.getLogger(__name__)

_LONGEST_WAIT = timedelta(minutes=5)
_AFTER_REFUSAL = timedelta(minutes=10)
_IN_FLIGHT = timedelta(seconds=2)
"""How long a post of a process that died may still be on its way: it is looked for only after that."""
_BATCH = 50
_ENOUGH = 3
"""After so many failures in a row the rest waits for the next turn: each may take a timeout."""


class Outlet(Protocol):
    """Where cards go. ``name`` keys their rows in the outbox."""

    name: str

    async def show(self, card: Card, ref: str) -> str:
        """Post the card, or edit the message ``ref`` in place; returns the message's id.

        Raises ``Transient`` when the outcome is unknown or nothing came of it, ``Throttled`` when the channel wants a
        rest, ``Permanent`` when it refuses, ``NotFound`` when ``ref`` was deleted.
        """
        ...


@runtime_checkable
class Searchable(Protocol):
    """A channel in which a message can be found again."""

    async def find(self, incident: IncidentId, since: datetime) -> str:
        """The id of this incident's message posted at ``since`` or later, empty when there is none."""
        ...


Aspect = Callable[[Card], Card | None]
"""What of a card an outlet shows; ``None``: nothing yet."""
Heard = Callable[[Incident, datetime], Delivery]
"""How a channel is told of an incident that it does not show yet: now, later, or not."""


def everything(card: Card) -> Card | None:
    """The card as it is."""
    return card


def at_once(_: Incident, __: datetime) -> Delivery:
    """Told now."""
    return Delivery(How.NOW, Reason.NO_ROUTE)


def asked_for(channel: str, then: Heard = at_once) -> Heard:
    """Nothing of incidents whose rule names other channels in ``notify``; of the rest what ``then`` says."""

    def heard(incident: Incident, now: datetime) -> Delivery:
        if incident.notify and not any(name.partition(":")[0] == channel for name in incident.notify):
            return Delivery(How.NOT, Reason.NOT_ROUTED_HERE)
        return then(incident, now)

    return heard


class _Step(Enum):
    SENT = "sent"
    PASSED = "passed"
    SETTLED = "settled"
    WAITED = "waited"
    FAILED = "failed"


class Notification:
    """Brings a channel up to date with the journal. What was not delivered stays due.

    ``gap`` is the least time between two edits of one message. ``under`` names the outlet whose message must be there
    first (a thread's root).
    """

    def __init__(
        self,
        journal: Journal,
        cards: CardBox,
        channel: Outlet,
        clock: Clock,
        *,
        pace: Pace | None = None,
        gap: timedelta = timedelta(0),
        heard: Heard = at_once,
        aspect: Aspect = everything,
        under: str = "",
    ) -> None:
        self._journal, self._cards, self._channel, self._clock = journal, cards, channel, clock
        self._pace = pace or unlimited(clock.now())
        self._gap, self._heard, self._aspect, self._under = gap, heard, aspect, under
        self.waiting = False
        """Whether something waits for nothing but the channel's pace."""

    async def drain(self, most: int | None = None) -> int:
        """Send every card that is behind; with ``most`` no more than that, and without waiting for the channel's pace.

        Returns how many were posted or edited.
        """
        sent, self.waiting = 0, False
        passed, failed = set[IncidentId](), 0
        while (most is None or sent < most) and failed < _ENOUGH:
            name, limit = self._channel.name, _BATCH + len(passed)
            due = await self._cards.due(name, now=self._clock.now(), limit=limit, gap=self._gap)
            rows = [row for row in due if row.incident not in passed]
            if not rows:
                break
            for row in rows:
                step = await self._send(row)
                if step is _Step.PASSED:
                    passed.add(row.incident)
                sent += step is _Step.SENT
                failed = failed + 1 if step is _Step.FAILED else 0
                self.waiting = step is _Step.WAITED
                if self.waiting or failed >= _ENOUGH or (most is not None and sent >= most):
                    break  # something more urgent may have come meanwhile
            if self.waiting and most is not None:
                break
        return sent

    async def _send(self, row: CardRow) -> _Step:
        incident = await self._journal.read(row.incident)
        if not row.ref and row.posting_at is None:
            told = self._heard(incident, self._clock.now())
            new = msgspec.structs.replace(row, seq=incident.seq)
            if told.how is How.NOT or _told(row, incident, told):
                await self._cards.seen(new)
                return _Step.SETTLED
            if told.until is not None:  # quiet hours, or the digest's time
                await self._cards.put_off(new, until=min(told.until, row.held_until or told.until))
                return _Step.SETTLED
        row = msgspec.structs.replace(row, seq=incident.seq)
        card = self._aspect(card_of(incident))
        if card is None:
            await self._cards.seen(row)
            return _Step.SETTLED
        digest = card_digest(card)
        if row.ref and row.digest == digest:
            await self._cards.seen(msgspec.structs.replace(row, shown=incident.state))
            return _Step.SETTLED
        if self._under and not await self._stands(row.incident):
            return _Step.PASSED
        # What a person decides with, or has just decided. Hundreds of escalations would use up what is kept for these.
        urgent = incident.state is State.AWAITING_APPROVAL or bool(row.ref and row.shown == State.AWAITING_APPROVAL)
        wait = self._pace.wait("edit" if row.ref else "post", self._clock.now(), urgent=urgent)
        if wait > 0:
            await self._clock.sleep(min(wait, LOOK_S))
            return _Step.WAITED
        return await self._deliver(msgspec.structs.replace(row, digest=digest, shown=incident.state), card)

    async def _stands(self, incident: IncidentId) -> bool:
        root = await self._cards.get(incident, self._under)
        return root is not None and bool(root.ref)

    async def _deliver(self, row: CardRow, card: Card) -> _Step:
        now, before = self._clock.now(), row.posting_at
        if not row.ref and before is not None and now < before + _IN_FLIGHT:
            await self._cards.failed(row, error="a post may still be on its way", retry_at=before + _IN_FLIGHT)
            return _Step.SETTLED
        try:
            if row.ref:
                ref = await self._edited(row, card)
            elif before is None:
                row = msgspec.structs.replace(row, posting_at=now)
                await self._cards.posting(row, at=now)
                ref = await self._channel.show(card, "")
            else:
                ref = await self._found_or_posted(row, before, card)
        except (Transient, Permanent) as error:
            if not isinstance(error, Transient) or isinstance(error, Throttled):
                row = msgspec.structs.replace(row, posting_at=before)  # it was refused, hence it is not there
            await self._put_off(row, error)
            return _Step.FAILED
        await self._cards.sent(msgspec.structs.replace(row, ref=ref), at=self._clock.now())
        return _Step.SENT

    async def _edited(self, row: CardRow, card: Card) -> str:
        try:
            return await self._channel.show(card, row.ref)
        except NotFound:  # somebody deleted the message
            log.warning("a card was deleted; posted anew", extra={"incident": row.incident, "channel": row.channel})
            return await self._channel.show(card, "")

    async def _found_or_posted(self, row: CardRow, begun: datetime, card: Card) -> str:
        """A first post was begun by somebody who died in it, or its answer was lost."""
        found = await self._channel.find(row.incident, begun) if isinstance(self._channel, Searchable) else ""
        about = {"incident": row.incident, "channel": row.channel, "found": bool(found)}
        log.warning("the outcome of a post was not known", extra=about)
        return await self._channel.show(card, found)

    async def _put_off(self, row: CardRow, error: Transient | Permanent) -> None:
        log.warning("card not delivered", extra={"incident": row.incident, "channel": row.channel, "error": str(error)})
        now, wait = self._clock.now(), _AFTER_REFUSAL
        if isinstance(error, Throttled):
            self._pace.hold(error.retry_in, now)
            wait = timedelta(seconds=error.retry_in)
        elif isinstance(error, Transient):
            wait = min(timedelta(seconds=error.retry_in) * 2 ** min(row.attempts, 8), _LONGEST_WAIT)
        wait = max(wait, _IN_FLIGHT) if row.posting_at and not row.ref else wait
        await self._cards.failed(row, error=str(error), retry_at=now + wait)


def _told(row: CardRow, incident: Incident, delivery: Delivery) -> bool:
    """Whether there is nothing more to say after a digest: it told the end, or the end is all that is new."""
    return bool(row.shown) and incident.state.final and (State(row.shown).final or delivery.until is None)


class ConsoleChannel:
    """The console reads the journal itself: a card counts as shown once its row says so."""

    name = "console"

    async def show(self, card: Card, ref: str) -> str:
        return ref or f"console:{card.incident}"
