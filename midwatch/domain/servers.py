"""Tool servers as records: which state each is in, and when a probe's word is believed."""

from datetime import datetime
from enum import StrEnum

import msgspec

CONFIRMATIONS = 2
"""How many further probes must agree before a state flips."""


class ServerState(StrEnum):
    """Only a healthy server's tools are offered. The last two are a person's word, in the configuration."""

    HEALTHY = "healthy"
    FAILED = "failed"
    MAINTENANCE = "maintenance"
    VULNERABLE = "vulnerable"

    @property
    def manual(self) -> bool:
        """Whether only a person changes it: such a server is neither connected nor probed."""
        return self in (ServerState.MAINTENANCE, ServerState.VULNERABLE)


class Flip(msgspec.Struct, frozen=True):
    """A change of state that probes have confirmed."""

    at: datetime
    state: ServerState


class ServerRecord(msgspec.Struct, frozen=True, kw_only=True):
    """One tool server as it stands. ``offered``: what a model may call; ``left_out`` says why the rest is not.

    ``cluster`` is whose incidents may ask it; ``flips`` are its last changes of state, newest first.
    """

    name: str
    transport: str
    internal: bool
    state: ServerState
    connected: bool
    since: datetime
    error: str = ""
    offered: tuple[str, ...] = ()
    left_out: tuple[str, ...] = ()
    cluster: str = ""
    flips: tuple[Flip, ...] = ()


class ToolServers(msgspec.Struct, frozen=True):
    """The tool servers of one process."""

    worker: str
    servers: tuple[ServerRecord, ...]


class Health(msgspec.Struct, frozen=True):
    """A state, and how many probes in a row have said otherwise."""

    state: ServerState = ServerState.HEALTHY
    doubts: int = 0

    @property
    def doubted(self) -> bool:
        """Whether the next probe should follow soon."""
        return self.doubts > 0


def weigh(health: Health, *, answered: bool) -> Health:
    """The health after one more probe: a doubt confirmed often enough flips it, one agreement clears all doubts."""
    if health.state.manual:
        return health
    seen = ServerState.HEALTHY if answered else ServerState.FAILED
    if seen is health.state:
        return Health(health.state)
    if health.doubts < CONFIRMATIONS:
        return Health(health.state, health.doubts + 1)
    return Health(seen)
