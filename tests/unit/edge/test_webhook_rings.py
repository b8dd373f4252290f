"""A flood of alerts is not a flood of rings, and the last of them is always told of."""

import asyncio

import pytest

from actors.clients import ActorBells


class Listener:
    """An actor that takes its time to hear a ring."""

    def __init__(self) -> None:
        self.heard, self.free = 0, asyncio.Event()

    @property
    def wake(self) -> "Listener":
        return self

    async def remote(self) -> None:
        self.heard += 1
        await self.free.wait()

    async def handle(self, _: str) -> "Listener":
        return self


@pytest.fixture
def listener() -> Listener:
    return Listener()


@pytest.fixture
def bells(listener: Listener, monkeypatch: pytest.MonkeyPatch) -> ActorBells:
    monkeypatch.setattr("actors.clients.Directory", lambda: listener)
    return ActorBells()


async def quiet() -> None:
    for _ in range(10):
        await asyncio.sleep(0)


async def test_rings_while_one_is_under_way_become_one_more(bells: ActorBells, listener: Listener) -> None:
    for _ in range(100):
        bells.signals()
    await quiet()
    assert listener.heard == 1
    listener.free.set()
    await quiet()
    assert listener.heard == 2, "what was stored after the first ring was heard is told of too"
    bells.signals()
    await quiet()
    assert listener.heard == 3


async def test_who_waits_for_one_actor_still_rings_another(bells: ActorBells, listener: Listener) -> None:
    bells.signals()
    bells.clicks()
    await quiet()
    assert listener.heard == 2
    listener.free.set()
    await quiet()
