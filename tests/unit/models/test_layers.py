"""Middleware: order, flags, and what each built-in layer does."""

import asyncio
import json
import logging

import msgspec
import pytest

from midwatch.domain.budgets import Budget
from midwatch.domain.dialogue import (
    AssistantTurn,
    ModelReply,
    ModelRequest,
    StopReason,
    ToolCall,
    ToolResult,
    ToolTurn,
    Usage,
    UserTurn,
)
from midwatch.domain.errors import Invalid, Permanent, Refused, Transient
from midwatch.services.models.chain import Chain, Link
from midwatch.services.models.front import Built, Models
from midwatch.services.models.layers import TRAFFIC, Limits, Logging, Redaction, ResponseCache, Retry, Validation
from midwatch.services.models.ports import Middleware
from midwatch.services.spending import DayMeter, SpendRow
from midwatch.telemetry import set_up_logging
from tests.fakes.runtime import NOON, ManualClock
from tests.fakes.stores import MemoryStore
from tests.unit.models.test_fallback import AWAY, FakeProvider, chain_of

REQUEST = ModelRequest(system="s", turns=(UserTurn("why?"),))
SCHEMA = '{"type":"object","properties":{"cause":{"type":"string"}},"required":["cause"]}'


def a_reply(text: str = "because", usd: float = 0.5) -> ModelReply:
    usage = Usage(input=10, output=2)
    turn = AssistantTurn(text)
    return ModelReply(turn=turn, stop=StopReason.DONE, usage=usage, provider="p", model="m", cost_usd=usd)


class Spy(Middleware):
    def __init__(self, name: str, seen: list[str], **raising: Exception) -> None:
        self.name, self.seen, self.raising = name, seen, raising

    def _see(self, when: str) -> None:
        self.seen.append(f"{self.name}.{when}")
        if when in self.raising:
            raise self.raising[when]

    async def before(self, request: ModelRequest) -> ModelRequest | ModelReply:
        self._see("before")
        return msgspec.structs.replace(request, system=request.system + self.name)

    async def after(self, request: ModelRequest, reply: ModelReply) -> ModelReply:
        self._see("after")
        return reply

    async def failed(self, request: ModelRequest, error: BaseException) -> None:
        self._see("failed")


def links(*spies: Middleware, critical: bool = True) -> Chain:
    return Chain(Link(type(spy).__name__, 10 * (len(spies) - index), critical, spy) for index, spy in enumerate(spies))


async def ask(request: ModelRequest) -> ModelReply:
    return a_reply(request.system)


async def test_before_rises_and_after_falls() -> None:
    seen: list[str] = []
    reply = await links(Spy("b", seen), Spy("a", seen)).run(REQUEST, ask)
    assert seen == ["a.before", "b.before", "b.after", "a.after"]
    assert reply.turn.text == "sab"


@pytest.mark.parametrize("when", ["before", "after"])
async def test_a_critical_failure_fails_the_call_and_another_is_skipped(when: str) -> None:
    seen: list[str] = []
    broken = {when: RuntimeError("defect")}
    reply = await links(Spy("b", seen, **broken), Spy("a", seen), critical=False).run(REQUEST, ask)
    assert reply.turn.text == ("sa" if when == "before" else "sab")
    seen.clear()
    with pytest.raises(Permanent, match="Spy"):
        await links(Spy("b", seen, **broken), Spy("a", seen)).run(REQUEST, ask)
    assert seen[-1] == "a.failed"


async def test_a_refusal_stands_whoever_says_it() -> None:
    no = Refused("secret", "no")
    with pytest.raises(Refused):
        await links(Spy("a", [], before=no), critical=False).run(REQUEST, ask)


async def test_those_that_began_hear_of_the_end() -> None:
    seen: list[str] = []

    async def hang(_: ModelRequest) -> ModelReply:
        await asyncio.Event().wait()
        raise AssertionError

    task = asyncio.create_task(links(Spy("b", seen, failed=RuntimeError("defect")), Spy("a", seen)).run(REQUEST, hang))
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert seen == ["a.before", "b.before", "b.failed", "a.failed"]


