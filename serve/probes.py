"""Asks every part of the house how it is."""

import asyncio
import math
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


class Lately:
    """What a look gave, looked at most once a second however many ask."""

    def __init__(self, look: Callable[[], Awaitable[tuple[Subsystem, ...]]]) -> None:
        self._look, self._lock = look, asyncio.Lock()
        self._known: tuple[Subsystem, ...] = ()
        self._until = -math.inf

    async def __call__(self) -> tuple[Subsystem, ...]:
        async with self._lock:
            if time.monotonic() > self._until:
                self._known = await self._look()
                self._until = time.monotonic() + _HEALTH_KEPT_S
            return self._known


class Probe:
    """The health of every part. ``needed``: of those without which no request is taken; no actor is waited for."""

    def __init__(self, parts: Sequence[Part], actors: Sequence[str], ask: Ask) -> None:
        self._parts, self._actors, self._ask_actor = tuple(parts), tuple(actors), ask
        self._patience_s = _PATIENCE_S
        self._answers: dict[str, tuple[dict[str, object], float]] = {}
        self.needed, self.health = Lately(self._required), Lately(self._all)

    async def _required(self) -> tuple[Subsystem, ...]:
        return tuple(await asyncio.gather(*(part.look() for part in self._parts if part.required)))

    async def _all(self) -> tuple[Subsystem, ...]:
        # The first call of a process to each actor takes Ray seconds where the machine is busy, as it is at a start.
        answers = asyncio.gather(*(self._actor(name, self._patience_s) for name in self._actors))
        parts = await asyncio.gather(*(part.look() for part in self._parts))
        found = (*parts, *await answers)
        self._patience_s = _ANSWER_S
        return found

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
