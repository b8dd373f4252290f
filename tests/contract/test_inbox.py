import asyncio
from datetime import timedelta

import msgspec
import pytest

from midwatch.domain.errors import NotFound
from midwatch.domain.ids import IncidentId, SignalId
from midwatch.domain.reasons import Reason
from midwatch.domain.signals import SignalStatus
from midwatch.services.ports import Receipt
from tests.contract.conftest import AnyStore
from tests.fakes.runtime import NOON
from tests.fakes.samples import a_signal

FAR = NOON + timedelta(hours=1)
INCIDENT = IncidentId("0000000a-0000-7000-8000-000000000001")


async def test_signals_are_kept_once_and_come_out_in_the_order_they_came(store: AnyStore) -> None:
    first = [a_signal(n, pod=f"web-{n}") for n in (3, 1, 2)]
    assert await store.inbox.put(first) == tuple(Receipt(signal.id, True) for signal in first)
    later = a_signal(0, pod="web-0", at=NOON + timedelta(seconds=1))
    await store.inbox.put([later])
    pending = await store.inbox.pending(now=FAR)
    assert [item.signal for item in pending] == [*first, later]
    assert [item.signal for item in await store.inbox.pending(now=FAR, limit=2)] == first[:2]
    assert await store.inbox.depth() == 4


async def test_a_repeat_gets_the_first_ones_receipt(store: AnyStore) -> None:
    signal = a_signal(1)
    again = msgspec.structs.replace(signal, id=a_signal(2).id, received_at=FAR)
    await store.inbox.put([signal])
    assert await store.inbox.put([again, again]) == (Receipt(signal.id, False),) * 2
    assert [item.signal for item in await store.inbox.pending(now=FAR)] == [signal]


async def test_a_repeat_within_one_delivery_counts_once(store: AnyStore) -> None:
    signal = a_signal(1)
    again = msgspec.structs.replace(signal, id=a_signal(2).id)
    other = a_signal(3, pod="web-3")
    receipts = await store.inbox.put([signal, again, other, again])
    assert receipts == (
        Receipt(signal.id, True),
        Receipt(signal.id, False),
        Receipt(other.id, True),
        Receipt(signal.id, False),
    )
    assert await store.inbox.put([signal]) == (Receipt(signal.id, False),)
    assert await store.inbox.depth() == 2
    assert await store.inbox.put([]) == ()


async def test_racing_deliveries_in_any_order_store_each_signal_once(store: AnyStore) -> None:
    signals = [a_signal(n, pod=f"web-{n}") for n in range(30)]
    orders = [signals, signals[::-1], signals[15:] + signals[:15]] * 4
    receipts = await asyncio.gather(*(store.inbox.put(order) for order in orders))
    assert sum(receipt.new for batch in receipts for receipt in batch) == 30
    assert await store.inbox.depth() == 30


async def test_puts_and_settles_of_the_same_signals_do_not_block_one_another(store: AnyStore) -> None:
    signals = [a_signal(n, pod=f"web-{n}") for n in range(30)]
    await store.inbox.put(signals)
    settled = [(signal.id, Reason.NO_RULE, None) for signal in signals]
    orders = [store.inbox.put(signals[::-1]) for _ in range(6)] + [store.inbox.settle(settled[n:]) for n in range(6)]
    await asyncio.gather(*orders)
    assert await store.inbox.depth() == 0


async def test_what_is_settled_does_not_come_back(store: AnyStore) -> None:
    one, two = a_signal(1), a_signal(2, pod="web-2")
    await store.inbox.put([one, two])
    await store.inbox.settle([(one.id, Reason.RULE_MATCHED, INCIDENT)])
    await store.inbox.settle([])
    assert [item.signal for item in await store.inbox.pending(now=FAR)] == [two]
    assert await store.inbox.depth() == 1
    newest, oldest = await store.inbox.recent()
    assert (newest.signal, newest.settled, newest.outcome, newest.incident) == (two, False, "", None)
    assert (oldest.signal, oldest.settled, oldest.outcome, oldest.incident) == (one, True, "rule-matched", INCIDENT)
    assert len(await store.inbox.recent(limit=1)) == 1
    assert await store.inbox.put([one]) == (Receipt(one.id, False),)
    assert await store.inbox.depth() == 1


