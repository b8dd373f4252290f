"""Security scans by words, through an MCP server that somebody has configured for it."""

from typing import Final

import msgspec

from midwatch.domain.dialogue import ToolSpec
from midwatch.domain.intents import Intent
from midwatch.domain.masking import mask
from midwatch.domain.users import Person, Role
from midwatch.services.chat.sight import block
from midwatch.services.chat.watch import lacks
from midwatch.services.chat.words import NO_SCANNER
from midwatch.services.model_ports import Toolbox

_WORDS: Final = {
    "ports": ("port",),
    "certificate": ("cert", "tls", "ssl"),
    "headers": ("header",),
}
_TARGETS: Final = ("host", "target", "url", "domain", "hostname", "address", "uri")


class _Schema(msgspec.Struct, frozen=True):
    """The part of a tool's JSON Schema that tells where the host goes."""

    properties: dict[str, msgspec.Raw] = {}
    required: tuple[str, ...] = ()


class Scanning:
    """``scan ports of HOST``, ``check certificate of HOST``, ``check headers of HOST``."""

    def __init__(self, toolbox: Toolbox, *, servers: tuple[str, ...]) -> None:
        """``servers``: the names under which scanners stand in ``.mcp-config.json``; their tools begin with them."""
        self._toolbox, self._servers = toolbox, servers

    async def answer(self, intent: Intent, person: Person) -> str:
        """What the scanner says; a scan touches hosts, so it needs the role operator."""
        if refusal := lacks(person, Role.OPERATOR):
            return refusal
        tool = self._tool(await self._toolbox.offer(), intent.word)
        if tool is None:
            return NO_SCANNER
        target = _target(tool)
        if target is None:
            return f"The scanner's tool {tool.name} takes no host that I could name."
        arguments = msgspec.json.encode({target: intent.name}).decode()
        answer = await self._toolbox.call(tool.name, arguments)
        how = f"{intent.word.capitalize()} of {intent.name}" if answer.ok else "The scan failed"
        return f"{how}:\n{block(mask(answer.text))}"

    def _tool(self, offered: tuple[ToolSpec, ...], what: str) -> ToolSpec | None:
        ours = [tool for tool in offered if tool.name.startswith(self._servers)] if self._servers else []
        return next((tool for tool in ours if any(word in tool.name.lower() for word in _WORDS[what])), None)


def _target(tool: ToolSpec) -> str | None:
    """The parameter that takes the host: by its usual names, else the only one that must be given."""
    try:
        schema = msgspec.json.decode(tool.parameters, type=_Schema)
    except msgspec.DecodeError:
        return None
    named = [name for name in _TARGETS if name in schema.properties]
    if named:
        return named[0]
    return schema.required[0] if len(schema.required) == 1 else None
