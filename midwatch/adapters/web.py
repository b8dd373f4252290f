"""Reading over HTTP, the careful way: capped, timed, no redirects, no proxies out of the environment."""

import asyncio
from collections.abc import Mapping
from types import TracebackType
from typing import Self

import httpx2
import msgspec

from midwatch.domain.errors import Permanent, Transient


class Page(msgspec.Struct, frozen=True):
    """What came back: the status, the whole body, and the headers by lower-case name."""

    status: int
    body: bytes
    headers: dict[str, str]


class Web:
    """GET and nothing else. Errors name ``name``, never the address: it may hold a password."""

    def __init__(
        self,
        name: str,
        *,
        timeout_s: float,
        limit: int,
        headers: Mapping[str, str] | None = None,
        transport: httpx2.AsyncBaseTransport | None = None,
    ) -> None:
        """``limit`` is the largest body in bytes, after decompression; ``timeout_s`` is for the whole answer."""
        self._name, self._timeout, self._limit = name, timeout_s, limit
        self._client = httpx2.AsyncClient(
            headers=dict(headers or {}),
            timeout=timeout_s,
            follow_redirects=False,
            trust_env=False,
            transport=transport,
        )

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """Give the connections back."""
        await self._client.aclose()

    async def get(
        self,
        url: str,
        params: Mapping[str, str | int | float] | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Page:
        """The answer, whatever its status. ``Transient`` when there is none in time, ``Permanent`` when too large."""
        try:
            async with (
                asyncio.timeout(self._timeout),
                self._client.stream("GET", url, params=params, headers=headers) as answer,
            ):
                body = bytearray()
                async for chunk in answer.aiter_bytes():
                    body += chunk
                    if len(body) > self._limit:
                        raise Permanent(f"{self._name}: the answer is larger than {self._limit} bytes")
                return Page(
                    answer.status_code, bytes(body), {key.lower(): value for key, value in answer.headers.items()}
                )
        except TimeoutError as error:
            raise Transient(f"{self._name} gave no answer within {self._timeout:g} s") from error
        except httpx2.InvalidURL as error:
            raise Permanent(f"{self._name}: not an address that can be asked") from error
        except httpx2.HTTPError as error:
            raise Transient(f"{self._name} did not answer ({type(error).__name__})") from error
