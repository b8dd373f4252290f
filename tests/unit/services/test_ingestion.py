"""From signals to incidents: what opens, what joins, what is passed over, and what ends."""

from collections.abc import Sequence
from datetime import timedelta

import msgspec
import pytest

from midwatch.domain import events as ev
from midwatch.domain.errors import Transient
from midwatch.domain.ids import IncidentId, IncidentKey, SignalId
from midwatch.domain.incidents import SETTLE, Incident, State, fold
from midwatch.domain.reasons import Reason
from midwatch.domain.refs import ObjectRef, Severity
from midwatch.domain.rules import Matcher, Rule, RuleSet
from midwatch.domain.signals import Signal, SignalStatus
from midwatch.services.ingestion import Ingestion, Intake
from midwatch.services.ports import Claim
from tests.fakes.runtime import NOON, CountingIds, ManualClock
from tests.fakes.samples import DEPLOYMENT, a_signal
from tests.fakes.stores import MemoryJournal, MemoryStore

ANY = Rule(id="any", match=Matcher())
TTL = timedelta(seconds=6)


class FixedRules:
    def __init__(self, *rules: Rule) -> None:
        self.rules = RuleSet(rules)

    def current(self) -> RuleSet:
        return self.rules


class KnownOwners:
    """Knows the owner of some pods, as the API server does."""

    def __init__(self, **owners: ObjectRef) -> None:
        self.owners = owners

    async def top_owner(self, cluster: str, subject: ObjectRef) -> ObjectRef:
        return self.owners.get(subject.name.replace("-", "_"), subject)


class Ward:
    """Ingestion over the in-memory store, with the door in front of it."""

    def __init__(self, store: MemoryStore, clock: ManualClock) -> None:
        self.store, self.clock = store, clock
        self.rings = 0
        self.rules = FixedRules(ANY)
        self.owners = KnownOwners()
        self.ids = CountingIds(start=1000)

    @property
    def ingestion(self) -> Ingestion:
        """A fresh one each time: it keeps nothing between two turns, as after a restart."""
        store = self.store
        return Ingestion(
            store.inbox, store.journal, store.work, self.rules, self.owners, self.clock, self.ids, by="rules"
        )

    def ring(self) -> None:
        self.rings += 1

    async def take(self, *signals: Signal) -> int:
        """Through the door, and settled; how many were new."""
        receipts = await Intake(self.store.inbox, self.ring).accept(signals)
        await self.ingestion.drain()
        return sum(receipt.new for receipt in receipts)

    async def settle(self) -> int:
        return await self.ingestion.settle_incidents(owner="rules", ttl=TTL)

    async def incidents(self) -> list[Incident]:
        rows = await self.store.journal.recent()
        return [await self.store.journal.read(row.id) for row in reversed(rows)]

    async def only(self) -> Incident:
        (incident,) = await self.incidents()
        return incident

    async def outcomes(self) -> dict[SignalId, str]:
        return {row.signal.id: row.outcome for row in await self.store.inbox.recent()}


@pytest.fixture
def ward(store: MemoryStore, clock: ManualClock) -> Ward:
    return Ward(store, clock)


def gone(number: int, pod: str = "web-1") -> Signal:
    return a_signal(number, status=SignalStatus.RESOLVED, pod=pod)


def owned(signal: Signal, owner: ObjectRef) -> Signal:
    return msgspec.structs.replace(signal, owner=owner)


async def test_a_firing_signal_opens_an_incident_that_says_why(ward: Ward) -> None:
    await ward.take(a_signal())

    incident = await ward.only()
    assert (incident.state, incident.rule, incident.owner) == (State.OPEN, "any", DEPLOYMENT)
    assert incident.key == IncidentKey("alpha|workload|Deployment/shop/web")
    assert [member.subject.name for member in incident.active] == ["web-1"]
    assert await ward.outcomes() == {a_signal().id: Reason.RULE_MATCHED}
    assert ward.rings == 1


async def test_an_empty_delivery_stores_nothing_and_rings_nobody(ward: Ward) -> None:
    assert await ward.take() == 0
    assert ward.rings == 0


