"""Both wires say the same: text, tools, thinking, usage; a history goes from one vendor to another."""

import asyncio

import msgspec
import pytest

from midwatch.adapters.llm.naming import ToolNames
from midwatch.domain.dialogue import (
    AssistantTurn,
    ModelTier,
    StopReason,
    ToolCall,
    ToolResult,
    ToolTurn,
    Turn,
    Usage,
    UserTurn,
)
from midwatch.domain.errors import Permanent, Transient
from midwatch.domain.histories import paired
from midwatch.services.models.ports import RequestRejected
from tests.fakes.llm_server import Answer, Error, Hang, LlmServer, Text, Thinking, Tool, calls, says
from tests.unit.models.conftest import KEY, PODS, Connect, asking

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning:anthropic")
BOTH = pytest.mark.parametrize("kind", ["anthropic", "openai"])
SCHEMA = '{"type":"object","properties":{"cause":{"type":"string","minLength":2}},"required":["cause"]}'


@BOTH
async def test_text_streams_and_tools_are_called_by_their_own_names(connect: Connect, kind: str) -> None:
    wire = ToolNames([PODS.name]).wire(PODS.name)
    asked = (Tool(wire, {"namespace": "shop"}), Tool("unknown"))
    server = LlmServer(Answer((Text("Looking at it."), *asked), usage=(100, 20, 30, 0)))
    said: list[str] = []
    reply = await connect(kind, server).ask(asking(), said.append)
    assert "".join(said) == reply.turn.text == "Looking at it."
    assert len(said) == 3
    assert reply.stop is StopReason.TOOLS
    assert [call.name for call in reply.turn.calls] == ["kubernetes.pods_list", "unknown"]
    assert msgspec.json.decode(reply.turn.calls[0].arguments) == {"namespace": "shop"}
    assert msgspec.json.decode(reply.turn.calls[1].arguments) == {}
    assert reply.usage == Usage(input=100, output=20, cache_read=30)
    assert server.faults == []


@BOTH
async def test_the_tier_or_the_name_picks_the_model(connect: Connect, kind: str) -> None:
    server = LlmServer(says("ok"))
    provider = connect(kind, server)
    for request in (asking(), asking(tier=ModelTier.SMALL), asking(model="little"), asking(model="of-another-vendor")):
        await provider.ask(request, None)
    assert [body["model"] for body in server.requests] == ["big", "little", "little", "big"]


HISTORY: tuple[Turn, ...] = (
    UserTurn("Why?"),
    AssistantTurn(
        "Let me see.",
        calls=(
            ToolCall(id="odd id:1", name="kubernetes.pods_list", arguments='{"namespace":"shop"}'),
            ToolCall(id="b", name="gone.tool", arguments="not json"),
        ),
        native='[{"type":"thinking","thinking":"of another","signature":"x"}]',
        provider="somebody-else",
    ),
    ToolTurn(
        (ToolResult(call_id="odd id:1", text="web-1 CrashLoopBackOff"), ToolResult(call_id="b", text="", ok=False))
    ),
    AssistantTurn(""),
    UserTurn("And?"),
)


@BOTH
async def test_a_history_begun_elsewhere_goes_on(connect: Connect, kind: str) -> None:
    server = LlmServer(says("ok"))
    await connect(kind, server).ask(asking(*HISTORY), None)
    assert server.faults == []
    text = str(server.requests[0]["messages"])
    assert "CrashLoopBackOff" in text
    assert "of another" not in text


@BOTH
@pytest.mark.parametrize(
    "turns",
    [
        HISTORY[:2],
        HISTORY[:1] + HISTORY[2:],
        (*HISTORY[:2], UserTurn("interrupted")),
        HISTORY[1:],
        (*HISTORY[:2], ToolTurn((HISTORY[2].results[0],) * 2)),  # type: ignore[union-attr]
        (),
    ],
)
async def test_a_cut_history_is_repaired_before_it_goes_out(
    connect: Connect, kind: str, turns: tuple[Turn, ...]
) -> None:
    server = LlmServer(says("ok"))
    await connect(kind, server).ask(asking(*paired(turns)) if turns else asking(turns=paired(())), None)
    assert server.faults == []


