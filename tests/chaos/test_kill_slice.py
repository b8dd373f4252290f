"""A seeded slice of the kill walk, every victim once: nothing lost, nothing twice, and soon at work again."""

from collections.abc import Iterator

import pytest

from tests.chaos.kill_walk import PROXY_BACK_S, RESUME_P95_S, VICTIMS, pairs, proxy_outage, totals, walk
from tests.fixtures.houses import RunningHouse, house_folder

SEED = 20261121


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
    assert totals(outcomes)["resume_p95_s"] < RESUME_P95_S


@pytest.mark.timeout(120)
def test_http_is_back_soon_after_its_proxy_was_killed(house: RunningHouse) -> None:
    outages: list[float] = []
    while len(outages) < 3 and min(outages, default=PROXY_BACK_S) >= PROXY_BACK_S:
        outages.append(proxy_outage(house))  # again where the machine was busy with something else
    assert min(outages) < PROXY_BACK_S, outages
