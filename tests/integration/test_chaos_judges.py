"""The judges of the storms see what they are there to see, and nothing in a run that went well."""

import pytest

from midwatch.adapters.embedded.postgres import EmbeddedPostgres
from midwatch.adapters.store.database import Database
from midwatch.adapters.store.stores import open_stores
from midwatch.domain.incidents import Incident
from tests.chaos.judges import KEY, contradictions, journal_faults, twice
from tests.fakes.cluster import FakeCluster
from tests.fakes.remedies import Bench


class Crash(BaseException):
    """The executor dies here."""


def recorded(bench: Bench) -> list[dict[str, object]]:
    """What the API server would have on record."""
    changes = bench.cluster.mutations
    return [
        {"verb": "patch", "resource": "deployments", "name": "web", "annotations": {KEY: key}} for _, key in changes
    ]


@pytest.fixture
def bench(database: Database) -> Bench:
    return Bench(FakeCluster(), store=open_stores(database))


async def died(bench: Bench, at: str) -> Incident:
    """An incident whose executor died at this call."""
    incident = await bench.approved(await bench.incident("OOMKilled"))

    def die(what: str) -> None:
        if what == at:
            raise Crash

    bench.cluster.on_call = die
    with pytest.raises(Crash):
        await bench.executed()
    bench.cluster.on_call = lambda _: None
    return await bench.store.journal.read(incident.id)


async def test_a_run_that_went_well_has_no_faults(bench: Bench, embedded_postgres: EmbeddedPostgres) -> None:
    await bench.approved(await bench.incident("OOMKilled"))
    await bench.executed()
    assert twice(recorded(bench)) == []
    assert await contradictions(embedded_postgres.url, recorded(bench)) == []
    assert await journal_faults(embedded_postgres.url) == []


async def test_a_fix_that_was_undone_is_settled(bench: Bench, embedded_postgres: EmbeddedPostgres) -> None:
    bench.cluster.heals = False
    incident = await bench.approved(await bench.incident("OOMKilled"))
    await bench.executed()
    await bench.closes(incident)
    assert await contradictions(embedded_postgres.url, recorded(bench)) == []
    assert await journal_faults(embedded_postgres.url) == []


@pytest.mark.parametrize("at", ["before act", "after act"])
async def test_a_step_without_an_end_is_seen(bench: Bench, embedded_postgres: EmbeddedPostgres, at: str) -> None:
    incident = await died(bench, at)
    faults = await journal_faults(embedded_postgres.url)
    assert any(f"of {incident.id} has no end" in fault for fault in faults)
    assert f"{incident.id} is still {incident.state}" in faults
    assert await contradictions(embedded_postgres.url, recorded(bench)) == []


async def test_what_was_told_and_not_done_and_what_was_done_and_not_told_are_seen(
    bench: Bench, embedded_postgres: EmbeddedPostgres
) -> None:
    await bench.approved(await bench.incident("OOMKilled"))
    await bench.executed()
    (key,) = [key for _, key in bench.cluster.mutations]
    assert await contradictions(embedded_postgres.url, []) == [f"key {key} was told as done and is not in the record"]
    foreign = {"verb": "patch", "resource": "deployments", "name": "web", "annotations": {KEY: "nobody:0"}}
    found = await contradictions(embedded_postgres.url, [*recorded(bench), foreign])
    assert found == ["key nobody:0 was done and never announced"]


def test_a_change_twice_and_a_change_without_a_key_are_seen() -> None:
    one = {"verb": "patch", "resource": "deployments", "name": "web", "annotations": {KEY: "k:0"}}
    assert twice([one, one]) == ["2 changes under key k:0"]
    assert twice([{**one, "annotations": {}}]) == ["a change of deployments/web without a key"]
    assert twice([one, {**one, "verb": "delete", "annotations": {}}]) == []
