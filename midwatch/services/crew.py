"""How many workers there should be: more while work waits, fewer when nobody has any. Pure; asked every half second."""

import msgspec

GROW_AFTER = 2
"""Looks in a row at which work was waiting, before another worker is taken on: it takes seconds to be there."""


class Crew(msgspec.Struct, frozen=True):
    """What is known between two looks. ``size`` workers are wanted; ``waited`` and ``idle`` count looks in a row."""

    size: int = 1
    waited: int = 0
    idle: int = 0


def reconsider(crew: Crew, *, waiting: int, busy: int, most: int, rest: int) -> Crew:
    """The crew after a look at the queue: ``waiting`` pieces of work that nobody claimed, ``busy`` that are worked on.

    Grows by one at a time up to ``most``. Shrinks by one, never below one, once the last worker could have been done
    without for ``rest`` looks.
    """
    waited = crew.waited + 1 if waiting else 0
    idle = 0 if waiting or busy else crew.idle + 1
    if waited >= GROW_AFTER and crew.size < most:
        return Crew(crew.size + 1)
    if idle >= rest and crew.size > 1:
        return Crew(crew.size - 1)
    return Crew(min(crew.size, max(1, most)), waited, idle)
