"""An upgrade from the first schema there ever was, with what it held, to this one."""

from datetime import timedelta
from importlib.resources import files

import msgspec
from alembic import command
from alembic.config import Config
from sqlalchemy import Connection, text

from midwatch.adapters.embedded.postgres import EmbeddedPostgres
from midwatch.adapters.store.database import Database
from midwatch.adapters.store.migrate import migrate
from midwatch.adapters.store.projection import write
from midwatch.adapters.store.stores import open_stores
from midwatch.adapters.store.tables import digest
from midwatch.domain.ids import IncidentId
from midwatch.domain.incidents import Incident, State, Work
from midwatch.services.ports import Claim
from tests.fakes.runtime import NOON
from tests.fakes.samples import a_signal, attached, opened, proposed, report, requested, resolved

_TTL = timedelta(seconds=6)
INCIDENT = IncidentId("0000000a-0000-7000-8000-000000000001")


def _to_the_first(connection: Connection) -> None:
    config = Config()
    config.set_main_option("script_location", str(files("midwatch.adapters.store") / "migrations"))
    config.set_main_option("path_separator", "os")
    config.attributes["connection"] = connection
    command.upgrade(config, "0001")


async def _first_schema(database: Database) -> Incident:
    """An incident that waits for people, its card and a signal, written by SQL as the first version wrote them."""
    told = [opened(), attached(), report(), proposed(), requested()]
    written = write(Incident(id=INCIDENT), told, at=NOON, by="rule-engine")
    incident, signal = written.incident, a_signal()
    async with database.begin() as connection:
        await connection.execute(text("DROP SCHEMA public CASCADE"))
        await connection.execute(text("CREATE SCHEMA public"))
        await connection.run_sync(_to_the_first)
        row = {
            "id": INCIDENT,
            "key": incident.key,
            "key_digest": digest(incident.key),
            "owner": msgspec.json.encode(incident.owner).decode(),
            "seq": incident.seq,
            "snapshot": msgspec.json.encode(incident),
            "at": NOON,
        }
        await connection.execute(
            text("""
                INSERT INTO incidents (id, key, key_digest, cluster, namespace, state, reason, severity, severity_rank,
                                       condition, title, owner, seq, snapshot, opened_at, updated_at, active, members)
                VALUES (:id, :key, :key_digest, 'alpha', 'shop', 'awaiting_approval', 'risk-needs-approval', 'error', 2,
                        'CrashLoopBackOff', 'web crashes', :owner, :seq, :snapshot, :at, :at, 1, 1)
            """),
            row,
        )
        for entry in written.entries:
            values = {
                "id": INCIDENT,
                "seq": entry.seq,
                "at": entry.at,
                "type": entry.event.__struct_config__.tag,
                "reason": entry.event.reason.value,
                "data": msgspec.json.encode(entry.event).decode(),
            }
            await connection.execute(
                text("INSERT INTO incident_events VALUES (:id, :seq, :at, 'rule-engine', :type, :reason, :data)"),
                values,
            )
        await connection.execute(
            text("INSERT INTO cards (incident_id, channel, ref, seq) VALUES (:id, 'console', 'r', 2)"), {"id": INCIDENT}
        )
        await connection.execute(
            text("""
                INSERT INTO work (incident_id, work, reason, severity_rank, created_at)
                VALUES (:id, 'await', 'waiting-for-people', 2, :at)
            """),
            {"id": INCIDENT, "at": NOON},
        )
        await connection.execute(
            text("""
                INSERT INTO signals (id, delivery, episode, identity, source, cluster, status, received_at, place,
                                     due_at, data)
                VALUES (:id, :delivery, :episode, 'i', 'watch', 'alpha', 'firing', :at, 0, :at, :data)
            """),
            {
                "id": signal.id,
                "delivery": digest(signal.delivery),
                "episode": digest(signal.episode),
                "at": NOON,
                "data": msgspec.json.encode(signal).decode(),
            },
        )
    return incident


async def test_what_the_first_version_stored_is_read_and_goes_on(embedded_postgres: EmbeddedPostgres) -> None:
    embedded_postgres.start()
    database = Database(embedded_postgres.url)
    try:
        before = await _first_schema(database)
        await migrate(database)
        stores = open_stores(database)
        incident = await stores.journal.read(INCIDENT)
        assert incident == before
        assert incident.state is State.AWAITING_APPROVAL
        assert len(await stores.journal.entries(INCIDENT)) == before.seq
        assert [pending.signal for pending in await stores.inbox.pending(now=NOON)] == [a_signal()]
        assert [card.incident for card in await stores.cards.due("console", now=NOON)] == [INCIDENT]
        claims: tuple[Claim, ...] = await stores.work.claim([Work.AWAIT], owner="me", now=NOON, ttl=_TTL)
        assert [claim.incident for claim in claims] == [INCIDENT]
        await stores.journal.append(incident, [resolved()], at=NOON, by="me")
        assert [row.record.what for row in await stores.audit.rows()] == ["resolved"]
    finally:
        async with database.begin() as connection:
            await connection.execute(text("DROP SCHEMA public CASCADE"))
            await connection.execute(text("CREATE SCHEMA public"))
        await database.close()
