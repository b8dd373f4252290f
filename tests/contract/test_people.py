"""Clicks, leases and cards."""

import asyncio
from datetime import timedelta

import msgspec

from midwatch.domain.ids import ClickId, IncidentId
from midwatch.domain.incidents import Incident
from midwatch.domain.playbooks import VerdictKind
from midwatch.services.leases import LeaseState
from midwatch.services.ports import CardRow
from tests.contract.conftest import AnyStore
from tests.fakes.runtime import NOON
from tests.fakes.samples import a_click, attached, cleared, opened, proposed, report, resolved

A, B = IncidentId("0000000a-0000-7000-8000-000000000001"), IncidentId("0000000b-0000-7000-8000-000000000002")
TTL = timedelta(seconds=10)
DAY = timedelta(days=1)


async def executing(store: AnyStore) -> IncidentId:
    """An incident whose plan may be carried out."""
    told = [opened("other"), attached(), report(), proposed(VerdictKind.AUTO)]
    return (await store.journal.open(A, told, at=NOON, by="test")).id


def after(seconds: float) -> timedelta:
    return timedelta(seconds=seconds)


async def test_a_click_counts_once_and_is_judged_once(store: AnyStore) -> None:
    late, early = a_click(1, at=NOON + after(1)), a_click(2)
    assert await store.clicks.put(late)
    assert await store.clicks.put(early)
    assert not await store.clicks.put(msgspec.structs.replace(late, user="console:mallory"))
    assert await store.clicks.pending() == (early, late)
    assert await store.clicks.pending(limit=1) == (early,)
    assert await store.clicks.outcome(early.id) is None
    await store.clicks.settle(early.id, outcome="approved", sentence="Ann approved.")
    await store.clicks.settle(early.id, outcome="rejected", sentence="No.")
    assert await store.clicks.outcome(early.id) == ("approved", "Ann approved.")
    assert await store.clicks.pending() == (late,)
    assert not await store.clicks.put(early)
    assert await store.clicks.outcome(ClickId("unknown")) is None


async def test_of_racing_deliveries_of_one_click_one_is_new(store: AnyStore) -> None:
    assert sum(await asyncio.gather(*(store.clicks.put(a_click()) for _ in range(20)))) == 1


async def test_a_lease_is_held_by_one_and_regained_by_its_holder(store: AnyStore) -> None:
    held = await store.leases.acquire("web", holder="one", now=NOON, ttl=TTL)
    assert (held.state, held.holder, held.until) == (LeaseState.HELD, "one", NOON + TTL)
    busy = await store.leases.acquire("web", holder="two", now=NOON + after(9), ttl=TTL)
    assert (busy.state, busy.holder, busy.until) == (LeaseState.BUSY, "one", NOON + TTL)
    again = await store.leases.acquire("web", holder="one", now=NOON + after(9), ttl=TTL)
    assert (again.state, again.token, again.until) == (LeaseState.HELD, held.token, NOON + after(19))
    assert (await store.leases.acquire("api", holder="two", now=NOON, ttl=TTL)).state is LeaseState.HELD


async def test_a_lease_that_ran_out_is_taken_under_a_higher_token(store: AnyStore) -> None:
    held = await store.leases.acquire("web", holder="one", now=NOON, ttl=TTL)
    taken = await store.leases.acquire("web", holder="two", now=NOON + TTL, ttl=TTL)
    assert taken.state is LeaseState.HELD
    assert taken.token > held.token
    await store.leases.release("web", holder="one", now=NOON + TTL, cooldown=after(60))  # no longer its own
    assert (await store.leases.acquire("web", holder="one", now=NOON + TTL, ttl=TTL)).state is LeaseState.BUSY


async def test_a_lease_is_forsaken_once_its_incident_has_nothing_to_execute(store: AnyStore) -> None:
    await store.leases.acquire("web", holder="gone", now=NOON, ttl=TTL)
    await store.leases.acquire("api", holder="gone", now=NOON, ttl=TTL)
    acting = await executing(store)
    await store.leases.acquire("cart", holder=acting, now=NOON, ttl=TTL)
    await store.leases.acquire("rested", holder="done", now=NOON, ttl=TTL)
    await store.leases.release("rested", holder="done", now=NOON, cooldown=after(60))
    assert await store.leases.forsaken(now=NOON) == ("gone",)
    assert await store.leases.forsaken(now=NOON + TTL) == ()  # ran out: anybody may have it


async def test_a_resource_rests_between_two_plans(store: AnyStore) -> None:
    first = await store.leases.acquire("web", holder="one", now=NOON, ttl=TTL)
    await store.leases.release("web", holder="one", now=NOON + after(1), cooldown=after(60))
    await store.leases.release("web", holder="one", now=NOON + after(50), cooldown=after(60))  # told again: no longer
    cooling = await store.leases.acquire("web", holder="two", now=NOON + after(60), ttl=TTL)
    assert (cooling.state, cooling.until) == (LeaseState.COOLING, NOON + after(61))
    taken = await store.leases.acquire("web", holder="two", now=NOON + after(61), ttl=TTL)
    assert taken.state is LeaseState.HELD
    assert taken.token > first.token
    await store.leases.release("nothing", holder="one", now=NOON, cooldown=after(1))


