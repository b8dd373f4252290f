"""A slice of the gateways' storm: five kills, every card there once, every decision kept."""

import pytest

from tests.chaos.gateways import ENVIRONMENT, GatewayStorm
from tests.chaos.test_kill_slice import SEED
from tests.fixtures.channels import opened


@pytest.mark.timeout(900)
def test_killed_gateways_lose_no_card_show_none_twice_and_keep_decisions() -> None:
    with opened(ENVIRONMENT) as night:
        night.link("ann", "U1")
        storm = GatewayStorm(night, incidents=12, kills=5, decisions=2, seed=SEED, report=print)
        storm.run()
        totals = storm.totals()

    assert storm.faults == []
    assert (totals["kills"], totals["decisions"]) == (5, 2)
