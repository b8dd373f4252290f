"""Histories a provider accepts: each tool call answered once, right after it, and nothing answered that was not asked.

A history may be cut (a killed investigation), compacted, or begun with another provider; providers refuse what does
not pair.
"""

from collections.abc import Iterable, Iterator

from midwatch.domain.dialogue import AssistantTurn, ToolResult, ToolTurn, Turn, UserTurn

LOST = "There is no result: the call was interrupted. Call again if it is still needed."
_BEGIN, _ON = "Go on from here.", "Go on."


def paired(turns: Iterable[Turn]) -> tuple[Turn, ...]:
    """The same history with calls and results matched.

    A call without a result gets one that says so; a second result for a call, and one for no call, is left out. The
    history begins and ends with something said to the model.
    """
    out: list[Turn] = []
    waiting: AssistantTurn | None = None
    for turn in turns:
        if isinstance(turn, ToolTurn):
            out.extend(_answers(waiting, turn.results))
            waiting = None
            continue
        out.extend(_answers(waiting, ()))
        if not out and isinstance(turn, AssistantTurn):
            out.append(UserTurn(_BEGIN))
        waiting = turn if isinstance(turn, AssistantTurn) else None
        out.append(turn)
    out.extend(_answers(waiting, ()))
    if not out or isinstance(out[-1], AssistantTurn):
        out.append(UserTurn(_ON))
    return tuple(out)


def _answers(asked: AssistantTurn | None, results: tuple[ToolResult, ...]) -> Iterator[ToolTurn]:
    if asked is None or not asked.calls:
        return
    first = {result.call_id: result for result in reversed(results)}
    yield ToolTurn(
        tuple(first.get(call.id) or ToolResult(call_id=call.id, text=LOST, ok=False) for call in asked.calls)
    )


def mispaired(turns: Iterable[Turn]) -> tuple[str, ...]:
    """The ids of calls that are not answered once in the turn after them, and of results that answer nothing."""
    wrong: list[str] = []
    waiting: list[str] = []
    for turn in turns:
        answered = [result.call_id for result in turn.results] if isinstance(turn, ToolTurn) else []
        wrong += [
            each
            for each in dict.fromkeys((*waiting, *answered))
            if (waiting.count(each), answered.count(each)) != (1, 1)
        ]
        waiting = [call.id for call in turn.calls] if isinstance(turn, AssistantTurn) else []
    return (*wrong, *waiting)
