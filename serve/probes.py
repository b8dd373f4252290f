"""Asks every part of the house how it is."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

from midwatch.domain.errors import MidwatchError
from serve.dependencies import Subsystem

_HEALTH_KEPT_S, _ANSWER_S, _PATIENCE_S = 1.0, 2.0, 10.0

Ask = Callable[[str, float], Awaitable[dict[str, object] | None]]
"""An actor's name and how long to wait, in seconds, to its word on its health; ``None``: it did not answer."""


class Checked(Protocol):
    """Something that can be asked whether it answers."""

    async def health(self) -> None:
        """Return when it does, raise ``Transient`` when it does not."""
        ...


@dataclass(frozen=True)
class Part:
    """A part of the house that is no actor. ``required``: without it the edge takes no requests."""

    name: str
    checked: Checked
    required: bool = False

    async def look(self) -> Subsystem:
        """How it stands now."""
        try:
            await self.checked.health()
        except MidwatchError as error:
            return Subsystem(name=self.name, ok=False, detail=str(error), required=self.required)
        return Subsystem(name=self.name, ok=True, required=self.required)


class Probe:
    """The health of every part, asked for at most once a second however many look."""

    def __init__(self, parts: Sequence[Part], actors: Sequence[str], ask: Ask) -> None:
        self._parts, self._actors, self._ask_actor = tuple(parts), tuple(actors), ask
        self._lock, self._lock_needed = asyncio.Lock(), asyncio.Lock()
        self._answers: dict[str, tuple[dict[str, object], float]] = {}
        self._known: tuple[Subsystem, ...] = ()
        self._asked: float | None = None
        self._needed: tuple[Subsystem, ...] = ()
        self._looked: float | None = None

    async def needed(self) -> tuple[Subsystem, ...]:
        """How the parts are without which no request is taken: no actor is waited for."""
        async with self._lock_needed:
            if self._looked is None or time.monotonic() - self._looked > _HEALTH_KEPT_S:
                found = await asyncio.gather(*(part.look() for part in self._parts if part.required))
                self._needed, self._looked = tuple(found), time.monotonic()
            return self._needed

    async def health(self) -> tuple[Subsystem, ...]:
        """How every part is."""
        async with self._lock:
            if self._asked is None or time.monotonic() - self._asked > _HEALTH_KEPT_S:
                self._known, self._asked = await self._ask(), time.monotonic()
            return self._known

    async def _ask(self) -> tuple[Subsystem, ...]:
        # The first call of a process to each actor takes Ray seconds where the machine is busy, as it is at a start.
        patience = _PATIENCE_S if self._asked is None else _ANSWER_S
        answers = asyncio.gather(*(self._actor(name, patience) for name in self._actors))
        parts = await asyncio.gather(*(part.look() for part in self._parts))
        return (*parts, *await answers)

    async def _actor(self, name: str, patience_s: float) -> Subsystem:
        """An actor's word, or its last one for a while: on a busy machine a late answer is no alarm."""
        answer = await self._ask_actor(name, patience_s)
        if answer is not None:
            self._answers[name] = (answer, time.monotonic())
        last, when = self._answers.get(name, (None, 0.0))
        return _subsystem(name, last if time.monotonic() - when < _PATIENCE_S else None)


def _subsystem(name: str, answer: dict[str, object] | None) -> Subsystem:
    if answer is None:
        return Subsystem(name=name, ok=False, detail="does not answer")
    return Subsystem(name=name, ok=bool(answer["ok"]), detail=str(answer["error"] or answer.get("detail") or ""))
