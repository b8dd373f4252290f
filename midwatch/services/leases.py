"""Leases: one mutating plan per resource at a time, and a rest between two."""

from datetime import datetime, timedelta
from enum import StrEnum
from typing import Protocol

import msgspec

from midwatch.domain.ids import IncidentId
from midwatch.services.runtime import LONGEST_REST


class LeaseState(StrEnum):
    HELD = "held"
    BUSY = "busy"
    COOLING = "cooling"


class Lease(msgspec.Struct, frozen=True):
    """The answer to asking for a resource: held (with a fencing token), busy, or cooling down until ``until``."""

    resource: str
    state: LeaseState
    holder: str
    token: int
    until: datetime


class Leases(Protocol):
    """One mutating plan per resource at a time, and a rest between two."""

    async def acquire(
        self, resource: str, *, holder: str, now: datetime, ttl: timedelta, rest: timedelta = LONGEST_REST
    ) -> Lease:
        """Take or renew the lease for ``holder`` (an execution id: a restarted executor gets its own lease back).

        What lasts longer than ``ttl`` or ``rest`` was written by a clock that was turned back since, and is cut.
        """
        ...

    async def release(self, resource: str, *, holder: str, now: datetime, cooldown: timedelta) -> None: ...

    async def forsaken(self, *, now: datetime) -> tuple[IncidentId, ...]:
        """Incidents that hold a lease and have nothing left to execute: whoever was to release it died before."""
        ...
