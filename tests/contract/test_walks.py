"""Random journals through the store: entries, snapshot and work rows say the same at every step."""

from datetime import timedelta
from random import Random

import pytest

from midwatch.domain.ids import IncidentId
from midwatch.domain.incidents import Incident, Work, decide, fold
from tests.contract.conftest import AnyStore
from tests.fakes.journals import moves
from tests.fakes.runtime import NOON


async def due(store: AnyStore) -> set[Work]:
    return {work for work in Work if await store.work.next_due([work], now=NOON) is not None}


@pytest.mark.parametrize("seed", range(8))
async def test_what_is_left_to_do_is_what_decide_says(store: AnyStore, seed: int) -> None:
    chance, incident = Random(seed), Incident(id=IncidentId("0000000a-0000-7000-8000-000000000001"))
    while (possible := moves(incident)) and incident.seq < 30:
        events, at = chance.choice(possible), NOON + timedelta(seconds=incident.seq)
        if incident.seq == 0:
            incident = await store.journal.open(incident.id, events, at=at, by="test")
        else:
            incident = await store.journal.append(incident, events, at=at, by="test")
        assert await due(store) == {item.work for item in decide(incident)}
        for item in decide(incident):
            if item.due is not None:
                assert await store.work.next_due([item.work], now=NOON) == item.due
    assert await store.journal.read(incident.id) == incident
    assert fold(incident.id, await store.journal.entries(incident.id)) == incident
    open_ones = [request for _, request in await store.journal.approvals()]
    asking = incident.approval is not None and incident.approval.outcome is None
    assert open_ones == ([incident.approval] if asking else [])
