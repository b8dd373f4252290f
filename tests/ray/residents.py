"""Actors that tests put on Ray; in a module of their own, because Ray's workers import it."""

import asyncio
import os
from pathlib import Path

from actors.clients import ActorBells
from actors.lifecycle import Resident
from midwatch.bootstrap import Resources
from midwatch.domain import events as ev
from midwatch.domain.diagnosis import Diagnosis
from midwatch.domain.errors import MidwatchError
from midwatch.domain.incidents import Work
from midwatch.domain.reasons import Reason
from midwatch.services.ports import Claim
from midwatch.settings import Settings


class Plain(Resident):
    """Runs empty turns, and can be asked to die as `kill -9` does."""

    async def run(self, resources: Resources) -> None:
        async def turn() -> None:
            await resources.stores.inbox.depth()

        await self.turns(turn)

    async def die(self) -> None:
        os._exit(9)


class Stuck(Resident):
    """Investigates: in its first life it hangs with the work in its hands, in the next ones it does it."""

    def __init__(self, settings: Settings, name: str, mark: Path) -> None:
        self._mark = mark
        super().__init__(settings, name)

    async def run(self, resources: Resources) -> None:
        bells = ActorBells()

        async def do(claim: Claim) -> None:
            if not self._mark.exists():
                self._mark.write_text(str(os.getpid()))
                await asyncio.Event().wait()
            incident = await resources.stores.journal.read(claim.incident)
            found = Diagnosis(root_cause="found", summary="found", confidence=0.9)
            made = ev.ReportMade(reason=Reason.BUILT_IN_ANALYSIS, diagnosis=found)
            at = resources.clock.now()
            await resources.stores.journal.append(incident, [made], at=at, by=self._name, claim=claim)

        async with resources.desk((Work.INVESTIGATE,), do, bells, slots=2) as desk:
            await self.turns(desk.drain)


class Thrower:
    """Raises what it is given."""

    async def throw(self, error: MidwatchError) -> None:
        raise error