async def test_thinking_goes_back_as_it_came_and_to_nobody_else(connect: Connect) -> None:
    server = LlmServer(Answer((Thinking("hm hm"), Text("Look."), Tool("t", {"a": 1}))), says("done"))
    provider = connect("anthropic", server, switches={"thinking": True, "effort": "high"})
    reply = await provider.ask(asking(), None)
    answer = ToolTurn((ToolResult(call_id=reply.turn.calls[0].id, text="x"),))
    await provider.ask(asking(UserTurn("Why?"), reply.turn, answer), None)
    first, second = server.requests
    assert first["thinking"] == {"type": "adaptive"}
    assert first["output_config"] == {"effort": "high"}
    assert second["messages"][1]["content"] == [
        {"type": "thinking", "thinking": "hm hm", "signature": "c2lnbmVk"},
        {"type": "text", "text": "Look."},
        {"type": "tool_use", "id": reply.turn.calls[0].id, "name": "t", "input": {"a": 1}},
    ]
    other = LlmServer(says("ok"))
    await connect("openai", other).ask(asking(UserTurn("Why?"), reply.turn, answer), None)
    assert "hm hm" not in str(other.requests)


async def test_anthropic_caches_and_closes_its_schemas(connect: Connect) -> None:
    server = LlmServer(says("{}"))
    await connect("anthropic", server).ask(asking(schema=SCHEMA), None)
    await connect("anthropic", server, switches={"cache": False}).ask(asking(), None)
    cached, plain = server.requests
    assert cached["system"][0]["cache_control"] == cached["cache_control"] == {"type": "ephemeral"}
    closed = cached["output_config"]["format"]["schema"]
    assert closed["additionalProperties"] is False
    assert closed["properties"] == {"cause": {"type": "string"}}
    assert "cache_control" not in str(plain)


@pytest.mark.parametrize(
    ("kind", "switches", "expected"),
    [
        ("openai", {}, {"max_completion_tokens": 4096, "response_format": "json_schema"}),
        ("gemini", {}, {"max_tokens": 4096, "response_format": "json_schema"}),
        ("ollama", {}, {"max_tokens": 4096, "response_format": "json_object"}),
        ("custom", {"max_tokens_field": "max_completion_tokens"}, {"max_completion_tokens": 4096}),
        ("xai", {"parallel_tools": False, "temperature": 0.1}, {"parallel_tool_calls": False, "temperature": 0.1}),
        ("xai", {"stream_usage": False, "effort": "low"}, {"reasoning_effort": "low"}),
    ],
)
async def test_providers_differ_by_switches(connect: Connect, kind: str, switches: dict, expected: dict) -> None:
    server = LlmServer(says('{"cause":"x"}'))
    await connect(kind, server, switches=switches).ask(asking(schema=SCHEMA), None)
    body = server.requests[0]
    seen = {**body, "response_format": body.get("response_format", {}).get("type")}
    assert {name: seen[name] for name in expected} == expected
    assert ("stream_options" in body) is switches.get("stream_usage", True)
    in_words = seen["response_format"] != "json_schema"
    assert ("JSON Schema" in body["messages"][0]["content"]) is in_words


async def test_azure_gets_the_key_in_its_own_header(connect: Connect) -> None:
    server = LlmServer(says("ok"))
    await connect("azure", server).ask(asking(), None)
    assert server.headers[0]["api-key"] == KEY


@pytest.mark.parametrize("given", ["", "call_0"])
async def test_calls_named_badly_get_ids_of_their_own(connect: Connect, given: str) -> None:
    """Ollama and others give no ids, or the same ones in each turn."""
    server = LlmServer(calls(Tool("t", id=given), Tool("t", id=given)))
    history = (
        UserTurn("Why?"),
        AssistantTurn("", calls=(ToolCall(id="call_0", name="t", arguments="{}"),)),
        ToolTurn((ToolResult(call_id="call_0", text="x"),)),
    )
    reply = await connect("ollama", server).ask(asking(*history), None)
    ids = {call.id for call in reply.turn.calls}
    assert len(ids | {"call_0"}) == 3
    assert "" not in ids


