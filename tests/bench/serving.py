"""What Ray Serve costs a request: the same app behind Serve's proxy and under plain uvicorn, in turn."""

import asyncio
import statistics
import subprocess
import sys
import time

import aiohttp

from tests.bench.figures import say
from tests.fixtures.houses import RunningHouse, eventually, free_port

_SECONDS, _ROUNDS, _CLIENTS = 3.0, 3, 8
_PATH = "/login"


def measure(house: RunningHouse) -> None:
    """Requests a second on both, alternating, so that the machine's mood hits both alike."""
    port = free_port()
    plain = subprocess.Popen(
        [sys.executable, "-m", "uvicorn", "--factory", "tests.bench.plain:create", "--port", str(port),
         "--log-level", "error"],
        stdout=subprocess.DEVNULL,
    )  # fmt: skip
    urls = {"serve": house.url + _PATH, "uvicorn": f"http://127.0.0.1:{port}{_PATH}"}
    try:
        eventually(lambda: _answers(urls["uvicorn"]), within_s=30, what="plain uvicorn")
        rates: dict[str, list[float]] = {name: [] for name in urls}
        for _ in range(_ROUNDS):
            for name, url in urls.items():
                rates[name].append(asyncio.run(_load(url)))
    finally:
        plain.terminate()
        plain.wait(10)
    for name, values in rates.items():
        say("requests_per_second", statistics.median(values), "1/s", server=name, clients=_CLIENTS, path=_PATH)
    ratios = [a / b for a, b in zip(rates["uvicorn"], rates["serve"], strict=True)]
    say("serve_cost", statistics.median(ratios), "times plain uvicorn", rounds=_ROUNDS)


def _answers(url: str) -> bool:
    return asyncio.run(_one(url))


async def _one(url: str) -> bool:
    try:
        async with aiohttp.ClientSession() as session, session.get(url) as answer:
            return answer.status == 200
    except aiohttp.ClientError:
        return False


async def _load(url: str) -> float:
    done = 0
    end = time.monotonic() + _SECONDS

    async def client(session: aiohttp.ClientSession) -> None:
        nonlocal done
        while time.monotonic() < end:
            async with session.get(url) as answer:
                await answer.read()
                done += answer.status == 200

    async with aiohttp.ClientSession() as session:
        await asyncio.gather(*(client(session) for _ in range(_CLIENTS)))
    return done / _SECONDS
