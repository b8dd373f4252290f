"""Requests and replies in the form of the chat completions API, which many vendors speak, each a little differently."""

from collections.abc import Iterator

import msgspec

from midwatch.adapters.llm.naming import FreshIds, ToolNames, wire_id
from midwatch.domain.dialogue import (
    AssistantTurn,
    ModelRequest,
    StopReason,
    ToolCall,
    ToolSpec,
    ToolTurn,
    Turn,
    Usage,
    UserTurn,
)
from midwatch.domain.providers import Structured, Switches
from midwatch.domain.schemas import parsed
from midwatch.services.models.ports import Said

Json = dict[str, object]

_STOPS = {
    "stop": StopReason.DONE,
    "tool_calls": StopReason.TOOLS,
    "function_call": StopReason.TOOLS,
    "length": StopReason.LENGTH,
    "content_filter": StopReason.REFUSAL,
}
_IN_WORDS = "\n\nAnswer with one JSON object and nothing else, of the form this JSON Schema describes:\n"


def body(request: ModelRequest, model: str, names: ToolNames, switches: Switches) -> Json:
    """Keyword arguments of ``chat.completions.create``, streaming aside."""
    system = request.system
    out: Json = {"model": model, switches.max_tokens_field or "max_tokens": request.max_tokens}
    if request.schema:
        if switches.structured is Structured.SCHEMA:
            described = {"name": "answer", "schema": parsed(request.schema)}
            out["response_format"] = {"type": "json_schema", "json_schema": described}
        else:
            system += _IN_WORDS + request.schema
            if switches.structured is Structured.OBJECT:
                out["response_format"] = {"type": "json_object"}
    if request.tools:
        out["tools"] = [_tool(tool, names) for tool in request.tools]
        if switches.parallel_tools is not None:
            out["parallel_tool_calls"] = switches.parallel_tools
    if switches.temperature is not None:
        out["temperature"] = switches.temperature
    if switches.effort:
        out["reasoning_effort"] = switches.effort
    if switches.stream_usage:
        out["stream_options"] = {"include_usage": True}
    messages: list[Json] = [{"role": "system", "content": system}] if system else []
    for turn in request.turns:
        messages.extend(_messages(turn, names))
    out["messages"] = messages
    return out


def _tool(tool: ToolSpec, names: ToolNames) -> Json:
    function: Json = {
        "name": names.wire(tool.name),
        "description": tool.description,
        "parameters": parsed(tool.parameters),
    }
    return {"type": "function", "function": function}


def _messages(turn: Turn, names: ToolNames) -> Iterator[Json]:
    if isinstance(turn, UserTurn):
        yield {"role": "user", "content": turn.text}
    elif isinstance(turn, ToolTurn):
        for result in turn.results:
            text = result.text if result.ok else f"ERROR: {result.text}"
            yield {"role": "tool", "tool_call_id": wire_id(result.call_id), "content": text}
    else:
        message: Json = {"role": "assistant", "content": turn.text or (None if turn.calls else "")}
        if turn.calls:
            message["tool_calls"] = [_call(call, names) for call in turn.calls]
        yield message


def _call(call: ToolCall, names: ToolNames) -> Json:
    function: Json = {"name": names.wire(call.name), "arguments": call.arguments or "{}"}
    return {"id": wire_id(call.id), "type": "function", "function": function}


class Reading:
    """A reply as its stream tells it. ``ended`` once a reason for its end was given."""

    def __init__(self, request: ModelRequest, names: ToolNames, provider: str) -> None:
        self._ids, self._names, self._provider = FreshIds(request), names, provider
        self._texts: list[str] = []
        self._calls: dict[int, list[str]] = {}
        self._given: dict[int, tuple[str, str]] = {}
        self._finish, self._refused = "", False
        self.model, self.usage = "", Usage()

    @property
    def ended(self) -> bool:
        return bool(self._finish)

    @property
    def characters(self) -> int:
        calls = sum(len(piece) for pieces in self._calls.values() for piece in pieces)
        return calls + sum(map(len, self._texts))

    def text(self, piece: str) -> None:
        self._texts.append(piece)

    def refusal(self, piece: str) -> None:
        self._refused = True
        self._texts.append(piece)

    def call(self, index: int | None, call_id: str, name: str, arguments: str) -> None:
        """A piece of a call. Some vendors give no index, or the same for all: another id begins another call."""
        place = len(self._given) - 1 if index is None and not call_id else (index or 0)
        known = self._given.get(place)
        if known is not None and call_id and known[0] and call_id != known[0]:
            place = max(self._given) + 1
            known = None
        old_id, old_name = known or ("", "")
        self._given[place] = (old_id or call_id, old_name or name)
        self._calls.setdefault(place, []).append(arguments)

    def finish(self, reason: str) -> None:
        self._finish = reason

    def said(self) -> Said:
        """The whole reply. Calls cut off by the limit of tokens are left out."""
        stop = StopReason.REFUSAL if self._refused else _STOPS.get(self._finish, StopReason.DONE)
        calls = []
        for place in sorted(self._given):
            call_id, name = self._given[place]
            arguments = "".join(self._calls[place]) or "{}"
            if stop is StopReason.LENGTH and not _is_json(arguments):
                continue
            ours = self._names.ours(name)
            calls.append(ToolCall(id=self._ids.take(call_id, place), name=ours, arguments=arguments))
        if stop in {StopReason.DONE, StopReason.TOOLS}:
            stop = StopReason.TOOLS if calls else StopReason.DONE
        turn = AssistantTurn("".join(self._texts), calls=tuple(calls), provider=self._provider)
        return Said(turn=turn, stop=stop, usage=self.usage, model=self.model)


def _is_json(text: str) -> bool:
    try:
        msgspec.json.decode(text)
    except msgspec.DecodeError:
        return False
    return True