@BOTH
async def test_an_answer_cut_by_length_keeps_no_half_call(connect: Connect, kind: str) -> None:
    stop = "max_tokens" if kind == "anthropic" else "length"
    reply = await connect(kind, LlmServer(Answer((Text("so"),), stop=stop))).ask(asking(), None)
    assert (reply.stop, reply.turn.text) == (StopReason.LENGTH, "so")
    refused = Answer((Text("no"),), stop="refusal" if kind == "anthropic" else "content_filter")
    assert (await connect(kind, LlmServer(refused)).ask(asking(), None)).stop is StopReason.REFUSAL


@BOTH
@pytest.mark.parametrize(
    ("step", "error", "says_"),
    [
        (Error(429, "rate_limit_error", headers={"retry-after": "7"}), Transient, "429"),
        (Error(529, "overloaded_error"), Transient, "529"),
        (Error(500), Transient, "500"),
        (Error(408), Transient, "408"),
        (Error(400, "invalid_request_error", f"bad {KEY}"), RequestRejected, r"bad \*\*\*"),
        (Error(413, "request_too_large"), RequestRejected, "413"),
        (Error(401, "authentication_error", f"bad {KEY}"), Permanent, "check the key"),
        (Error(404, "not_found_error", "model: big"), Permanent, "model: big"),
        (Error(429, "insufficient_quota"), Permanent, "no credit"),
        (Error(200, "overloaded_error", in_stream=True), Transient, "anthropic|openai"),
        (Answer((Text("half an answer"),), cut_after=1), Transient, "broke off"),
    ],
    ids=lambda value: getattr(value, "type", None),
)
async def test_errors_say_what_to_do(
    connect: Connect, kind: str, step: Error | Answer, error: type[Exception], says_: str
) -> None:
    with pytest.raises(error, match=says_) as caught:
        await connect(kind, LlmServer(step)).ask(asking(), None)
    assert type(caught.value) is error
    assert KEY not in str(caught.value)
    if isinstance(step, Error) and step.headers:
        assert caught.value.retry_in == 7  # type: ignore[attr-defined]


@BOTH
@pytest.mark.parametrize("step", [Hang(), Answer((Text("half an answer"),), hang_after=1)], ids=["all", "half"])
async def test_silence_is_given_up_on(connect: Connect, kind: str, step: Hang | Answer) -> None:
    server = LlmServer(step)
    with server.serve() as address:
        provider = connect(kind, server, base_url=address + ("" if kind == "anthropic" else "/v1"), idle_s=0.5)
        provider.transport = None
        with pytest.raises(Transient, match="said nothing"):
            await provider.ask(asking(), None)


@BOTH
async def test_a_call_can_be_cancelled(connect: Connect, kind: str) -> None:
    server = LlmServer(Hang())
    with server.serve() as address:
        provider = connect(kind, server, base_url=address + ("" if kind == "anthropic" else "/v1"))
        provider.transport = None
        task = asyncio.create_task(provider.ask(asking(), None))
        while not server.requests:
            await asyncio.sleep(0.01)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task


@BOTH
async def test_nobody_there_is_transient(connect: Connect, kind: str) -> None:
    provider = connect(kind, LlmServer(says("x")), base_url="http://127.0.0.1:9")
    provider.transport = None
    with pytest.raises(Transient, match="cannot be reached"):
        await provider.ask(asking(), None)


@BOTH
async def test_no_test_reaches_a_real_provider(connect: Connect, kind: str) -> None:
    provider = connect(kind, LlmServer(says("x")), base_url="https://api.example.com")
    provider.transport = None
    with pytest.raises(Permanent, match="switched off"):
        await provider.ask(asking(), None)
