"""Every contract test runs over the in-memory twin and over PostgreSQL."""

from typing import TypeAlias

import pytest

from midwatch.adapters.store.database import Database
from midwatch.adapters.store.stores import Stores, open_stores
from tests.fakes.runtime import CountingIds
from tests.fakes.stores import MemoryStore

AnyStore: TypeAlias = Stores | MemoryStore


@pytest.fixture(params=["memory", "postgres"])
def store(request: pytest.FixtureRequest) -> AnyStore:
    if request.param == "memory":
        return MemoryStore()
    database: Database = request.getfixturevalue("database")
    return open_stores(database)


@pytest.fixture
def ids() -> CountingIds:
    return CountingIds()
