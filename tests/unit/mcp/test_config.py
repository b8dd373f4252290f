"""``.mcp-config.json``: what is taken, what is refused, and where the fault stands."""

import json
from pathlib import Path

import pytest

from midwatch.adapters.mcp.config import parse_config, read_config
from midwatch.adapters.mcp.profiles import PROFILES
from midwatch.domain.errors import Invalid
from midwatch.domain.servers import ServerState


def parse(**servers: object) -> dict[str, object]:
    return dict(parse_config(json.dumps({"mcpServers": servers}).encode(), "file.json"))


def test_the_form_that_people_know() -> None:
    servers = parse_config(
        json.dumps(
            {
                "mcpServers": {
                    "k8s": {"command": "npx", "args": ["-y", "kubernetes-mcp-server@0.0.67", "--read-only"]},
                    "grafana": {
                        "url": "https://grafana.example/mcp",
                        "headers": {"Authorization": "Bearer ${env:GRAFANA_TOKEN}"},
                        "profile": "mcp-grafana",
                        "toolPrefix": "g_",
                        "timeout": 10,
                    },
                    "old": {"type": "sse", "url": "http://127.0.0.1:9/sse", "allow": ["look"], "state": "maintenance"},
                }
            }
        ).encode(),
        "file.json",
    )
    assert [servers[name].transport for name in servers] == ["stdio", "streamable-http", "sse"]
    assert [servers[name].internal for name in servers] == [True, False, True]
    assert servers["k8s"].allowed == PROFILES["kubernetes-mcp-server"]
    assert servers["grafana"].allowed == PROFILES["mcp-grafana"]
    assert servers["old"].allowed == {"look"}
    assert servers["old"].wanted_state is ServerState.MAINTENANCE


def test_a_server_looks_at_the_first_cluster_unless_it_says_otherwise() -> None:
    told = {
        "a": {"command": "x"},
        "b": {"command": "x", "clusters": ["west"]},
        "c": {"command": "x", "clusters": ["*"]},
    }
    servers = parse_config(json.dumps({"mcpServers": told}).encode(), "f")
    seen = {
        name: [servers[name].looks_at("east", first=True), servers[name].looks_at("west", first=False)] for name in told
    }
    assert seen == {"a": [True, False], "b": [False, True], "c": [True, True]}


def test_no_file_is_no_server(tmp_path: Path) -> None:
    assert read_config(tmp_path / "absent.json") == {}


def test_a_profile_is_never_guessed_from_an_address() -> None:
    (server,) = parse_config(b'{"mcpServers": {"x": {"url": "https://mcp-grafana/mcp"}}}', "f").values()
    assert server.allowed == frozenset()


@pytest.mark.parametrize("names", PROFILES.values(), ids=PROFILES)
def test_no_pinned_list_holds_a_tool_that_acts(names: frozenset[str]) -> None:
    verbs = ("create", "update", "delete", "exec_", "run_", "_run", "scale", "patch", "install", "apply", "restart")
    assert [name for name in names if any(verb in name for verb in verbs)] == []


BAD: dict[str, tuple[object, str]] = {
    "unknown key": ({"command": "x", "comand": "y"}, r"unknown field `comand`"),
    "neither": ({}, r"mcpServers\.a: needs either command or url"),
    "both": ({"command": "x", "url": "https://x"}, r"needs either command or url"),
    "wrong type": ({"command": 1}, r"mcpServers\[\.\.\.\]\.command|mcpServers.*command"),
    "transport": ({"command": "x", "type": "sse"}, r"a\.type: a command is reached over stdio"),
    "stdio url": ({"url": "https://x", "type": "stdio"}, r"a\.type"),
    "scheme": ({"url": "ftp://x"}, r"a\.url: must begin"),
    "port": ({"url": "http://x:99999/"}, r"a\.url"),
    "user in url": ({"url": "https://u:p@x/"}, r"a\.url: user and password"),
    "plain secret in headers": ({"url": "https://x", "headers": {"Authorization": "Bearer t0p"}}, r"by reference only"),
    "plain secret in env": ({"command": "x", "env": {"API_KEY": "t0p"}}, r"a\.env\.API_KEY"),
    "secret over http": ({"url": "http://far/", "headers": {"X-Token": "${env:T}"}}, r"use https"),
    "timeout": ({"command": "x", "timeout": 0}, r"a\.timeout"),
    "profile": ({"command": "x", "profile": "mine"}, r"a\.profile: unknown"),
    "prefix": ({"command": "x", "toolPrefix": "a b"}, r"a\.toolPrefix"),
    "allow": ({"command": "x", "allow": ["ok", "not ok"]}, r"a\.allow\[1\]"),
    "state": ({"command": "x", "state": "broken"}, r"state"),
    "args with url": ({"url": "https://x", "args": ["y"]}, r"belong to a command"),
}


@pytest.mark.parametrize(("server", "says"), BAD.values(), ids=BAD)
def test_faults_name_file_and_key(server: object, says: str) -> None:
    with pytest.raises(Invalid, match=says) as raised:
        parse(a=server)
    assert str(raised.value).startswith("file.json: ")
    assert "t0p" not in str(raised.value)


def test_our_own_server_keeps_its_name() -> None:
    with pytest.raises(Invalid, match="is our own server"):
        parse(kubernetes={"command": "x"})
    assert parse(kubernetes={"disabled": True})


@pytest.mark.parametrize("data", [b"", b"[]", b'{"mcpServers": []}', b'{"servers": {}}', b" " * 1_000_001])
def test_what_is_no_configuration(data: bytes) -> None:
    with pytest.raises(Invalid, match=r"^file\.json: "):
        parse_config(data, "file.json")