async def test_everything_that_goes_out_is_masked() -> None:
    secret = "password=hunter2hunter2"
    call = ToolCall(id="c", name="t", arguments=json.dumps({"q": secret}))
    turns = (
        UserTurn(secret),
        AssistantTurn(secret, calls=(call,), native=json.dumps([secret]), provider="p"),
        ToolTurn((ToolResult(call_id="c", text=secret),)),
    )
    masked = await Redaction().before(ModelRequest(system=secret, turns=turns))
    assert "hunter2" not in msgspec.json.encode(masked).decode()
    assert json.loads(masked.turns[1].calls[0].arguments)  # type: ignore[union-attr]
    clean = AssistantTurn("x", native='[{"signature":"abc"}]', provider="p")
    assert (await Redaction().before(ModelRequest(system="", turns=(clean,)))).turns == (clean,)


async def test_histories_are_repaired_and_wrong_requests_refused() -> None:
    call = ToolCall(id="c", name="t", arguments="{}")
    fixed = await Validation().before(ModelRequest(system="", turns=(UserTurn("x"), AssistantTurn("", calls=(call,)))))
    assert isinstance(fixed.turns[-1], ToolTurn)
    assert await Validation().before(REQUEST) is REQUEST
    with pytest.raises(Invalid):
        await Validation().before(msgspec.structs.replace(REQUEST, schema="[1"))


async def test_the_same_request_is_answered_from_the_cache_for_nothing_for_a_while() -> None:
    clock, asked = ManualClock(), []

    async def count(request: ModelRequest) -> ModelReply:
        asked.append(request)
        return a_reply()

    chain = links(ResponseCache(clock, ttl_s=60, entries=1))
    first, second = await chain.run(REQUEST, count), await chain.run(REQUEST, count)
    assert (first.turn, first.cost_usd) == (second.turn, 0.5)
    assert (second.cost_usd, second.usage.tokens, len(asked)) == (0.0, 0, 1)
    await chain.run(msgspec.structs.replace(REQUEST, incident="other"), count)
    await chain.run(REQUEST, count)
    assert len(asked) == 3
    clock.advance(60)
    await chain.run(REQUEST, count)
    assert len(asked) == 4


def limits(clock: ManualClock, store: MemoryStore, day: Budget | None = None, **options: int) -> Limits:
    return Limits(clock, DayMeter(store.spend, clock), day or Budget(), **options)


async def test_a_spent_day_refuses_until_midnight() -> None:
    clock, store = ManualClock(), MemoryStore()
    limit = limits(clock, store, Budget(usd=1.0))
    assert await limit.before(REQUEST) is REQUEST
    await store.spend.add(SpendRow(day=NOON.date(), provider="p", model="m", calls=1, usd=1.5))
    clock.advance(5)
    with pytest.raises(Refused) as caught:
        await limit.before(REQUEST)
    assert caught.value.reason == "budget-money"
    clock.advance(12 * 3600)
    assert await limit.before(REQUEST) is REQUEST


async def test_rate_size_and_number_at_once_are_limited() -> None:
    clock, store = ManualClock(), MemoryStore()
    with pytest.raises(Refused):
        await limits(clock, store, request_tokens=1).before(REQUEST)
    paced = limits(clock, store, per_minute=1)
    await paced.before(REQUEST)
    task = asyncio.create_task(paced.before(REQUEST))
    while not clock.sleepers:
        await asyncio.sleep(0)
    clock.advance(60)
    assert await task is REQUEST
    narrow = limits(clock, store, at_once=1)
    await narrow.before(REQUEST)
    waiting = asyncio.create_task(narrow.before(REQUEST))
    for _ in range(10):
        await asyncio.sleep(0)
    assert not waiting.done()
    await narrow.failed(REQUEST, AWAY)
    assert await waiting is REQUEST


@pytest.fixture
def _loggers_restored():
    loggers = [logging.getLogger(name) for name in (None, TRAFFIC, "midwatch.traffic.mcp")]
    before = [(each.handlers[:], each.level, each.propagate) for each in loggers]
    yield
    for each, (handlers, level, propagate) in zip(loggers, before, strict=True):
        for handler in set(each.handlers) - set(handlers):
            handler.close()
        each.handlers, each.level, each.propagate = handlers, level, propagate


