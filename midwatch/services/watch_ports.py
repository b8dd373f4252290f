"""Ports of the watch: where objects come from, where signals go, and how a watch says that it stands."""

from collections.abc import Sequence
from datetime import datetime
from enum import StrEnum
from typing import Protocol

import msgspec

from midwatch.domain.objects.meta import Base
from midwatch.domain.signals import Signal


class KindState(StrEnum):
    """How much of a kind is seen."""

    LISTING = "listing"
    SYNCED = "synced"
    LOST = "lost"  # the connection is away: what was seen stands, nothing new is concluded
    BARRED = "barred"  # a right is missing
    ABSENT = "absent"  # the cluster does not serve this kind


class Sink(Protocol):
    """Where a source puts what it sees. Calls return at once."""

    def put(self, item: Base) -> None: ...

    def remove(self, kind: str, namespace: str, name: str) -> None: ...

    def state(self, kind: str, scope: str, state: KindState, detail: str = "") -> None:
        """How a kind stands in a scope: one namespace, or all of them (empty)."""
        ...


class ObjectSource(Protocol):
    """Objects of one cluster as they change."""

    @property
    def scopes(self) -> Sequence[tuple[str, str]]:
        """Every (kind, scope) that will be told of."""
        ...

    async def run(self, sink: Sink) -> None:
        """Follow the cluster until cancelled. Recovers by itself from whatever the network does."""
        ...


class Accepts(Protocol):
    """The door of the house: what it returns from is committed."""

    async def accept(self, signals: Sequence[Signal]) -> object:
        """Commit signals. ``Transient``: nothing is committed, try again."""
        ...


class Episodes(Protocol):
    """What was said before this process was started."""

    async def active(self, *, source: str, cluster: str) -> tuple[Signal, ...]:
        """The last firing signal of each episode that has no resolved one yet."""
        ...

    async def resolved_since(self, episode: str) -> bool:
        """Whether this episode was said to be over."""
        ...


class KindHealth(msgspec.Struct, frozen=True):
    state: KindState
    objects: int
    detail: str = ""


class WatchHealth(msgspec.Struct, frozen=True, kw_only=True):
    """How the watch stands. ``missing_rights`` are sentences of the API server; ``lag_ms`` is the age of the oldest
    change not yet looked at.
    """

    cluster: str
    ready: bool
    kinds: dict[str, KindHealth]
    objects: int
    active: int
    changes: int
    looks: int
    lag_ms: float
    unsent: int
    last_change_at: datetime | None
    missing_rights: tuple[str, ...]
    errors: tuple[str, ...]
