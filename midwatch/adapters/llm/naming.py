"""Names and ids as vendors take them: letters, digits, ``_`` and ``-``, of limited length, and back again."""

import hashlib
import re
from collections.abc import Iterable

from midwatch.domain.dialogue import AssistantTurn, ModelRequest

_FOREIGN = re.compile(r"[^A-Za-z0-9_-]")
_LONGEST = 64


def wire_id(call_id: str) -> str:
    """The same id for the same call; ours and most vendors' pass unchanged."""
    return _plain(call_id)


def _plain(text: str) -> str:
    plain = _FOREIGN.sub("_", text)
    if plain == text and 0 < len(text) <= _LONGEST:
        return text
    tag = hashlib.sha256(text.encode()).hexdigest()[:8]
    return f"{plain[: _LONGEST - 9]}_{tag}"


class ToolNames:
    """Tool names of one request, there and back."""

    def __init__(self, names: Iterable[str]) -> None:
        self._back = {_plain(name): name for name in names}

    def wire(self, name: str) -> str:
        return _plain(name)

    def ours(self, name: str) -> str:
        """The tool as it was offered; a name nobody offered stays as it is, for the loop to refuse."""
        return self._back.get(name, name)


def tool_names(request: ModelRequest) -> ToolNames:
    """The names of the tools a request offers."""
    return ToolNames(tool.name for tool in request.tools)


class FreshIds:
    """Ids for calls a vendor named badly: empty, or as a call before it. Unique in the history, and without chance."""

    def __init__(self, request: ModelRequest) -> None:
        self._used = {call.id for turn in request.turns if isinstance(turn, AssistantTurn) for call in turn.calls}
        self._turn = len(request.turns)

    def take(self, given: str, index: int) -> str:
        """``given`` where it is new, else one made of the turn's and the call's number."""
        chosen = given if given and given not in self._used else f"call_{self._turn}_{index}"
        while chosen in self._used:
            chosen += "x"
        self._used.add(chosen)
        return chosen
