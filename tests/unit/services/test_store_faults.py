"""Whatever the driver says of a server that went away: it means, wait and try again."""

import asyncpg
import pytest

from midwatch.adapters.store.database import Database
from midwatch.domain.errors import Transient


class Gone(Database):
    """Cannot connect, in a given way."""

    def __init__(self, error: Exception) -> None:
        super().__init__("postgresql://postgres@/postgres?host=/nowhere")
        self._error = error

    async def _connect(self) -> object:
        raise self._error


@pytest.mark.parametrize(
    "error",
    [
        ConnectionRefusedError("refused"),
        FileNotFoundError("no socket"),
        TimeoutError(),
        asyncpg.CannotConnectNowError("starting up"),
        asyncpg.TooManyConnectionsError("too many clients"),
        asyncpg.ConnectionDoesNotExistError("closed in the middle of operation"),
        asyncpg.InterfaceError("connection is closed"),
        asyncpg.InternalClientError("cannot switch to state 11; another operation (2) is in progress"),
    ],
    ids=lambda error: type(error).__name__,
)
async def test_a_server_that_is_away_is_transient(error: Exception) -> None:
    database = Gone(error)
    with pytest.raises(Transient):
        await database.health()
    await database.close()
