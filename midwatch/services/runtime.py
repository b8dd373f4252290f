"""Ports for what a process gets from the machine: time, ids, and calls that wake others."""

from datetime import datetime, timedelta
from typing import Final, Protocol

from midwatch.domain.incidents import Work

LONGEST_REST: Final = timedelta(days=1)
TURNED_BACK: Final = timedelta(hours=1)
"""No claim and no retry lies further ahead: what does was written by a clock that was turned back since."""


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


class Bells(Protocol):
    """Who is rung for what; each ring is a :class:`Wake`."""

    def signals(self) -> None:
        """Signals were committed: the rule engine has work."""
        ...

    def clicks(self) -> None:
        """A click was stored: the approval broker has work."""
        ...

    def work(self, work: Work) -> None:
        """Work of this kind is due: its actor may claim it."""
        ...

    def changed(self) -> None:
        """An incident changed: the channels have cards to bring up to date."""
        ...
