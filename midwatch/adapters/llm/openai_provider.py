"""OpenAI, Azure OpenAI, Gemini, xAI, Ollama, Hugging Face, GitHub Models and others that speak chat completions."""

import asyncio
from collections.abc import AsyncIterator
from typing import TYPE_CHECKING, Any, cast

import httpx2

from midwatch.adapters.llm import errors
from midwatch.adapters.llm import openai_form as form
from midwatch.adapters.llm.base import BaseProvider
from midwatch.adapters.llm.naming import tool_names
from midwatch.adapters.llm.transport import open_client
from midwatch.domain.dialogue import ModelRequest, Usage
from midwatch.domain.providers import Kind
from midwatch.services.model_ports import OnText
from midwatch.services.models.ports import Said

if TYPE_CHECKING:
    from types import ModuleType

    import openai
    from openai.types.chat import ChatCompletionChunk


def _load() -> "ModuleType":
    import openai  # 0.5 s, hence at first use and in a thread

    return openai


class OpenAIProvider(BaseProvider):
    """See :class:`midwatch.services.models.ports.Provider`."""

    _client: "openai.AsyncOpenAI | None" = None

    async def ask(self, request: ModelRequest, on_text: OnText | None) -> Said:
        sdk = await asyncio.to_thread(_load)
        client = self._open(sdk)
        names = tool_names(request)
        body: Any = form.body(request, self.model_of(request), names, self.switches)
        reading = form.Reading(request, names, self.name)
        try:
            async with asyncio.timeout(self.record.total_s):
                stream = await self.in_time(client.chat.completions.create(**body, stream=True))
                async with stream:
                    async for chunk in self.spoken(cast("AsyncIterator[ChatCompletionChunk]", stream)):
                        _take(reading, chunk, on_text)
        except TimeoutError as error:
            raise errors.silent(self.name, self.record.total_s) from error
        except sdk.APIStatusError as error:
            raise errors.by_status(self.name, error, error.response.headers, self.key) from error
        except (sdk.APIConnectionError, httpx2.HTTPError) as error:
            raise errors.unreachable(self.name, error) from error
        except sdk.APIError as error:  # an error told in the middle of the stream
            raise errors.broken_off(self.name) from error
        if not reading.ended:
            raise errors.broken_off(self.name)
        return reading.said()

    async def close(self) -> None:
        if self._client is not None:
            await self._client.close()
            self._client = None

    def _open(self, sdk: Any) -> "openai.AsyncOpenAI":
        if self._client is None:
            self._client = sdk.AsyncOpenAI(
                api_key=self.key or "none",
                base_url=self.base_url,
                max_retries=0,
                timeout=self.record.total_s,
                default_headers={"api-key": self.key} if self.record.kind is Kind.AZURE else None,
                http_client=open_client(self.base_url, total_s=self.record.total_s, transport=self.transport),
            )
        return self._client


def _take(reading: form.Reading, chunk: "ChatCompletionChunk", on_text: OnText | None) -> None:
    reading.model = chunk.model or reading.model
    if chunk.usage is not None:
        used, details = chunk.usage, chunk.usage.prompt_tokens_details
        cached = (details.cached_tokens or 0) if details is not None else 0
        reading.usage = Usage(
            input=max(0, (used.prompt_tokens or 0) - cached), output=used.completion_tokens or 0, cache_read=cached
        )
    for choice in chunk.choices or ():
        delta = choice.delta
        if delta is not None:
            if delta.content:
                reading.text(delta.content)
                if on_text is not None:
                    on_text(delta.content)
            if delta.refusal:
                reading.refusal(delta.refusal)
            for call in delta.tool_calls or ():
                function = call.function
                name, arguments = (function.name, function.arguments) if function is not None else ("", "")
                reading.call(call.index, call.id or "", name or "", arguments or "")
        if choice.finish_reason:
            reading.finish(choice.finish_reason)