async def test_an_execution_regains_its_own_lease_while_it_cools(store: AnyStore) -> None:
    held = await store.leases.acquire("web", holder="one", now=NOON, ttl=TTL)
    await store.leases.release("web", holder="one", now=NOON, cooldown=after(60))
    again = await store.leases.acquire("web", holder="one", now=NOON + after(1), ttl=TTL)
    assert (again.state, again.token) == (LeaseState.HELD, held.token)


async def test_of_racing_holders_one_gets_the_lease(store: AnyStore) -> None:
    racers = [store.leases.acquire("web", holder=f"h-{n}", now=NOON, ttl=TTL) for n in range(20)]
    leases = await asyncio.gather(*racers)
    (won,) = [lease for lease in leases if lease.state is LeaseState.HELD]
    assert {lease.holder for lease in leases} == {won.holder}


async def an_incident(store: AnyStore, incident_id: IncidentId, seconds: float = 0) -> Incident:
    return await store.journal.open(incident_id, [opened(incident_id), attached()], at=NOON + after(seconds), by="test")


async def test_a_card_is_due_while_the_journal_is_longer(store: AnyStore) -> None:
    incident = await an_incident(store, A, 1)
    await an_incident(store, B)
    (old, new) = await store.cards.due("slack", now=NOON)
    assert [old, new] == [CardRow(incident=B, channel="slack"), CardRow(incident=A, channel="slack")]
    assert len(await store.cards.due("slack", now=NOON, limit=1)) == 1
    shown = CardRow(incident=A, channel="slack", ref="ts-1", seq=incident.seq, digest="d")
    await store.cards.sent(shown, at=NOON)
    assert await store.cards.due("slack", now=NOON) == (old,)
    assert len(await store.cards.due("console", now=NOON)) == 2
    assert await store.cards.get(A, "slack") == shown
    assert await store.cards.get(A, "console") is None
    await store.journal.append(incident, [report()], at=NOON + after(2), by="test")
    assert await store.cards.due("slack", now=NOON) == (old, shown)


async def test_a_card_that_failed_waits_and_counts(store: AnyStore) -> None:
    incident = await an_incident(store, A)
    (card,) = await store.cards.due("slack", now=NOON)
    await store.cards.failed(card, error="429", retry_at=NOON + after(10))
    assert await store.cards.due("slack", now=NOON + after(9)) == ()
    (card,) = await store.cards.due("slack", now=NOON + after(10))
    assert (card.attempts, card.ref, card.seq) == (1, "", 0)
    await store.cards.failed(card, error="429", retry_at=NOON + after(20))
    (card,) = await store.cards.due("slack", now=NOON + after(20))
    assert card.attempts == 2
    await store.cards.sent(msgspec.structs.replace(card, ref="ts-1", seq=incident.seq), at=NOON)
    known = await store.cards.get(A, "slack")
    assert known == CardRow(incident=A, channel="slack", ref="ts-1", seq=incident.seq)
    await store.cards.failed(known, error="edit refused", retry_at=NOON)
    assert await store.cards.get(A, "slack") == msgspec.structs.replace(known, attempts=1)


async def test_a_new_channel_does_not_begin_with_the_past(store: AnyStore) -> None:
    incident = await an_incident(store, A)
    incident = await store.journal.append(incident, [cleared(), resolved()], at=NOON, by="test")
    assert len(await store.cards.due("slack", now=NOON + DAY / 2)) == 1
    assert await store.cards.due("slack", now=NOON + DAY * 2) == ()
    await store.cards.sent(CardRow(incident=A, channel="slack", ref="ts-1", seq=1), at=NOON)
    assert len(await store.cards.due("slack", now=NOON + DAY * 2)) == 1  # shown once: its end is told, however late


async def test_a_change_while_a_card_is_on_its_way_is_not_lost(store: AnyStore) -> None:
    incident = await an_incident(store, A)
    for ref in ("first post", "an edit"):
        await store.journal.append(incident, [report(ref)], at=NOON, by="test")
        shown = CardRow(incident=A, channel="slack", ref=ref, seq=incident.seq)
        await store.cards.sent(shown, at=NOON)
        assert await store.cards.due("slack", now=NOON) == (shown,)
        incident = await store.journal.read(A)


async def test_racing_appends_and_posts_leave_no_card_behind_unseen(store: AnyStore) -> None:
    incident = await an_incident(store, A)

    async def write() -> None:
        nonlocal incident
        for n in range(20):
            incident = await store.journal.append(incident, [report(f"cause {n}")], at=NOON, by="test")

    async def post() -> None:
        for _ in range(20):
            for card in await store.cards.due("slack", now=NOON):
                seen = await store.journal.read(A)
                await store.cards.sent(msgspec.structs.replace(card, ref="ts-1", seq=seen.seq), at=NOON)

    await asyncio.gather(write(), post())
    card = await store.cards.get(A, "slack")
    assert card is not None
    assert len(await store.cards.due("slack", now=NOON)) == (1 if card.seq < incident.seq else 0)
