"""Ports for what a process gets from the machine: time, ids, and calls that wake others."""

from datetime import datetime
from typing import Protocol


class Clock(Protocol):
    """Wall time, aware and in UTC. Sleeping goes through it too, so that tests need not wait."""

    def now(self) -> datetime: ...

    async def sleep(self, seconds: float) -> None: ...


class Ids(Protocol):
    """New ids: UUIDv7 text, sortable by the time they were made."""

    def new(self) -> str: ...


class Wake(Protocol):
    """Rings another actor. Carries no facts, waits for nothing, never raises: a lost ring costs one sweep."""

    def __call__(self) -> None: ...
