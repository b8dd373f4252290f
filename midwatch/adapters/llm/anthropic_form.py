"""Requests and replies in the form of Anthropic's Messages API."""

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
from midwatch.domain.providers import Switches
from midwatch.domain.schemas import parsed
from midwatch.services.models.ports import Said

Json = dict[str, object]

_STOPS = {
    "end_turn": StopReason.DONE,
    "stop_sequence": StopReason.DONE,
    "pause_turn": StopReason.DONE,
    "tool_use": StopReason.TOOLS,
    "max_tokens": StopReason.LENGTH,
    "model_context_window_exceeded": StopReason.LENGTH,
    "refusal": StopReason.REFUSAL,
}
_CACHED: Json = {"type": "ephemeral"}
# Words of JSON Schema that Anthropic's constrained answers refuse; our own validation still knows them.
_UNKNOWN = {"minimum", "maximum", "minLength", "maxLength", "maxItems", "pattern", "multipleOf", "default", "title"}


def body(request: ModelRequest, model: str, names: ToolNames, switches: Switches, provider: str) -> Json:
    """Keyword arguments of ``messages.create``."""
    system: Json = {"type": "text", "text": request.system}
    out: Json = {
        "model": model,
        "max_tokens": request.max_tokens,
        "messages": [_message(turn, names, provider) for turn in request.turns],
    }
    if switches.cache:
        # tools and system are one prefix, marked at its end; the history is marked at its last block
        system["cache_control"] = _CACHED
        out["cache_control"] = _CACHED
    if request.system:
        out["system"] = [system]
    if request.tools:
        out["tools"] = [_tool(tool, names) for tool in request.tools]
        if switches.parallel_tools is False:
            out["tool_choice"] = {"type": "auto", "disable_parallel_tool_use": True}
    if switches.thinking:
        out["thinking"] = {"type": "adaptive"}
    config: Json = {"effort": switches.effort} if switches.effort else {}
    if request.schema:
        config["format"] = {"type": "json_schema", "schema": closed(parsed(request.schema))}
    if config:
        out["output_config"] = config
    return out


def _tool(tool: ToolSpec, names: ToolNames) -> Json:
    return {"name": names.wire(tool.name), "description": tool.description, "input_schema": parsed(tool.parameters)}


def _message(turn: Turn, names: ToolNames, provider: str) -> Json:
    if isinstance(turn, UserTurn):
        return {"role": "user", "content": [_text(turn.text)]}
    if isinstance(turn, ToolTurn):
        results: list[Json] = [
            {
                "type": "tool_result",
                "tool_use_id": wire_id(result.call_id),
                "content": result.text or "(empty)",
                "is_error": not result.ok,
            }
            for result in turn.results
        ]
        return {"role": "user", "content": results}
    return {"role": "assistant", "content": _assistant(turn, names, provider)}


def _assistant(turn: AssistantTurn, names: ToolNames, provider: str) -> list[Json]:
    if turn.native and turn.provider == provider:
        return msgspec.json.decode(turn.native, type=list[Json])
    blocks = [_text(turn.text)] if turn.text.strip() else []
    blocks += [
        {"type": "tool_use", "id": wire_id(call.id), "name": names.wire(call.name), "input": _input(call.arguments)}
        for call in turn.calls
    ]
    return blocks or [_text("")]


def _text(text: str) -> Json:
    return {"type": "text", "text": text if text.strip() else "(nothing was said)"}  # empty blocks are refused


def _input(arguments: str) -> Json:
    try:
        return msgspec.json.decode(arguments or "{}", type=Json)
    except (msgspec.DecodeError, msgspec.ValidationError):
        return {"invalid_json": arguments}


