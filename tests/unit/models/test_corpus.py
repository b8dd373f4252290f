"""Recorded conversations of other projects go out on both wires with each call answered once, cut anywhere."""

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from midwatch.domain.dialogue import AssistantTurn, ToolCall, ToolResult, ToolTurn, Turn, UserTurn
from midwatch.domain.histories import mispaired, paired
from tests.fakes.llm_server import LlmServer, says
from tests.unit.models.conftest import Connect, asking

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning:anthropic")


def cases() -> list[Path]:
    corpus = os.environ.get("MIDWATCH_CORPUS")
    return sorted((Path(corpus) / "protocol").glob("conversation-*.json")) if corpus else []


def history(messages: list[dict[str, Any]]) -> Iterator[Turn]:
    results: list[ToolResult] = []
    for message in messages:
        text = message.get("content") or ""
        text = text if isinstance(text, str) else json.dumps(text)
        if message["role"] == "tool":
            results.append(ToolResult(call_id=message["tool_call_id"], text=text))
            continue
        if results:
            yield ToolTurn(tuple(results))
            results = []
        if message["role"] == "assistant":
            calls = tuple(
                ToolCall(id=call["id"], name=call["function"]["name"], arguments=call["function"]["arguments"])
                for call in message.get("tool_calls") or ()
            )
            yield AssistantTurn(text, calls=calls)
        elif message["role"] == "user":
            yield UserTurn(text)
    if results:
        yield ToolTurn(tuple(results))


@pytest.mark.skipif(not cases(), reason="MIDWATCH_CORPUS is not set")
@pytest.mark.parametrize("kind", ["anthropic", "openai"])
@pytest.mark.parametrize("path", cases(), ids=lambda path: path.stem)
async def test_each_call_is_answered_once_on_the_wire(connect: Connect, kind: str, path: Path) -> None:
    case = json.loads(path.read_text())
    turns = tuple(history(case["messages"]))
    assert mispaired(turns) == tuple(case["expected"]["unanswered"] + case["expected"]["orphan_results"])
    server = LlmServer(says("ok"))
    provider = connect(kind, server)
    lengths = range(len(turns) + 1) if len(turns) < 45 else range(0, len(turns) + 1, 7)
    for begin, end in ((0, length) for length in lengths):
        await provider.ask(asking(*paired(turns[begin:end])), None)
    for begin in lengths:  # as a compaction that forgot the beginning
        await provider.ask(asking(*paired(turns[begin:])), None)
    assert server.faults == []
    whole = str(server.requests[len(lengths) - 1])
    assert all(
        call.id in whole for turn in turns[: lengths[-1]] if isinstance(turn, AssistantTurn) for call in turn.calls
    )
