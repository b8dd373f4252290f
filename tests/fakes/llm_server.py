"""A model vendor on the wire: Anthropic's Messages and OpenAI's chat completions, streamed as they stream.

In unit tests through ``httpx2.ASGITransport(app=server.app())``; in tests of a whole house by :meth:`LlmServer.serve`
on loopback, with the provider's base URL set to it. Requests are kept as they came, and checked as vendors check them.
"""

import asyncio
import json
import socket
import threading
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, TypeAlias

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route

Json: TypeAlias = dict[str, Any]


@dataclass(frozen=True)
class Text:
    text: str


@dataclass(frozen=True)
class Tool:
    name: str
    input: Json = field(default_factory=dict)
    id: str | None = None
    """The id as the vendor gives it; ``None``: a new one."""


@dataclass(frozen=True)
class Thinking:
    text: str
    signature: str = "c2lnbmVk"


@dataclass(frozen=True)
class Answer:
    """One reply. ``cut_after`` ends the stream after so many pieces; ``hang_after`` goes silent there instead."""

    parts: tuple[Text | Tool | Thinking, ...]
    stop: str = ""
    usage: tuple[int, int, int, int] = (100, 20, 0, 0)
    cut_after: int | None = None
    hang_after: int | None = None
    delay_s: float = 0.0


@dataclass(frozen=True)
class Error:
    """An HTTP error as vendors word it; ``in_stream`` tells it in the middle of a stream that began well."""

    status: int
    type: str = "api_error"
    message: str = "no"
    headers: Json = field(default_factory=dict)
    in_stream: bool = False


@dataclass(frozen=True)
class Hang:
    """No answer at all, until the client gives up."""


Step: TypeAlias = Answer | Error | Hang
Script: TypeAlias = Callable[[Json], Step]


def says(text: str) -> Answer:
    return Answer((Text(text),))


def calls(*tools: Tool, text: str = "") -> Answer:
    return Answer((*((Text(text),) if text else ()), *tools))


