"""The scripted model is as strict as a real one."""

import asyncio

import pytest

from midwatch.domain.dialogue import (
    AssistantTurn,
    ModelRequest,
    StopReason,
    ToolCall,
    ToolResult,
    ToolTurn,
    Turn,
    UserTurn,
)
from midwatch.domain.errors import Transient
from midwatch.services.model_ports import Model
from tests.fakes.models import Block, Fail, Say, ScriptedModel, call


def request(*turns: Turn, purpose: str = "investigate") -> ModelRequest:
    return ModelRequest(system="s", turns=turns or (UserTurn("why?"),), purpose=purpose)


async def test_it_speaks_in_order_and_remembers_what_it_was_asked() -> None:
    model = ScriptedModel(Say("look", [call("logs", pod="web")]), "done", Fail())
    as_port: Model = model
    said: list[str] = []
    first = await as_port.ask(request(), said.append)
    assert (first.stop, said) == (StopReason.TOOLS, ["look"])
    assert first.turn.calls == (ToolCall(id="call-1", name="logs", arguments='{"pod":"web"}'),)
    answered = ToolTurn((ToolResult(call_id="call-1", text="x"),))
    second = await model.ask(request(UserTurn("why?"), first.turn, answered, purpose="conclude"))
    assert (second.stop, second.turn.text) == (StopReason.DONE, "done")
    with pytest.raises(Transient):
        await model.ask(request())
    assert len(model.requests) == 3
    assert len(model.asked("conclude")) == 1
    with pytest.raises(AssertionError, match="at its end"):
        await model.ask(request())


async def test_a_function_of_the_request_speaks() -> None:
    model = ScriptedModel(script=lambda asked: Say(asked.system.upper()))
    assert (await model.ask(request())).turn.text == "S"


async def test_it_blocks_until_released_or_cancelled() -> None:
    held, hung = Block(then=Say("late")), Block()
    model = ScriptedModel(held, hung)
    task = asyncio.create_task(model.ask(request()))
    await held.reached.wait()
    held.release.set()
    assert (await task).turn.text == "late"
    task = asyncio.create_task(model.ask(request()))
    await hung.reached.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert hung.cancelled


CALL = AssistantTurn("", calls=(ToolCall(id="a", name="t", arguments="{}"),))
ANSWER = ToolResult(call_id="a", text="x")


@pytest.mark.parametrize(
    "turns",
    [
        (CALL,),
        (CALL, UserTurn("hm")),
        (CALL, ToolTurn((ANSWER, ANSWER))),
        (UserTurn("hm"), ToolTurn((ANSWER,))),
        (CALL, ToolTurn((ToolResult(call_id="b", text="x"),))),
    ],
)
async def test_a_call_is_answered_once(turns: tuple[Turn, ...]) -> None:
    with pytest.raises(AssertionError, match="result"):
        await ScriptedModel("x").ask(request(*turns))
