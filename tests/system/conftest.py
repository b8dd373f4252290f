"""Programs that come from the system: found on PATH, else the test is skipped, or fails where they are promised."""

import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.fixtures.houses import RunningHouse, house_folder

ROOT = Path(__file__).parents[2]
Tool = Callable[[str], str]


@pytest.fixture
def tool() -> Tool:
    """The path of a program. `.ci/run` sets SYSTEM_TOOLS=required: there a missing one is a fault."""

    def find(name: str) -> str:
        path = shutil.which(name)
        if path is None:
            missing = pytest.fail if os.environ.get("SYSTEM_TOOLS") == "required" else pytest.skip
            missing(f"{name} is not installed here")
        return str(path)

    return find


@pytest.fixture
def root() -> Path:
    return ROOT


@pytest.fixture
def short_path() -> Iterator[Path]:
    """A folder whose name leaves room for a socket's path (107 bytes)."""
    path = Path(tempfile.mkdtemp(prefix="mw-", dir="/tmp"))
    yield path
    shutil.rmtree(path, ignore_errors=True)


@pytest.fixture(scope="session")
def house() -> Iterator[RunningHouse]:
    """A house that watches a healthy sandbox; what happens in it comes from outside."""
    with house_folder() as folder:
        running = RunningHouse(folder, scenario="healthy-noise")
        try:
            running.start()
            yield running
        finally:
            running.stop()
