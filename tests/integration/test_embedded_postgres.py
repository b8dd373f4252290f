import asyncio
import os
import pwd
import signal
import stat
import time
import traceback
import warnings
from pathlib import Path

import asyncpg
import psutil
import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import Connection, text
from sqlalchemy.exc import DBAPIError

from midwatch.adapters.embedded import postgres
from midwatch.adapters.embedded.keeper import Keeper
from midwatch.adapters.embedded.places import private_dir, socket_path
from midwatch.adapters.embedded.postgres import EmbeddedPostgres
from midwatch.adapters.embedded.valkey import EmbeddedValkey
from midwatch.adapters.store import database as database_module
from midwatch.adapters.store.database import Database
from midwatch.adapters.store.migrate import migrate
from midwatch.adapters.store.stores import open_stores
from midwatch.adapters.store.tables import metadata
from midwatch.domain.errors import Permanent, Transient
from midwatch.domain.ids import IncidentId
from midwatch.domain.incidents import fold
from tests.fakes.runtime import NOON
from tests.fakes.samples import a_signal, attached, opened, report

VERSIONS = Path(database_module.__file__).parent / "migrations" / "versions"
A = IncidentId("0000000a-0000-7000-8000-000000000001")


async def until_healthy(database: Database, within_s: float = 10.0) -> None:
    end = time.monotonic() + within_s
    while True:
        try:
            await database.health()
        except Transient:
            if time.monotonic() > end:
                raise
            await asyncio.sleep(0.02)
        else:
            return


def kill(server: EmbeddedPostgres | EmbeddedValkey) -> None:
    assert server.pid is not None
    os.kill(server.pid, signal.SIGKILL)
    while server.alive():
        time.sleep(0.001)


def differences(connection: Connection) -> list[object]:
    return list(compare_metadata(MigrationContext.configure(connection), metadata))


async def test_the_migrations_make_the_tables_that_the_code_knows(database: Database) -> None:
    async with database.begin() as connection:
        assert await connection.run_sync(differences) == []


async def test_racing_starters_migrate_once(embedded_postgres: EmbeddedPostgres) -> None:
    embedded_postgres.start()
    admin = await asyncpg.connect(embedded_postgres.url)
    await admin.execute("CREATE DATABASE fresh")
    starters = [Database(embedded_postgres.url.replace("/postgres?", "/fresh?"), pool_size=1) for _ in range(4)]
    try:
        await asyncio.gather(*(migrate(starter) for starter in starters))
        await migrate(starters[0])
        async with starters[0].begin() as connection:
            versions = (await connection.execute(text("SELECT version_num FROM alembic_version"))).scalars().all()
            assert versions == [max(path.name[:4] for path in VERSIONS.glob("0*.py"))]
    finally:
        await asyncio.gather(*(starter.close() for starter in starters))
        await admin.execute("DROP DATABASE fresh")
        await admin.close()


async def test_what_was_acknowledged_survives_a_kill_of_the_server(
    embedded_postgres: EmbeddedPostgres, database: Database
) -> None:
    stores = open_stores(database)
    incident = await stores.journal.open(A, [opened(), attached()], at=NOON, by="test")
    await stores.inbox.put([a_signal()])
    kill(embedded_postgres)
    with pytest.raises(Transient):
        await stores.journal.append(incident, [report()], at=NOON, by="test")
    with pytest.raises(Transient):
        await database.health()
    embedded_postgres.start()
    await until_healthy(database)
    assert fold(A, await stores.journal.entries(A)) == incident == await stores.journal.read(A)
    assert await stores.inbox.depth() == 1
    assert (await stores.journal.append(incident, [report()], at=NOON, by="test")).seq == incident.seq + 1


async def test_a_kill_in_the_middle_of_appends_loses_none_that_was_answered(
    embedded_postgres: EmbeddedPostgres, database: Database
) -> None:
    stores = open_stores(database)
    incident = await stores.journal.open(A, [opened(), attached()], at=NOON, by="test")
    answered = incident

    async def write() -> None:
        nonlocal answered
        while True:
            answered = await stores.journal.append(answered, [report(f"cause {answered.seq}")], at=NOON, by="test")

    writer = asyncio.create_task(write())
    while answered.seq < 20:
        await asyncio.sleep(0.001)
    kill(embedded_postgres)
    with pytest.raises(Transient):
        await writer
    embedded_postgres.start()
    await until_healthy(database)
    stored = await stores.journal.read(A)
    assert fold(A, await stores.journal.entries(A)) == stored
    assert stored.seq in (answered.seq, answered.seq + 1)  # the last one may have been committed and not yet answered


