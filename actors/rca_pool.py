"""RcaPool and RcaWorker: workers claim investigations from the store; the pool keeps them alive and rings them."""

import asyncio
import logging

from ray.exceptions import RayError

from actors import names
from actors.clients import ActorBells, Handle, end, make
from actors.lifecycle import Resident
from midwatch.bootstrap import Resources
from midwatch.bootstrap.investigation import open_investigation
from midwatch.bootstrap.refinement import open_refinement
from midwatch.domain.errors import Transient
from midwatch.domain.incidents import Work
from midwatch.domain.servers import ServerRecord
from midwatch.services.crew import Crew, reconsider
from midwatch.services.desk import Desk
from midwatch.services.reasoning.refinement import Refinement
from midwatch.settings import Settings

log = logging.getLogger(__name__)

_WATCH_S = 0.5
_ENDLESS = 1_000_000
"""A refinement gives up by itself, and then leaves the first report standing instead of escalating."""


class RcaWorker(Resident):
    """Investigates up to ``rca_slots`` incidents at once, with read-only sight of the cluster, and has models improve
    up to ``refine_slots`` reports beside that: first reports never wait for a model.
    """

    def __init__(self, settings: Settings, name: str) -> None:
        self._desks: tuple[Desk, ...] = ()
        self._refinement: Refinement | None = None
        super().__init__(settings, name)

    async def health(self) -> dict[str, object]:
        return await super().health() | {"busy": sum(desk.busy for desk in self._desks)}

    async def tool_servers(self) -> tuple[ServerRecord, ...]:
        """The tool servers that this worker has started."""
        return self._refinement.servers() if self._refinement is not None else ()

    async def run(self, resources: Resources) -> None:
        bells = ActorBells(self._settings.active_channels)
        settings = self._settings
        async with (
            open_refinement(resources, bells, self._metrics) as refinement,
            open_investigation(resources, bells, refinement.model_there) as investigation,
            resources.desk(
                (Work.INVESTIGATE,), investigation.run, bells, slots=settings.rca_slots, on_free=self._woken.set
            ) as first,
            resources.desk(
                (Work.REFINE,),
                refinement.run,
                bells,
                slots=settings.refine_slots,
                on_free=self._woken.set,
                max_attempts=_ENDLESS,
                cancel_lost=True,
            ) as better,
        ):
            self._desks, self._refinement = (first, better), refinement

            async def turn() -> None:
                await first.drain()
                await better.drain()

            await self.turns(turn)


class RcaPool(Resident):
    """Spawns the workers, replaces those that died, frees what the dead had claimed, and passes rings on.

    There is one worker, and up to ``rca_workers`` while work waits.
    """

    worker: type[Resident] = RcaWorker

    def __init__(self, settings: Settings, name: str) -> None:
        self._workers: dict[str, Handle] = {}
        self._busy: dict[str, int] = {}
        super().__init__(settings, name)

    async def wake(self) -> None:
        for handle in self._workers.values():
            handle.wake.remote()

    async def run(self, resources: Resources) -> None:
        crew, keepers = Crew(), dict[str, asyncio.Task[None]]()
        rest = max(1, int(self._settings.rca_idle_s / _WATCH_S))
        async with asyncio.TaskGroup() as group:
            while True:
                for number in range(1, crew.size + 1):
                    name = names.rca_worker(number)
                    if name not in keepers:
                        keepers[name] = group.create_task(self._keep(name, resources))
                while len(keepers) > crew.size:
                    name, keeper = keepers.popitem()
                    keeper.cancel()
                    await asyncio.wait({keeper})
                    await self._dismiss(name, resources)
                await asyncio.sleep(_WATCH_S)
                try:
                    waiting = await resources.stores.work.waiting(
                        (Work.INVESTIGATE, Work.REFINE), now=resources.clock.now()
                    )
                except Transient:
                    continue  # the workers wait for the store, too
                crew = reconsider(
                    crew,
                    waiting=waiting,
                    busy=sum(self._busy.values()),
                    most=self._settings.rca_workers,
                    rest=rest,
                )

    async def _keep(self, name: str, resources: Resources) -> None:
        """One worker's life after life."""
        while True:
            handle = self._workers[name] = await asyncio.to_thread(self._spawn, name)
            try:
                await self._answers(name, handle)
            except RayError as error:  # restarting, or gone with its node
                # told once: where a node is lost, its workers may wait for a place for as long as they have to
                log.log(
                    logging.WARNING if name in self._busy else logging.DEBUG,
                    "worker away",
                    extra={"worker": name, "error": type(error).__name__},
                )
            self._busy.pop(name, None)
            if freed := await resources.stores.work.abandon(name):
                log.info("worker's claims freed", extra={"worker": name, "freed": freed})
            await asyncio.sleep(_WATCH_S)

    async def _answers(self, name: str, handle: Handle) -> None:
        """Ask a worker for its health every half second; ends by the error it does not answer with."""
        while True:
            health = await handle.health.remote()
            busy = health.get("busy", 0)
            self._busy[name] = busy if isinstance(busy, int) else 0
            self.turned()
            await asyncio.sleep(_WATCH_S)

    async def _dismiss(self, name: str, resources: Resources) -> None:
        """End a worker that has had nothing to do. What it claimed this very moment another one takes up."""
        handle = self._workers.pop(name, None)
        self._busy.pop(name, None)
        if handle is not None:
            await asyncio.to_thread(end, handle)
        await resources.stores.work.abandon(name)
        log.info("worker dismissed", extra={"worker": name})

    def _spawn(self, name: str) -> Handle:
        options = {"name": name, "resources": {"rca": 1}, "scheduling_strategy": "SPREAD"}
        return make(self.worker, options, self._settings, name)
