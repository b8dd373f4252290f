"""Supervisor: sees to it that every actor of the house exists and answers."""

import asyncio
import logging

from ray.exceptions import ActorDiedError, RayError

from actors import names
from actors.approval_broker import ApprovalBroker
from actors.channel_gateway import ChannelGateway
from actors.clients import Handle, make
from actors.lifecycle import Resident
from actors.playbook_executor import PlaybookExecutor
from actors.rca_pool import RcaPool
from actors.rule_engine import RuleEngine
from actors.watcher import Watcher
from midwatch.bootstrap import Resources
from midwatch.settings import Settings

log = logging.getLogger(__name__)

_ROUND_S = 1.0
# Pinned to the head: Ray would else put them on any node, and they would die with it.
_ON_THE_HEAD = {"head": 0.01}


def roster(settings: Settings) -> dict[str, tuple[type[Resident], tuple[object, ...]]]:
    """Every actor the house needs: its name, its class, and the arguments after settings and name."""
    house: dict[str, tuple[type[Resident], tuple[object, ...]]] = {
        names.RULE_ENGINE: (RuleEngine, ()),
        names.RCA_POOL: (RcaPool, ()),
        names.APPROVAL_BROKER: (ApprovalBroker, ()),
        names.PLAYBOOK_EXECUTOR: (PlaybookExecutor, ()),
        names.channel_gateway("console"): (ChannelGateway, ("console",)),
    }
    for cluster in settings.clusters:
        house[names.watcher(cluster)] = (Watcher, (cluster,))
    return house


def start(kind: type[Resident], settings: Settings, name: str, *rest: object) -> Handle:
    """Make an actor, or find the one that bears its name. Blocks until Ray has registered it."""
    return make(kind, {"name": name, "resources": _ON_THE_HEAD}, settings, name, *rest)


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
            for name, (kind, rest) in roster(self._settings).items():
                group.create_task(self._keep(name, kind, rest))

    async def _keep(self, name: str, kind: type[Resident], rest: tuple[object, ...]) -> None:
        handle: Handle | None = None
        while True:
            try:
                if handle is None:
                    handle = await asyncio.to_thread(start, kind, self._settings, name, *rest)
                health = await handle.health.remote()
                self._states[name] = "ok" if health["ok"] else f"in trouble: {health['error'] or 'starting'}"
                self._turns += 1
            except ActorDiedError:
                log.warning("actor gone, made anew", extra={"actor_": name})
                self._states[name], handle = "made anew", None
            except RayError as error:
                self._states[name] = f"away: {type(error).__name__}"
            await asyncio.sleep(_ROUND_S)
