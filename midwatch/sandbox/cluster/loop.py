"""One queue and one heap of timers: the whole cluster as a discrete simulation.

Controllers are told of changes, queue the keys that concern them, and are asked to bring each key to where it should
be. Nothing here sleeps: :meth:`Simulation.run` does all that is due now and says when it wants to be called again.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable, Iterable
from itertools import count
from random import Random
from typing import Protocol

from midwatch.sandbox.clock import Clock
from midwatch.sandbox.cluster.pace import Pace
from midwatch.sandbox.store import Change, Key, Store


class Controller(Protocol):
    """Level-triggered: ``sync`` may be called at any time and brings the key to where it should be."""

    def concerns(self, change: Change) -> Iterable[Key]:
        """The keys to sync because of a change."""

    def sync(self, key: Key) -> None: ...


class Simulation:
    """The queue, the timers, and what every controller needs."""

    def __init__(self, store: Store, clock: Clock, random: Random, pace: Pace) -> None:
        self.store = store
        self.clock = clock
        self.random = random
        self.pace = pace
        self.on_work: Callable[[], None] = lambda: None
        """Called when there is something to run: the driver wakes up."""
        self._controllers: list[Controller] = []
        self._queue: dict[tuple[int, Key], None] = {}
        self._timers: list[tuple[float, int, Callable[[], None]]] = []
        self._order = count()
        store.subscribe(self._changed)

    def add(self, controller: Controller) -> None:
        """Start a controller; it is asked about changes from now on."""
        self._controllers.append(controller)

    def after(self, seconds: float, action: Callable[[], None]) -> None:
        """Run ``action`` in so many seconds of sandbox time."""
        heapq.heappush(self._timers, (self.clock.now() + seconds, next(self._order), action))
        self.on_work()

    def sync_later(self, controller: Controller, key: Key, seconds: float = 0.0) -> None:
        """Have a controller sync a key, now or in so many seconds."""
        place = (self._controllers.index(controller), key)
        if seconds <= 0:
            self._queue[place] = None
            self.on_work()
        else:
            self.after(seconds, lambda: self._queue.setdefault(place))

    def run(self, limit: int = 500) -> float | None:
        """Do what is due, at most ``limit`` pieces; the time of the next timer, or None when nothing is planned.

        A time that is not in the future means: call again.
        """
        for _ in range(limit):
            if self._queue:
                place = next(iter(self._queue))
                del self._queue[place]
                self._controllers[place[0]].sync(place[1])
            elif self._timers and self._timers[0][0] <= self.clock.now():
                heapq.heappop(self._timers)[2]()
            else:
                break
        if self._queue:
            return self.clock.now()
        return self._timers[0][0] if self._timers else None

    def _changed(self, change: Change) -> None:
        for index, controller in enumerate(self._controllers):
            for key in controller.concerns(change):
                self._queue[index, key] = None
        if self._queue:
            self.on_work()
