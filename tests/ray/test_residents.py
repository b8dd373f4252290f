"""What Ray does with our shells: errors cross typed, a death costs a restart, and an absence fails nobody else."""

import asyncio
import logging
import os
import signal
from pathlib import Path
from typing import Any

import pytest
import ray
from pydantic import SecretStr
from ray.exceptions import RayActorError

from actors import clients, names
from actors.roster import SUPERVISOR, engage, roster
from midwatch.adapters.embedded.postgres import EmbeddedPostgres
from midwatch.adapters.store.database import Database
from midwatch.adapters.store.stores import open_stores
from midwatch.domain import errors
from midwatch.domain.ids import IncidentId
from midwatch.domain.incidents import Work
from midwatch.settings import Settings
from tests.fakes import samples
from tests.fakes.runtime import NOON
from tests.ray.residents import Plain, Stuck, Thrower

pytestmark = [pytest.mark.usefixtures("empty_ray"), pytest.mark.timeout(180)]

INCIDENT = IncidentId("0192f0a0-1111-7000-8000-000000000001")
ERRORS = (
    errors.Transient("the store is away", 2.5),
    errors.Permanent("no such context"),
    errors.Invalid("line 3: unknown key"),
    errors.Refused("right-missing", "may not patch deployments"),
    errors.NotFound("there is no incident x"),
    errors.Conflict("written by another"),
    errors.ClaimLost("taken over"),
)


def start(kind: type, settings: Settings, name: str, *rest: object) -> clients.Handle:
    """An actor of a class of these tests, on the head like those of the house."""
    return clients.make(kind, {"name": name, "resources": {"head": 0.01}}, settings, name, *rest)


async def healthy(name: str, *, but: object = None, within_s: float = 60) -> dict[str, Any]:
    """The actor's health once it is well (and its pid is not ``but``)."""
    async with asyncio.timeout(within_s):
        while True:
            health = await clients.health(name)
            if health and health["ok"] and health["pid"] != but:
                return health
            await asyncio.sleep(0.05)


@pytest.mark.parametrize("error", ERRORS, ids=lambda error: type(error).__name__)
async def test_an_error_crosses_a_call_with_its_type_and_its_fields(error: errors.MidwatchError) -> None:
    remote: Any = ray.remote
    thrower = remote(Thrower).options(num_cpus=0, name="thrower", get_if_exists=True, namespace=names.NAMESPACE)
    with pytest.raises(type(error)) as caught:
        await thrower.remote().throw.remote(error)

    arrived = caught.value
    assert arrived.message == error.message
    for field in ("retry_in", "reason"):
        assert getattr(arrived, field, None) == getattr(error, field, None)
    assert isinstance(arrived, errors.Conflict) == isinstance(error, errors.Conflict)


async def test_a_killed_resident_is_back_and_at_work(settings: Settings) -> None:
    start(Plain, settings, "plain")
    first = await healthy("plain")
    os.kill(int(first["pid"]), signal.SIGKILL)

    await healthy("plain", but=first["pid"])
    assert await _turns("plain") > 1


async def test_what_it_held_when_it_was_killed_is_done_in_its_next_life(
    settings: Settings, database: Database, tmp_path: Path
) -> None:
    stores, mark = open_stores(database), tmp_path / "mark"
    await stores.journal.open(INCIDENT, [samples.opened(), samples.attached()], at=NOON, by="test")
    start(Stuck, settings, "stuck", mark)
    async with asyncio.timeout(60):
        while not mark.exists() or not mark.read_text():
            await asyncio.sleep(0.02)
    os.kill(int(mark.read_text()), signal.SIGKILL)

    async with asyncio.timeout(60):  # the claim itself would last ten minutes
        while (await stores.journal.read(INCIDENT)).report is None:
            await asyncio.sleep(0.05)


async def test_with_the_store_away_it_lives_says_so_and_waits(
    settings: Settings, embedded_postgres: EmbeddedPostgres
) -> None:
    embedded_postgres.stop()
    try:
        start(Plain, settings, "early")
        async with asyncio.timeout(60):
            while not (health := await clients.health("early")) or not health["error"]:
                await asyncio.sleep(0.05)
        assert not health["ok"]
        assert "Transient" in str(health["error"])
    finally:
        embedded_postgres.start()

    assert (await healthy("early"))["pid"] == health["pid"], "the same life: it was never restarted"


async def test_a_wrong_address_of_the_store_does_not_kill_it_either(settings: Settings) -> None:
    wrong = settings.model_copy(update={"database_url": SecretStr("mysql://nobody@127.0.0.1/none")})
    start(Plain, wrong, "misled")
    async with asyncio.timeout(60):
        while not (health := await clients.health("misled")) or not health["error"]:
            await asyncio.sleep(0.05)
    assert "must begin with postgresql://" in str(health["error"])


async def test_the_supervisor_brings_up_the_house_and_makes_anew_what_was_killed_for_good(settings: Settings) -> None:
    engage(names.SUPERVISOR, SUPERVISOR, settings)
    async with asyncio.timeout(60):
        while set(names.house(settings)) - set(await clients.everyone()):
            await asyncio.sleep(0.1)

    gateway = names.channel_gateway("console")
    first = await healthy(gateway)
    _end(await clients.find(gateway))
    await healthy(gateway, but=first["pid"])
    health = await healthy(names.SUPERVISOR)
    assert set(health["actors"]) == set(roster(settings))


async def test_rings_reach_whoever_is_there_and_never_raise(settings: Settings, caplog: Any) -> None:
    bells = clients.ActorBells()
    with caplog.at_level(logging.WARNING):
        bells.signals()  # nobody of that name yet
        await _rung(bells)

        slow = settings.model_copy(update={"sweep_s": 3600.0})
        start(Plain, slow, names.RULE_ENGINE)
        first = await healthy(names.RULE_ENGINE)
        bells.signals()
        await _rung(bells)
        assert await _turns(names.RULE_ENGINE) > int(first["turns"]), "woken long before its sweep"

        handle = await clients.find(names.RULE_ENGINE)
        _end(handle)
        for _ in range(3):
            bells.signals()
        bells.work(Work.PLAN)
        bells.changed()
        await _rung(bells)
        with pytest.raises(RayActorError):
            await handle.health.remote()

        start(Plain, slow, names.RULE_ENGINE)
        again = await healthy(names.RULE_ENGINE, but=first["pid"])
        bells.signals()
        await _rung(bells)
        assert await _turns(names.RULE_ENGINE) > int(again["turns"]), "the bell found the new one by its name"
    assert caplog.records == []


def _end(handle: Any) -> None:
    """Kill it for good: Ray itself will not restart it."""
    ray.kill(handle)


async def _rung(bells: clients.ActorBells) -> None:
    """Until every ring has been heard, or lost."""
    async with asyncio.timeout(30):
        while bells._rings:
            await asyncio.sleep(0.01)


async def _turns(name: str) -> int:
    """Turns after the ring has had its effect."""
    for _ in range(100):
        health = await clients.health(name)
        if health and int(str(health["turns"])) > 1:
            return int(str(health["turns"]))
        await asyncio.sleep(0.05)
    return 0
