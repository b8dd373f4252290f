"""Digests: what was held back in a channel is told in one message when its time has come.

Who is told is committed together with the digest's row, before anything is posted: a death between the two tells nobody
twice and forgets nobody. Where the outcome of a post is unknown the message is looked for before it is posted again, as
with cards.
"""

import logging
from datetime import datetime, timedelta
from typing import Final, Protocol, runtime_checkable

import msgspec

from midwatch.domain.digests import Digest, digest_of
from midwatch.domain.errors import MidwatchError, Permanent, Throttled, Transient
from midwatch.domain.ids import IncidentId
from midwatch.services.pacing import LOOK_S, Pace
from midwatch.services.ports import Journal
from midwatch.services.runtime import Clock, Ids

log = logging.getLogger(__name__)

MOST: Final = 300
"""Incidents in one digest; what is beyond that comes in the next one."""
_IN_FLIGHT: Final = timedelta(seconds=2)
_LONGEST_WAIT: Final = timedelta(minutes=5)
_AFTER_REFUSAL: Final = timedelta(minutes=10)


class DigestRow(msgspec.Struct, frozen=True, kw_only=True):
    """A digest that was not sent yet. ``posting_at`` is set while nobody knows whether a post of it arrived."""

    digest: Digest
    attempts: int = 0
    posting_at: datetime | None = None


class DigestBox(Protocol):
    """Digests, and the cards that wait for one."""

    async def held(self, channel: str, *, now: datetime, limit: int) -> tuple[IncidentId, ...]:
        """Incidents that were held back in a channel until now or earlier."""
        ...

    async def begin(self, digest: Digest) -> bool:
        """Commit a digest, and with it that its incidents are held back no longer and told of as they stand in it.

        ``False``, and nothing is written, unless every one of them was still held back.
        """
        ...

    async def unsent(self, channel: str, *, now: datetime) -> tuple[DigestRow, ...]:
        """Digests whose time has come, in the order they were made."""
        ...

    async def posting(self, digest_id: str, *, at: datetime) -> None:
        """Record, before it is done, that the digest is about to be posted."""
        ...

    async def sent(self, digest_id: str, ref: str, *, at: datetime) -> None: ...

    async def failed(self, row: DigestRow, *, error: str, retry_at: datetime) -> None:
        """Wait until ``retry_at``; ``row.posting_at`` is kept as given."""
        ...


class DigestOutlet(Protocol):
    """A channel that takes digests."""

    name: str

    async def show_digest(self, digest: Digest) -> str:
        """Post it; returns the message's id. Raises as :meth:`midwatch.services.notification.Outlet.show`."""
        ...


@runtime_checkable
class DigestSearchable(Protocol):
    """A channel in which a digest can be found again."""

    async def find_digest(self, digest_id: str, since: datetime) -> str:
        """The id of its message posted at ``since`` or later, empty when there is none."""
        ...


class Digesting:
    """Makes and sends the digests of one channel."""

    def __init__(
        self, journal: Journal, box: DigestBox, channel: DigestOutlet, clock: Clock, ids: Ids, *, pace: Pace
    ) -> None:
        self._journal, self._box, self._channel = journal, box, channel
        self._clock, self._ids, self._pace = clock, ids, pace
        self.waiting = False
        """Whether something waits for nothing but the channel's pace."""

    async def drain(self, most: int | None = None) -> int:
        """Make a digest of what is due and send those that are not sent; how many were."""
        del most
        self.waiting = False
        await self._gather()
        sent = 0
        for row in await self._box.unsent(self._channel.name, now=self._clock.now()):
            wait = self._pace.wait("post", self._clock.now())
            if wait > 0:
                self.waiting = True
                await self._clock.sleep(min(wait, LOOK_S))
                break
            sent += await self._deliver(row)
        return sent

    async def _gather(self) -> None:
        now, name = self._clock.now(), self._channel.name
        held = await self._box.held(name, now=now, limit=MOST)
        if not held:
            return
        incidents = [await self._journal.read(incident) for incident in held]
        digest = digest_of(self._ids.new(), name, incidents, now)
        if await self._box.begin(digest):
            log.info("digest made", extra={"channel": name, "digest": digest.id, "incidents": len(held)})

    async def _deliver(self, row: DigestRow) -> bool:
        now, before = self._clock.now(), row.posting_at
        if before is not None and now < before + _IN_FLIGHT:
            await self._box.failed(row, error="a post may still be on its way", retry_at=before + _IN_FLIGHT)
            return False
        ref = ""
        try:
            if before is not None and isinstance(self._channel, DigestSearchable):
                ref = await self._channel.find_digest(row.digest.id, before)
            if not ref:
                row = msgspec.structs.replace(row, posting_at=before or now)
                await self._box.posting(row.digest.id, at=before or now)
                ref = await self._channel.show_digest(row.digest)
        except (Transient, Permanent) as error:
            if not isinstance(error, Transient) or isinstance(error, Throttled):
                row = msgspec.structs.replace(row, posting_at=before)  # it was refused, hence it is not there
            await self._put_off(row, error)
            return False
        await self._box.sent(row.digest.id, ref, at=self._clock.now())
        return True

    async def _put_off(self, row: DigestRow, error: MidwatchError) -> None:
        log.warning("digest not delivered", extra={"digest": row.digest.id, "error": str(error)})
        now, wait = self._clock.now(), _AFTER_REFUSAL
        if isinstance(error, Throttled):
            self._pace.hold(error.retry_in, now)
            wait = timedelta(seconds=error.retry_in)
        elif isinstance(error, Transient):
            wait = max(_IN_FLIGHT, min(timedelta(seconds=error.retry_in) * 2 ** min(row.attempts, 8), _LONGEST_WAIT))
        await self._box.failed(row, error=str(error), retry_at=now + wait)
