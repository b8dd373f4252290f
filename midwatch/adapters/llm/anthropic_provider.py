"""Anthropic by its SDK: streaming, tools, prompt caching, constrained answers; retries are the chain's."""

import asyncio
from contextlib import aclosing
from typing import TYPE_CHECKING, Any

import httpx2
import msgspec

from midwatch.adapters.llm import anthropic_form as form
from midwatch.adapters.llm import errors
from midwatch.adapters.llm.base import BaseProvider
from midwatch.adapters.llm.naming import tool_names
from midwatch.adapters.llm.stream import events
from midwatch.adapters.llm.transport import open_client
from midwatch.domain.dialogue import ModelRequest, Usage
from midwatch.services.model_ports import OnText
from midwatch.services.models.ports import Said

if TYPE_CHECKING:
    from types import ModuleType

    import anthropic

PATH = "/v1/messages"


def _load() -> "ModuleType":
    import anthropic  # 2 s, hence at first use and in a thread

    return anthropic


class AnthropicProvider(BaseProvider):
    """See :class:`midwatch.services.models.ports.Provider`."""

    _client: "anthropic.AsyncAnthropic | None" = None

    async def ask(self, request: ModelRequest, on_text: OnText | None) -> Said:
        sdk = await asyncio.to_thread(_load)
        client = self._open(sdk)
        names = tool_names(request)
        body = form.body(request, self.model_of(request), names, self.switches, self.name)
        reading = form.Reading(request, names, self.name)
        try:
            async with asyncio.timeout(self.record.total_s):
                posting = client.post(PATH, body={**body, "stream": True}, cast_to=httpx2.Response, stream=True)
                async with aclosing(await self.in_time(posting)) as response:
                    async for event in events(response, _events, self.name, self.record.idle_s):
                        _take(reading, event, on_text, self.name)
        except TimeoutError as error:
            raise errors.silent(self.name, self.record.total_s) from error
        except sdk.APIStatusError as error:
            raise errors.by_status(self.name, error, error.response.headers, self.key) from error
        except (sdk.APIConnectionError, httpx2.HTTPError) as error:
            raise errors.unreachable(self.name, error) from error
        if not reading.ended:
            raise errors.broken_off(self.name)
        return reading.said()

    async def close(self) -> None:
        if self._client is not None:
            await self._client.close()
            self._client = None

    def _open(self, sdk: Any) -> "anthropic.AsyncAnthropic":
        if self._client is None:
            self._client = sdk.AsyncAnthropic(
                api_key=self.key or "none",
                base_url=self.base_url,
                max_retries=0,
                timeout=self.record.total_s,
                http_client=open_client(self.base_url, total_s=self.record.total_s, transport=self.transport),
            )
        return self._client


class _Delta(msgspec.Struct, frozen=True):
    type: str = ""
    text: str = ""
    partial_json: str = ""
    thinking: str = ""
    signature: str = ""
    stop_reason: str | None = None


class _Usage(msgspec.Struct, frozen=True):
    input_tokens: int | None = None
    output_tokens: int | None = None
    cache_read_input_tokens: int | None = None
    cache_creation_input_tokens: int | None = None

    def ours(self) -> Usage:
        return Usage(
            input=self.input_tokens or 0,
            output=self.output_tokens or 0,
            cache_read=self.cache_read_input_tokens or 0,
            cache_write=self.cache_creation_input_tokens or 0,
        )


class _Message(msgspec.Struct, frozen=True):
    model: str = ""
    usage: _Usage = _Usage()


class _Fault(msgspec.Struct, frozen=True):
    type: str = ""


class _Event(msgspec.Struct, frozen=True):
    """Any event of the stream; each kind fills its own fields."""

    type: str
    index: int = 0
    delta: _Delta | None = None
    content_block: form.Json | None = None
    message: _Message | None = None
    usage: _Usage | None = None
    error: _Fault | None = None


_events = msgspec.json.Decoder(_Event)


def _take(reading: form.Reading, event: _Event, on_text: OnText | None, provider: str) -> None:
    delta = event.delta
    if event.type == "content_block_delta" and delta is not None:
        if delta.type == "signature_delta":
            reading.sign(event.index, delta.signature)
            return
        reading.piece(event.index, delta.text or delta.partial_json or delta.thinking)
        if delta.text and on_text is not None:
            on_text(delta.text)
    elif event.type == "content_block_start" and event.content_block is not None:
        reading.block(event.index, event.content_block)
    elif event.type == "message_start" and event.message is not None:
        reading.begin(event.message.model, event.message.usage.ours())
    elif event.type == "message_delta":
        stop = delta.stop_reason if delta is not None else None
        reading.delta(stop or "", (event.usage or _Usage()).ours())
    elif event.type == "message_stop":
        reading.ended = True
    elif event.type == "error":
        raise errors.in_stream(provider, event.error.type if event.error is not None else "")
