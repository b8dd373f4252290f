"""One MCP server, kept connected: one owner task holds the session, callers see plain errors."""

import asyncio
import contextlib
import logging
import random
from collections.abc import Callable, Mapping
from typing import Any

import msgspec
from mcp import Client, MCPError
from mcp.types import CallToolResult, TextContent, Tool

from midwatch.domain.errors import Transient

log = logging.getLogger(__name__)

_CLOSED = -32000
_TIMED_OUT = -32001
_MAX_TOOLS = 1_000


class Answer(msgspec.Struct, frozen=True):
    """What a tool said. ``ok`` is false when the tool itself reports a failure."""

    text: str
    ok: bool


class _Live:
    """One live session, and a future that is done when it is dead."""

    def __init__(self, client: Client) -> None:
        self.client = client
        self.dead: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def kill(self) -> None:
        if not self.dead.done():
            self.dead.set_result(None)


class McpConnection:
    """Connects on :meth:`start` and again after every loss, with growing pauses.

    ``target`` makes a fresh transport at each try: ``StdioServerParameters``, an address, or a server object (tests).
    ``ping_every_s`` finds a server that ended while nobody called it. Times are in seconds.
    """

    def __init__(
        self,
        name: str,
        target: Callable[[], Any],
        *,
        call_timeout_s: float = 30.0,
        connect_timeout_s: float = 20.0,
        max_pause_s: float = 30.0,
        ping_every_s: float | None = None,
    ) -> None:
        self.name, self._target = name, target
        self._call_timeout, self._connect_timeout, self._max_pause = call_timeout_s, connect_timeout_s, max_pause_s
        self._ping_every = ping_every_s
        self._live: _Live | None = None
        self._changed = asyncio.Condition()
        self._task: asyncio.Task[None] | None = None
        self._jitter = random.Random(name)  # noqa: S311  spreads reconnects, guards nothing
        self.tried = asyncio.Event()
        """Set when the first try to connect has ended, well or not."""
        self.tools: Mapping[str, Tool] = {}
        self.connects = 0
        self.last_error = ""

    @property
    def connected(self) -> bool:
        """Whether there is a session now."""
        return self._live is not None and not self._live.dead.done()

    def start(self) -> None:
        """Begin to connect; returns at once."""
        if self._task is None:
            self._task = asyncio.create_task(self._own(), name=f"mcp:{self.name}")

    async def stop(self) -> None:
        """Disconnect, and end a server that was started for this connection."""
        task, self._task = self._task, None
        if task is not None:
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task

    async def __aenter__(self) -> "McpConnection":
        self.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.stop()

    async def refresh(self, *, timeout_s: float) -> None:
        """Read the list of tools anew: the probe that a server answers. Raises ``Transient`` when it does not."""
        self.start()
        live = await self._connected(timeout_s)
        try:
            async with asyncio.timeout(timeout_s):
                either: set[asyncio.Future[Any]] = {asyncio.ensure_future(_all_tools(live.client)), live.dead}
                done = await _first_of(either)
                if live.dead in done:
                    raise Transient(f"{self.name}: the connection broke")
                self.tools = next(iter(done)).result()
        except TimeoutError as error:
            raise Transient(f"{self.name}: gave no list of its tools within {timeout_s:g} s") from error
        except MCPError as error:
            if error.code == _CLOSED:
                live.kill()
            raise Transient(f"{self.name}: gave no list of its tools: {error}"[:300]) from error

    def forget(self) -> None:
        """Drop the tools that were read: nobody may rely on them while the server is not well."""
        self.tools = {}

    async def call(self, tool: str, arguments: Mapping[str, Any], *, timeout_s: float | None = None) -> Answer:
        """Call a tool. Raises ``Transient`` when there is no connection, it breaks, or no answer comes in time.

        After a ``Transient`` nothing is known of what the call did.
        """
        self.start()
        limit = timeout_s or self._call_timeout
        live = await self._connected(limit)
        call = asyncio.ensure_future(live.client.call_tool(tool, dict(arguments), read_timeout_seconds=limit))
        try:
            either: set[asyncio.Future[Any]] = {call, live.dead}
            await asyncio.wait(either, return_when=asyncio.FIRST_COMPLETED)
            if not call.done():
                raise Transient(f"{self.name}: the connection broke during {tool}")
            return _answer(tool, call.result())
        except MCPError as error:
            if error.code == _CLOSED:
                live.kill()
                raise Transient(f"{self.name}: the connection was closed during {tool}") from error
            if error.code == _TIMED_OUT:
                raise Transient(f"{self.name}: {tool} gave no answer within {limit:g} s") from error
            return Answer(str(error), ok=False)
        finally:
            if not call.done():
                call.cancel()
                await asyncio.wait({call})

    async def _connected(self, limit: float) -> _Live:
        try:
            async with asyncio.timeout(limit), self._changed:
                await self._changed.wait_for(lambda: self.connected)
        except TimeoutError as error:
            why = f": {self.last_error}" if self.last_error else ""
            raise Transient(f"{self.name}: not connected{why}") from error
        if self._live is None:
            raise Transient(f"{self.name}: the connection was lost again")
        return self._live

    async def _own(self) -> None:
        """The only task that enters and leaves the client: its cancel scopes must not cross tasks."""
        pause = 0.2
        while True:
            live: _Live | None = None
            try:
                async with (
                    asyncio.timeout(self._connect_timeout) as limit,
                    Client(self._target(), read_timeout_seconds=self._call_timeout) as client,
                ):
                    self.tools = await _all_tools(client)
                    limit.reschedule(None)
                    live, pause = _Live(client), 0.2
                    self.connects += 1
                    self.last_error = ""
                    self.tried.set()
                    async with self._changed:
                        self._live = live
                        self._changed.notify_all()
                    await self._until_dead(live)
                    self.last_error = "the connection was closed"
            except asyncio.CancelledError:
                task = asyncio.current_task()
                if task is not None and task.cancelling():
                    raise  # stop() was called
                self.last_error = "the session was cancelled"  # the transport's own scope: connect again
            except Exception as error:  # noqa: BLE001  recorded: groups of whatever a transport raises end up here
                self.last_error = _first(error)
                log.warning("MCP server lost", extra={"server": self.name, "error": self.last_error})
            finally:
                self.tried.set()
                self._live = None
                if live is not None:
                    live.kill()
            await asyncio.sleep(pause * (0.8 + 0.4 * self._jitter.random()))
            pause = min(pause * 2, self._max_pause)

    async def _until_dead(self, live: _Live) -> None:
        """A server that ended is else found by the next call alone, and costs that call its answer."""
        while not live.dead.done():
            await asyncio.wait({live.dead}, timeout=self._ping_every)
            if not live.dead.done():
                try:
                    await live.client.send_ping()
                except MCPError as error:
                    if error.code == _CLOSED:
                        live.kill()


