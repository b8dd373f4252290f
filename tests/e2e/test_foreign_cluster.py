"""A cluster that is not ours: watched by `midwatch up --context`, with the rights that its kubeconfig gives."""

import asyncio
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

from midwatch.sandbox.kubeconfig import ADMIN_CONTEXT, READER_CONTEXT
from tests.fixtures.gate import Gate, install_gate
from tests.fixtures.houses import RunningHouse, RunningSandbox, eventually, house_folder

Start = Callable[[str], RunningHouse]


@pytest.fixture(scope="module")
def folder() -> Iterator[Path]:
    with house_folder("mw-foreign-") as folder:
        yield folder


@pytest.fixture(scope="module")
def cluster(folder: Path) -> Iterator[RunningSandbox]:
    """It outlives every house of this module."""
    sandbox = RunningSandbox(folder)
    yield sandbox
    sandbox.stop()


@pytest.fixture
def start(folder: Path, cluster: RunningSandbox) -> Iterator[Start]:
    """Starts Midwatch on that cluster in a given context; always with the same state directory."""
    houses: list[RunningHouse] = []

    def start(context: str) -> RunningHouse:
        arguments = ("--context", context, "--kubeconfig", str(cluster.kubeconfig))
        houses.append(RunningHouse(folder, arguments=arguments, environment={"MIDWATCH_CLUSTER": "foreign"}))
        houses[-1].start()
        return houses[-1]

    yield start
    for house in houses:
        house.stop()


def test_with_the_right_to_read_it_watches_and_says_which_right_is_missing(
    start: Start, cluster: RunningSandbox
) -> None:
    house = start(READER_CONTEXT)
    cluster.client.breaks("crashloop", "shop/cart")
    told = house.wait_for_state("escalated", "awaiting_approval", about="cart", within_s=90)

    assert (told["state"], told["reason"], told["cluster"]) == ("escalated", "right-missing", "foreign")
    assert told["report"]["root_cause"] != "unknown", "reading is enough to know why"
    assert "patch" in told["outcome"]
    assert "deployments" in told["outcome"]
    assert cluster.client.mutations() == []
    well = eventually(lambda: house.request("GET", "/health").json()["status"] == "ok", within_s=30, what="well house")
    assert well
    assert house.stop() == 0


async def test_killed_in_the_middle_of_an_action_the_next_start_finishes_it_and_repeats_nothing(
    start: Start, cluster: RunningSandbox
) -> None:
    first = await asyncio.to_thread(start, ADMIN_CONTEXT)
    await asyncio.to_thread(cluster.client.breaks, "crashloop", "payments/payment-api")
    wait = first.wait_for_state
    asked = await asyncio.to_thread(wait, "awaiting_approval", about="payment-api", within_s=90)
    await install_gate(first.dsn)
    async with Gate(first.dsn, "step-acted") as gate:
        await asyncio.to_thread(first.approve, asked)
        await gate.someone_waits(30)  # the API server has answered, the journal does not know it yet
        assert len(cluster.client.mutations(name="payment-api")) == 1
        executors = first.processes("ray::PlaybookExecutor")
        first.kill()
        gone, alive = await asyncio.to_thread(psutil.wait_procs, executors, 60)
        assert gone, "Ray ends what it started when its starter is gone"
        assert not alive

    second = await asyncio.to_thread(start, ADMIN_CONTEXT)
    assert "that an earlier run left behind" in second.log.read_text()
    ended = await asyncio.to_thread(second.wait_for_state, "resolved", "escalated", about="payment-api", within_s=90)

    assert (ended["id"], ended["state"]) == (asked["id"], "resolved"), ended["outcome"]
    acted = [entry for entry in second.entries(ended["id"]) if entry["type"] == "step-acted"]
    assert [entry["reason"] for entry in acted] == ["found-applied"], "it looked before it would have sent it again"
    assert len(cluster.client.mutations(name="payment-api")) == 1
    assert second.stop() == 0
