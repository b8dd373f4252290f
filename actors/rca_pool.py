"""RcaPool and RcaWorker: workers claim investigations from the store; the pool keeps them alive and rings them."""

import asyncio
import logging

from ray.exceptions import RayError

from actors import names
from actors.clients import ActorBells, Handle, make
from actors.lifecycle import Resident
from midwatch.bootstrap import Resources
from midwatch.bootstrap.investigation import open_investigation
from midwatch.domain.incidents import Work
from midwatch.settings import Settings

log = logging.getLogger(__name__)

_WATCH_S = 0.5


class RcaWorker(Resident):
    """Investigates up to ``rca_slots`` incidents at once, with read-only sight of the cluster."""

    async def run(self, resources: Resources) -> None:
        bells = ActorBells()
        async with (
            open_investigation(resources, bells) as investigation,
            resources.desk((Work.INVESTIGATE,), investigation.run, bells, slots=self._settings.rca_slots) as desk,
        ):
            await self.turns(desk.drain)


class RcaPool(Resident):
    """Spawns the workers, replaces those that died, frees what the dead had claimed, and passes rings on."""

    def __init__(self, settings: Settings, name: str) -> None:
        self._workers: dict[str, Handle] = {}
        super().__init__(settings, name)

    async def wake(self) -> None:
        for handle in self._workers.values():
            handle.wake.remote()

    async def run(self, resources: Resources) -> None:
        wanted = [names.rca_worker(number) for number in range(1, self._settings.rca_workers + 1)]
        async with asyncio.TaskGroup() as group:
            for name in wanted:
                group.create_task(self._keep(name, resources))

    async def _keep(self, name: str, resources: Resources) -> None:
        """One worker's life after life."""
        while True:
            handle = self._workers[name] = await asyncio.to_thread(self._spawn, name)
            try:
                await self._answers(handle)
            except RayError as error:  # restarting, or gone with its node
                log.warning("worker away", extra={"worker": name, "error": type(error).__name__})
            freed = await resources.stores.work.abandon(name)
            log.info("worker's claims freed", extra={"worker": name, "freed": freed})
            await asyncio.sleep(_WATCH_S)

    async def _answers(self, handle: Handle) -> None:
        """Ask a worker for its health every half second; ends by the error it does not answer with."""
        while True:
            await handle.health.remote()
            self._turns += 1
            await asyncio.sleep(_WATCH_S)

    def _spawn(self, name: str) -> Handle:
        options = {"name": name, "resources": {"rca": 1}, "scheduling_strategy": "SPREAD"}
        return make(RcaWorker, options, self._settings, name)
