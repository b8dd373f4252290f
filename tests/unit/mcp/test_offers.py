"""What is offered to a model, and when a server's state flips."""

import string

import pytest
from hypothesis import given
from hypothesis import strategies as st
from mcp.types import Tool, ToolAnnotations

from midwatch.adapters.mcp.config import BUILT_IN, ServerConfig
from midwatch.adapters.mcp.offers import MAX_SCHEMA, MAX_SCHEMAS, MAX_TOOLS, offer_of, public_name
from midwatch.domain.servers import CONFIRMATIONS, Health, ServerState, weigh


def tool(name: str, *, hint: bool | None = True, destroys: bool | None = None, schema: int = 0) -> Tool:
    parameters = {"type": "object", "description": "x" * schema}
    hints = ToolAnnotations(read_only_hint=hint, destructive_hint=destroys)
    return Tool(name=name, description="d", input_schema=parameters, annotations=hints)


def offered(config: ServerConfig, *tools: Tool) -> set[str]:
    return {each.tool for each in offer_of("some", config, {tool.name: tool for tool in tools}).tools}


def test_our_list_decides_and_hints_only_take_away() -> None:
    config = ServerConfig(url="https://x", allow=("look", "unsaid", "act", "break"))
    tools = (
        tool("look"),
        tool("unsaid", hint=None),
        tool("act", hint=False),
        tool("break", hint=None, destroys=True),
        tool("stranger", hint=True),
    )
    assert offered(config, *tools) == {"look", "unsaid"}
    owner = ServerConfig(url="https://x", allow=("look", "unsaid", "act", "break"), read_only=False)
    assert offered(owner, *tools) == {"look", "unsaid", "act", "break"}
    assert offered(ServerConfig(url="https://x"), *tools) == set()


def test_what_is_left_out_is_told() -> None:
    config = ServerConfig(url="https://x", allow=("look", "gone", "huge"))
    told = offer_of("some", config, {t.name: t for t in (tool("look"), tool("huge", schema=MAX_SCHEMA), tool("b"))})
    assert [line.split(":")[0] for line in told.left_out] == ["b", "huge", "gone"]


def test_one_server_cannot_fill_the_page() -> None:
    many = [tool(f"t{number}") for number in range(MAX_TOOLS + 5)]
    assert len(offered(ServerConfig(url="https://x", allow=tuple(t.name for t in many)), *many)) == MAX_TOOLS
    thick = [tool(f"t{number}", schema=10_000) for number in range(20)]
    kept = offered(ServerConfig(url="https://x", allow=tuple(t.name for t in thick)), *thick)
    assert len(kept) == MAX_SCHEMAS // 10_100


def test_names() -> None:
    plain = ServerConfig(url="https://x")
    assert public_name(BUILT_IN, plain, "pod_logs") == "pod_logs"
    assert public_name("scan.er", plain, "a.b/c") == "scan_er_a_b_c"
    assert public_name("x", ServerConfig(url="https://x", tool_prefix=""), "a") == "a"


@given(st.text(string.printable, min_size=1, max_size=128))
def test_every_name_suits_every_provider(name: str) -> None:
    public = public_name("server", ServerConfig(url="https://x"), name)
    assert len(public) <= 64
    assert set(public) <= set(string.ascii_letters + string.digits + "_-")


def test_a_state_flips_when_confirmed_twice() -> None:
    health = Health()
    for _ in range(CONFIRMATIONS):
        health = weigh(health, answered=False)
        assert health.state is ServerState.HEALTHY
        assert health.doubted
    health = weigh(health, answered=False)
    assert health == Health(ServerState.FAILED)
    health = weigh(weigh(health, answered=True), answered=False)
    assert health == Health(ServerState.FAILED), "one answer in between proves nothing"
    for _ in range(CONFIRMATIONS + 1):
        health = weigh(health, answered=True)
    assert health == Health(ServerState.HEALTHY)


@pytest.mark.parametrize("state", [ServerState.MAINTENANCE, ServerState.VULNERABLE])
def test_a_persons_word_stands(state: ServerState) -> None:
    assert weigh(Health(state), answered=True) == Health(state)
