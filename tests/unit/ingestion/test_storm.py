"""One cause, one incident: a lost node with all that is said of it, whatever the order, and nothing else in it."""

from collections.abc import Sequence
from datetime import timedelta
from random import Random

import pytest

from midwatch.domain.incidents import Incident, State, fold
from midwatch.domain.reasons import Reason
from midwatch.domain.rules import Matcher, Rule, RuleSet
from midwatch.domain.signals import Signal, SignalStatus
from midwatch.services.ingestion import Ingestion
from tests.fakes.runtime import CountingIds, ManualClock
from tests.fakes.stores import MemoryJournal, MemoryStore
from tests.unit.conditions.objects import NOW
from tests.unit.ingestion import storm

pytestmark = pytest.mark.timeout(20)  # thousands of signals each, on a machine that may be busy

ANY = RuleSet([Rule(id="any", match=Matcher())])


class Rules:
    def current(self) -> RuleSet:
        return ANY


class Counted:
    """The journal, and how often it was written to."""

    def __init__(self, journal: MemoryJournal) -> None:
        self._journal, self.writes = journal, 0

    def __getattr__(self, name: str) -> object:
        return getattr(self._journal, name)

    async def open(self, *arguments: object, **more: object) -> Incident:
        self.writes += 1
        return await self._journal.open(*arguments, **more)  # type: ignore[arg-type]

    async def append(self, *arguments: object, **more: object) -> Incident:
        self.writes += 1
        return await self._journal.append(*arguments, **more)  # type: ignore[arg-type]


class House:
    def __init__(self, api: storm.Api) -> None:
        self.store, self.clock, self.api = MemoryStore(), ManualClock(NOW + timedelta(seconds=100)), api
        self.journal, self.ids = Counted(self.store.journal), CountingIds()

    def ingestion(self) -> Ingestion:
        store = self.store
        return Ingestion(
            store.inbox,
            self.journal,  # type: ignore[arg-type]  # passes everything else on
            store.work,
            Rules(),
            self.api,
            self.clock,
            self.ids,
            by="rules",
            surroundings=self.api,
        )

    async def take(self, signals: Sequence[Signal], *, portion: int = 0, restart: bool = False) -> None:
        ingestion = self.ingestion()
        for start in range(0, len(signals), portion or len(signals)):
            await self.store.inbox.put(signals[start : start + (portion or len(signals))])
            await ingestion.drain()
            if restart:
                ingestion = self.ingestion()

    async def incidents(self) -> list[Incident]:
        return [await self.store.journal.read(row.id) for row in await self.store.journal.recent(limit=1000)]

    async def open(self) -> dict[str, Incident]:
        return {incident.owner.name: incident for incident in await self.incidents() if not incident.state.final}


def shuffled(signals: Sequence[Signal], seed: int) -> list[Signal]:
    mixed = list(signals)
    Random(seed).shuffle(mixed)
    return mixed


def firing(incident: Incident) -> set[str]:
    return {member.identity for member in incident.active}


async def test_the_storm_is_what_it_is_meant_to_be() -> None:
    signals, _ = await storm.inputs()
    assert len(signals) > 1000
    conditions = {signal.condition for signal in signals}
    assert {"PodOnLostNode", "NodeUnreachable", "ServiceNoEndpoints", "CrashLoopBackOff"} <= conditions
    assert {"DeploymentReplicasShort", "DeploymentUnavailable", "ImagePullBackOff/NotFound", "PodSilent"} <= conditions


async def test_a_lost_node_is_one_incident_and_two_unrelated_failures_stay_apart() -> None:
    signals, api = await storm.inputs()
    house = House(api)
    await house.take(signals)

    found = await house.open()
    assert set(found) == {storm.LOST, "pay", "img"}
    assert len(await house.incidents()) == 3, "nothing had to be adopted: the deepest cause was placed first"
    assert {member.subject.name for member in found["pay"].active if "web" in member.subject.name} == set()
    assert firing(found[storm.LOST]) | firing(found["pay"]) | firing(found["img"]) == {
        signal.identity for signal in signals
    }
    about = {ref.name for member in found[storm.LOST].active for ref in (member.subject, *member.related)}
    assert not {name for name in about if name.startswith(("pay", "img"))}
    assert house.journal.writes <= 20
    assert await house.store.inbox.depth() == 0


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize(("portion", "restart"), [(211, False), (401, True)], ids=["portions", "restarts"])
async def test_in_any_order_late_causes_adopt_what_came_before(seed: int, portion: int, restart: bool) -> None:
    signals, api = await storm.inputs()
    house = House(api)
    await house.take(shuffled(signals, seed), portion=portion, restart=restart)

    found = await house.open()
    assert set(found) == {storm.LOST, "pay", "img"}
    cause = found[storm.LOST]
    assert sum(map(len, map(firing, found.values()))) == len({signal.identity for signal in signals})
    for incident in await house.incidents():
        assert fold(incident.id, await house.store.journal.entries(incident.id)) == incident
        if incident.state.final:
            assert (incident.state, incident.reason) == (State.CLOSED, Reason.ADOPTED_BY_CAUSE)
            assert incident.into == cause.id
            assert incident.active == ()


async def test_when_the_node_comes_back_everything_clears_in_few_appends() -> None:
    signals, api = await storm.inputs()
    house = House(api)
    await house.take(shuffled(signals, 1), portion=200)
    before = house.journal.writes
    unique = {signal.episode: signal for signal in signals}.values()
    await house.take([storm.over(signal, number, NOW) for number, signal in enumerate(unique)])

    assert all(incident.active == () for incident in (await house.open()).values())
    assert house.journal.writes - before <= 12
    house.clock.advance(10)
    assert await house.ingestion().settle_incidents(owner="rules", ttl=timedelta(seconds=6)) == 3
    assert await house.open() == {}


async def test_what_is_resolved_in_the_same_batch_opens_nothing() -> None:
    signals, api = await storm.inputs()
    house = House(api)
    await house.take([*signals, *(storm.over(signal, number, NOW) for number, signal in enumerate(signals))])

    assert await house.incidents() == []
    rows = await house.store.inbox.recent(limit=5000)
    assert {row.outcome for row in rows if row.signal.status is SignalStatus.FIRING} == {Reason.RESOLVED_BEFORE}