async def _all_tools(client: Client) -> dict[str, Tool]:
    tools: dict[str, Tool] = {}
    cursor: str | None = None
    while True:
        page = await client.list_tools(cursor=cursor, cache_mode="bypass")
        tools |= {tool.name: tool for tool in page.tools}
        if len(tools) > _MAX_TOOLS:
            raise Transient(f"lists more than {_MAX_TOOLS} tools", 60.0)
        cursor = page.next_cursor
        if not cursor:
            return tools


async def _first_of(either: set[asyncio.Future[Any]]) -> set[asyncio.Future[Any]]:
    """Those that end first; the others are cancelled, whatever happens here, but never the future of a dead session."""
    try:
        done, _ = await asyncio.wait(either, return_when=asyncio.FIRST_COMPLETED)
        return done
    finally:
        for future in either:
            if isinstance(future, asyncio.Task) and not future.done():
                future.cancel()
                await asyncio.wait({future})


def _answer(tool: str, result: CallToolResult) -> Answer:
    text = "\n".join(part.text for part in result.content if isinstance(part, TextContent))
    # the Python SDK writes this before a tool's own words; a crash has no colon and no words, and stays as it is
    return Answer(text.removeprefix(f"Error executing tool {tool}: "), ok=not result.is_error)


def _first(error: BaseException) -> str:
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return f"{type(error).__name__}: {error}"[:300]
