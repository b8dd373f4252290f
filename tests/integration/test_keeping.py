"""Backup, restore and purge of an embedded store, through the commands that people use."""

import asyncio
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from midwatch.adapters.embedded.postgres import EmbeddedPostgres
from midwatch.adapters.store.database import Database
from midwatch.adapters.store.migrate import migrate
from midwatch.adapters.store.stores import Stores, open_stores
from midwatch.cli import app
from midwatch.domain.audit import AuditRow, verify
from midwatch.domain.ids import IncidentId
from midwatch.processes import HouseLock
from tests.fakes.runtime import NOON
from tests.fakes.samples import a_signal, attached, opened, proposed, report
from tests.fixtures.houses import house_folder, runtime_dir

INCIDENT = IncidentId("0000000a-0000-7000-8000-000000000001")


@pytest.fixture
def folder() -> Iterator[Path]:
    with house_folder("mw-keep-") as path:
        yield path


def state(folder: Path, name: str, monkeypatch: pytest.MonkeyPatch) -> EmbeddedPostgres:
    """Point the commands at a state directory; its server."""
    path = folder / name
    path.mkdir(mode=0o711, exist_ok=True)
    monkeypatch.setenv("MIDWATCH_STATE_DIR", str(path))
    return EmbeddedPostgres(path, runtime_dir(path))


def run(*arguments: str) -> Result:
    return CliRunner().invoke(app, list(arguments))


async def fill(stores: Stores) -> None:
    told = [opened(), attached(), report(), proposed()]
    await stores.journal.open(INCIDENT, told, at=NOON, by="rule-engine")
    await stores.inbox.put([a_signal(1), a_signal(2)])


async def test_what_is_stored_comes_back_from_a_backup_made_while_it_runs(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    one = state(folder, "one", monkeypatch)
    one.start()
    database = Database(one.url)
    try:
        await migrate(database)
        stores = open_stores(database)
        await fill(stores)
        entries, signals = await stores.journal.entries(INCIDENT), await stores.inbox.recent()
        made = await asyncio.to_thread(run, "backup", str(folder / "running.backup"))
        assert (made.exit_code, "MB" in made.stdout) == (0, True), made.output
        refused = await asyncio.to_thread(run, "restore", str(folder / "running.backup"))
        assert (refused.exit_code, "stored here already" in refused.output) == (1, True)
    finally:
        await database.close()
        one.stop()
    assert stat.S_IMODE((folder / "running.backup").stat().st_mode) == 0o600
    stopped = await asyncio.to_thread(run, "backup", str(folder / "stopped.backup"))
    assert stopped.exit_code == 0
    assert not one.alive(), "what was started for the backup is ended again"

    two = state(folder, "two", monkeypatch)
    (folder / "broken.backup").write_bytes((folder / "running.backup").read_bytes()[:2000])
    (folder / "other").write_text("not a backup")
    for bad in ("broken.backup", "other", "missing"):
        refused = await asyncio.to_thread(run, "restore", str(folder / bad))
        assert refused.exit_code == 1, refused.output
    with HouseLock(folder / "two"):
        refused = await asyncio.to_thread(run, "restore", str(folder / "running.backup"))
        assert (refused.exit_code, "already runs" in refused.output) == (1, True)
    restored = await asyncio.to_thread(run, "restore", str(folder / "running.backup"))
    assert restored.exit_code == 0, restored.output
    assert not two.alive()

    two.start()
    database = Database(two.url)
    try:
        stores = open_stores(database)
        assert await stores.journal.entries(INCIDENT) == entries
        assert await stores.inbox.recent() == signals
        assert isinstance(verify(await stores.audit.rows()), AuditRow)
    finally:
        await database.close()
        two.stop()


def test_nothing_stored_nothing_to_back_up(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    state(folder, "empty", monkeypatch)
    refused = run("backup", str(folder / "x"))
    assert (refused.exit_code, "nothing is stored" in refused.output) == (1, True)
    assert not (folder / "x").exists()


def test_purge_deletes_all_that_is_ours_and_nothing_else(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    server = state(folder, "one", monkeypatch)
    server.start()
    server.stop()
    path = folder / "one"
    (path / "api-token").write_text("x")
    (path / "logs").mkdir()
    (path / "letters.txt").write_text("somebody else's")
    done = run("down", "--purge", "--yes")
    assert done.exit_code == 0, done.output
    assert [left.name for left in path.iterdir()] == ["letters.txt"]
    assert not server.data_dir.exists()
    assert "letters.txt" in done.stdout

    (path / "letters.txt").unlink()
    assert run("down", "--purge", "--yes").exit_code == 0
    assert not path.exists()


def test_purge_asks_first(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    state(folder, "one", monkeypatch)
    (folder / "one" / "api-token").write_text("x")
    asked = CliRunner().invoke(app, ["down", "--purge"], input="n\n")
    assert asked.exit_code == 1
    assert (folder / "one" / "api-token").exists()
