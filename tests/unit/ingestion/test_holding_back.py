"""What waits: silences and maintenance windows, thresholds; and what a rule groups in its own way."""

from collections.abc import Iterable
from datetime import timedelta

import msgspec

from midwatch.domain.ids import SignalId
from midwatch.domain.incidents import Incident
from midwatch.domain.objects.view import ClusterView
from midwatch.domain.reasons import Reason
from midwatch.domain.refs import ObjectRef
from midwatch.domain.rules import Matcher, Rule, RuleSet
from midwatch.domain.signals import Signal, SignalStatus
from midwatch.domain.silences import Silence
from midwatch.services.ingestion import SILENCE_LOOK, Ingestion
from tests.fakes.runtime import NOON, CountingIds, ManualClock
from tests.fakes.samples import a_signal
from tests.fakes.stores import MemoryStore
from tests.unit.ingestion.storm import Api

HOUR = timedelta(hours=1)
SILENCE = Silence(
    id="0000000a-silence", match=Matcher(namespaces=("shop",)), starts_at=NOON, ends_at=NOON + HOUR, by="ann"
)


class House:
    def __init__(self, *rules: Rule) -> None:
        self.store, self.clock, self.ids = MemoryStore(), ManualClock(), CountingIds()
        self.rules = RuleSet(rules or [Rule(id="any", match=Matcher())])
        store, api = self.store, Api(ClusterView())
        self.ingestion = Ingestion(
            store.inbox,
            store.journal,
            store.work,
            self,
            api,
            self.clock,
            self.ids,
            by="rules",
            silences=store.silences,
        )

    def current(self) -> RuleSet:
        return self.rules

    async def take(self, *signals: Signal) -> None:
        await self.store.inbox.put(signals)
        await self.ingestion.drain()

    async def later(self, span: timedelta) -> None:
        self.clock.advance(span.total_seconds())
        await self.ingestion.drain()

    async def incidents(self) -> list[Incident]:
        rows = await self.store.journal.recent()
        return [await self.store.journal.read(row.id) for row in reversed(rows)]

    async def outcomes(self) -> dict[str, tuple[str, bool]]:
        return {row.signal.id: (row.outcome, row.settled) for row in await self.store.inbox.recent()}

    def fires(self, pod: str = "web-1", **changes: object) -> Signal:
        now = self.clock.now()
        signal = a_signal(int(self.ids.new()[:8], 16), pod=pod, at=now, starts_at=now)
        return msgspec.structs.replace(signal, **changes)

    def over(self, signal: Signal) -> Signal:
        return msgspec.structs.replace(
            signal, id=SignalId(self.ids.new()), status=SignalStatus.RESOLVED, received_at=self.clock.now()
        )


def members(incidents: Iterable[Incident]) -> list[set[str]]:
    return [{member.subject.name for member in incident.active} for incident in incidents]


async def test_what_is_silenced_is_recorded_and_opens_nothing() -> None:
    house = House()
    await house.store.silences.put(SILENCE, by="console:ann", at=house.clock.now())
    signal = house.fires()
    await house.take(signal)

    assert await house.incidents() == []
    assert await house.outcomes() == {signal.id: (Reason.SILENCED, False)}
    assert await house.store.inbox.depth() == 0, "a long maintenance must not look like a jam"


async def test_what_still_fires_when_the_silence_ends_opens_then() -> None:
    house = House()
    await house.store.silences.put(SILENCE, by="console:ann", at=house.clock.now())
    first, second = house.fires("web-1"), house.fires("web-2")
    await house.take(first, second, house.over(second))
    await house.later(HOUR - timedelta(seconds=1))
    assert await house.incidents() == []

    await house.later(timedelta(seconds=1))
    assert members(await house.incidents()) == [{"web-1"}]
    outcomes = await house.outcomes()
    assert outcomes[first.id] == (Reason.RULE_MATCHED, True)
    assert outcomes[second.id] == (Reason.RESOLVED_BEFORE, True)


