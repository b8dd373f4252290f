"""Recorded conversations with tools, where a folder of them is given by MIDWATCH_CORPUS; skipped without."""

import json
import os
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from midwatch.domain import events as ev
from midwatch.domain.dialogue import AssistantTurn, ModelRequest, ToolCall, ToolResult, ToolTurn, Turn, UserTurn
from midwatch.domain.masking import mask
from midwatch.services.model_ports import ToolAnswer
from midwatch.services.reasoning.compaction import compact, size
from midwatch.services.reasoning.fencing import clean
from midwatch.services.reasoning.limits import Limits
from tests.fakes.models import Say, ScriptedModel
from tests.fakes.reasoning import Study, Tools, answer

CORPUS = os.environ.get("MIDWATCH_CORPUS", "")
FOLDER = Path(CORPUS or ".")
pytestmark = pytest.mark.skipif(not CORPUS, reason="MIDWATCH_CORPUS names no folder of cases")


def conversations() -> list[Any]:
    found = [json.loads(path.read_text("utf-8")) for path in sorted(FOLDER.glob("protocol/conversation-*.json"))]
    return [pytest.param(case, id=case["id"]) for case in found]


def replays() -> list[Any]:
    paths = sorted(FOLDER.glob("llm_replay/*/case.json"))
    return [pytest.param(path, id=path.parent.name) for path in paths if json.loads(path.read_text())["tool_outputs"]]


def history(messages: list[dict[str, Any]]) -> list[Turn]:
    """The conversation as turns; each assistant's calls with the results that follow."""
    turns: list[Turn] = []
    for message in messages:
        text = message.get("content") or ""
        text = text if isinstance(text, str) else json.dumps(text)
        match message["role"]:
            case "assistant":
                made = tuple(
                    ToolCall(id=item["id"], name=item["function"]["name"], arguments=item["function"]["arguments"])
                    for item in message.get("tool_calls") or ()
                )
                turns.append(AssistantTurn(text, calls=made))
            case "tool":
                result = ToolResult(call_id=message["tool_call_id"], text=text)
                last = turns[-1]
                if isinstance(last, ToolTurn):
                    turns[-1] = ToolTurn((*last.results, result))
                else:
                    turns.append(ToolTurn((result,)))
            case _:
                turns.append(UserTurn(text))
    return turns


def orphans(turns: tuple[Turn, ...]) -> list[str]:
    found: list[str] = []
    waiting: list[str] = []
    for turn in turns:
        given = [result.call_id for result in turn.results] if isinstance(turn, ToolTurn) else []
        found += (Counter(given) - Counter(waiting)) + (Counter(waiting) - Counter(given))
        waiting = [item.id for item in turn.calls] if isinstance(turn, AssistantTurn) else []
    return found + waiting


@pytest.mark.parametrize("case", conversations())
@pytest.mark.parametrize("share", [1.0, 0.5, 0.2, 0.05])
def test_compaction_leaves_no_orphan(case: dict[str, Any], share: float) -> None:
    turns = history(case["messages"])
    assert not orphans(tuple(turns)), "as it was recorded"
    limit = max(2_000, int(share * sum(map(size, turns))))
    for end in range(1, len(turns) + 1):
        if not isinstance(turns[end - 1], AssistantTurn) or not turns[end - 1].calls:  # type: ignore[union-attr]
            assert not orphans(compact(turns[:end], limit))


@pytest.mark.parametrize("case", conversations())
async def test_a_conversation_is_led_again_and_every_call_answered_once(case: dict[str, Any]) -> None:
    said = [message for message in case["messages"] if message["role"] == "assistant" and message.get("tool_calls")]
    outputs = {
        message["tool_call_id"]: str(message["content"]) for message in case["messages"] if message["role"] == "tool"
    }
    calls = [[(item["id"], item["function"]) for item in message["tool_calls"]] for message in said]
    answers = {(made["name"], made["arguments"]): outputs[ident] for round_ in calls for ident, made in round_}
    names, rounds = {name for name, _ in answers}, 0

    def script(request: ModelRequest) -> Say:
        nonlocal rounds  # counted here: a long history does not show all of them
        number, rounds = rounds, rounds + (request.purpose == "investigate")
        if request.purpose != "investigate" or number >= len(calls):
            return Say(answer())
        return Say(f"Round {number}.", calls=[(made["name"], made["arguments"]) for _, made in calls[number]])

    tools = Tools({name: (lambda arguments, name=name: ToolAnswer(text=answers[name, arguments])) for name in names})
    limits = Limits(race_below=0.0, rounds=200, calls_at_once=50, history_bytes=30_000, summarise_from=10**9)
    study = Study(ScriptedModel(script=script), tools, limits=limits)
    incident = await study.run()  # the model refuses a history with a call unanswered, or answered twice
    assert incident.report is not None
    assert incident.report.author != "built-in"
    called = [event for event in await study.events() if isinstance(event, ev.ToolCalled) and event.iteration]
    assert len(called) == sum(map(len, calls)) == case["expected"]["tool_calls"]
    assert len({event.call_id for event in called}) == len(called)


@pytest.mark.parametrize("path", replays())
async def test_recorded_tools_are_answered_and_can_be_cited(path: Path) -> None:
    case = json.loads(path.read_text("utf-8"))
    texts: dict[tuple[str, str], str] = {}
    for number, item in enumerate(case["tool_outputs"]):
        arguments = json.dumps({**(item.get("params") or {}), "n": number})
        texts[item["tool"], arguments] = (path.parent / item["file"]).read_text("utf-8", "replace")
    wanted = list(texts)

    def quotable(text: str) -> str:
        """The longest line: it stands in the answer however long that is."""
        return max(text.splitlines() or [""], key=len)[:200].strip()

    def as_seen(quote: str) -> bool:
        return mask(clean(quote)) == quote

    def script(request: ModelRequest) -> Say:
        rounds = sum(isinstance(turn, ToolTurn) for turn in request.turns)
        ahead = wanted[8 * rounds : 8 * rounds + 8]
        if ahead and request.purpose == "investigate":
            return Say("More.", calls=ahead)
        cited = [
            {"call_id": f"m-{number // 8 + 1}.{number % 8 + 1}", "quote": quotable(texts[key])}
            for number, key in enumerate(wanted)
            if len("".join(quotable(texts[key]).split())) >= 4 and as_seen(quotable(texts[key]))
        ]
        return Say(answer(evidence=cited[:20]))

    names = {name for name, _ in texts}
    tools = Tools({name: (lambda arguments, name=name: ToolAnswer(text=texts[name, arguments])) for name in names})
    huge = 10**9
    limits = Limits(
        race_below=0.0, rounds=200, data_bytes=huge, output_bytes=huge, summarise_from=huge, history_bytes=huge
    )
    study = Study(ScriptedModel(script=script), tools, limits=limits)
    await study.run()
    called = [event for event in await study.events() if isinstance(event, ev.ToolCalled) and event.iteration]
    assert [event.tool for event in called] == [name for name, _ in wanted]
    report = (await study.incident()).report
    assert report is not None
    if report.author != "built-in":
        assert not any("citations were dropped" in note for note in report.notes)