async def test_another_pod_of_the_same_owner_joins(ward: Ward) -> None:
    await ward.take(a_signal(1, pod="web-1"))
    await ward.take(a_signal(2, pod="web-2"))

    incident = await ward.only()
    assert {member.subject.name for member in incident.active} == {"web-1", "web-2"}
    assert (await ward.outcomes())[a_signal(2).id] == Reason.JOINED_OPEN_INCIDENT


async def test_a_storm_of_one_owner_is_one_incident_in_one_append(ward: Ward) -> None:
    await ward.take(*(a_signal(number, pod=f"web-{number}") for number in range(1, 301)))

    incident = await ward.only()
    assert len(incident.active) == 300
    assert incident.seq == 301


async def test_what_is_delivered_twice_counts_once(ward: Ward) -> None:
    assert await ward.take(a_signal(1)) == 1
    seen = await ward.only()
    assert await ward.take(a_signal(2)) == 0, "the same episode under another id"

    assert await ward.only() == seen
    assert ward.rings == 1, "nothing new: nobody is rung"


async def test_unrelated_owners_stay_apart_though_they_come_together(ward: Ward) -> None:
    other = ObjectRef("Deployment", "cart", "shop")
    await ward.take(a_signal(1, pod="web-1"), owned(a_signal(2, pod="cart-1"), other))

    assert {incident.owner.name for incident in await ward.incidents()} == {"web", "cart"}


async def test_the_worst_signal_of_a_batch_names_the_incident(ward: Ward) -> None:
    mild = msgspec.structs.replace(a_signal(1, pod="web-1"), severity=Severity.WARNING, title="mild")
    grave = msgspec.structs.replace(a_signal(2, pod="web-2"), severity=Severity.CRITICAL, title="grave")
    await ward.take(mild, grave)

    incident = await ward.only()
    assert (incident.title, incident.severity) == ("grave", Severity.CRITICAL)


async def test_an_alert_about_a_pod_joins_the_incident_of_its_workload(ward: Ward) -> None:
    await ward.take(a_signal(1, pod="web-1"))
    pod = ObjectRef("Pod", "web-2", "shop")
    alert = owned(a_signal(2, pod="web-2", source="alertmanager"), pod)
    ward.owners = KnownOwners(web_2=DEPLOYMENT)
    await ward.take(alert)

    incident = await ward.only()
    assert {member.source for member in incident.active} == {"watch", "alertmanager"}


@pytest.mark.parametrize("rules", [(), (Rule(id="hush", match=Matcher(), drop=True),)], ids=["no rule", "dropped"])
async def test_what_no_rule_wants_opens_nothing_and_is_settled(ward: Ward, rules: tuple[Rule, ...]) -> None:
    ward.rules = FixedRules(*rules)
    await ward.take(a_signal())

    assert await ward.incidents() == []
    assert await ward.outcomes() == {a_signal().id: Reason.NO_RULE}
    assert await ward.store.inbox.depth() == 0


async def test_a_firing_that_comes_after_its_own_resolve_is_ignored(ward: Ward) -> None:
    await ward.take(gone(1))
    await ward.take(a_signal(2))

    assert await ward.incidents() == []
    assert (await ward.outcomes())[a_signal(2).id] == Reason.RESOLVED_BEFORE


async def test_a_rule_with_a_hold_opens_only_when_the_signal_still_fires_then(ward: Ward, clock: ManualClock) -> None:
    ward.rules = FixedRules(Rule(id="patient", match=Matcher(), hold=timedelta(seconds=5)))
    await ward.take(a_signal())
    clock.advance(4.9)
    await ward.ingestion.drain()
    assert await ward.incidents() == []

    clock.advance(0.1)
    await ward.ingestion.drain()
    assert (await ward.only()).rule == "patient"


async def test_what_clears_within_the_hold_never_becomes_an_incident(ward: Ward, clock: ManualClock) -> None:
    ward.rules = FixedRules(Rule(id="patient", match=Matcher(), hold=timedelta(seconds=5)))
    await ward.take(a_signal(1))
    clock.advance(2)
    await ward.take(gone(2))
    clock.advance(10)
    await ward.ingestion.drain()

    assert await ward.incidents() == []
    assert await ward.store.inbox.depth() == 0


