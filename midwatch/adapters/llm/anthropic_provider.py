"""Anthropic by its SDK: streaming, tools, prompt caching, constrained answers; retries are the chain's."""

from typing import Any

import msgspec

from midwatch.adapters.llm import anthropic_form as form
from midwatch.adapters.llm import errors
from midwatch.adapters.llm.base import BaseProvider, Json
from midwatch.adapters.llm.naming import ToolNames
from midwatch.domain.dialogue import ModelRequest, Usage
from midwatch.services.model_ports import OnText


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


class AnthropicProvider(BaseProvider[_Event, form.Reading]):
    """See :class:`midwatch.services.models.ports.Provider`."""

    path = "/v1/messages"
    decoder = msgspec.json.Decoder(_Event)

    def load(self) -> Any:
        import anthropic

        return anthropic

    def client(self, sdk: Any, **options: Any) -> Any:
        return sdk.AsyncAnthropic(**options)

    def body(self, request: ModelRequest, names: ToolNames) -> Json:
        return form.body(request, self.model_of(request), names, self.switches, self.name)

    def reading(self, request: ModelRequest, names: ToolNames) -> form.Reading:
        return form.Reading(request, names, self.name)

    def take(self, reading: form.Reading, event: _Event, on_text: OnText | None) -> None:
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
            raise errors.in_stream(self.name, event.error.type if event.error is not None else "")