async def test_a_silence_that_is_ended_early_is_noticed_soon() -> None:
    house = House()
    await house.store.silences.put(SILENCE, by="console:ann", at=house.clock.now())
    await house.take(house.fires())
    await house.store.silences.put(
        msgspec.structs.replace(SILENCE, ends_at=house.clock.now()), by="console:ann", at=house.clock.now()
    )
    await house.later(SILENCE_LOOK)

    assert len(await house.incidents()) == 1


async def test_others_are_not_silenced() -> None:
    house = House()
    await house.store.silences.put(SILENCE, by="console:ann", at=house.clock.now())
    await house.take(house.fires(subject=ObjectRef("Pod", "pay-1", "pay"), owner=ObjectRef("Pod", "pay-1", "pay")))

    assert len(await house.incidents()) == 1


async def test_an_incident_that_is_open_stays_and_follows_its_members() -> None:
    house = House()
    signal = house.fires()
    await house.take(signal)
    await house.store.silences.put(SILENCE, by="console:ann", at=house.clock.now())
    await house.later(timedelta(seconds=10))
    await house.take(house.fires("web-1"), house.fires("web-2"))

    assert members(await house.incidents()) == [{"web-1"}]
    await house.take(house.over(house.fires("web-9")), house.over(signal))
    (incident,) = await house.incidents()
    assert incident.members[0].count == 2


async def test_below_the_threshold_nothing_opens() -> None:
    house = House(Rule(id="thrice", match=Matcher(), threshold=3, window=timedelta(minutes=10)))
    first, second = house.fires("web-1"), house.fires("web-2")
    await house.take(first)
    await house.later(timedelta(minutes=5))
    await house.take(second)

    assert await house.incidents() == []
    assert {told for told, _ in (await house.outcomes()).values()} == {Reason.BELOW_THRESHOLD}


async def test_at_the_threshold_what_still_fires_becomes_one_incident() -> None:
    house = House(Rule(id="thrice", match=Matcher(), threshold=3, window=timedelta(minutes=10)))
    first, second = house.fires("web-1"), house.fires("web-2")
    await house.take(first, second)
    await house.take(house.over(second))
    await house.later(timedelta(minutes=5))
    await house.take(house.fires("web-3"))

    (incident,) = await house.incidents()
    assert members([incident]) == [{"web-1", "web-3"}]
    assert (await house.outcomes())[first.id] == (Reason.RULE_MATCHED, True)
    await house.take(house.over(first))
    assert members(await house.incidents()) == [{"web-3"}]
    await house.take(house.fires("web-4"))
    assert members(await house.incidents()) == [{"web-3", "web-4"}], "an open incident needs no threshold"


async def test_what_came_before_the_window_does_not_count() -> None:
    house = House(Rule(id="twice", match=Matcher(), threshold=2, window=timedelta(minutes=10)))
    await house.take(house.fires("web-1"))
    await house.later(timedelta(minutes=11))
    await house.take(house.fires("web-2"))

    assert await house.incidents() == []


async def test_repeats_of_one_episode_count_once_and_groups_count_apart() -> None:
    house = House(Rule(id="twice", match=Matcher(), threshold=2, window=timedelta(minutes=10)))
    signal = house.fires("web-1")
    await house.take(signal, msgspec.structs.replace(signal, id=SignalId("again")))
    await house.take(house.fires("pay-1", owner=ObjectRef("Deployment", "pay", "shop")))

    assert await house.incidents() == []


async def test_a_rule_that_groups_by_namespace_makes_one_incident_of_it() -> None:
    house = House(Rule(id="space", match=Matcher(), group_by=("namespace",), notify=("pagers",)))
    pay = ObjectRef("Deployment", "pay", "shop")
    await house.take(house.fires("web-1"), house.fires("pay-1", owner=pay))
    elsewhere = ObjectRef("Pod", "x", "other")
    await house.take(house.fires("web-2"), house.fires("x", subject=elsewhere, owner=elsewhere))

    incidents = await house.incidents()
    assert sorted(map(sorted, members(incidents))) == [["pay-1", "web-1", "web-2"], ["x"]]
    assert incidents[0].notify == ("pagers",)