def closed(schema: Json) -> Json:
    """The schema as constrained decoding takes it: every object closed, words it does not know left out."""
    out: Json = {}
    for word, value in schema.items():
        if word in {"properties", "$defs", "definitions"} and isinstance(value, dict):
            out[word] = {name: closed(each) if isinstance(each, dict) else each for name, each in value.items()}
        elif word in _UNKNOWN:
            continue
        elif isinstance(value, dict):
            out[word] = closed(value)
        elif word in {"anyOf", "allOf"} and isinstance(value, list):
            out[word] = [closed(each) if isinstance(each, dict) else each for each in value]
        elif word == "minItems" and isinstance(value, int) and value > 1:
            continue
        else:
            out[word] = value
    if out.get("type") == "object":
        out["additionalProperties"] = False
    return out


class Reading:
    """A reply as its stream tells it. Whole once :attr:`ended`."""

    def __init__(self, request: ModelRequest, names: ToolNames, provider: str) -> None:
        self._ids, self._names, self._provider = FreshIds(request), names, provider
        self._blocks: dict[int, Json] = {}
        self._pieces: dict[int, list[str]] = {}
        self._usage = Usage()
        self._stop, self._model = "", ""
        self.ended = False

    @property
    def usage(self) -> Usage:
        return self._usage

    @property
    def characters(self) -> int:
        return sum(len(piece) for pieces in self._pieces.values() for piece in pieces)

    def begin(self, model: str, usage: Usage) -> None:
        self._model, self._usage = model, usage

    def block(self, index: int, block: Json) -> None:
        """A block begins; its text, thinking or input comes in pieces."""
        self._blocks[index], self._pieces[index] = block, []

    def piece(self, index: int, text: str) -> None:
        self._pieces[index].append(text)

    def sign(self, index: int, signature: str) -> None:
        self._blocks[index]["signature"] = signature

    def delta(self, stop: str, usage: Usage) -> None:
        """The end's news: why, and the usage so far (what is 0 there was told at the beginning)."""
        self._stop = stop or self._stop
        known = self._usage
        self._usage = Usage(
            input=usage.input or known.input,
            output=usage.output or known.output,
            cache_read=usage.cache_read or known.cache_read,
            cache_write=usage.cache_write or known.cache_write,
        )

    def said(self) -> Said:
        """The whole reply. Calls cut off by the limit of tokens are left out."""
        native, calls, texts, whole = [], [], [], True
        for index in sorted(self._blocks):
            block, told = self._blocks[index], "".join(self._pieces[index])
            kind = block.get("type")
            if kind == "text":
                block["text"] = f"{block.get('text') or ''}{told}"
                texts.append(str(block["text"]))
            elif kind == "thinking":
                block["thinking"] = f"{block.get('thinking') or ''}{told}"
            elif kind == "tool_use":
                given = str(block.get("id") or "")
                arguments = told or msgspec.json.encode(block.get("input") or {}).decode()
                if not _is_object(arguments):
                    if self._stop != "tool_use":
                        whole = False
                        continue
                    block["input"] = _input(arguments)
                else:
                    block["input"] = msgspec.json.decode(arguments)
                block["id"] = self._ids.take(given, index)
                name = self._names.ours(str(block.get("name") or ""))
                calls.append(ToolCall(id=str(block["id"]), name=name, arguments=arguments))
            if kind != "text" or str(block.get("text") or "").strip():
                native.append(block)
        stop = _STOPS.get(self._stop, StopReason.DONE)
        if stop in {StopReason.DONE, StopReason.TOOLS}:
            stop = StopReason.TOOLS if calls else StopReason.DONE
        signed = whole and any(block.get("type") in {"thinking", "redacted_thinking"} for block in native)
        turn = AssistantTurn(
            "".join(texts),
            calls=tuple(calls),
            # blocks that are not signed say no more than the turn itself
            native=msgspec.json.encode(native).decode() if signed else "",
            provider=self._provider,
        )
        return Said(turn=turn, stop=stop, usage=self._usage, model=self._model)


def _is_object(arguments: str) -> bool:
    try:
        msgspec.json.decode(arguments, type=Json)
    except (msgspec.DecodeError, msgspec.ValidationError):
        return False
    return True
