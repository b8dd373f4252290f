"""Pauses hold until they end, and what begins is counted exactly, however many begin at once."""

import asyncio
from datetime import timedelta

import msgspec

from midwatch.domain.brakes import Deed, Pause
from tests.contract.conftest import AnyStore
from tests.fakes.runtime import NOON

MINUTE = timedelta(minutes=1)


def pause(number: int, begins: int = 0, ends: int | None = None) -> Pause:
    return Pause(
        id=f"{number:08x}-0000-7000-8000-51e4ce000000",
        starts_at=NOON + begins * MINUTE,
        ends_at=None if ends is None else NOON + ends * MINUTE,
        by="api:ann",
        namespaces=("shop",),
        reason="a\x00ü",
    )


async def test_pauses_hold_between_their_instants(store: AnyStore) -> None:
    endless, short, over, ahead = pause(1), pause(2, ends=5), pause(3, -9, 0), pause(4, 1)
    for each in (endless, short, over, ahead):
        await store.pauses.put(each, by="api:ann", at=NOON)
    assert await store.pauses.active(NOON) == (endless, short, ahead), "it holds at once, though a clock went back"
    assert await store.pauses.active(NOON + 5 * MINUTE) == (endless, ahead)
    assert await store.pauses.recent(limit=2) == (ahead, short)
    lifted = msgspec.structs.replace(endless, ends_at=NOON + MINUTE, lifted=True)
    await store.pauses.put(lifted, by="api:ben", at=NOON + MINUTE)
    assert await store.pauses.active(NOON + MINUTE) == (short, ahead)
    assert await store.pauses.active(NOON - 60 * MINUTE) == (over, short, ahead), "lifted is lifted, whatever the clock"
    trail = [(row.record.what, row.record.who) for row in await store.audit.rows()]
    assert trail[0] == ("pause-called", "api:ann")
    assert trail[-1] == ("pause-ended", "api:ben")


async def test_a_deed_is_counted_once_and_ends_once(store: AnyStore) -> None:
    for _ in range(2):
        assert await store.deeds.admit("a", now=NOON, since=NOON - MINUTE, judge=lambda _: None) is None
    await store.deeds.end("a", at=NOON + MINUTE, failed=True)
    await store.deeds.end("a", at=NOON + 2 * MINUTE, failed=False)
    await store.deeds.end("unknown", at=NOON, failed=True)
    known = Deed(key="a", at=NOON, ended_at=NOON + MINUTE, failed=True)
    assert await store.deeds.since(NOON) == (known,)
    assert await store.deeds.since(NOON + MINUTE) == (known,)
    assert await store.deeds.since(NOON + 2 * MINUTE) == ()


async def test_what_was_let_begin_and_did_not_is_judged_again(store: AnyStore) -> None:
    seen: list[tuple[Deed, ...]] = []

    def allows(others: tuple[Deed, ...]) -> None:
        seen.append(others)

    def refuses(others: tuple[Deed, ...]) -> str:
        seen.append(others)
        return "protected meanwhile"

    await store.deeds.admit("b", now=NOON, since=NOON - MINUTE, judge=lambda _: None)
    for minute in range(2):
        assert await store.deeds.admit("a", now=NOON + minute * MINUTE, since=NOON - MINUTE, judge=allows) is None
    other, own = Deed(key="b", at=NOON), Deed(key="a", at=NOON)
    assert seen == [(other,), (other,)], "it does not stand against itself"
    assert await store.deeds.since(NOON) == (own, other)
    assert await store.deeds.admit("a", now=NOON + MINUTE, since=NOON - MINUTE, judge=refuses) == "protected meanwhile"
    assert await store.deeds.since(NOON) == (other,), "it did not begin"
    await store.deeds.end("b", at=NOON, failed=True)
    assert await store.deeds.admit("b", now=NOON, since=NOON - MINUTE, judge=refuses)
    assert len(await store.deeds.since(NOON)) == 1, "what has ended did happen"


async def test_what_did_not_begin_is_not_counted(store: AnyStore) -> None:
    await store.deeds.admit("a", now=NOON, since=NOON, judge=lambda _: None)
    await store.deeds.withdraw("a")
    assert await store.deeds.since(NOON) == ()
    await store.deeds.admit("a", now=NOON, since=NOON, judge=lambda _: None)
    await store.deeds.end("a", at=NOON, failed=False)
    await store.deeds.withdraw("a")
    assert len(await store.deeds.since(NOON)) == 1, "what has ended did happen"


async def test_the_last_place_is_taken_once(store: AnyStore) -> None:
    def at_most_three(others: tuple[Deed, ...]) -> str | None:
        return "full" if len(others) >= 3 else None

    answers = await asyncio.gather(
        *(store.deeds.admit(f"d{n}", now=NOON, since=NOON - MINUTE, judge=at_most_three) for n in range(20))
    )
    assert sorted(answer or "" for answer in answers) == [""] * 3 + ["full"] * 17
    assert len(await store.deeds.since(NOON)) == 3
