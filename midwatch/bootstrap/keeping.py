"""What people do with a house's state as a whole: back it up, restore it, delete it."""

import asyncio
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from midwatch.adapters.embedded.dumps import dump, load
from midwatch.adapters.embedded.postgres import EmbeddedPostgres
from midwatch.adapters.embedded.valkey import EmbeddedValkey
from midwatch.adapters.store.database import Database
from midwatch.adapters.store.migrate import migrate, revision
from midwatch.domain.errors import Permanent
from midwatch.processes import HouseLock
from midwatch.settings import Settings

OURS = (
    "api-token",
    "ray-token",
    "logs",
    "gcs",
    "processes.json",
    "processes.new",
    "sandbox.kubeconfig",
    "up.lock",
)
"""What Midwatch puts into a state directory besides its stores."""


def back_up(settings: Settings, file: Path) -> int:
    """Write everything that is stored to a file; its size in bytes. The house may run. Raises ``Permanent``."""
    with _database(settings) as url:
        return dump(url, file)


def restore(settings: Settings, file: Path) -> None:
    """Fill an empty store from a backup and bring it up to this version.

    Raises ``Permanent`` when the house runs, something is stored already, or the file is no backup.
    """
    with HouseLock(settings.state_dir), _database(settings, locked=True) as url:
        asyncio.run(_refuse_full(url))
        load(url, file)
        asyncio.run(_migrate(url))


def purge(settings: Settings) -> tuple[Path, ...]:
    """Delete everything kept on this machine; what else lies in the state directory stays, and is returned.

    Raises ``Permanent`` when the house runs. A database or a Redis of your own is not touched.
    """
    with HouseLock(settings.state_dir):
        EmbeddedPostgres(settings.state_dir, settings.runtime_dir).purge()
        EmbeddedValkey(settings.state_dir, settings.runtime_dir).purge()
        for name in OURS:
            path = settings.state_dir / name
            if path.is_dir() and not path.is_symlink():
                shutil.rmtree(path, ignore_errors=True)
            else:
                path.unlink(missing_ok=True)
        shutil.rmtree(settings.runtime_dir, ignore_errors=True)
    left = tuple(sorted(settings.state_dir.iterdir())) if settings.state_dir.exists() else ()
    if not left and settings.state_dir.exists():
        settings.state_dir.rmdir()
    return left


@contextmanager
def _database(settings: Settings, *, locked: bool = False) -> Iterator[str]:
    """The URL of a server that runs; an embedded one is started for this where it does not."""
    if settings.database_url is not None:
        yield settings.database_url.get_secret_value()
        return
    postgres = EmbeddedPostgres(settings.state_dir, settings.runtime_dir)
    if postgres.alive():
        yield postgres.url
    elif locked:
        yield from _started(postgres)
    else:
        if not postgres.data_dir.exists():
            raise Permanent(f"nothing is stored for {settings.state_dir}")
        with HouseLock(settings.state_dir):
            yield from _started(postgres)


def _started(postgres: EmbeddedPostgres) -> Iterator[str]:
    postgres.start()
    try:
        yield postgres.url
    finally:
        postgres.stop()


async def _refuse_full(url: str) -> None:
    database = Database(url, pool_size=1)
    try:
        if await revision(database):
            raise Permanent("something is stored here already: restore into an empty state directory or database")
    finally:
        await database.close()


async def _migrate(url: str) -> None:
    database = Database(url, pool_size=1, answer_s=3600.0)
    try:
        await migrate(database)
    finally:
        await database.close()