async def test_a_deferred_signal_comes_back_when_it_is_due(store: AnyStore) -> None:
    signal = a_signal(1)
    await store.inbox.put([signal])
    (fresh,) = await store.inbox.pending(now=NOON)
    assert (fresh.due, fresh.looks) == (NOON, 0)
    due = NOON + timedelta(seconds=30)
    await store.inbox.defer([(signal.id, due, None)])
    assert await store.inbox.pending(now=due - timedelta(seconds=1)) == ()
    (again,) = await store.inbox.pending(now=due)
    assert (again.signal, again.due, again.looks) == (signal, due, 1)


async def test_a_resolved_signal_ends_its_own_episode_only(store: AnyStore) -> None:
    old, new = a_signal(1), a_signal(2, starts_at=NOON + timedelta(minutes=5))
    over = a_signal(3, status=SignalStatus.RESOLVED)
    foreign = a_signal(4, cluster="beta", pod="web-4")
    other_source = a_signal(5, source="alertmanager", pod="web-5")
    await store.inbox.put([old, new, foreign, other_source])
    assert await store.inbox.active(source="watch", cluster="alpha") == (old, new)
    assert not await store.inbox.resolved_since(old.episode)
    assert await store.inbox.put([over]) == (Receipt(over.id, True),)
    assert await store.inbox.resolved_since(old.episode)
    assert not await store.inbox.resolved_since(new.episode)
    assert await store.inbox.active(source="watch", cluster="alpha") == (new,)
    assert await store.inbox.active(source="watch", cluster="beta") == (foreign,)


async def test_the_incident_of_an_episode_is_that_of_its_firing(store: AnyStore) -> None:
    fired, over = a_signal(1), a_signal(2, status=SignalStatus.RESOLVED)
    await store.inbox.put([fired, over])
    assert await store.inbox.incident_of(fired.episode) is None
    await store.inbox.settle([(over.id, Reason.SIGNAL_CLEARED, IncidentId("not-this-one"))])
    assert await store.inbox.incident_of(fired.episode) is None
    await store.inbox.settle([(fired.id, Reason.RULE_MATCHED, INCIDENT)])
    assert await store.inbox.incident_of(fired.episode) == INCIDENT


async def test_any_text_a_sender_may_send_is_kept(store: AnyStore) -> None:
    signal = msgspec.structs.replace(
        a_signal(1),
        fingerprint="f" * 20_000 + "\x00",
        cluster="al\x00pha",
        title="\x00'\"\\ 中",
        labels={"a\x00": "\u2028"},
    )
    await store.inbox.put([signal])
    (pending,) = await store.inbox.pending(now=FAR)
    assert pending.signal == signal
    assert await store.inbox.put([signal]) == (Receipt(signal.id, False),)


async def test_one_signal_is_found_with_what_became_of_it(store: AnyStore) -> None:
    signal, other = a_signal(1), a_signal(2, pod="web-2")
    await store.inbox.put([signal, other])
    found = await store.inbox.find(signal.id)
    assert (found.signal, found.settled, found.incident) == (signal, False, None)
    await store.inbox.settle([(signal.id, Reason.RULE_MATCHED, INCIDENT)])
    found = await store.inbox.find(signal.id)
    assert (found.settled, found.outcome, found.incident) == (True, Reason.RULE_MATCHED, INCIDENT)
    for unknown in ("nobody", signal.id[:8], "a\0b"):
        with pytest.raises(NotFound):
            await store.inbox.find(SignalId(unknown))


async def test_what_was_taken_for_over_is_pending_again_when_it_is_repeated(store: AnyStore) -> None:
    lost, over = a_signal(1), a_signal(2, pod="web-2")
    await store.inbox.put([lost, over])
    await store.inbox.settle([(lost.id, Reason.RESOLVE_LOST, INCIDENT), (over.id, Reason.NO_RULE, None)])
    assert await store.inbox.depth() == 0
    later = NOON + timedelta(hours=13)
    await store.inbox.put([a_signal(3, at=later), a_signal(4, pod="web-2", at=later)])
    assert await store.inbox.pending(now=NOON) == ()
    assert [item.signal for item in await store.inbox.pending(now=later)] == [lost]
    assert await store.inbox.repeats_of([lost.id, over.id]) == {lost.id: 1, over.id: 1}
    assert await store.inbox.repeats_of([]) == {}
