"""Server-sent events read with patience, without the models both SDKs build of every piece of an answer.

An answer has hundreds of pieces; building, validating and copying objects for each takes ten times as long as reading.
The SDKs keep what they are good for: addresses, headers, keys, errors.
"""

import asyncio
from collections.abc import AsyncIterator
from typing import TypeVar

import httpx2
import msgspec

from midwatch.adapters.llm import errors
from midwatch.services.models.ports import RequestRejected

T = TypeVar("T")

_LONGEST = 4 * 1024 * 1024
"""Bytes of one event; no answer has more."""
_DATA, _DONE = b"data:", b"[DONE]"


async def events(
    response: httpx2.Response, decoder: msgspec.json.Decoder[T], provider: str, idle_s: float
) -> AsyncIterator[T]:
    """The data of each event. ``Transient`` after ``idle_s`` of silence, ``RequestRejected`` for what is none."""
    loop = asyncio.get_running_loop()
    rest = b""
    try:
        async with asyncio.timeout(idle_s) as patience:
            async for chunk in response.aiter_bytes():
                patience.reschedule(loop.time() + idle_s)
                *lines, rest = (rest + chunk).split(b"\n")
                if len(rest) > _LONGEST:
                    raise RequestRejected(f"{provider} sent an event that is too large")
                for line in lines:
                    data = line[len(_DATA) :].strip() if line.startswith(_DATA) else b""
                    if data and data != _DONE:
                        yield decoder.decode(data)
    except TimeoutError as error:
        if patience.expired():
            raise errors.silent(provider, idle_s) from error
        raise
    except (msgspec.DecodeError, msgspec.ValidationError) as error:
        raise RequestRejected(f"{provider} answers in a form that is not known: {error}") from error
