"""One process's way to PostgreSQL: a small pool, migrations at start, and faults told as what to do about them."""

import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from urllib.parse import urlsplit, urlunsplit

import asyncpg
from sqlalchemy import event, text
from sqlalchemy.exc import DBAPIError, DisconnectionError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from sqlalchemy.ext.asyncio import AsyncConnection, create_async_engine

from midwatch.domain.errors import MidwatchError, Permanent, Transient

log = logging.getLogger(__name__)

_RETRY_S = 0.5
_WAIT_S = 10.0
"""How long to wait for a connection, from the pool or from the server, before the store counts as away."""
_LIMITS = {
    "application_name": "midwatch",
    "timezone": "UTC",
    "jit": "off",
    "statement_timeout": "15000",
    "idle_in_transaction_session_timeout": "30000",
}

# SQLSTATE classes and codes that pass by themselves: connection, resources (too many clients, disk full), operator
# (shutdown, starting up, timeout), serialization and deadlock, lock not available, read-only after a failover.
_PASSING = ("08", "53", "57", "40", "55P03", "25006")
# What asyncpg says of a connection that ended, the second where that struck in the middle of a message.
_BROKEN = (asyncpg.InterfaceError, asyncpg.InternalClientError)
_SETUP = {"28", "3D"}  # who may come in, and whether the database exists: for a person to set right


class Database:
    """A pool of connections. Building it does no I/O; every method raises ``Transient`` while the server is away."""

    def __init__(self, url: str, *, pool_size: int = 4, answer_s: float = 20.0) -> None:
        """``url``: a libpq URL (``postgresql://…``, with ``sslmode`` and the like); ``+asyncpg`` is accepted.

        ``answer_s``: after so long without an answer a server counts as away (it is stopped, or the network is cut).
        """
        self._dsn, self._answer_s = _dsn(url), answer_s
        # asyncpg reads the URL itself, as libpq does. A pre-ping would cost three round trips a transaction; a dead
        # server is noticed by its closed socket, and what is not noticed becomes Transient.
        self._engine = create_async_engine(
            "postgresql+asyncpg://",
            async_creator=self._connect,
            pool_size=pool_size,
            max_overflow=0,
            pool_timeout=_WAIT_S,
        )
        event.listen(self._engine.sync_engine, "checkout", _refuse_closed)

    async def _connect(self) -> object:
        return await asyncpg.connect(
            self._dsn, timeout=_WAIT_S, command_timeout=self._answer_s, server_settings=_LIMITS
        )

    @asynccontextmanager
    async def begin(self) -> AsyncIterator[AsyncConnection]:
        """One transaction: committed at the end, rolled back when an error leaves the block."""
        async with self._faults_told(), self._engine.begin() as connection:
            yield connection

    async def fetch(self, statement: str, *arguments: object) -> list[asyncpg.Record]:
        """One statement as a transaction of its own, for the paths that every alert takes: one round trip, not three.

        ``statement`` is in the server's words, its parameters ``$1``, ``$2`` …
        """
        async with self._faults_told(), self._engine.connect() as connection:
            wrapped = await connection.get_raw_connection()
            server: asyncpg.Connection = wrapped.driver_connection
            rows: list[asyncpg.Record] = await server.fetch(statement, *arguments)
            return rows

    @asynccontextmanager
    async def _faults_told(self) -> AsyncIterator[None]:
        try:
            yield
        except MidwatchError:
            raise
        except (DBAPIError, PoolTimeout, asyncpg.PostgresError, *_BROKEN) as error:
            known = _known(error)
            if known is None:
                raise
            raise known from error
        except OSError as error:  # no socket, refused, reset, timed out
            what = str(error) or type(error).__name__
            raise Transient(f"the database cannot be reached: {what}", _RETRY_S) from error

    async def health(self) -> None:
        """Return when the server answers, raise ``Transient`` when it does not."""
        async with self.begin() as connection:
            await connection.execute(text("SELECT 1"))

    async def close(self) -> None:
        await self._engine.dispose()


def _dsn(url: str) -> str:
    parts = urlsplit(url)
    if parts.scheme.partition("+")[0] not in {"postgresql", "postgres"}:
        raise Permanent(f"the database URL must begin with postgresql://, not {parts.scheme or 'nothing'}://")
    dsn = urlunsplit(parts._replace(scheme="postgresql"))
    return dsn if parts.netloc else dsn.replace("postgresql:", "postgresql://", 1)


def _refuse_closed(connection: object, _record: object, _proxy: object) -> None:
    """Have the pool open a new connection in place of one whose server went away."""
    if connection.driver_connection.is_closed():  # type: ignore[attr-defined]  # SQLAlchemy's wrapper around asyncpg
        raise DisconnectionError


def _known(error: Exception) -> MidwatchError | None:
    """What the fault means for the caller; ``None``: a defect of ours, to be raised as it is."""
    if isinstance(error, PoolTimeout):
        return Transient(f"no database connection was free for {_WAIT_S:.0f} s", _RETRY_S)
    origin = error.orig if isinstance(error, DBAPIError) else error
    state = getattr(origin, "sqlstate", None) or ""
    if state[:2] in _SETUP:
        return Permanent(f"the database refuses us ({state}); check MIDWATCH_DATABASE_URL: user, password, database")
    if state.startswith(_PASSING):
        return Transient(f"the database cannot serve now ({state}): {_first_line(origin)}", _RETRY_S)
    if not state and _is_broken(error):
        return Transient(f"the connection to the database broke: {_first_line(origin)}", _RETRY_S)
    return None


def _is_broken(error: Exception) -> bool:
    """Whether it was not the server that spoke (no SQLSTATE) but the connection that ended under a statement."""
    if not isinstance(error, DBAPIError):
        return isinstance(error, _BROKEN)
    cause = getattr(error.orig, "__cause__", None)
    # asyncpg tells wrong arguments as an InterfaceError too, but one that is a ValueError: that is our defect.
    lost = isinstance(cause, (*_BROKEN, OSError)) and not isinstance(cause, ValueError)
    return error.connection_invalidated or lost


def _first_line(error: object) -> str:
    return str(error).partition("\n")[0][:200]