async def test_an_incident_ends_when_its_signals_stayed_cleared(ward: Ward, clock: ManualClock) -> None:
    await ward.take(a_signal(1))
    await ward.take(gone(2))
    clock.advance(SETTLE.total_seconds() - 0.1)
    assert await ward.settle() == 0
    assert (await ward.only()).state is State.OPEN

    clock.advance(0.1)
    assert await ward.settle() == 1
    incident = await ward.only()
    assert (incident.state, incident.reason) == (State.RESOLVED, Reason.SIGNALS_CLEARED)
    assert await ward.settle() == 0, "and ends once"


async def test_what_cleared_before_anybody_looked_opens_nothing(ward: Ward) -> None:
    await ward.take(a_signal(1), gone(2))

    assert await ward.incidents() == []
    assert await ward.outcomes() == {a_signal(1).id: Reason.RESOLVED_BEFORE, gone(2).id: Reason.SIGNAL_CLEARED}


async def test_one_of_two_members_still_firing_keeps_it_open(ward: Ward, clock: ManualClock) -> None:
    await ward.take(a_signal(1, pod="web-1"), a_signal(2, pod="web-2"))
    await ward.take(gone(3, pod="web-1"))
    clock.advance(60)

    assert await ward.settle() == 0
    assert [member.subject.name for member in (await ward.only()).active] == ["web-2"]


async def test_firing_again_while_it_settles_keeps_it_open(ward: Ward, clock: ManualClock) -> None:
    await ward.take(a_signal(1))
    await ward.take(gone(2))
    clock.advance(3)
    await ward.take(a_signal(3, starts_at=NOON + timedelta(seconds=3), at=clock.now()))
    clock.advance(60)

    assert await ward.settle() == 0
    assert (await ward.only()).members[0].count == 2


async def test_after_the_end_the_next_episode_is_a_new_incident(ward: Ward, clock: ManualClock) -> None:
    await ward.take(a_signal(1))
    await ward.take(gone(2))
    clock.advance(SETTLE.total_seconds())
    await ward.settle()
    later = clock.advance(60)
    await ward.take(a_signal(3, starts_at=later, at=later))

    states = [incident.state for incident in await ward.incidents()]
    assert sorted(states) == [State.OPEN, State.RESOLVED]


async def test_an_escalated_incident_closes_when_its_signals_clear(ward: Ward, clock: ManualClock) -> None:
    await ward.take(a_signal(1))
    told = ev.Escalated(reason=Reason.NO_PLAYBOOK, detail="by hand")
    await ward.store.journal.append(await ward.only(), [told], at=clock.now(), by="test")
    await ward.take(gone(2))
    clock.advance(SETTLE.total_seconds())

    assert await ward.settle() == 1
    assert (await ward.only()).state is State.CLOSED


async def test_a_resolve_of_an_older_episode_does_not_clear_the_newer_one(ward: Ward, clock: ManualClock) -> None:
    later = NOON + timedelta(seconds=30)
    await ward.take(a_signal(1))
    clock.advance(30)
    await ward.take(a_signal(2, starts_at=later, at=later))
    await ward.take(gone(3))

    assert len((await ward.only()).active) == 1


class Unsettled:
    """An inbox whose process dies right before it marks signals as settled, once."""

    def __init__(self, store: MemoryStore) -> None:
        self._inbox = store.inbox
        self.deaths = 0

    def __getattr__(self, name: str) -> object:
        return getattr(self._inbox, name)

    async def settle(self, outcomes: Sequence[tuple[SignalId, Reason, IncidentId | None]]) -> None:
        if not self.deaths:
            self.deaths += 1
            raise Transient("killed")
        await self._inbox.settle(outcomes)


