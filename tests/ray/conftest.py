"""One real Ray for all tests here: on loopback, with its token on, in a directory of its own."""

import logging
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from pydantic import SecretStr

from midwatch.adapters.embedded.postgres import EmbeddedPostgres
from midwatch.adapters.store.database import Database
from midwatch.commands.up import ray_environment
from midwatch.settings import Settings

_HOME = Path(tempfile.mkdtemp(prefix="mw-ray-"))
# Read by Ray when it is imported, hence before the test modules are.
os.environ.update(ray_environment(Settings(state_dir=_HOME)))


@pytest.fixture(scope="session")
def real_ray() -> Iterator[None]:
    """Two seconds, once."""
    import ray

    from actors import names

    ray.init(
        address="local",
        num_cpus=2,
        resources={"head": 1, "rca": 4},
        include_dashboard=False,
        object_store_memory=80_000_000,
        log_to_driver=False,
        logging_level=logging.ERROR,
        namespace=names.NAMESPACE,
        _temp_dir=str(_HOME / "ray"),
    )
    yield
    ray.shutdown()
    shutil.rmtree(_HOME, ignore_errors=True)


@pytest.fixture
def empty_ray(real_ray: None) -> Iterator[None]:
    """Ray without our actors, before and after."""
    _kill_all()
    yield
    _kill_all()


def _kill_all() -> None:
    import ray

    from actors import names

    for item in ray.util.list_named_actors(all_namespaces=True):
        if item["namespace"] == names.NAMESPACE:
            ray.kill(ray.get_actor(item["name"], namespace=names.NAMESPACE))


@pytest.fixture
def settings(database: Database, embedded_postgres: EmbeddedPostgres, tmp_path: Path) -> Settings:
    """A house over the session's store, which is migrated and empty. No cluster: nobody here looks at one."""
    return Settings(
        state_dir=tmp_path,
        database_url=SecretStr(embedded_postgres.url),
        kubeconfig=tmp_path / "none.kubeconfig",
        sweep_s=0.2,
        claim_ttl_s=600,
    )
