"""Brings the schema up to date. Apart from ``database``: Alembic takes 0.7 s to import, and one process needs it."""

from importlib.resources import files

from alembic import command
from alembic.config import Config
from alembic.util import CommandError
from sqlalchemy import Connection, text

from midwatch.adapters.store.database import Database
from midwatch.domain.errors import Permanent

_MIGRATION_LOCK = 727_001


async def migrate(database: Database) -> None:
    """Bring the schema up to this version; several processes may do so at once. ``Transient``, or ``Permanent``."""
    async with database.begin() as connection:
        await connection.execute(text("SET LOCAL statement_timeout = 0"))
        await connection.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": _MIGRATION_LOCK})
        try:
            await connection.run_sync(_upgrade)
        except CommandError as error:
            raise Permanent(
                f"the database was made by another version of Midwatch: {error}. "
                "Install that version, or use another database."
            ) from error


async def revision(database: Database) -> str:
    """The schema's version, empty where there is no schema yet."""
    async with database.begin() as connection:
        if (await connection.execute(text("SELECT to_regclass('alembic_version')"))).scalar() is None:
            return ""
        return str((await connection.execute(text("SELECT version_num FROM alembic_version"))).scalar() or "")


def _upgrade(connection: Connection) -> None:
    config = Config()
    config.set_main_option("script_location", str(files("midwatch.adapters.store") / "migrations"))
    config.set_main_option("path_separator", "os")
    config.attributes["connection"] = connection
    command.upgrade(config, "head")
