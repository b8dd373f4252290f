"""Writing a refinement down: one append after another, whoever else writes to the incident meanwhile."""

import asyncio

from midwatch.domain import events as ev
from midwatch.domain.errors import ClaimLost, Conflict
from midwatch.domain.incidents import Incident
from midwatch.domain.reasons import Reason
from midwatch.services.model_ports import AwayAtACost
from midwatch.services.ports import Claim, Journal
from midwatch.services.reasoning.memory import Memory
from midwatch.services.runtime import Clock

_TRIES = 50


class Ledger:
    """Appends under the claim, and teaches the memory what was written. ``ClaimLost`` passes: stop at once."""

    def __init__(
        self, journal: Journal, incident: Incident, memory: Memory, claim: Claim, clock: Clock, *, by: str
    ) -> None:
        self._journal, self.incident, self._memory = journal, incident, memory
        self._claim, self._clock, self._by = claim, clock, by
        self._turn = asyncio.Lock()

    async def loss(self, error: AwayAtACost, line: str = "") -> None:
        """Write down what models have cost that gave no answer: budgets count it."""
        broke = ev.ModelBroke(
            reason=Reason.MODEL_AWAY, detail=str(error)[:500], tokens=error.tokens, usd=error.usd, hypothesis=line
        )
        await self.write(broke)

    async def write(self, *events: ev.AnyEvent, journal: Journal | None = None) -> None:
        """Append ``events`` as one, through ``journal`` where it is given (the one that rings others)."""
        async with self._turn:
            at = self._clock.now()
            for _ in range(_TRIES):
                try:
                    self.incident = await (journal or self._journal).append(
                        self.incident, events, at=at, by=self._by, claim=self._claim
                    )
                    break
                except ClaimLost:
                    raise
                except Conflict:  # a signal joined, or a person clicked: write after it
                    self.incident = await self._journal.read(self.incident.id)
            else:
                raise Conflict(f"{self.incident.id}: the incident changes faster than it can be written to")
            for event in events:
                self._memory.learn(event, at)
