"""Silences are kept, found by a prefix, changed, and told by when they hold."""

from datetime import timedelta

import msgspec
import pytest

from midwatch.domain.errors import Invalid, NotFound
from midwatch.domain.matching import Matcher
from midwatch.domain.reasons import Reason
from midwatch.domain.silences import Silence
from tests.contract.conftest import AnyStore
from tests.fakes.runtime import NOON
from tests.fakes.samples import a_signal

MINUTE = timedelta(minutes=1)


def silence(number: int, begins: int = 0, ends: int = 60) -> Silence:
    return Silence(
        id=f"{number:08x}-0000-7000-8000-51e4ce000000",
        match=Matcher(namespaces=("shop",), labels={"team": "~a\x00|b"}),
        starts_at=NOON + begins * MINUTE,
        ends_at=NOON + ends * MINUTE,
        by="ann",
        comment="ü",
    )


async def test_those_that_hold_are_told_the_first_to_end_first(store: AnyStore) -> None:
    now, soon, over, coming = silence(1), silence(2, ends=5), silence(3, -9, 0), silence(4, 1)
    for each in (now, soon, over, coming):
        await store.silences.put(each, by="console:ann", at=NOON)
    assert await store.silences.active(NOON) == (soon, now)
    assert await store.silences.active(NOON + 5 * MINUTE) == (now, coming)
    assert await store.silences.recent() == (coming, now, soon, over)
    assert await store.silences.recent(limit=1) == (coming,)


async def test_one_is_found_by_its_beginning_and_changed_in_place(store: AnyStore) -> None:
    first = silence(1)
    await store.silences.put(first, by="console:ann", at=NOON)
    await store.silences.put(msgspec.structs.replace(first, id=first.id[:-1] + "9"), by="console:ann", at=NOON)
    assert await store.silences.find(first.id) == first
    with pytest.raises(Invalid):
        await store.silences.find(first.id[:8])
    for unknown in ("00000009", "0", "", "%%%%%%%%"):
        with pytest.raises(NotFound):
            await store.silences.find(unknown)
    ended = msgspec.structs.replace(first, ends_at=NOON)
    await store.silences.put(ended, by="console:ann", at=NOON)
    assert await store.silences.find(first.id) == ended


async def test_what_a_silence_holds_back_is_not_counted_as_waiting(store: AnyStore) -> None:
    first, second = a_signal(1, pod="web-1"), a_signal(2, pod="web-2")
    await store.inbox.put([first, second])
    await store.inbox.defer([(first.id, NOON + MINUTE, Reason.SILENCED)])
    assert await store.inbox.depth() == 1
    rows = {row.signal.id: row for row in await store.inbox.recent()}
    assert (rows[first.id].outcome, rows[first.id].settled) == (Reason.SILENCED, False)
    assert [item.signal.id for item in await store.inbox.pending(now=NOON)] == [second.id]
    await store.inbox.defer([(first.id, NOON + 2 * MINUTE, None)])
    assert await store.inbox.depth() == 2


async def test_what_fired_since_an_instant_is_told_in_order(store: AnyStore) -> None:
    old, new = a_signal(1, pod="web-1"), a_signal(2, pod="web-2", at=NOON + MINUTE)
    await store.inbox.put([new, old])
    assert await store.inbox.firing_since(NOON) == (old, new)
    assert await store.inbox.firing_since(NOON + MINUTE) == (new,)
