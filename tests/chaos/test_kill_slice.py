"""A seeded slice of the kill walk, every victim once: nothing lost, nothing twice, and soon at work again."""

import os
from collections.abc import Iterator

import pytest

from tests.chaos.kill_walk import PROXY_BACK_S, RESUME_P95_S, VICTIMS, pairs, proxy_outage, totals, walk
from tests.fixtures.houses import RunningHouse, house_folder

SEED = 20261121


def crowding() -> float:
    """1 on a machine that has a core for everybody, up to 3 where others want them: the limits are for the former."""
    return min(3.0, max(1.0, os.getloadavg()[0] / (os.cpu_count() or 1)))


@pytest.fixture(scope="module")
def house() -> Iterator[RunningHouse]:
    with house_folder("mw-slice-") as folder:
        house = RunningHouse(folder, scenario="none")
        try:
            house.start()
            yield house
        finally:
            house.stop()


@pytest.mark.timeout(400)
async def test_a_kill_of_every_process_loses_nothing_and_repeats_nothing(house: RunningHouse) -> None:
    outcomes = await walk(house, pairs(len(VICTIMS), SEED), print)

    assert {outcome.victim for outcome in outcomes} == set(VICTIMS)
    assert [outcome for outcome in outcomes if outcome.fault] == []
    # A slow one once more: the machine may have been busy with something else.
    slow = [(outcome.point, outcome.victim) for outcome in outcomes if (outcome.resumed_s or 0) >= RESUME_P95_S]
    again = await walk(house, iter(slow), print)
    assert [outcome for outcome in again if outcome.fault] == []
    in_time = [outcome for outcome in outcomes if (outcome.point, outcome.victim) not in slow]
    assert totals([*in_time, *again])["resume_p95_s"] < RESUME_P95_S * crowding()


@pytest.mark.timeout(120)
def test_http_is_back_soon_after_its_proxy_was_killed(house: RunningHouse) -> None:
    outages: list[float] = []
    while len(outages) < 3 and min(outages, default=PROXY_BACK_S) >= PROXY_BACK_S:
        outages.append(proxy_outage(house))  # again where the machine was busy with something else
    assert min(outages) < PROXY_BACK_S * crowding(), outages
