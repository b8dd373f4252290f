"""A cluster of three nodes loses one and gains one in the middle of investigations, and loses its head while it asks.

Run by ``test_cluster_life.py``, in a network namespace of its own where that is allowed. Arguments: the scene and a
folder. Asserts on the way, and prints one JSON line of seconds.
"""

import json
import sys
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import httpx2

from tests.fixtures.houses import RunningHouse, eventually
from tests.fixtures.machines import Machines, timed

TARGETS = ("payments/payment-api", "shop/cart", "shop/search", "shop/checkout", "platform/mail-relay", "shop/frontend")
NAMES = tuple(target.partition("/")[2] for target in TARGETS)
PLACES, WORKERS = 2, 4
_WAIT_S = 240.0
_PATIENCE_S = 55.0
"""For how long everybody waits for a lost head, or a little less. It takes longer on a crowded machine only."""


def main(scene: str, folder: Path) -> None:
    machines = Machines(folder, gcs_on_disk=scene == "one-machine")
    found: dict[str, Any] = {}
    house: RunningHouse | None = None
    try:
        machines.lay()
        house = {"one-machine": one_machine, "several": several}[scene](machines, found)
        house.stop()
        found["left_behind"] = [each.what for each in house.left_behind]
    finally:
        if house is not None and house.spawned:
            house.stop()
        machines.stop()
    print(json.dumps(found))


def several(machines: Machines, found: dict[str, Any]) -> RunningHouse:
    """Three machines, and a fourth that joins."""
    machines.head(places=0)
    for number in (1, 2):
        machines.worker(number, PLACES)
    house = machines.house(MIDWATCH_RCA_WORKERS=str(WORKERS), MIDWATCH_RCA_SLOTS="1")
    house.start()
    one_leaves_and_one_joins(machines, house, found)
    the_head_is_lost(machines, house, found, TARGETS)
    return house


def one_machine(machines: Machines, found: dict[str, Any]) -> RunningHouse:
    """A head and nothing else, with Ray's own state on its disk."""
    machines.head(places=2)
    house = machines.house()
    house.start()
    for target in TARGETS[:2]:
        sandbox(machines).breaks("crashloop", target)
    the_head_is_lost(machines, house, found, TARGETS[:2])
    return house


def one_leaves_and_one_joins(machines: Machines, house: RunningHouse, found: dict[str, Any]) -> None:
    """Every worker has an investigation in hand when a node with two of them goes."""
    cluster = sandbox(machines)
    cluster("POST", "/sandbox/faults", json={"verb": "get,list", "resource": "pods,events", "delay": 4.0})
    for target in TARGETS:
        cluster.breaks("crashloop", target)
    began = time.monotonic()
    eventually(
        lambda: [len(machines.investigators(number)) for number in (1, 2)] == [PLACES, PLACES],
        within_s=_WAIT_S,
        what="investigators on both nodes",
    )
    found["grown_s"] = timed(began)
    eventually(lambda: len(begun(house)) >= WORKERS, within_s=_WAIT_S, what="investigations in every worker")

    machines.lose(1)
    began = time.monotonic()
    machines.worker(3, PLACES)
    eventually(lambda: machines.investigators(3), within_s=_WAIT_S, what="investigators on the node that joined")
    found["joined_s"] = timed(began)
    cluster("DELETE", "/sandbox/faults")
    for name in NAMES:
        house.wait_for_state("awaiting_approval", about=name, within_s=_WAIT_S)
    found["all_reported_s"] = timed(began)

    told = {name: journal(house, name) for name in NAMES}
    assert {name: types["report-made"] for name, types in told.items()} == dict.fromkeys(NAMES, 1)
    assert sum(types["investigation-started"] for types in told.values()) > len(NAMES), "none was in the lost workers"


def the_head_is_lost(machines: Machines, house: RunningHouse, found: dict[str, Any], targets: Sequence[str]) -> None:
    """It comes back, and what was asked is answered, and carried out once."""
    names = [target.partition("/")[2] for target in targets]
    asked = {name: house.wait_for_state("awaiting_approval", about=name, within_s=_WAIT_S)["id"] for name in names}
    elsewhere = machines.investigators(2) | machines.investigators(3)
    machines.lose(0)
    began = time.monotonic()
    machines.head(places=0 if elsewhere else 2)
    found["head_up_s"] = timed(began)
    if found["head_up_s"] > _PATIENCE_S and house.gone(30):
        house.start()  # what a service manager does
    eventually(lambda: answers(house) or house.gone(0), within_s=_WAIT_S, what="HTTP after the loss of the head")
    found["answers_s"] = timed(began)
    assert not house.gone(0), "`midwatch up` waits for a head that comes back within a minute"

    for name in names:
        incident = house.wait_for_state("awaiting_approval", about=name, within_s=_WAIT_S)
        assert incident["id"] == asked[name], "the same question"
        house.approve(incident)
    for target in targets:
        namespace, name = target.split("/")
        house.wait_for_state("resolved", about=name, within_s=_WAIT_S)
        made = sandbox(machines).mutations(namespace, name)
        assert len(made) == 1, (target, made)
    found["resolved"], found["resolved_s"] = len(targets), timed(began)
    assert elsewhere == machines.investigators(2) | machines.investigators(3), "workers elsewhere run on"


def sandbox(machines: Machines) -> Any:
    assert machines.sandbox is not None
    return machines.sandbox.client


def journal(house: RunningHouse, name: str) -> Counter[str]:
    (row,) = house.incidents(name)
    return Counter(entry["type"] for entry in house.entries(row["id"]))


def begun(house: RunningHouse) -> list[str]:
    """Incidents that somebody investigates and has not reported on."""
    return [row["id"] for row in house.incidents() if row["state"] == "investigating"]


def answers(house: RunningHouse) -> bool:
    try:
        return httpx2.get(f"{house.url}/ready", timeout=2).status_code == 200
    except httpx2.HTTPError:
        return False


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]))
