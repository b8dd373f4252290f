"""Keeping a history within what a model can read, without ever leaving a result without its call."""

from collections.abc import Sequence

import msgspec

from midwatch.domain.dialogue import AssistantTurn, ToolResult, ToolTurn, Turn, UserTurn

_KEPT_WHOLE = 2
"""So many of the last rounds of results are left as they are: the model is thinking about them."""
_STUB = 160


def size(turn: Turn) -> int:
    """Characters of a turn, as far as a model reads them."""
    match turn:
        case UserTurn():
            return len(turn.text)
        case AssistantTurn():
            calls = sum(len(call.name) + len(call.arguments) for call in turn.calls)
            return max(len(turn.text) + calls, len(turn.native))
        case ToolTurn():
            return sum(len(result.text) for result in turn.results)


def compact(turns: Sequence[Turn], limit: int) -> tuple[Turn, ...]:
    """The history within ``limit`` characters: the oldest results become stubs, then whole rounds are left out.

    Every call keeps its one result, with the same id, or goes together with it; the first turn always stays. It is cut
    to half of the limit once the limit is passed, so that its beginning stays the same for many turns and can be read
    from the provider's cache. Pure: the same history is always cut in the same way.
    """
    found: list[Turn] = []
    total = 0
    for turn in turns:
        found.append(turn)
        total += size(turn)
        if total > limit:
            found = _left_out(_stubbed(found, limit // 2), limit // 2)
            total = sum(map(size, found))
    return tuple(found)


def _stubbed(turns: list[Turn], limit: int) -> list[Turn]:
    total = sum(map(size, turns))
    rounds = [at for at, turn in enumerate(turns) if isinstance(turn, ToolTurn)]
    for at in rounds[:-_KEPT_WHOLE]:
        if total <= limit:
            break
        turn = turns[at]
        assert isinstance(turn, ToolTurn)
        stub = ToolTurn(tuple(_stub(result) for result in turn.results))
        total += size(stub) - size(turn)
        turns[at] = stub
    return turns


def _stub(result: ToolResult) -> ToolResult:
    """The first line of a result tells its id and how to read it again."""
    if len(result.text) <= 2 * _STUB:
        return result
    head = result.text.partition("\n")[0][:_STUB]
    return msgspec.structs.replace(result, text=f"{head}\n(left out here to save space; read_output shows it again)")


def _left_out(turns: list[Turn], limit: int) -> list[Turn]:
    """Without the oldest rounds (what the model said together with what was answered), as far as needed."""
    total = sum(map(size, turns))
    keep = _last_rounds(turns)
    gone, at = 0, 1
    while total > limit and at < keep:
        total -= size(turns[at])
        at += 1
        gone += 1
    while at < keep and isinstance(turns[at], ToolTurn):  # never begin with results whose calls are gone
        at += 1
        gone += 1
    if not gone:
        return turns
    note = UserTurn("(Earlier rounds are left out here to save space; the ids in them stay valid.)")
    notes = [note] if at < len(turns) else []
    return [turns[0], *notes, *turns[at:]]


def _last_rounds(turns: list[Turn]) -> int:
    """Where the last rounds begin that are never left out."""
    said = [at for at, turn in enumerate(turns) if isinstance(turn, AssistantTurn)]
    return said[-min(_KEPT_WHOLE, len(said))] if said else len(turns)
