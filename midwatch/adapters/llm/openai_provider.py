"""OpenAI, Azure OpenAI, Gemini, xAI, Ollama, Hugging Face, GitHub Models and others that speak chat completions."""

import asyncio
from contextlib import aclosing
from typing import TYPE_CHECKING, Any

import httpx2
import msgspec

from midwatch.adapters.llm import errors
from midwatch.adapters.llm import openai_form as form
from midwatch.adapters.llm.base import BaseProvider
from midwatch.adapters.llm.naming import tool_names
from midwatch.adapters.llm.stream import events
from midwatch.adapters.llm.transport import open_client
from midwatch.domain.dialogue import ModelRequest, Usage
from midwatch.domain.providers import Kind
from midwatch.services.model_ports import OnText
from midwatch.services.models.ports import Said

if TYPE_CHECKING:
    from types import ModuleType

    import openai

PATH = "/chat/completions"


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
        body = form.body(request, self.model_of(request), names, self.switches)
        reading = form.Reading(request, names, self.name)
        try:
            async with asyncio.timeout(self.record.total_s):
                posting = client.post(PATH, body={**body, "stream": True}, cast_to=httpx2.Response, stream=True)
                async with aclosing(await self.in_time(posting)) as response:
                    async for chunk in events(response, _chunks, self.name, self.record.idle_s):
                        _take(reading, chunk, on_text, self.name)
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


class _Function(msgspec.Struct, frozen=True):
    name: str | None = None
    arguments: str | None = None


class _Call(msgspec.Struct, frozen=True):
    index: int | None = None
    id: str | None = None
    function: _Function = _Function()


class _Delta(msgspec.Struct, frozen=True):
    content: str | None = None
    refusal: str | None = None
    tool_calls: tuple[_Call, ...] | None = None


class _Choice(msgspec.Struct, frozen=True):
    delta: _Delta | None = None
    finish_reason: str | None = None


class _Details(msgspec.Struct, frozen=True):
    cached_tokens: int | None = None


class _Usage(msgspec.Struct, frozen=True):
    prompt_tokens: int | None = None
    completion_tokens: int | None = None
    prompt_tokens_details: _Details | None = None

    def ours(self) -> Usage:
        details = self.prompt_tokens_details
        cached = (details.cached_tokens or 0) if details is not None else 0
        given = max(0, (self.prompt_tokens or 0) - cached)
        return Usage(input=given, output=self.completion_tokens or 0, cache_read=cached)


class _Chunk(msgspec.Struct, frozen=True):
    """A piece of an answer, as far as it is of use; vendors add words of their own."""

    model: str | None = None
    choices: tuple[_Choice, ...] | None = None
    usage: _Usage | None = None
    error: object = None


_chunks = msgspec.json.Decoder(_Chunk)


def _take(reading: form.Reading, chunk: _Chunk, on_text: OnText | None, provider: str) -> None:
    if chunk.error is not None:
        raise errors.in_stream(provider, _kind(chunk.error))
    reading.model = chunk.model or reading.model
    if chunk.usage is not None:
        reading.usage = chunk.usage.ours()
    for choice in chunk.choices or ():
        delta = choice.delta or _Delta()
        if delta.content:
            reading.text(delta.content)
            if on_text is not None:
                on_text(delta.content)
        if delta.refusal:
            reading.refusal(delta.refusal)
        for call in delta.tool_calls or ():
            reading.call(call.index, call.id or "", call.function.name or "", call.function.arguments or "")
        if choice.finish_reason:
            reading.finish(choice.finish_reason)


def _kind(error: object) -> str:
    kind = error.get("type") if isinstance(error, dict) else None
    return kind if isinstance(kind, str) else ""
