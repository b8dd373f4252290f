"""Digests in the store: who is told is committed with the digest, once."""

from datetime import timedelta

import msgspec

from midwatch.domain.digests import Digest, digest_of
from midwatch.domain.ids import IncidentId
from midwatch.services.ports import CardRow
from tests.contract.conftest import AnyStore
from tests.fakes.runtime import NOON
from tests.fakes.samples import attached, opened, report, resolved

A, B, C = (IncidentId(f"0000000{n}-0000-7000-8000-00000000000{n}") for n in (1, 2, 3))
HOUR = timedelta(hours=1)


async def held(store: AnyStore, incident_id: IncidentId, *more: object, until: timedelta = HOUR) -> None:
    events = [opened(incident_id), attached(), *more]
    incident = await store.journal.open(incident_id, events, at=NOON, by="test")  # type: ignore[arg-type]
    row = CardRow(incident=incident_id, channel="slack", seq=incident.seq)
    await store.cards.put_off(row, until=NOON + until)


async def made(store: AnyStore, *incidents: IncidentId, number: int = 1) -> Digest:
    read = [await store.journal.read(incident) for incident in incidents]
    return digest_of(f"digest-{number}", "slack", read, NOON + HOUR)


async def test_those_are_told_of_whose_time_has_come(store: AnyStore) -> None:
    await held(store, B)
    await held(store, A, until=HOUR / 2)
    await held(store, C, until=2 * HOUR)
    assert await store.digests.held("slack", now=NOON, limit=9) == ()
    assert await store.digests.held("slack", now=NOON + HOUR, limit=9) == (A, B)
    assert await store.digests.held("slack", now=NOON + HOUR, limit=1) == (A,)
    assert await store.digests.held("telegram", now=NOON + HOUR, limit=9) == ()


async def test_a_digest_and_what_it_tells_are_one_commit(store: AnyStore) -> None:
    await held(store, A)
    await held(store, B, report(), resolved())
    digest = await made(store, A, B)
    assert await store.digests.begin(digest)
    assert await store.digests.held("slack", now=NOON + 9 * HOUR, limit=9) == ()
    (row,) = await store.digests.unsent("slack", now=NOON + HOUR)
    assert (row.digest, row.attempts, row.posting_at) == (digest, 0, None)
    assert await store.digests.unsent("telegram", now=NOON + HOUR) == ()
    told = {card.incident: card.shown for card in [await store.cards.get(each, "slack") for each in (A, B)] if card}
    assert told == {A: "open", B: "resolved"}
    assert await store.cards.due("slack", now=NOON + HOUR) == ()


async def test_what_is_told_already_is_not_told_again(store: AnyStore) -> None:
    await held(store, A)
    await held(store, B)
    assert await store.digests.begin(await made(store, A))
    assert not await store.digests.begin(await made(store, A, B, number=2))
    assert not await store.digests.begin(await made(store, number=3))
    assert await store.digests.held("slack", now=NOON + HOUR, limit=9) == (B,)
    assert len(await store.digests.unsent("slack", now=NOON + HOUR)) == 1


async def test_what_changed_meanwhile_is_not_told_as_it_was(store: AnyStore) -> None:
    await held(store, A)
    digest = await made(store, A)
    incident = await store.journal.read(A)
    await store.journal.append(incident, [report()], at=NOON, by="test")
    (row,) = await store.cards.due("slack", now=NOON)
    await store.cards.sent(msgspec.structs.replace(row, ref="ts-1", seq=incident.seq + 1), at=NOON)
    assert not await store.digests.begin(digest), "it has a card of its own now"


async def test_a_digest_that_failed_waits_and_one_that_was_sent_is_over(store: AnyStore) -> None:
    await held(store, A)
    digest = await made(store, A)
    await store.digests.begin(digest)
    now = NOON + HOUR
    await store.digests.posting(digest.id, at=now)
    (row,) = await store.digests.unsent("slack", now=now)
    assert row.posting_at == now
    await store.digests.failed(row, error="away \x00", retry_at=now + HOUR)
    assert await store.digests.unsent("slack", now=now) == ()
    (row,) = await store.digests.unsent("slack", now=now + HOUR)
    assert (row.attempts, row.posting_at) == (1, now)
    await store.digests.sent(digest.id, "ts-1", at=now)
    assert await store.digests.unsent("slack", now=now + 9 * HOUR) == ()
    assert await store.attic.forget_messages(before=now + HOUR, limit=9) == 0