class LlmServer:
    """Steps in order, the last one for ever; or one function of the request's body."""

    def __init__(self, *steps: Step, script: Script | None = None) -> None:
        self._steps, self._script = steps, script
        self.requests: list[Json] = []
        self.headers: list[dict[str, str]] = []
        self.faults: list[str] = []
        self._ids = 0

    def app(self) -> Starlette:
        return Starlette(
            routes=[
                Route("/v1/messages", self._anthropic, methods=["POST"]),
                Route("/v1/chat/completions", self._openai, methods=["POST"]),
            ]
        )

    @contextmanager
    def serve(self) -> Iterator[str]:
        """The address, while it listens on loopback in a thread of its own."""
        sock = socket.create_server(("127.0.0.1", 0))
        server = uvicorn.Server(
            uvicorn.Config(self.app(), log_level="error", lifespan="off", timeout_graceful_shutdown=1)
        )
        thread = threading.Thread(target=server.run, kwargs={"sockets": [sock]}, daemon=True)
        thread.start()
        try:
            yield f"http://127.0.0.1:{sock.getsockname()[1]}"
        finally:
            server.should_exit = True
            thread.join(10)
            sock.close()

    async def _next(self, request: Request) -> tuple[Json, Step]:
        body: Json = await request.json()
        self.requests.append(body)
        self.headers.append(dict(request.headers))
        if self._script is not None:
            return body, self._script(body)
        return body, self._steps[min(len(self.requests), len(self._steps)) - 1]

    async def _anthropic(self, request: Request) -> Response:
        body, step = await self._next(request)
        if fault := anthropic_fault(body):
            self.faults.append(fault)
            step = Error(400, "invalid_request_error", fault)
        if isinstance(step, Hang):
            await _silence(request)
        if isinstance(step, Answer):
            return StreamingResponse(self._messages(body, step), media_type="text/event-stream")
        assert isinstance(step, Error)
        told = {"type": "error", "error": {"type": step.type, "message": step.message}, "request_id": "req_1"}
        if not step.in_stream:
            return JSONResponse(told, step.status, headers=step.headers)

        async def stream() -> AsyncIterator[str]:
            yield _event("message_start", message=self._start(body, (1, 1, 0, 0)))
            yield _event("error", **{key: value for key, value in told.items() if key != "type"})

        return StreamingResponse(stream(), media_type="text/event-stream")

    def _start(self, body: Json, usage: tuple[int, int, int, int]) -> Json:
        return {
            "id": f"msg_{self._new()}",
            "type": "message",
            "role": "assistant",
            "model": body["model"],
            "content": [],
            "stop_reason": None,
            "stop_sequence": None,
            "usage": {
                "input_tokens": usage[0],
                "output_tokens": 1,
                "cache_read_input_tokens": usage[2],
                "cache_creation_input_tokens": usage[3],
            },
        }

    async def _messages(self, body: Json, answer: Answer) -> AsyncIterator[str]:
        await asyncio.sleep(answer.delay_s)
        yield _event("message_start", message=self._start(body, answer.usage))
        yield _event("ping")
        pieces = 0
        for index, part in enumerate(answer.parts):
            block, deltas = self._block(part)
            yield _event("content_block_start", index=index, content_block=block)
            for delta in deltas:
                if await _stops_at(answer, pieces):
                    return
                pieces += 1
                yield _event("content_block_delta", index=index, delta=delta)
            yield _event("content_block_stop", index=index)
        if await _stops_at(answer, pieces):
            return
        uses = any(isinstance(part, Tool) for part in answer.parts)
        stop = answer.stop or ("tool_use" if uses else "end_turn")
        yield _event(
            "message_delta",
            delta={"stop_reason": stop, "stop_sequence": None},
            usage={"output_tokens": answer.usage[1]},
        )
        yield _event("message_stop")

    def _block(self, part: Text | Tool | Thinking) -> tuple[Json, list[Json]]:
        if isinstance(part, Text):
            return {"type": "text", "text": ""}, [{"type": "text_delta", "text": each} for each in _words(part.text)]
        if isinstance(part, Thinking):
            deltas = [{"type": "thinking_delta", "thinking": each} for each in _words(part.text)]
            signed = {"type": "signature_delta", "signature": part.signature}
            return {"type": "thinking", "thinking": "", "signature": ""}, [*deltas, signed]
        block = {"type": "tool_use", "id": part.id or f"toolu_{self._new()}", "name": part.name, "input": {}}
        return block, [{"type": "input_json_delta", "partial_json": each} for each in _pieces(json.dumps(part.input))]

    async def _openai(self, request: Request) -> Response:
        body, step = await self._next(request)
        if fault := openai_fault(body):
            self.faults.append(fault)
            step = Error(400, "invalid_request_error", fault)
        if isinstance(step, Hang):
            await _silence(request)
        if isinstance(step, Answer):
            return StreamingResponse(self._completions(body, step), media_type="text/event-stream")
        assert isinstance(step, Error)
        told = {"error": {"message": step.message, "type": step.type, "code": step.type}}
        if not step.in_stream:
            return JSONResponse(told, step.status, headers=step.headers)

        async def stream() -> AsyncIterator[str]:
            yield f"data: {json.dumps(told)}\n\n"

        return StreamingResponse(stream(), media_type="text/event-stream")

    async def _completions(self, body: Json, answer: Answer) -> AsyncIterator[str]:
        await asyncio.sleep(answer.delay_s)
        base = {
            "id": f"chatcmpl-{self._new()}",
            "object": "chat.completion.chunk",
            "created": 1,
            "model": body["model"],
        }

        def chunk(delta: Json, finish: str | None = None) -> str:
            choice = {"index": 0, "delta": delta, "finish_reason": finish}
            return f"data: {json.dumps({**base, 'choices': [choice]})}\n\n"

        yield chunk({"role": "assistant", "content": ""})
        deltas: list[Json] = []
        tools = [part for part in answer.parts if isinstance(part, Tool)]
        for part in answer.parts:
            if isinstance(part, Text):
                deltas += [{"content": each} for each in _words(part.text)]
        for index, part in enumerate(tools):
            given = f"call_{self._new()}" if part.id is None else part.id
            first, *more = _pieces(json.dumps(part.input))
            begun = {
                "index": index,
                "id": given,
                "type": "function",
                "function": {"name": part.name, "arguments": first},
            }
            deltas.append({"tool_calls": [begun]})
            deltas += [{"tool_calls": [{"index": index, "function": {"arguments": each}}]} for each in more]
        for pieces, delta in enumerate(deltas):
            if await _stops_at(answer, pieces):
                return
            yield chunk(delta)
        if await _stops_at(answer, len(deltas)):
            return
        yield chunk({}, answer.stop or ("tool_calls" if tools else "stop"))
        if body.get("stream_options", {}).get("include_usage"):
            given_in, out, read, _ = answer.usage
            usage = {
                "prompt_tokens": given_in + read,
                "completion_tokens": out,
                "total_tokens": given_in + read + out,
                "prompt_tokens_details": {"cached_tokens": read},
            }
            yield f"data: {json.dumps({**base, 'choices': [], 'usage': usage})}\n\n"
        yield "data: [DONE]\n\n"

    def _new(self) -> int:
        self._ids += 1
        return self._ids


