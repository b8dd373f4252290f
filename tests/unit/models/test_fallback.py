"""One provider stumbles, the next goes on with the same history; who failed rests."""

import asyncio
from collections.abc import Sequence

import pytest

from midwatch.domain.dialogue import AssistantTurn, ModelRequest, StopReason, Usage, UserTurn
from midwatch.domain.errors import Permanent, Transient
from midwatch.domain.providers import Price
from midwatch.services.model_ports import OnText
from midwatch.services.models.fallback import Fallback
from midwatch.services.models.layers import Retry
from midwatch.services.models.ports import OnWaste, RequestRejected, Said, ignored
from tests.fakes.runtime import ManualClock

REQUEST = ModelRequest(system="s", turns=(UserTurn("why?"),))
AWAY = Transient("away", 1.0)


class FakeProvider:
    """Raises or says, in order; the last for ever."""

    def __init__(self, name: str, *steps: Exception | str, unfit: str = "") -> None:
        self.name, self._steps, self._unfit = name, list(steps), unfit
        self.asked: list[ModelRequest] = []
        self.wastes = Usage()

    def model_of(self, request: ModelRequest) -> str:
        return f"{self.name}-{request.tier}"

    def unfit(self, request: ModelRequest) -> str:
        return self._unfit

    async def ask(self, request: ModelRequest, on_text: OnText | None, on_waste: OnWaste = ignored) -> Said:
        self.asked.append(request)
        step = self._steps[min(len(self.asked), len(self._steps)) - 1]
        if on_text is not None:
            on_text(f"{self.name} speaks")
        if isinstance(step, Exception):
            if self.wastes.tokens:
                on_waste(self.wastes)
            raise step
        usage = Usage(input=1_000_000, output=500_000, cache_read=1_000_000)
        return Said(turn=AssistantTurn(step), stop=StopReason.DONE, usage=usage, model="as-it-calls-itself")

    async def check(self) -> str:
        return self.name

    async def close(self) -> None: ...


class Counted:
    def __init__(self) -> None:
        self.rows: list[tuple[str, str, str, float]] = []

    def __call__(self, provider: str, model: str, outcome: str, usage: Usage, usd: float, seconds: float) -> None:
        self.rows.append((provider, model, outcome, usd))


def chain_of(*providers: FakeProvider, clock: ManualClock | None = None, meter: Counted | None = None) -> Fallback:
    price = Price(input=3.0, output=15.0, cache_read=0.3)
    return Fallback(providers, clock or ManualClock(), lambda *_: price, cooldown_s=30, meter=meter or Counted())


@pytest.mark.parametrize(
    "error", [AWAY, Permanent("wrong key"), RequestRejected("too long")], ids=lambda e: type(e).__name__
)
async def test_the_next_one_answers_with_the_same_history(error: Exception) -> None:
    first, second, meter = FakeProvider("a", error), FakeProvider("b", "here"), Counted()
    reply = await chain_of(first, second, meter=meter).ask(REQUEST, None)
    assert (reply.turn.text, reply.provider, reply.model) == ("here", "b", "b-large")
    assert second.asked == first.asked == [REQUEST]
    assert meter.rows == [("a", "a-large", type(error).__name__, 0.0), ("b", "b-large", "ok", 10.8)]
    assert reply.cost_usd == pytest.approx(3.0 + 7.5 + 0.3)


async def test_an_unfit_one_is_skipped_not_degraded() -> None:
    first, second = FakeProvider("a", "no", unfit="cannot call tools"), FakeProvider("b", "here")
    assert (await chain_of(first, second).ask(REQUEST, None)).provider == "b"
    assert first.asked == []
    with pytest.raises(Permanent, match="cannot call tools"):
        await chain_of(first).ask(REQUEST, None)


async def test_who_failed_rests_and_is_asked_again_after() -> None:
    clock = ManualClock()
    first, second = FakeProvider("a", AWAY, "back"), FakeProvider("b", "here")
    chain = chain_of(first, second, clock=clock)
    assert [(await chain.ask(REQUEST, None)).provider for _ in range(3)] == ["b", "b", "b"]
    assert len(first.asked) == 1
    clock.advance(30)
    assert (await chain.ask(REQUEST, None)).provider == "a"


async def test_what_one_request_was_refused_for_does_not_stop_others() -> None:
    first = FakeProvider("a", RequestRejected("too long"), "here")
    chain = chain_of(first, FakeProvider("b", "instead"))
    assert [(await chain.ask(REQUEST, None)).provider for _ in range(2)] == ["b", "a"]


@pytest.mark.parametrize(
    ("steps", "error"),
    [
        ((AWAY, AWAY), Transient),
        ((AWAY, Permanent("wrong key")), Transient),
        ((Permanent("wrong key"), RequestRejected("too long")), Permanent),
        ((), Permanent),
    ],
)
async def test_when_none_answers_it_says_whether_to_wait(steps: Sequence[Exception], error: type[Exception]) -> None:
    chain = chain_of(*(FakeProvider(f"p{index}", step) for index, step in enumerate(steps)))
    for _ in range(2):  # the second time all of them rest
        with pytest.raises(error) as caught:
            await chain.ask(REQUEST, None)
        assert type(caught.value) is error
    if error is Transient:
        assert 0 < caught.value.retry_in <= 30  # type: ignore[attr-defined]


async def test_the_only_one_rests_briefly() -> None:
    clock = ManualClock()
    chain = chain_of(FakeProvider("a", AWAY, "back"), clock=clock)
    with pytest.raises(Transient):
        await chain.ask(REQUEST, None)
    assert chain.ready() == ()
    clock.advance(5)
    assert (await chain.ask(REQUEST, None)).turn.text == "back"


async def test_a_stumble_is_retried_after_the_wait_that_was_asked_for() -> None:
    clock, only = ManualClock(), FakeProvider("a", Transient("slow down", 7.0), AWAY, "here")
    task = asyncio.create_task(chain_of(only, clock=clock).ask(REQUEST, None, Retry(attempts=3).retry_in))
    for seconds, asked in ((6.9, 1), (0.2, 2), (1.1, 3)):
        while not clock.sleepers:
            await asyncio.sleep(0)
        clock.advance(seconds)
        for _ in range(5):
            await asyncio.sleep(0)
        assert len(only.asked) == asked
    assert (await task).turn.text == "here"


def test_a_wait_too_long_is_left_to_the_next_provider() -> None:
    retry = Retry(attempts=3, base_s=0.5, longest_s=10)
    assert [retry.retry_in(AWAY, attempt) for attempt in (1, 2, 3)] == [1.0, 1.0, None]
    assert retry.retry_in(Transient("busy", 11.0), 1) is None
    assert retry.retry_in(Permanent("no"), 1) is None


async def test_text_of_a_broken_answer_is_set_apart_from_the_next() -> None:
    said: list[str] = []
    await chain_of(FakeProvider("a", AWAY), FakeProvider("b", "here")).ask(REQUEST, said.append)
    assert said == ["a speaks", "\n\n", "b speaks"]
