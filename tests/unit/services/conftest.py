"""The in-memory store, a clock that stands still, and bells that count."""

import pytest

from tests.fakes.runtime import ManualClock
from tests.fakes.stores import MemoryStore


@pytest.fixture
def store() -> MemoryStore:
    return MemoryStore()


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()
