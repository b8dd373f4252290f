"""The head of a one-machine Ray dies under `midwatch up`: it starts anew by itself, and goes on where it stood."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from midwatch.sandbox.kubeconfig import ADMIN_CONTEXT
from tests.fixtures.houses import RunningHouse, RunningSandbox, eventually, house_folder

pytestmark = pytest.mark.timeout(400)

BACK_S = 180.0


@pytest.fixture(scope="module")
def folder() -> Iterator[Path]:
    with house_folder("mw-lost-") as folder:
        yield folder


@pytest.fixture(scope="module")
def cluster(folder: Path) -> Iterator[RunningSandbox]:
    """It outlives what watches it, as clusters do."""
    sandbox = RunningSandbox(folder)
    yield sandbox
    sandbox.stop()


@pytest.fixture(scope="module")
def house(folder: Path, cluster: RunningSandbox) -> Iterator[RunningHouse]:
    arguments = ("--context", ADMIN_CONTEXT, "--kubeconfig", str(cluster.kubeconfig))
    house = RunningHouse(folder, arguments=arguments)
    try:
        house.start()
        yield house
    finally:
        house.stop()


@pytest.mark.parametrize(
    ("process", "target"), [("gcs_server", "payments/payment-api"), ("raylet", "shop/cart")], ids=["gcs", "raylet"]
)
def test_what_was_asked_before_is_carried_out_once_after(
    process: str, target: str, house: RunningHouse, cluster: RunningSandbox
) -> None:
    namespace, name = target.split("/")
    cluster.client.breaks("crashloop", target)
    asked = house.wait_for_state("awaiting_approval", about=name, within_s=90)
    (head,) = [found for found in house.processes(process) if found.name() == process]
    starts = house.log.read_text().count("  Console ")
    head.kill()

    eventually(
        lambda: house.log.read_text().count("  Console ") > starts, within_s=BACK_S, what="second start", every_s=0.5
    )
    assert f"Ray's {process} is gone" in house.log.read_text()
    again = house.wait_for_state("awaiting_approval", about=name)
    assert (again["id"], again["approval"]["id"]) == (asked["id"], asked["approval"]["id"]), "the same question"
    house.approve(again)
    house.wait_for_state("resolved", about=name, within_s=90)
    assert len(cluster.client.mutations(namespace, name)) == 1


def test_it_still_ends_cleanly(house: RunningHouse) -> None:
    assert house.stop() == 0
    assert house.left_behind == ()