async def test_a_server_that_hangs_counts_as_away(embedded_postgres: EmbeddedPostgres, database: Database) -> None:
    impatient = Database(embedded_postgres.url, pool_size=1, answer_s=0.3)
    await impatient.health()
    server = psutil.Process(embedded_postgres.pid)
    tree = [server, *server.children(recursive=True)]
    try:
        for process in tree:
            process.suspend()
        with pytest.raises(Transient):
            await impatient.health()
    finally:
        for process in tree:
            process.resume()
    await until_healthy(impatient)
    await impatient.close()


async def test_a_pool_of_dead_connections_heals_without_an_error(
    embedded_postgres: EmbeddedPostgres, database: Database
) -> None:
    await asyncio.gather(*(database.health() for _ in range(8)))
    kill(embedded_postgres)
    embedded_postgres.start()
    await asyncio.sleep(0.05)  # the event loop hears of the closed sockets
    await asyncio.gather(*(database.health() for _ in range(8)))


async def test_the_keeper_restarts_what_was_killed(
    embedded_postgres: EmbeddedPostgres, embedded_valkey: EmbeddedValkey, database: Database
) -> None:
    """Under two seconds on a machine with nothing else to do; the bound is for one that has."""
    embedded_valkey.start()
    keeper = Keeper([embedded_postgres, embedded_valkey])
    running = asyncio.create_task(keeper.run())
    try:
        before = (embedded_postgres.pid, embedded_valkey.pid)
        kill(embedded_postgres)
        kill(embedded_valkey)
        async with asyncio.timeout(15):
            await until_healthy(database, 15.0)
            while keeper.restarts < 2:
                await asyncio.sleep(0.01)
        assert not set(before) & {embedded_postgres.pid, embedded_valkey.pid}
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)


def test_starting_twice_is_starting_once(embedded_postgres: EmbeddedPostgres, embedded_valkey: EmbeddedValkey) -> None:
    for server in (embedded_postgres, embedded_valkey):
        server.start()
        pid = server.pid
        server.start()
        assert server.pid == pid


def test_a_stopped_server_starts_again(embedded_postgres: EmbeddedPostgres, embedded_valkey: EmbeddedValkey) -> None:
    for server in (embedded_postgres, embedded_valkey):
        server.start()
        server.stop()
        assert not server.alive()
        server.stop()
        server.start()
        assert server.alive()


def test_a_pid_file_that_names_another_process_is_stale(embedded_postgres: EmbeddedPostgres) -> None:
    embedded_postgres.start()
    kill(embedded_postgres)
    pid_file = embedded_postgres.data_dir / "postmaster.pid"
    lines = pid_file.read_text().splitlines()
    pid_file.write_text("\n".join([str(os.getpid()), *lines[1:]]) + "\n")
    assert not embedded_postgres.alive()
    embedded_postgres.start()
    assert embedded_postgres.alive()


def test_only_this_user_reaches_the_sockets(
    embedded_postgres: EmbeddedPostgres, embedded_valkey: EmbeddedValkey, embedded_dir: Path
) -> None:
    embedded_postgres.start()
    embedded_valkey.start()
    assert stat.S_IMODE((embedded_dir / "run" / "pg").stat().st_mode) == 0o700
    assert stat.S_IMODE((embedded_dir / "run" / "valkey.sock").stat().st_mode) & 0o077 == 0
    assert stat.S_IMODE((embedded_dir / "run").stat().st_mode) == 0o711
    for server in (embedded_postgres, embedded_valkey):
        tree = [psutil.Process(server.pid), *psutil.Process(server.pid).children(recursive=True)]
        assert not [c for process in tree for c in process.net_connections(kind="inet")]


def test_another_major_is_refused_in_one_sentence(embedded_dir: Path) -> None:
    state = embedded_dir / "older"
    server = EmbeddedPostgres(state, embedded_dir / "run-older")
    server.data_dir.mkdir(parents=True)
    (server.data_dir / "PG_VERSION").write_text("15\n")
    with pytest.raises(Permanent, match=r"made by PostgreSQL 15, this is 16"):
        server.start()


def test_a_path_too_long_for_a_socket_is_refused(tmp_path: Path) -> None:
    long = tmp_path / ("x" * 100)
    for server in (EmbeddedPostgres(tmp_path, long), EmbeddedValkey(tmp_path, long)):
        with pytest.raises(Permanent, match="bytes of a unix socket"):
            server.start()
    assert not long.exists()
    assert socket_path(Path("/tmp/short")) == Path("/tmp/short")


