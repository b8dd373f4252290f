"""Actors that tests put on Ray; in a module of their own, because Ray's workers import it."""

import asyncio
import os
from pathlib import Path

import ray

from actors.clients import ActorBells
from actors.lifecycle import Resident
from actors.rca_pool import RcaPool
from actors.spares import Spares
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


class Gated(Resident):
    """Investigates one incident after another, and ends none before there is a file ``open`` in the state directory."""

    def __init__(self, settings: Settings, name: str) -> None:
        self._node = ray.get_runtime_context().get_node_id()
        self._busy = 0
        super().__init__(settings, name)

    async def health(self) -> dict[str, object]:
        return await super().health() | {"node": self._node, "busy": self._busy}

    async def run(self, resources: Resources) -> None:
        journal, clock = resources.stores.journal, resources.clock
        gate = self._settings.state_dir / "open"

        async def do(claim: Claim) -> None:
            incident = await journal.read(claim.incident)
            began = ev.InvestigationStarted(reason=Reason.CLAIMED, worker=self._name)
            incident = await journal.append(incident, [began], at=clock.now(), by=self._name, claim=claim)
            while not await asyncio.to_thread(gate.exists):
                await asyncio.sleep(0.05)
            found = Diagnosis(root_cause="found", summary="found", confidence=0.9)
            made = ev.ReportMade(reason=Reason.BUILT_IN_ANALYSIS, diagnosis=found)
            await journal.append(incident, [made], at=clock.now(), by=self._name, claim=claim)

        async with resources.desk(
            (Work.INVESTIGATE,), do, ActorBells(), slots=self._settings.rca_slots, on_free=self._woken.set
        ) as desk:

            async def turn() -> None:
                await desk.drain()
                self._busy = desk.busy

            await self.turns(turn)


class GatedPool(RcaPool):
    """The pool itself, with workers that are quickly there and stay busy as long as a test wants."""

    worker = Gated


class Keeper:
    """Keeps one process ready as the supervisor does: beside it, below the same raylet."""

    async def keep(self) -> None:
        await Spares(1, lambda: True).keep()

    async def there(self) -> None:
        """Answers."""


class Edge:
    """By its name alone Serve's replica: the sign that the house has been started."""

    async def there(self) -> None:
        """Answers."""


class Thrower:
    """Raises what it is given."""

    async def throw(self, error: MidwatchError) -> None:
        raise error
