"""OpenAI, Azure OpenAI, Gemini, xAI, Ollama, Hugging Face, GitHub Models and others that speak chat completions."""

from typing import Any

import msgspec

from midwatch.adapters.llm import errors
from midwatch.adapters.llm import openai_form as form
from midwatch.adapters.llm.base import BaseProvider, Json
from midwatch.adapters.llm.naming import ToolNames
from midwatch.domain.dialogue import ModelRequest, Usage
from midwatch.domain.providers import Kind
from midwatch.services.model_ports import OnText


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


class OpenAIProvider(BaseProvider[_Chunk, form.Reading]):
    """See :class:`midwatch.services.models.ports.Provider`."""

    path = "/chat/completions"
    decoder = msgspec.json.Decoder(_Chunk)

    def load(self) -> Any:
        import openai

        return openai

    def client(self, sdk: Any, **options: Any) -> Any:
        headers = {"api-key": self.key} if self.record.kind is Kind.AZURE else None
        return sdk.AsyncOpenAI(default_headers=headers, **options)

    def body(self, request: ModelRequest, names: ToolNames) -> Json:
        return form.body(request, self.model_of(request), names, self.switches)

    def reading(self, request: ModelRequest, names: ToolNames) -> form.Reading:
        return form.Reading(request, names, self.name)

    def take(self, reading: form.Reading, event: _Chunk, on_text: OnText | None) -> None:
        if event.error is not None:
            raise errors.in_stream(self.name, _kind(event.error))
        reading.model = event.model or reading.model
        if event.usage is not None:
            reading.usage = event.usage.ours()
        for choice in event.choices or ():
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
