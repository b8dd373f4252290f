"""Trouble that a fake server makes on demand, what it counts, and how it runs beside a test."""

import asyncio
import threading
import time
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Protocol

from aiohttp import web


@dataclass
class Faults:
    """``plan`` holds for each method what its next calls meet: ``429``, ``500``, ``silent`` (not done, no answer),
    ``lost`` (done, no answer), or empty for none.
    """

    plan: dict[str, deque[str]] = field(default_factory=dict)

    def add(self, method: str, *kinds: str) -> None:
        self.plan.setdefault(method, deque()).extend(kinds)

    def next(self, method: str) -> str:
        waiting = self.plan.get(method)
        return waiting.popleft() if waiting else ""


class Window:
    """Calls within a sliding window."""

    def __init__(self, most: int, seconds: float) -> None:
        self._most, self._seconds, self._calls = most, seconds, deque[float]()

    def full(self) -> bool:
        """Count this call unless it is one too many."""
        now = time.monotonic()
        while self._calls and self._calls[0] <= now - self._seconds:
            self._calls.popleft()
        if len(self._calls) >= self._most:
            return True
        self._calls.append(now)
        return False


def hang_up(request: web.Request) -> web.Response:
    """Close the connection instead of answering."""
    assert request.transport is not None
    request.transport.abort()
    return web.Response()


class Server(Protocol):
    async def start(self) -> str: ...
    async def stop(self) -> None: ...


class Listening:
    """An aiohttp application on a free port of this machine."""

    def __init__(self, app: web.Application) -> None:
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.5)
        self.url = ""

    async def start(self, port: int = 0) -> str:
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", port)
        await site.start()
        self.url = f"http://127.0.0.1:{self._runner.addresses[0][1]}"
        return self.url

    async def stop(self) -> None:
        await self._runner.cleanup()


@contextmanager
def beside(server: Server) -> Iterator[str]:
    """The server in a thread with a loop of its own, for tests that are not async; its address."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()
    try:
        yield asyncio.run_coroutine_threadsafe(server.start(), loop).result(10)
    finally:
        asyncio.run_coroutine_threadsafe(server.stop(), loop).result(10)
        loop.call_soon_threadsafe(loop.stop)
        thread.join(10)
        loop.close()
