"""The processes of Ray that `midwatch up` started and cannot do without on one machine, and what their loss means.

Without its control store (``gcs_server``) nothing that dies is started again, and after a minute Ray ends every process
that talks to it, this one included and without a word. Without its ``raylet`` all actors are gone at once. Neither can
be put back beneath what still runs, so the house is started anew.
"""

import asyncio
from collections.abc import Mapping
from contextlib import suppress

import psutil

_HEAD = frozenset({"gcs_server", "raylet"})
_LOOK_S = 0.5


class RayLost(Exception):
    """What this process needs of Ray has ended; the message is a sentence for people."""


class RayLate(RayLost):
    """Ray gave up on its own start: it waits 30 s for its raylet, whatever else the machine is busy with."""

    def __init__(self) -> None:
        super().__init__("Ray did not come up within its 30 s.")

    @staticmethod
    def is_meant_by(error: Exception) -> bool:
        """Ray raises no type of its own for it."""
        return "timed out during startup" in str(error)


def head_processes() -> dict[str, psutil.Process]:
    """Those below this process, by name; none where it joined a cluster that somebody else keeps."""
    found = {}
    for child in psutil.Process().children():
        with suppress(psutil.NoSuchProcess):
            if (name := child.name()) in _HEAD:
                found[name] = child
    return found


async def first_lost(processes: Mapping[str, psutil.Process]) -> str:
    """The name of the first of ``processes`` that has ended; waits as long as all live."""
    while True:
        for name, process in processes.items():
            if not _alive(process):
                return name
        await asyncio.sleep(_LOOK_S)


def _alive(process: psutil.Process) -> bool:
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False
