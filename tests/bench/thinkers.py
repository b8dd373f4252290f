"""A worker that does nothing but claim, journal and wait: what the house costs a node without the model loop.

In a module of its own, because Ray's workers import it.
"""

import asyncio

from actors.lifecycle import Resident
from midwatch.bootstrap import Resources
from midwatch.domain import events as ev
from midwatch.domain.incidents import Work
from midwatch.domain.reasons import Reason
from midwatch.services.ports import Claim

LATENCY_S = 2.0


class Nobody:
    """Rings nobody: there is one kind of actor here."""

    def signals(self) -> None: ...
    def clicks(self) -> None: ...
    def work(self, work: Work) -> None: ...
    def changed(self) -> None: ...


class Thinker(Resident):
    """Ends refinements after two seconds of thought."""

    async def run(self, resources: Resources) -> None:
        journal, clock = resources.stores.journal, resources.clock

        async def think(claim: Claim) -> None:
            incident = await journal.read(claim.incident)
            began = ev.RefinementStarted(reason=Reason.CLAIMED, worker=self._name, attempt=claim.attempt)
            incident = await journal.append(incident, [began], at=clock.now(), by=self._name, claim=claim)
            await asyncio.sleep(LATENCY_S)
            ended = ev.RefinementEnded(reason=Reason.MODEL_REFINED, detail="thought")
            await journal.append(incident, [ended], at=clock.now(), by=self._name, claim=claim)

        async with resources.desk(
            (Work.REFINE,), think, Nobody(), slots=self._settings.refine_slots, on_free=self._woken.set
        ) as desk:
            await self.turns(desk.drain)
