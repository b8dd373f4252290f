"""Supervisor: sees to it that every actor of the house exists and answers."""

import asyncio
import logging

from ray.exceptions import ActorDiedError, RayError

from actors.clients import Handle
from actors.lifecycle import Resident
from actors.roster import Post, engage, roster
from actors.spares import Spares
from midwatch.bootstrap import Resources
from midwatch.settings import Settings

log = logging.getLogger(__name__)

_ROUND_S = 1.0
_IN_TROUBLE = "in trouble"


class Supervisor(Resident):
    """Asks every actor for its health each second and makes anew whoever is gone for good."""

    def __init__(self, settings: Settings, name: str) -> None:
        self._states: dict[str, str] = {}
        super().__init__(settings, name)

    async def health(self) -> dict[str, object]:
        return await super().health() | {"actors": dict(self._states)}

    async def run(self, resources: Resources) -> None:
        del resources  # it watches processes, and has no word in what they do
        async with asyncio.TaskGroup() as group:
            for name, post in roster(self._settings).items():
                group.create_task(self._keep(name, post))
            group.create_task(Spares(self._settings.spare_processes, self._all_there).keep())

    async def _keep(self, name: str, post: Post) -> None:
        handle: Handle | None = None
        while True:
            try:
                if handle is None:
                    handle = await asyncio.to_thread(engage, name, post, self._settings)
                health = await handle.health.remote()
                self._states[name] = "ok" if health["ok"] else f"{_IN_TROUBLE}: {health['error'] or 'starting'}"
                self.turned()
            except ActorDiedError:
                log.warning("actor gone, made anew", extra={"actor_": name})
                self._states[name], handle = "made anew", None
            except RayError as error:
                self._states[name] = f"away: {type(error).__name__}"
            await asyncio.sleep(_ROUND_S)

    def _all_there(self) -> bool:
        return all(state == "ok" or state.startswith(_IN_TROUBLE) for state in self._states.values())
