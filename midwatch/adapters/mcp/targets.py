"""How a configured server is reached: a fresh transport at each try, secrets put in at the last moment."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx2
from mcp import StdioServerParameters
from mcp.client.sse import sse_client
from mcp.client.streamable_http import streamable_http_client

from midwatch.adapters.mcp.config import Resolve, ServerConfig

_MAX_EVENT = 8 * 1024 * 1024


def target_of(config: ServerConfig, resolve: Resolve) -> Callable[[], Any]:
    """What :class:`McpConnection` connects to. Making one raises ``Invalid`` when a reference leads nowhere."""

    def make() -> Any:
        if config.transport == "stdio":
            env = {name: resolve(value) for name, value in config.env.items()}
            args = [resolve(arg) for arg in config.args]
            cwd = Path(config.cwd).expanduser() if config.cwd else None
            return StdioServerParameters(command=config.command, args=args, env=env, cwd=cwd)
        headers = {name: resolve(value) for name, value in config.headers.items()}
        if config.transport == "sse":
            return sse_client(
                config.url,
                headers=headers,
                timeout=config.timeout,
                sse_read_timeout=24 * 3600.0,  # a quiet server is not a dead one
                httpx_client_factory=_client,
            )
        return _streamable(config.url, headers, config.timeout)

    return make


@asynccontextmanager
async def _streamable(url: str, headers: dict[str, str], timeout_s: float) -> AsyncIterator[Any]:
    async with (
        _client(headers, httpx2.Timeout(timeout_s, read=300.0)) as client,
        streamable_http_client(url, http_client=client, max_sse_event_size=_MAX_EVENT) as streams,
    ):
        yield streams


def _client(
    headers: dict[str, Any] | None = None, timeout: httpx2.Timeout | None = None, auth: httpx2.Auth | None = None
) -> httpx2.AsyncClient:
    """No redirects: they would carry the headers to another host. No proxy out of the environment."""
    return httpx2.AsyncClient(headers=headers, timeout=timeout, auth=auth, follow_redirects=False, trust_env=False)
