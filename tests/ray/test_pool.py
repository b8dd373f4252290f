"""The pool of investigators over nodes that come and go (see ``pool_life.py``)."""

import subprocess
import sys
from pathlib import Path

import pytest

from midwatch.adapters.embedded.postgres import EmbeddedPostgres
from midwatch.adapters.store.database import Database
from tests.fixtures.ray_nodes import node_environment

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.timeout(300)
def test_it_grows_with_the_queue_spreads_and_outlives_a_node(
    database: Database, embedded_postgres: EmbeddedPostgres, embedded_dir: Path
) -> None:
    del database  # migrated and empty: the program has a connection of its own
    folder = embedded_dir / "pool"  # a short path: Ray puts sockets below it
    folder.mkdir()
    told = subprocess.run(
        [sys.executable, "-m", "tests.ray.pool_life", embedded_postgres.url, str(folder)],
        env=node_environment(folder),
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=280,
        check=False,
    )
    assert told.returncode == 0, told.stdout + told.stderr[-6000:]
    print(told.stdout.splitlines()[-1])
