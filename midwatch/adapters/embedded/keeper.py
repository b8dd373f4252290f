"""Keeps embedded stores alive: looks often, starts again what died."""

import asyncio
import logging
from collections.abc import Sequence
from typing import Protocol

from midwatch.domain.errors import Permanent

log = logging.getLogger(__name__)

_LOOK_S = 0.2
_REST_S = 5.0
"""After a start that failed for good (a full disk): a person may have set it right meanwhile."""


class Embedded(Protocol):
    """An embedded store, as its keeper sees it."""

    @property
    def name(self) -> str: ...

    def alive(self) -> bool: ...

    def start(self) -> None: ...


class Keeper:
    """``run`` until cancelled: a store that was killed serves again in under two seconds."""

    def __init__(self, stores: Sequence[Embedded]) -> None:
        self._stores = tuple(stores)
        self.restarts = 0

    async def run(self) -> None:
        await asyncio.gather(*(self._keep(store) for store in self._stores))

    async def _keep(self, store: Embedded) -> None:
        while True:
            await asyncio.sleep(_LOOK_S)
            if await asyncio.to_thread(store.alive):
                continue
            log.warning("embedded store died, starting it again", extra={"store": store.name})
            try:
                await asyncio.to_thread(store.start)
                self.restarts += 1
            except (Permanent, OSError) as error:
                log.error("embedded store does not start: %s", error, extra={"store": store.name})
                await asyncio.sleep(_REST_S)