@pytest.mark.usefixtures("_loggers_restored")
@pytest.mark.parametrize("level", ["INFO", "DEBUG"])
async def test_model_traffic_has_a_log_of_its_own_without_bodies(tmp_path, level: str) -> None:
    set_up_logging("rca-worker:1", level=level, folder=tmp_path)
    request = msgspec.structs.replace(REQUEST, system="secret text password=hunter2hunter2", incident="i-1")
    await links(Logging()).run(request, ask)
    text = (tmp_path / "rca-worker-1.model-traffic.jsonl").read_text()
    lines = [json.loads(line) for line in text.splitlines()]
    assert [line["event"] for line in lines if line["level"] == "info"] == ["asked", "answered"]
    assert {line.get("incident") for line in lines if line["level"] == "info"} == {"i-1"}
    assert ("secret text" in text) is (level == "DEBUG")
    assert "hunter2" not in text
    assert not (tmp_path / "rca-worker-1.jsonl").exists()


def models_of(*providers: FakeProvider, store: MemoryStore | None = None) -> Models:
    clock = ManualClock()
    chain = Chain([Link("retry", 50, False, Retry(attempts=1)), Link("validation", 60, True, Validation())])
    built = Built("mark", chain, chain_of(*providers, clock=clock))
    return Models(lambda old: old or built, DayMeter((store or MemoryStore()).spend, clock))


async def test_an_answer_of_the_wrong_form_is_asked_for_once_more() -> None:
    provider, store = FakeProvider("a", '{"cause":', '```json\n{"cause":"oom"}\n```'), MemoryStore()
    reply = await models_of(provider, store=store).ask(msgspec.structs.replace(REQUEST, schema=SCHEMA))
    assert reply.turn.text == '{"cause":"oom"}'
    assert reply.cost_usd == pytest.approx(2 * 10.8)
    first, second = provider.asked
    assert second.turns[: len(first.turns)] == first.turns
    assert "not JSON" in second.turns[-1].text  # type: ignore[union-attr]
    (row,) = await store.spend.since(NOON.date())
    assert (row.calls, row.usd) == (2, pytest.approx(2 * 10.8))
    with pytest.raises(Permanent, match="cause is missing"):
        await models_of(FakeProvider("a", "{}")).ask(msgspec.structs.replace(REQUEST, schema=SCHEMA))


async def test_it_is_there_while_somebody_can_be_asked() -> None:
    models = models_of(FakeProvider("a", AWAY))
    assert await models.available()
    with pytest.raises(Transient):
        await models.ask(REQUEST)
    assert not await models.available()


class Slow(FakeProvider):
    closed = False

    def __init__(self, name: str) -> None:
        super().__init__(name, "late")
        self.go = asyncio.Event()

    async def ask(self, request, on_text, on_waste=None):
        await self.go.wait()
        return await super().ask(request, on_text)

    async def close(self) -> None:
        self.closed = True


async def test_a_change_is_in_force_at_once_and_closes_the_old_when_it_is_done() -> None:
    clock, old, new = ManualClock(), Slow("old"), FakeProvider("new", "here")
    states = [Built(1, Chain(()), chain_of(old, clock=clock)), Built(2, Chain(()), chain_of(new, clock=clock))]
    at = 0
    models = Models(lambda _: states[at], DayMeter(MemoryStore().spend, clock))
    task = asyncio.create_task(models.ask(REQUEST))
    await asyncio.sleep(0)
    at = 1
    assert (await models.ask(REQUEST)).provider == "new"
    assert not old.closed
    old.go.set()
    assert (await task).provider == "old"
    assert old.closed


async def test_spending_waits_for_a_store_that_is_away_and_counts_meanwhile() -> None:
    clock, store = ManualClock(), MemoryStore()
    meter = DayMeter(store.spend, clock)
    store.away = True
    await asyncio.gather(*(meter.reply(a_reply()) for _ in range(3)))
    assert (await meter.today()).usd == 1.5
    store.away = False
    meter.work(tool_calls=2, wall_s=3.0)
    await meter.flush()
    whole = sum((row.usd for row in await store.spend.since(NOON.date())), 0.0)
    assert whole == 1.5
    clock.advance(5)
    today = await meter.today()
    assert (today.usd, today.model_calls, today.tool_calls, today.wall_s) == (1.5, 3, 2, 3.0)