def anthropic_fault(body: Json) -> str:
    """Why the real API would refuse this body; empty when it would not."""
    messages: Sequence[Json] = body["messages"]
    if not messages or messages[0]["role"] != "user":
        return "the first message must be the user's"
    if messages[-1]["role"] != "user":
        return "the last message must be the user's"
    asked: list[str] = []
    seen: set[str] = set()
    for message in messages:
        results = [block["tool_use_id"] for block in message["content"] if block["type"] == "tool_result"]
        if sorted(results) != sorted(asked):
            return f"tool_use {asked} were answered by tool_result {results}"
        asked = [block["id"] for block in message["content"] if block["type"] == "tool_use"]
        if len(set(asked) | seen) < len(asked) + len(seen):
            return f"tool_use ids must be unique: {asked}"
        seen.update(asked)
        if any(block["type"] == "text" and not block["text"].strip() for block in message["content"]):
            return "text blocks must not be empty"
    return f"tool_use {asked} have no tool_result" if asked else ""


def openai_fault(body: Json) -> str:
    """Why the real API would refuse this body; empty when it would not."""
    waiting: list[str] = []
    for message in body["messages"]:
        if message["role"] == "tool":
            if message["tool_call_id"] not in waiting:
                return f"tool message answers nothing: {message['tool_call_id']}"
            waiting.remove(message["tool_call_id"])
            continue
        if waiting:
            return f"tool_calls {waiting} have no tool message"
        waiting = [each["id"] for each in message.get("tool_calls") or ()]
    return f"tool_calls {waiting} have no tool message" if waiting else ""


async def _stops_at(answer: Answer, pieces: int) -> bool:
    """Whether the stream is cut here; does not come back where it hangs."""
    if answer.hang_after is not None and pieces >= answer.hang_after:
        await asyncio.Event().wait()
    await asyncio.sleep(0)
    return answer.cut_after is not None and pieces >= answer.cut_after


async def _silence(request: Request) -> None:
    while not await request.is_disconnected():
        await asyncio.sleep(0.05)


def _event(name: str, **data: object) -> str:
    return f"event: {name}\ndata: {json.dumps({'type': name, **data})}\n\n"


def _words(text: str) -> list[str]:
    words = text.split(" ")
    return [word + (" " if index < len(words) - 1 else "") for index, word in enumerate(words)]


def _pieces(text: str) -> list[str]:
    return [text[at : at + 7] for at in range(0, len(text), 7)]
