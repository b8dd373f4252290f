"""What recovered by itself and fires again soon is the same incident; what does so often is said to flap."""

from datetime import timedelta

import msgspec

from midwatch.domain.cards import card_of
from midwatch.domain.incidents import FLAPPING, SETTLE, Incident, State
from midwatch.domain.objects.view import ClusterView
from midwatch.domain.reasons import Reason
from midwatch.domain.rules import Matcher, Rule, RuleSet
from midwatch.domain.signals import Signal, SignalStatus
from midwatch.services.ingestion import Ingestion
from tests.fakes.runtime import CountingIds, ManualClock
from tests.fakes.samples import a_signal
from tests.fakes.stores import MemoryStore
from tests.unit.ingestion.storm import Api

COOLDOWN = timedelta(minutes=5)


class Rules:
    def current(self) -> RuleSet:
        return RuleSet([Rule(id="any", match=Matcher(), cooldown=COOLDOWN)])


class House:
    def __init__(self) -> None:
        self.store, self.clock, self.ids = MemoryStore(), ManualClock(), CountingIds()
        store, api = self.store, Api(ClusterView())
        self.ingestion = Ingestion(store.inbox, store.journal, store.work, Rules(), api, self.clock, self.ids, by="r")

    async def fires(self, pod: str = "web-1") -> Signal:
        signal = a_signal(int(self.ids.new()[:8], 16), pod=pod, starts_at=self.clock.now(), at=self.clock.now())
        await self.store.inbox.put([signal])
        await self.ingestion.drain()
        return signal

    async def clears(self, signal: Signal, wait: timedelta = SETTLE) -> None:
        over = msgspec.structs.replace(signal, id=self.ids.new(), status=SignalStatus.RESOLVED)
        await self.store.inbox.put([over])
        await self.ingestion.drain()
        self.clock.advance(wait.total_seconds())
        await self.ingestion.settle_incidents(owner="r", ttl=timedelta(seconds=6))

    async def incidents(self) -> list[Incident]:
        return [await self.store.journal.read(row.id) for row in await self.store.journal.recent()]


async def test_what_fires_again_within_the_cooldown_reopens() -> None:
    house = House()
    await house.clears(await house.fires())
    (first,) = await house.incidents()
    assert first.state is State.RESOLVED
    house.clock.advance(60)
    again = await house.fires()

    (incident,) = await house.incidents()
    assert (incident.state, incident.reason, incident.reopened) == (State.OPEN, Reason.REOPENED_IN_COOLDOWN, 1)
    assert (incident.ended_at, incident.outcome, incident.report) == (None, "", None)
    outcomes = {row.signal.id: row.outcome for row in await house.store.inbox.recent()}
    assert outcomes[again.id] == Reason.REOPENED_IN_COOLDOWN


async def test_after_the_cooldown_it_is_a_new_incident() -> None:
    house = House()
    await house.clears(await house.fires())
    house.clock.advance(COOLDOWN.total_seconds() + 1)
    await house.fires()

    assert sorted(incident.state for incident in await house.incidents()) == [State.OPEN, State.RESOLVED]


async def test_a_pod_under_a_new_name_is_the_same_trouble() -> None:
    house = House()
    await house.clears(await house.fires("web-1"))
    await house.fires("web-2")

    (incident,) = await house.incidents()
    assert [member.subject.name for member in incident.active] == ["web-2"]


async def test_what_comes_and_goes_is_said_to_flap() -> None:
    house = House()
    for _ in range(FLAPPING):
        assert not any("flapping" in incident.headline for incident in await house.incidents())
        await house.clears(await house.fires())

    (incident,) = await house.incidents()
    assert incident.episodes == FLAPPING
    (row,) = await house.store.journal.recent()
    assert row.title == card_of(incident).headline == f"web-1 crashes (flapping: {FLAPPING} times)"


async def test_episodes_within_one_incident_count_too() -> None:
    house = House()
    for _ in range(FLAPPING):
        await house.clears(await house.fires(), wait=timedelta(seconds=1))

    (incident,) = await house.incidents()
    assert (incident.reopened, incident.episodes) == (0, FLAPPING)
    assert "flapping" in incident.headline
