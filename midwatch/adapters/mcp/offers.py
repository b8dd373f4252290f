"""What of a server's tools is offered to a model: by our list, under unique names, with schemas of bearable size."""

import hashlib
import json
import re
from collections.abc import Mapping

import msgspec
from mcp.types import Tool

from midwatch.adapters.mcp.config import BUILT_IN, ServerConfig
from midwatch.domain.dialogue import ToolSpec
from midwatch.domain.masking import mask

MAX_SCHEMA = 12_000
"""Bytes of one tool's schema; a larger one is left out."""
MAX_SCHEMAS = 64_000
"""Bytes of all schemas and descriptions of one server; what comes after is left out."""
MAX_TOOLS = 100
_DESCRIPTION = 1_000
_NAME = 64


class Offered(msgspec.Struct, frozen=True):
    """A tool under the name that models see."""

    spec: ToolSpec
    tool: str


class Offer(msgspec.Struct, frozen=True):
    """One server's share of the offer, and why the rest is not in it."""

    tools: tuple[Offered, ...] = ()
    left_out: tuple[str, ...] = ()


def offer_of(server: str, config: ServerConfig, tools: Mapping[str, Tool]) -> Offer:
    """The allowed tools of one server. Its hints can only take away, never add."""
    offered: list[Offered] = []
    left_out: list[str] = []
    room = MAX_SCHEMAS
    allowed = config.allowed
    for name in sorted(tools):
        tool = tools[name]
        if name not in allowed:
            left_out.append(f"{_short(name)}: not on the allow list")
        elif config.read_only and _changes_something(tool):
            left_out.append(f"{_short(name)}: the server says that it changes something")
        elif len(schema := _schema(tool)) > MAX_SCHEMA:
            left_out.append(f"{_short(name)}: its schema is larger than {MAX_SCHEMA} bytes")
        elif len(offered) == MAX_TOOLS or room < (size := len(schema) + min(len(tool.description or ""), _DESCRIPTION)):
            left_out.append(f"{_short(name)}: no room, the tools of this server are too many or too large")
        else:
            room -= size
            text = mask((tool.description or name)[:_DESCRIPTION])
            offered.append(
                Offered(ToolSpec(name=public_name(server, config, name), description=text, parameters=schema), name)
            )
    left_out += [f"{name}: allowed, but the server has no such tool" for name in sorted(allowed - tools.keys())]
    return Offer(tuple(offered), tuple(left_out))


def public_name(server: str, config: ServerConfig, tool: str) -> str:
    """The tool's name over all servers: prefixed, of letters that every model provider takes, at most 64 of them."""
    prefix = config.tool_prefix
    if prefix is None:
        prefix = "" if server == BUILT_IN else f"{server}_"
    name = re.sub(r"[^A-Za-z0-9_-]", "_", f"{prefix}{tool}")
    if len(name) <= _NAME:
        return name
    return f"{name[: _NAME - 9]}_{hashlib.sha256(name.encode()).hexdigest()[:8]}"


def _changes_something(tool: Tool) -> bool:
    hints = tool.annotations
    if hints is None:
        return False
    return hints.read_only_hint is False or (hints.destructive_hint is True and not hints.read_only_hint)


def _schema(tool: Tool) -> str:
    return json.dumps(tool.input_schema, separators=(",", ":"), ensure_ascii=False)


def _short(name: str) -> str:
    return re.sub(r"[^\w./-]", "_", name)[:_NAME]
