"""The audit trail is written with what it records, whole and in order however many write at once."""

import asyncio
from datetime import timedelta

import msgspec
from sqlalchemy import text

from midwatch.adapters.store.database import Database
from midwatch.adapters.store.stores import open_stores
from midwatch.domain.audit import AuditRow, Broken, verify
from midwatch.domain.ids import IncidentId
from midwatch.domain.matching import Matcher
from midwatch.domain.silences import Silence
from tests.contract.conftest import AnyStore
from tests.fakes.runtime import NOON, CountingIds
from tests.fakes.samples import attached, opened, proposed, report


async def test_appends_and_silences_leave_rows_that_chain(store: AnyStore, ids: CountingIds) -> None:
    incident_id = IncidentId(ids.new())
    incident = await store.journal.open(incident_id, [opened(), attached(), report()], at=NOON, by="rule-engine")
    assert await store.audit.rows() == ()
    await store.journal.append(incident, [proposed()], at=NOON, by="playbook-executor")
    silence = Silence(
        id="00000001-0000-7000-8000-51e4ce000000",
        match=Matcher(namespaces=("shop",)),
        starts_at=NOON,
        ends_at=NOON + timedelta(hours=1),
        by="console:ann",
        comment="upgrade \x00 tonight",
    )
    await store.silences.put(silence, by="console:ann", at=NOON + timedelta(seconds=5))
    rows = await store.audit.rows()
    told = [(row.number, row.record.who, row.record.what, row.record.about) for row in rows]
    assert told == [
        (1, "playbook-executor", "plan-proposed", incident_id),
        (2, "console:ann", "silence-made", silence.id),
    ]
    assert verify(rows) == rows[-1]
    assert await store.audit.rows(after=1) == rows[1:]
    assert await store.audit.rows(since=NOON + timedelta(seconds=1)) == rows[1:]
    assert await store.audit.rows(limit=1) == rows[:1]


async def test_many_writers_make_one_chain(store: AnyStore, ids: CountingIds) -> None:
    async def plan(number: int) -> None:
        told = [opened(f"key-{number}"), attached(), report(), proposed()]
        await store.journal.open(IncidentId(ids.new()), told, at=NOON, by="test")

    await asyncio.gather(*(plan(number) for number in range(30)))
    rows = await store.audit.rows()
    assert [row.number for row in rows] == list(range(1, 31))
    assert isinstance(verify(rows), AuditRow)


async def test_what_is_refused_leaves_no_row(store: AnyStore, ids: CountingIds) -> None:
    incident = await store.journal.open(IncidentId(ids.new()), [opened(), attached(), report()], at=NOON, by="test")
    stale = msgspec.structs.replace(incident, seq=incident.seq - 1)
    outcomes = await asyncio.gather(
        store.journal.append(stale, [proposed()], at=NOON, by="late"), return_exceptions=True
    )
    assert isinstance(outcomes[0], Exception)
    assert await store.audit.rows() == ()


async def test_a_row_changed_in_the_database_is_found(database: Database, ids: CountingIds) -> None:
    store = open_stores(database)
    for number in range(3):
        told = [opened(f"key-{number}"), attached(), report(), proposed()]
        await store.journal.open(IncidentId(ids.new()), told, at=NOON, by="test")
    async with database.begin() as connection:
        await connection.execute(text("UPDATE audit SET who = 'mallory' WHERE number = 2"))
    broken = verify(await store.audit.rows())
    assert isinstance(broken, Broken)
    assert broken.number == 2