def test_a_directory_that_is_not_ours_is_refused(tmp_path: Path) -> None:
    link = tmp_path / "link"
    link.symlink_to(tmp_path)
    with pytest.raises(Permanent, match="belongs to somebody else"):
        private_dir(link)
    if os.geteuid() == 0:
        foreign = tmp_path / "foreign"
        foreign.mkdir()
        os.chown(foreign, 12345, 12345)
        with pytest.raises(Permanent, match="belongs to somebody else"):
            EmbeddedValkey(tmp_path, foreign).start()


def test_a_half_made_cluster_is_never_taken_for_a_whole_one(embedded_dir: Path) -> None:
    server = EmbeddedPostgres(embedded_dir / "half", embedded_dir / "run-half")
    draft = server.data_dir.with_suffix(".new")
    draft.mkdir(parents=True)
    (draft / "PG_VERSION").write_text("16\n")
    try:
        server.start()
        assert server.alive()
    finally:
        server.stop()


@pytest.mark.parametrize("url", ["mysql://x/y", "/var/run", ""])
def test_a_url_of_another_kind_is_refused(url: str) -> None:
    with pytest.raises(Permanent, match="must begin with postgresql://"):
        Database(url)


async def test_a_wrong_database_is_for_a_person_to_set_right(embedded_postgres: EmbeddedPostgres) -> None:
    embedded_postgres.start()
    database = Database(
        embedded_postgres.url.replace("/postgres?", "/absent?").replace("postgresql:", "postgresql+asyncpg:")
    )
    with pytest.raises(Permanent, match="MIDWATCH_DATABASE_URL"):
        await database.health()
    await database.close()


async def test_a_database_of_a_later_version_is_refused(database: Database) -> None:
    async with database.begin() as connection:
        known = (await connection.execute(text("SELECT version_num FROM alembic_version"))).scalar_one()
        await connection.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    try:
        with pytest.raises(Permanent, match="another version of Midwatch"):
            await migrate(database)
    finally:
        async with database.begin() as connection:
            await connection.execute(text("UPDATE alembic_version SET version_num = :known"), {"known": known})


async def run(database: Database, *statements: str, **values: object) -> None:
    async with database.begin() as connection:
        for statement in statements:
            await connection.execute(text(statement), values)


async def test_a_statement_that_takes_too_long_is_transient_and_a_defect_is_not(database: Database) -> None:
    with pytest.raises(Transient):
        await run(database, "SET LOCAL statement_timeout = 20", "SELECT pg_sleep(5)")
    with pytest.raises(DBAPIError, match="absent"):
        await run(database, "SELECT * FROM absent")
    with pytest.raises(DBAPIError, match="expected str"):
        await run(database, "SELECT CAST(:x AS text)", x=5)
    await database.health()


root_only = pytest.mark.skipif(os.geteuid() != 0, reason="needs root, who runs the server as another user")


@root_only
def test_roots_server_lives_where_it_may_when_home_is_closed(
    embedded_dir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As on a machine where state and wheel stand below a home that only root may enter."""
    closed = tmp_path / "home"
    closed.mkdir(mode=0o700)
    monkeypatch.setattr(postgres, "_ROOT_STATE", embedded_dir / "var")
    monkeypatch.setattr(postgres, "open_to_others", lambda path: False)
    server = EmbeddedPostgres(closed / "state", embedded_dir / "run-root")
    try:
        server.start()
        assert server.data_dir.is_relative_to(embedded_dir / "var")
        command = psutil.Process(server.pid).exe()
        assert command.startswith(str(embedded_dir / "var")), "from a copy of the wheel that nobody may read"
        assert psutil.Process(server.pid).username() == "nobody"
    finally:
        server.stop()
    assert stat.S_IMODE(closed.stat().st_mode) == 0o700, "no directory is opened to others"
    assert not (closed / "state").exists()


@root_only
def test_an_ordinary_user_runs_it_as_himself(embedded_dir: Path) -> None:
    home = embedded_dir / "home"
    home.mkdir()
    somebody = pwd.getpwnam("daemon")
    os.chown(home, somebody.pw_uid, somebody.pw_gid)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # a fork beside the timeout's thread; the child only execs
        child = os.fork()
    if child == 0:
        code = 1
        try:
            os.setgroups([])
            os.setgid(somebody.pw_gid)
            os.setuid(somebody.pw_uid)
            server, cache = EmbeddedPostgres(home / "s", home / "r"), EmbeddedValkey(home / "s", home / "r")
            for store in (server, cache):
                store.start()
                assert psutil.Process(store.pid).uids().real == somebody.pw_uid
                store.stop()
                assert not store.alive()
            code = 0
        except BaseException:
            traceback.print_exc()
        finally:
            os._exit(code)
    assert os.waitpid(child, 0)[1] == 0