async def test_a_death_between_append_and_settle_does_nothing_twice(ward: Ward) -> None:
    inbox = Unsettled(ward.store)
    store = ward.store
    dying = Ingestion(
        inbox,  # type: ignore[arg-type]  # passes everything else on
        store.journal,
        store.work,
        ward.rules,
        ward.owners,
        ward.clock,
        ward.ids,
        by="rules",
    )
    await store.inbox.put([a_signal(1, pod="web-1"), a_signal(2, pod="web-2")])
    with pytest.raises(Transient):
        await dying.drain()
    before = await ward.only()
    assert await store.inbox.depth() == 2

    await ward.ingestion.drain()
    assert await ward.only() == before
    assert await store.inbox.depth() == 0
    assert fold(before.id, await store.journal.entries(before.id)) == before


async def test_a_resolve_that_came_while_it_was_dead_still_clears_the_member(ward: Ward, clock: ManualClock) -> None:
    store = ward.store
    dying = Ingestion(
        Unsettled(store),  # type: ignore[arg-type]  # passes everything else on
        store.journal,
        store.work,
        ward.rules,
        ward.owners,
        clock,
        ward.ids,
        by="rules",
    )
    await store.inbox.put([a_signal(1)])
    with pytest.raises(Transient):
        await dying.drain()
    await store.inbox.put([gone(2)])

    await ward.ingestion.drain()
    assert (await ward.only()).active == ()
    clock.advance(SETTLE.total_seconds())
    assert await ward.settle() == 1


class Overtaken:
    """A journal in which somebody else writes first, the first ``times`` times."""

    def __init__(self, journal: MemoryJournal, times: int = 1) -> None:
        self._journal, self.times = journal, times

    def __getattr__(self, name: str) -> object:
        return getattr(self._journal, name)

    async def append(self, incident: Incident, events: Sequence[ev.AnyEvent], **more: object) -> Incident:
        if self.times:
            self.times -= 1
            started = ev.InvestigationStarted(reason=Reason.CLAIMED, worker="w")
            await self._journal.append(incident, [started], at=NOON, by="w")
        return await self._journal.append(incident, events, **more)  # type: ignore[arg-type]


async def test_who_was_overtaken_looks_again_and_joins_all_the_same(ward: Ward) -> None:
    await ward.take(a_signal(1, pod="web-1"))
    store = ward.store
    overtaken = Ingestion(
        store.inbox,
        Overtaken(store.journal),  # type: ignore[arg-type]  # passes everything else on
        store.work,
        ward.rules,
        ward.owners,
        ward.clock,
        ward.ids,
        by="rules",
    )
    await store.inbox.put([a_signal(2, pod="web-2"), gone(3, pod="web-1")])
    await overtaken.drain()

    incident = await ward.only()
    assert [member.subject.name for member in incident.active] == ["web-2"]
    assert incident.state is State.INVESTIGATING


async def test_while_the_store_is_away_nothing_is_accepted(ward: Ward) -> None:
    ward.store.away = True
    with pytest.raises(Transient):
        await ward.take(a_signal())
    assert ward.rings == 0

    ward.store.away = False
    await ward.take(a_signal())
    assert len(await ward.incidents()) == 1


async def test_a_claim_to_settle_that_was_taken_over_ends_nothing(ward: Ward, clock: ManualClock) -> None:
    await ward.take(a_signal(1))
    await ward.take(gone(2))
    clock.advance(SETTLE.total_seconds())

    class TakenOver:
        def __getattr__(self, name: str) -> object:
            return getattr(ward.store.work, name)

        async def claim(self, *arguments: object, **more: object) -> tuple[Claim, ...]:
            mine = await ward.store.work.claim(*arguments, **more)  # type: ignore[arg-type]
            clock.advance(TTL.total_seconds() + 1)
            await ward.store.work.claim(*arguments, **{**more, "now": clock.now(), "owner": "other"})  # type: ignore[arg-type]
            return mine

    store = ward.store
    late = Ingestion(
        store.inbox,
        store.journal,
        TakenOver(),  # type: ignore[arg-type]
        ward.rules,
        ward.owners,
        clock,
        ward.ids,
        by="late",
    )
    assert await late.settle_incidents(owner="late", ttl=TTL) == 0
    assert (await ward.only()).state is State.OPEN
