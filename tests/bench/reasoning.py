"""The model loop in one process: what a turn costs us, with a model that answers after 1 s to 3 s and never errs.

500 refinements at once all end with a better report. Processor time is all of this process: the loop, the in-memory
store with its JSON both ways, the scripted model. Overhead is the wall time of a turn without the model's own;
50 at once share one event loop, as in a worker. Each refinement makes four turns and five looks of 22 kB.
"""

import asyncio
import time
from random import Random

import psutil

from midwatch.domain.budgets import Budget
from midwatch.domain.dialogue import ModelRequest, ToolTurn, Usage
from midwatch.services.model_ports import ToolAnswer
from midwatch.services.reasoning.limits import Limits
from tests.bench.figures import percentile, say
from tests.fakes.models import Say, ScriptedModel, call
from tests.fakes.reasoning import Study, Tools, answer

_TURNS = 4
_LOG = "\n".join(f"2026-01-01T00:00:{n % 60:02d}Z level=info request {n} served in {n % 37} ms" for n in range(400))
_USAGE = Usage(input=4_000, output=300)


class _Slow(ScriptedModel):
    """Answers after ``latency_s``, and notes when it was asked and had answered."""

    def __init__(self, latency_s: float, chance: Random) -> None:
        super().__init__(script=_script)
        self._latency_s, self._chance = latency_s, chance
        self.busy_s = 0.0

    async def ask(self, request: ModelRequest, on_text: object = None) -> object:  # type: ignore[override]
        began = time.perf_counter()
        await asyncio.sleep(self._latency_s * (0.5 + self._chance.random()))
        self.busy_s += time.perf_counter() - began
        return await super().ask(request)


def _script(request: ModelRequest) -> Say:
    rounds = sum(isinstance(turn, ToolTurn) for turn in request.turns)
    told = [
        Say("Logs and events.", calls=[call("logs", pod="web-1"), call("events", about="web")], usage=_USAGE),
        Say("The database.", calls=[call("logs", pod="db-0"), call("describe", name="db")], usage=_USAGE),
        Say("Since when?", calls=[call("history", name="db")], usage=_USAGE),
        Say(answer(), usage=_USAGE),
    ]
    return told[rounds]


def measure() -> None:
    """500 at once for completeness and processor time, 50 at once for overhead."""
    asyncio.run(_many(500, 2.0))
    asyncio.run(_many(50, 2.0))


async def _many(count: int, latency_s: float) -> None:
    budget = Budget(wall_s=600, model_calls=10, tool_calls=10, tokens=100_000, usd=1.0)
    chance = Random(7)
    studies = [_study(latency_s, budget, chance) for _ in range(count)]
    for study in studies:
        await study.begin()
    overheads: list[float] = []
    cpu, wall = time.process_time(), time.perf_counter()
    await asyncio.gather(*(_one(study, overheads) for study in studies))
    cpu, wall = time.process_time() - cpu, time.perf_counter() - wall
    refined = over = 0
    for study in studies:
        report = (await study.incident()).report
        refined += report is not None and report.author != "built-in"
        spent = (await study.memory()).spent
        over += spent.tokens > budget.tokens or spent.tool_calls > budget.tool_calls
    load = psutil.getloadavg()[0]
    context = {"at_once": count, "model_s": latency_s, "load_1m": load}
    say("refined", refined, "of", **context, all=count)
    say("over_budget", over, "refinements", **context)
    say("cpu_per_turn", 1000 * cpu / (count * _TURNS), "ms", **context)
    say("overhead_per_turn_p50", 1000 * percentile(overheads, 0.5), "ms", **context)
    say("wall", wall, "s", **context)


def _study(latency_s: float, budget: Budget, chance: Random) -> Study:
    tools = Tools({name: ToolAnswer(text=_LOG) for name in ("logs", "events", "describe", "history")})
    limits = Limits(race_below=0.0, incident=budget, summarise_from=10**9)
    return Study(_Slow(latency_s, chance), tools, limits=limits)


async def _one(study: Study, overheads: list[float]) -> None:
    began = time.perf_counter()
    await study.go_on()
    assert isinstance(study.model, _Slow)
    overheads.append((time.perf_counter() - began - study.model.busy_s) / _TURNS)
