"""What a turn costs over a vendor's wire: chain, SDK, HTTP and stream, against a server in another process."""

import asyncio
import subprocess
import sys
import time
from functools import partial

import psutil

from midwatch.adapters.llm.factory import make_provider
from midwatch.adapters.system import SystemClock
from midwatch.domain.dialogue import ModelRequest, ToolSpec, UserTurn
from midwatch.domain.providers import Kind, Names, Price, Provider
from midwatch.services.models.chain import Chain
from midwatch.services.models.fallback import Fallback
from midwatch.services.models.front import Built, Models
from midwatch.services.spending import DayMeter
from tests.bench.figures import percentile, say
from tests.fakes.llm_server import Answer, LlmServer, Text, Tool
from tests.fakes.stores import MemoryStore

_AT_ONCE, _ROUNDS = 50, 6
_TOOL = ToolSpec(name="pod_logs", description="Logs of a pod.", parameters='{"type":"object","properties":{}}')
_SERVER = "tests.bench.wire"


def measure() -> None:
    """50 turns at once over each wire, again and again; the first round opens connections and is not counted."""
    with subprocess.Popen([sys.executable, "-m", _SERVER], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as server:
        assert server.stdout is not None
        address = server.stdout.readline().decode().strip()
        for kind in (Kind.ANTHROPIC, Kind.CUSTOM):
            asyncio.run(_turns(kind, address if kind is Kind.ANTHROPIC else f"{address}/v1"))
        server.terminate()


async def _turns(kind: Kind, address: str) -> None:
    clock = SystemClock()
    record = Provider(kind=kind, base_url=address, models=Names(large="big", small="little"))
    provider = make_provider("stub", record, "key-of-the-bench")
    chain = Fallback([provider], clock, lambda *_: Price(input=3.0, output=15.0))
    models = Models(lambda old: old or Built(1, Chain(()), chain), DayMeter(MemoryStore().spend, clock))
    request = ModelRequest(system="You investigate.", turns=(UserTurn("seen before. " * 2_000),), tools=(_TOOL,))
    times: list[float] = []
    try:
        await asyncio.gather(*map(partial(_timed, models, request), [[]] * _AT_ONCE))
        cpu = time.process_time()
        for _ in range(_ROUNDS):
            await asyncio.gather(*map(partial(_timed, models, request), [times] * _AT_ONCE))
        cpu = time.process_time() - cpu
    finally:
        await models.close()
    context = {"wire": str(kind), "at_once": _AT_ONCE, "load_1m": psutil.getloadavg()[0]}
    say("wire_cpu_per_turn", 1000 * cpu / len(times), "ms", **context)
    say("wire_turn_p50", 1000 * percentile(times, 0.5), "ms", what="the server's own work included", **context)


async def _timed(models: Models, request: ModelRequest, times: list[float]) -> None:
    began = time.perf_counter()
    await models.ask(request)
    times.append(time.perf_counter() - began)


def _serve() -> None:
    """The vendor: 120 pieces of text and one call, streamed; until its parent is gone."""
    answer = Answer((Text("word " * 120), Tool("pod_logs", {"pod": "web-1"})))
    with LlmServer(script=lambda _: answer).serve() as address:
        print(address, flush=True)
        sys.stdin.read()


if __name__ == "__main__":
    _serve()
