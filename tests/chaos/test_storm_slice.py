"""A slice of the storm: whole incidents under twenty random kills and a misbehaving API server."""

from collections.abc import Iterator

import pytest

from tests.chaos.storm import RESUME_P95_S, Storm, hurry, start
from tests.chaos.test_kill_slice import SEED, crowding
from tests.fixtures.houses import RunningHouse, house_folder

INCIDENTS, KILLS = 16, 20


@pytest.fixture
def house() -> Iterator[RunningHouse]:
    with house_folder("mw-storm-") as folder:
        house = RunningHouse(folder, scenario="none")
        hurry(folder)
        try:
            start(house)
            yield house
        finally:
            house.stop()


@pytest.mark.timeout(900)
async def test_twenty_random_kills_lose_nothing_and_repeat_nothing(house: RunningHouse) -> None:
    storm = Storm(house, incidents=INCIDENTS, kills=KILLS, seed=SEED, report=print)
    await storm.run()

    totals = storm.totals()
    assert storm.faults == []
    assert (totals["kills"], totals["incidents"]) == (KILLS, INCIDENTS)
    assert totals["resume_p95_s"] < RESUME_P95_S * crowding()
