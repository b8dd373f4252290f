"""What a model began and did not end is paid for: by the day at once, and by its incident."""

import asyncio

import pytest

from midwatch.domain.budgets import Budget
from midwatch.domain.dialogue import AssistantTurn, ModelReply, ModelRequest, StopReason, Usage, UserTurn
from midwatch.domain.errors import MidwatchError, Permanent, Transient
from midwatch.domain.reasons import Reason
from midwatch.services.model_ports import AwayAtACost
from midwatch.services.models.chain import Chain
from midwatch.services.models.front import Built, Models
from midwatch.services.models.ports import RequestRejected
from midwatch.services.spending import DayMeter
from tests.fakes.llm_server import Answer, Error, Hang, LlmServer, Step, Text
from tests.fakes.models import Fail, Say, ScriptedModel, call
from tests.fakes.reasoning import Study
from tests.fakes.runtime import NOON, ManualClock
from tests.fakes.stores import MemoryStore
from tests.unit.models.conftest import Connect, asking
from tests.unit.models.test_fallback import FakeProvider, chain_of
from tests.unit.reasoning.test_refinement import limits

LONG = Answer((Text("half of what it wanted to say, " * 20),), usage=(1234, 50, 300, 0))


def cut(after: int) -> Answer:
    return Answer(LONG.parts, usage=LONG.usage, cut_after=after)


def hung(after: int) -> Answer:
    return Answer(LONG.parts, usage=LONG.usage, hang_after=after)


@pytest.mark.parametrize("kind", ["anthropic", "openai"])
@pytest.mark.parametrize(
    ("step", "counted"),
    [
        (cut(60), True),
        (hung(60), True),
        (Error(200, "overloaded_error", in_stream=True), True),
        (Hang(), True),
        (Error(529, "overloaded_error"), False),
        (Error(401, "authentication_error"), False),
    ],
    ids=["cut", "hung", "told in the stream", "silent", "overloaded", "no key"],
)
async def test_what_was_begun_is_counted_and_what_was_refused_is_not(
    kind: str, step: Step, counted: bool, connect: Connect
) -> None:
    wasted: list[Usage] = []
    provider = connect(kind, LlmServer(step), idle_s=0.3)
    with pytest.raises(MidwatchError):
        await provider.ask(asking(UserTurn("x" * 4000)), None, wasted.append)
    assert len(wasted) == int(counted)
    if counted:
        (usage,) = wasted
        assert usage.tokens >= 1000 or isinstance(step, Error), "the prompt as told, else by its length"
        if isinstance(step, Answer) and step.cut_after:
            assert usage.output > 50, "what came, by its length"


async def test_a_call_that_is_cancelled_has_cost_something(connect: Connect) -> None:
    wasted: list[Usage] = []
    began = asyncio.Event()

    def script(_: object) -> Step:
        began.set()
        return hung(5)

    provider = connect("anthropic", LlmServer(script=script))
    task = asyncio.create_task(provider.ask(asking(UserTurn("x" * 4000)), None, wasted.append))
    await began.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    (usage,) = wasted
    assert usage.input >= 1000


async def test_a_vendor_that_does_not_say_what_it_used_is_not_free(connect: Connect) -> None:
    provider = connect("openai", LlmServer(Answer((Text("y" * 400),))), switches={"stream_usage": False})
    said = await provider.ask(asking(UserTurn("x" * 4000)), None)
    assert said.usage.input >= 1000
    assert said.usage.output >= 100


def breaking(*steps: Exception | str, wastes: Usage) -> FakeProvider:
    provider = FakeProvider("a", *steps)
    provider.wastes = wastes
    return provider


