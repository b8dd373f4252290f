"""What all shells share: open resources with patience, run turns, be woken, tell their health."""

import asyncio
import logging
import os
from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable
from contextlib import suppress

import ray

from midwatch.bootstrap import Resources, open_resources
from midwatch.domain.errors import MidwatchError, Transient
from midwatch.processes import settle_collector
from midwatch.settings import Settings
from midwatch.telemetry import Family, Metrics, set_up_logging

log = logging.getLogger(__name__)

_FIRST_WAIT_S, _LONGEST_WAIT_S = 0.2, 5.0


class Resident(ABC):
    """An actor that lives as long as the house. Subclasses say what one turn does."""

    def __init__(self, settings: Settings, name: str) -> None:
        self._settings, self._name = settings, name
        self._woken = asyncio.Event()
        self._metrics = Metrics()
        self._error, self._turns, self._ready = "", 0, False
        self._main = asyncio.ensure_future(self._live())

    async def wake(self) -> None:
        """Look for work now. Carries no facts; losing it costs one sweep."""
        self._woken.set()

    async def health(self) -> dict[str, object]:
        """``ok``, the last error if it still stands, and what the actor adds of its own."""
        return {"ok": self._ready and not self._error, "error": self._error, "turns": self._turns, "pid": os.getpid()}

    async def metrics(self) -> tuple[Family, ...]:
        return self._metrics.families()

    @abstractmethod
    async def run(self, resources: Resources) -> None:
        """Live with open resources; ends only by an exception."""

    async def _live(self) -> None:
        set_up_logging(self._name, level=self._settings.log_level, folder=self._settings.log_dir)
        wait = _FIRST_WAIT_S
        while True:
            try:
                async with open_resources(self._settings, owner=self._name) as resources:
                    await resources.stores.work.abandon(self._name)
                    self._error, self._ready, wait = "", True, _FIRST_WAIT_S
                    settle_collector()
                    await self.run(resources)
            except MidwatchError as error:
                self._trouble(error)
            except Exception as error:  # an actor outlives its bugs: recorded, counted, and tried again with patience
                log.exception("actor stumbled", extra={"name_": self._name})
                self._trouble(error)
            await asyncio.sleep(wait)
            wait = min(wait * 2, _LONGEST_WAIT_S)

    async def turns(self, turn: Callable[[], Awaitable[object]]) -> None:
        """Run ``turn`` now, whenever woken, and every ``sweep_s``; a dependency that is away is waited for."""
        while True:
            self._woken.clear()
            pause = self._settings.sweep_s
            try:
                with self._metrics.loop_seconds.time():
                    await turn()
                self._error = ""
                self.turned()
            except Transient as error:
                self._trouble(error)
                pause = min(error.retry_in, pause)
            with suppress(TimeoutError):
                async with asyncio.timeout(pause):
                    await self._woken.wait()

    def turned(self) -> None:
        """Count a turn. The first of a process is told: from then on, whatever ended the last one is made good."""
        if not self._turns:
            log.info("at work", extra={"pid": os.getpid()})
        self._turns += 1

    def _trouble(self, error: Exception) -> None:
        self._error = f"{type(error).__name__}: {error}"
        self._metrics.errors.labels(type(error).__name__).inc()
        log.warning("actor in trouble", extra={"error": self._error})


def current_actor_id() -> str:
    """This process's actor id, for owners of claims. Read once: each call asks Ray's control store."""
    return str(ray.get_runtime_context().get_actor_id())
