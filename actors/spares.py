"""Processes kept ready for whoever has to start again.

An actor that died is started by Ray in a process of its own: two seconds of a core before its first line. Ray takes one
that waits unused if there is one, and the actor is back in half a second. Asking for such a process is a call of the
raylet's own protocol without a Python name; where it fails, starts are slow again and nothing else is lost
(``docs/adr/0012``).
"""

import asyncio
import logging
import os
import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from importlib import import_module
from typing import Any

import psutil
import ray
from ray._private.grpc_utils import init_grpc_channel

from actors.unused import house_is_up, is_unused

log = logging.getLogger(__name__)

_ROUND_S, _LOOK_S = 0.5, 5.0
_STARTING_S = 15.0
"""How long a process that was asked for may take until it is seen."""
_KEPT_S = 10 * 365 * 86_400


class Spares:
    """Keeps ``wanted`` unused processes on this node; makes them while all is ``calm``, in nobody's way back."""

    def __init__(self, wanted: int, calm: Callable[[], bool]) -> None:
        self._wanted, self._calm = wanted, calm
        self._asked: list[float] = []
        self._known: set[int] = set()

    async def keep(self) -> None:
        """Ask for what is missing, until cancelled or until Ray refuses. A house that is being started has nothing to
        spare: the edge comes last.
        """
        while self._wanted:
            await asyncio.sleep(_LOOK_S)
            if await asyncio.to_thread(house_is_up):
                await self._keep()

    async def _keep(self) -> None:
        while True:
            unused = _still_unused(self._known)
            if len(unused) < self._wanted:  # to look through all processes costs, a look at one does not
                unused = await asyncio.to_thread(_unused)
            del self._asked[: len(unused - self._known)]
            self._known = unused
            now = time.monotonic()
            self._asked = [at for at in self._asked if now - at < _STARTING_S]
            missing = self._wanted - len(unused) - len(self._asked)
            if missing > 0 and self._calm():
                try:
                    await asyncio.to_thread(_prestart, missing)
                except Exception as error:  # noqa: BLE001  another Ray may speak another protocol: told, and done without
                    log.warning(
                        "no process can be kept ready", extra={"error": f"{type(error).__name__}: {error}"[:300]}
                    )
                    self._wanted = 0
                    return
                self._asked += [now] * missing
            await asyncio.sleep(_ROUND_S)


def _unused() -> set[int]:
    """The raylet's processes that wait for something to do: it is this process's parent."""
    return _still_unused(process.pid for process in psutil.Process(os.getppid()).children())


def _still_unused(pids: Iterable[int]) -> set[int]:
    found = set()
    for pid in pids:
        with suppress(psutil.Error):
            if is_unused(psutil.Process(pid)):
                found.add(pid)
    return found


def _prestart(number: int) -> None:
    common: Any = import_module("ray.core.generated.common_pb2")
    protocol: Any = import_module("ray.core.generated.node_manager_pb2")
    calls: Any = import_module("ray.core.generated.node_manager_pb2_grpc")
    context: Any = ray.get_runtime_context()
    nodes: Any = ray.nodes()  # type: ignore[no-untyped-call]
    (node,) = [node for node in nodes if node["NodeID"] == context.get_node_id()]
    wanted = protocol.PrestartWorkersRequest(
        language=common.Language.PYTHON,
        job_id=bytes.fromhex(context.get_job_id()),
        keep_alive_duration_secs=_KEPT_S,
        num_workers=number,
    )
    # Only a process of the same environment is taken.
    wanted.runtime_env_info.serialized_runtime_env = context.get_runtime_env_string()
    with init_grpc_channel(f"{node['NodeManagerAddress']}:{node['NodeManagerPort']}") as channel:
        calls.NodeManagerServiceStub(channel).PrestartWorkers(wanted, timeout=10)