async def test_the_day_and_the_incident_pay_for_broken_streams() -> None:
    clock, store = ManualClock(), MemoryStore()
    meter = DayMeter(store.spend, clock)
    first = breaking(Transient("it broke off"), wastes=Usage(input=1_000_000, output=100_000))
    chain = chain_of(first, FakeProvider("b", "here"), clock=clock)
    models = Models(lambda old: old or Built(1, Chain(()), chain), meter)
    reply = await models.ask(ModelRequest(system="s", turns=(UserTurn("why?"),)))
    assert reply.provider == "b"
    assert reply.cost_usd == pytest.approx(10.8 + 4.5)
    assert reply.usage.input == 2_000_000
    rows = {row.provider: row for row in await store.spend.since(NOON.date())}
    assert rows["a"].usd == pytest.approx(4.5), "each provider has its own"
    assert rows["b"].usd == pytest.approx(10.8)


@pytest.mark.parametrize("error", [Transient("broke off", 7.0), Permanent("wrong key"), RequestRejected("too large")])
async def test_an_error_says_what_it_has_cost(error: MidwatchError) -> None:
    clock, store = ManualClock(), MemoryStore()
    meter = DayMeter(store.spend, clock)
    chain = chain_of(breaking(error, wastes=Usage(input=1_000_000)), clock=clock)
    models = Models(lambda old: old or Built(1, Chain(()), chain), meter)
    with pytest.raises(AwayAtACost if isinstance(error, Transient) else Permanent) as raised:
        await models.ask(ModelRequest(system="s", turns=(UserTurn("why?"),)))
    assert (await meter.today()).usd == pytest.approx(3.0), "the day knows at once"
    await models.close()
    (row,) = await store.spend.since(NOON.date())
    assert row.usd == pytest.approx(3.0)
    if isinstance(raised.value, AwayAtACost):
        assert (raised.value.tokens, raised.value.usd) == (1_000_000, pytest.approx(3.0))


async def test_a_provider_that_breaks_every_stream_cannot_spend_without_bound() -> None:
    at_a_cost = Fail(AwayAtACost("it broke off", 0.1, 400, 0.4))
    model = ScriptedModel(script=lambda _: at_a_cost)
    study = Study(model, limits=limits(incident=Budget(usd=1.0), attempts=50))
    await study.begin()
    for _ in range(10):
        try:
            await study.go_on()
            break
        except Transient:
            continue
    assert (await study.ended()).reason in (Reason.MODEL_REFUSED, Reason.MODEL_AWAY)
    spent = (await study.memory()).spent
    assert 1.0 <= spent.usd <= 1.0 + 0.4 + 1e-9, "at most one call above"
    assert (await study.incident()).report == study.first


async def test_tools_and_time_of_an_investigation_are_the_days_too() -> None:
    model = ScriptedModel(Say("a", calls=[call("logs"), call("events")]), Say('{"known": false, "root_cause": ""}'))
    study = Study(model)
    seen: list[tuple[int, float]] = []
    study.day_work = lambda tools, seconds: seen.append((tools, seconds))
    await study.run()
    assert sum(tools for tools, _ in seen) == 2
    assert all(seconds >= 0 for _, seconds in seen)


async def test_what_is_counted_in_passing_is_written_with_what_follows_or_at_the_end() -> None:
    clock, store = ManualClock(), MemoryStore()
    meter = DayMeter(store.spend, clock)
    meter.work(3, 2.5)
    assert (await meter.today()).tool_calls == 3
    assert await store.spend.since(NOON.date()) == ()
    await meter.flush()
    (row,) = await store.spend.since(NOON.date())
    assert (row.tool_calls, row.wall_s, row.provider) == (3, 2.5, "")
    meter.work(1)
    await meter.reply(reply_of())
    assert [row.tool_calls for row in await store.spend.since(NOON.date())] == [3, 0], "not with every call"
    clock.advance(5)
    await meter.reply(reply_of())
    assert [row.tool_calls for row in await store.spend.since(NOON.date())] == [4, 0]
    assert (await meter.today()).tool_calls == 4


def reply_of() -> ModelReply:
    return ModelReply(
        turn=AssistantTurn("x"), stop=StopReason.DONE, usage=Usage(input=1), provider="p", model="m", cost_usd=0.1
    )
