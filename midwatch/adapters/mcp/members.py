"""One tool server in the manager's care: its connection, its health, its share of the offer."""

import asyncio
import logging
from collections import deque
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any

from mcp.types import Tool

from midwatch.adapters.mcp.config import BUILT_IN, ServerConfig
from midwatch.adapters.mcp.connection import Answer, McpConnection
from midwatch.adapters.mcp.offers import Offer, offer_of
from midwatch.domain.errors import Transient
from midwatch.domain.servers import Flip, Health, ServerRecord, ServerState, weigh
from midwatch.services.runtime import Clock

log = logging.getLogger(__name__)

_PROBE_TIMEOUT_S = 10.0
_AT_ONCE = 8
_FLIPS = 20


class Member:
    """Connected and looked after between :meth:`start` and :meth:`stop`; one in maintenance is neither."""

    def __init__(self, name: str, config: ServerConfig, target: Callable[[], Any], clock: Clock) -> None:
        self.name, self.config, self._clock = name, config, clock
        self._connection = McpConnection(name, target, call_timeout_s=config.timeout)
        self._health = Health(config.wanted_state)
        self._since: datetime = clock.now()
        self._flips: deque[Flip] = deque(maxlen=_FLIPS)
        self._slots = asyncio.Semaphore(_AT_ONCE)
        self._read: Mapping[str, Tool] = {}
        self._offer = Offer()

    @property
    def state(self) -> ServerState:
        """The state that decides whether its tools are offered."""
        if self._probed or self._health.state.manual:
            return self._health.state
        connection = self._connection
        lost = not connection.connected and bool(connection.last_error)
        return ServerState.FAILED if lost else ServerState.HEALTHY

    @property
    def usable(self) -> bool:
        """Whether it can be called now."""
        return self.state is ServerState.HEALTHY and self._connection.connected

    @property
    def connects(self) -> int:
        """How often a session was opened."""
        return self._connection.connects

    def start(self) -> None:
        """Begin to connect, unless a person said not to."""
        if not self._health.state.manual:
            self._connection.start()

    async def stop(self) -> None:
        """Disconnect; a server that runs as our child ends."""
        await self._connection.stop()

    async def tried(self) -> None:
        """Wait for the first try to connect to end, well or not."""
        if not self._health.state.manual:
            await self._connection.tried.wait()

    def offer(self) -> Offer:
        """Its share of the offer; nothing while it cannot be called."""
        if not self.usable:
            return Offer()
        if self._read is not self._connection.tools:
            self._read = self._connection.tools
            self._offer = offer_of(self.name, self.config, self._read)
        return self._offer

    async def probe(self, timeout_s: float = _PROBE_TIMEOUT_S) -> Health:
        """Ask for its tools, and weigh whether it answered. One that fails loses the tools that were read of it."""
        if self._health.state.manual:
            return self._health
        try:
            await self._connection.refresh(timeout_s=timeout_s)
            answered = True
        except Transient as error:
            answered = False
            log.warning("MCP server gave no answer", extra={"server": self.name, "error": str(error)})
        before, self._health = self._health, weigh(self._health, answered=answered)
        if self._health.state is not before.state:
            self._since = self._clock.now()
            self._flips.appendleft(Flip(self._since, self._health.state))
            log.warning("MCP server is now %s", self._health.state, extra={"server": self.name})
        if self._health.state is ServerState.FAILED:
            self._connection.forget()
        return self._health

    async def care(self, *, probe_every_s: float, confirm_s: float, tools_ttl_s: float) -> None:
        """Probe for ever; a server on standard input and output is not probed, only its tools are read anew."""
        if self._health.state.manual:
            return
        while True:
            if not self._probed:
                await asyncio.sleep(tools_ttl_s)
                if self._connection.connected:
                    await self.probe()
                continue
            await asyncio.sleep(confirm_s if self._health.doubted else probe_every_s)
            await self.probe()

    async def call(self, tool: str, arguments: Mapping[str, Any]) -> Answer:
        """Raises ``Transient`` as the connection does."""
        async with self._slots:
            return await self._connection.call(tool, arguments)

    def record(self) -> ServerRecord:
        """As it stands."""
        offer = self.offer()
        return ServerRecord(
            name=self.name,
            transport=self.config.transport if self.name != BUILT_IN else "stdio",
            internal=self.config.internal or self.name == BUILT_IN,
            state=self.state,
            connected=self._connection.connected,
            since=self._since,
            error="" if self._connection.connected else self._connection.last_error,
            offered=tuple(offered.spec.name for offered in offer.tools),
            left_out=offer.left_out,
            flips=tuple(self._flips),
        )

    @property
    def _probed(self) -> bool:
        return self.config.transport != "stdio" and self.name != BUILT_IN
