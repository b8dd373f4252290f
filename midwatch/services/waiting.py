"""Working off rows that wait in a store, some of which have to stay there for now."""

from collections.abc import AsyncIterator, Callable, Hashable, Sequence
from typing import Protocol, TypeVar

T_co = TypeVar("T_co", covariant=True)
T = TypeVar("T")


class Read(Protocol[T_co]):
    """The rows that wait, the oldest first, ``limit`` at the most."""

    async def __call__(self, *, limit: int) -> Sequence[T_co]: ...


async def each_once(read: Read[T], key: Callable[[T], Hashable], *, page: int) -> AsyncIterator[T]:
    """Every row that waits, those that come meanwhile too, each once: also one that still waits when it was handled."""
    seen = set[Hashable]()
    # Those that stay are read again each time: they must not fill the page.
    while new := [row for row in await read(limit=page + len(seen)) if key(row) not in seen]:
        for row in new:
            seen.add(key(row))
            yield row
