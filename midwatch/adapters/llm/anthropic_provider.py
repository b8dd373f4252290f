"""Anthropic by its SDK: streaming, tools, prompt caching, constrained answers; retries are the chain's."""

import asyncio
from collections.abc import AsyncIterator
from typing import TYPE_CHECKING, Any, cast

import httpx2

from midwatch.adapters.llm import anthropic_form as form
from midwatch.adapters.llm import errors
from midwatch.adapters.llm.base import BaseProvider
from midwatch.adapters.llm.naming import tool_names
from midwatch.adapters.llm.transport import open_client
from midwatch.domain.dialogue import ModelRequest, Usage
from midwatch.services.model_ports import OnText
from midwatch.services.models.ports import Said

if TYPE_CHECKING:
    from types import ModuleType

    import anthropic
    from anthropic.types import RawMessageStreamEvent


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
        body: Any = form.body(request, self.model_of(request), names, self.switches, self.name)
        reading = form.Reading(request, names, self.name)
        try:
            async with asyncio.timeout(self.record.total_s):
                # the SDK's own snapshot parses the input of a tool anew with every piece of it
                stream = await self.in_time(client.messages.create(**body, stream=True))
                async with stream:
                    async for event in self.spoken(cast("AsyncIterator[RawMessageStreamEvent]", stream)):
                        _take(reading, event, on_text)
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


def _take(reading: form.Reading, event: "RawMessageStreamEvent", on_text: OnText | None) -> None:
    if event.type == "content_block_delta":
        delta = event.delta
        if delta.type == "text_delta":
            reading.piece(event.index, delta.text)
            if on_text is not None:
                on_text(delta.text)
        elif delta.type == "input_json_delta":
            reading.piece(event.index, delta.partial_json)
        elif delta.type == "thinking_delta":
            reading.piece(event.index, delta.thinking)
        elif delta.type == "signature_delta":
            reading.sign(event.index, delta.signature)
    elif event.type == "content_block_start":
        reading.block(event.index, event.content_block.model_dump(mode="json", exclude_none=True))
    elif event.type == "message_start":
        reading.begin(event.message.model, _usage(event.message.usage))
    elif event.type == "message_delta":
        reading.delta(event.delta.stop_reason or "", _usage(event.usage))
    elif event.type == "message_stop":
        reading.ended = True


def _usage(usage: Any) -> Usage:
    return Usage(
        input=usage.input_tokens or 0,
        output=usage.output_tokens or 0,
        cache_read=usage.cache_read_input_tokens or 0,
        cache_write=usage.cache_creation_input_tokens or 0,
    )
