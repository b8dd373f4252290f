"""A desk: claims one kind of work after another and does it, several at a time, keeping each claim alive."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from datetime import datetime, timedelta

from midwatch.domain import events as ev
from midwatch.domain.errors import ClaimLost, Conflict, MidwatchError, Permanent, Transient
from midwatch.domain.incidents import Work
from midwatch.domain.reasons import Reason
from midwatch.services.ports import Claim, Journal, WorkQueue
from midwatch.services.runtime import Clock

log = logging.getLogger(__name__)

_RETRY_S, _LONGEST_RETRY_S = 0.5, 30.0


class Desk:
    """Up to ``slots`` claims at once. ``drain`` takes what is due; a claim is renewed until its work is done.

    With ``cancel_lost`` work whose claim is lost (taken over, or no longer to be done) is cancelled at the next renewal
    instead of at its next append: for work that costs money while it waits.

    ``on_free`` is called when a slot becomes free that was missing before: drain again, a queue may have built up.
    """

    def __init__(
        self,
        queue: WorkQueue,
        journal: Journal,
        works: Sequence[Work],
        do: Callable[[Claim], Awaitable[object]],
        clock: Clock,
        *,
        owner: str,
        ttl_s: float,
        slots: int,
        max_attempts: int = 8,
        cancel_lost: bool = False,
        on_free: Callable[[], None] | None = None,
    ) -> None:
        self._queue, self._works, self._do, self._clock = queue, tuple(works), do, clock
        self._owner, self._ttl, self._slots = owner, timedelta(seconds=ttl_s), slots
        self._journal, self._max_attempts, self._cancel_lost = journal, max_attempts, cancel_lost
        self._running: set[asyncio.Task[None]] = set()
        self._owed: list[tuple[Claim, datetime | None, str]] = []
        self._on_free, self._full = on_free, False
        self.done = 0

    @property
    def busy(self) -> int:
        return len(self._running)

    async def drain(self) -> None:
        """Claim and start what is due, as far as slots are free. Work runs on after this returns."""
        await self._give_back_owed()
        while (free := self._slots - len(self._running)) > 0:
            claims = await self._queue.claim(
                self._works, owner=self._owner, now=self._clock.now(), ttl=self._ttl, limit=free
            )
            if not claims:
                return
            for claim in claims:
                task = asyncio.create_task(self._work(claim), name=f"{claim.work}:{claim.incident}")
                self._running.add(task)
                task.add_done_callback(self._over)
        self._full = True

    def _over(self, task: asyncio.Task[None]) -> None:
        """A slot is free; where every one was taken, more may be waiting than was claimed."""
        self._running.discard(task)
        if self._full and self._on_free is not None:
            self._full = False
            self._on_free()

    async def stop(self) -> None:
        """Cancel what runs and wait until it is gone; the claims fall back to the queue."""
        for task in self._running:
            task.cancel()
        await asyncio.gather(*self._running, return_exceptions=True)

    async def _work(self, claim: Claim) -> None:
        task = asyncio.current_task()
        assert task is not None
        keeper = asyncio.create_task(self._keep(claim, task))
        try:
            if claim.attempt > self._max_attempts:
                await self._escalate(claim, f"gave up on '{claim.work}' after {self._max_attempts} attempts")
            else:
                await self._do(claim)
            self.done += 1
        except ClaimLost:
            log.info("claim lost", extra={"incident": claim.incident, "work": str(claim.work)})
        except asyncio.CancelledError:
            # By the keeper, because the claim was lost, or by whoever stops the desk.
            if not (keeper.done() and not keeper.cancelled() and keeper.result()):
                raise
            task.uncancel()
        except Conflict:
            await self._release(claim, 0.0, "written by another meanwhile")
        except Transient as error:
            await self._release(claim, error.retry_in, str(error))
        except Permanent as error:
            await self._give_up(claim, error)
        except Exception as error:  # recorded and tried again, until the attempts are used up and a person is told
            log.exception("work failed", extra={"incident": claim.incident, "work": str(claim.work)})
            await self._release(claim, self._retry_s(claim), f"{type(error).__name__}: {error}")
        else:
            await self._release(claim, 0.0, "")
        finally:
            keeper.cancel()
            with suppress(asyncio.CancelledError):
                await keeper

    async def _give_up(self, claim: Claim, error: Permanent) -> None:
        try:
            await self._escalate(claim, f"'{claim.work}' cannot go on: {error}")
        except MidwatchError as trouble:
            await self._release(claim, self._retry_s(claim), str(trouble))

    async def _escalate(self, claim: Claim, detail: str) -> None:
        incident = await self._journal.read(claim.incident)
        event = ev.Escalated(reason=Reason.ATTEMPTS_EXHAUSTED, detail=detail)
        await self._journal.append(incident, [event], at=self._clock.now(), by=self._owner, claim=claim)

    def _retry_s(self, claim: Claim) -> float:
        return float(min(_RETRY_S * 2**claim.attempt, _LONGEST_RETRY_S))

    async def _release(self, claim: Claim, wait_s: float, error: str) -> None:
        await self._give_back(claim, self._clock.now() + timedelta(seconds=wait_s) if wait_s else None, error)

    async def _give_back(self, claim: Claim, retry_at: datetime | None, error: str) -> None:
        try:
            await self._queue.release(claim, retry_at=retry_at, error=error)
        except Transient:
            # The store is away. It would take the claim's whole time to run out by itself.
            self._owed.append((claim, retry_at, error))

    async def _give_back_owed(self) -> None:
        """Release what could not be released while the store was away."""
        owed, self._owed = self._owed, []
        for claim, retry_at, error in owed:
            await self._give_back(claim, retry_at, error)

    async def _keep(self, claim: Claim, task: asyncio.Task[None]) -> bool:
        """Renew until cancelled. Work that lost its claim ends by itself: the store refuses its next append.

        Returns whether the work was cancelled instead.
        """
        while True:
            await asyncio.sleep(self._ttl.total_seconds() / 3)
            try:
                await self._queue.renew(claim, now=self._clock.now(), ttl=self._ttl)
            except Transient:
                continue  # tried again before the claim runs out; if it does run out, the store refuses our appends
            except ClaimLost:
                log.info("claim taken over or done", extra={"incident": claim.incident, "work": str(claim.work)})
                if self._cancel_lost:
                    task.cancel()
                return self._cancel_lost
