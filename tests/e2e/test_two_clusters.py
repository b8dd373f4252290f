"""Two clusters in one house, with objects of equal names: each incident names its own, and a fix lands there only."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from midwatch.sandbox.kubeconfig import ADMIN_CONTEXT
from tests.fakes.llm_server import Answer, LlmServer, Tool, calls, says
from tests.fixtures.houses import RunningHouse, RunningSandbox, eventually, house_folder


@pytest.fixture(scope="module")
def folder() -> Iterator[Path]:
    with house_folder("mw-two-") as folder:
        yield folder


@pytest.fixture(scope="module")
def clusters(folder: Path) -> Iterator[dict[str, RunningSandbox]]:
    found: dict[str, RunningSandbox] = {}
    for name in ("east", "west"):
        (folder / name).mkdir()
        found[name] = RunningSandbox(folder / name)
    yield found
    for sandbox in found.values():
        sandbox.stop()


@pytest.fixture(scope="module")
def model() -> LlmServer:
    return LlmServer(script=onlooker)


@pytest.fixture(scope="module")
def house(folder: Path, clusters: dict[str, RunningSandbox], model: LlmServer) -> Iterator[RunningHouse]:
    with model.serve() as address:
        yield from started(folder, clusters, address)


def started(folder: Path, clusters: dict[str, RunningSandbox], model: str) -> Iterator[RunningHouse]:
    environment = {
        "ANTHROPIC_API_KEY": "test-key",
        "ANTHROPIC_BASE_URL": model,
        "MIDWATCH_REFINE_RACE_BELOW": "0",
        "MIDWATCH_KUBECONFIG": str(merged(folder, clusters)),
        "MIDWATCH_CONTEXTS": "east=east-admin,west=west-admin",
        "MIDWATCH_CLUSTER_ALIASES": "eu-west-1=west",
    }
    house = RunningHouse(folder, environment=environment)
    house.start()
    yield house
    house.stop()


@pytest.fixture(scope="module")
def broken(house: RunningHouse, clusters: dict[str, RunningSandbox]) -> None:
    """One workload is broken in both clusters, another in the west alone, and that is seen first."""
    clusters["west"].client.breaks("crashloop", "shop/cart")
    house.wait_for_state("awaiting_approval", "escalated", about="cart", within_s=150)
    for sandbox in clusters.values():
        sandbox.client.breaks("crashloop", "payments/payment-api")


def onlooker(body: dict[str, Any]) -> Answer:
    """Looks at a workload that stands in both clusters, under one name, then knows nothing better."""
    if seen_by(body):
        return says(json.dumps({"known": False, "root_cause": "unknown", "confidence": 0.1}))
    return calls(
        Tool("describe_object", {"kind": "Deployment", "name": "cart", "namespace": "shop"}), text="First cart."
    )


def seen_by(body: dict[str, Any]) -> str:
    """What the tools have answered so far."""
    blocks = [block for message in body["messages"] for block in message["content"]]
    return "\n".join(json.dumps(block) for block in blocks if block["type"] == "tool_result")


def merged(folder: Path, clusters: dict[str, RunningSandbox]) -> Path:
    """One kubeconfig with a context for each, as kubectl keeps them."""
    whole: dict[str, list[object]] = {"clusters": [], "users": [], "contexts": []}
    for name, sandbox in clusters.items():
        own = json.loads(sandbox.kubeconfig.read_text())
        (user,) = (each["context"]["user"] for each in own["contexts"] if each["name"] == ADMIN_CONTEXT)
        whole["clusters"].append({"name": name, "cluster": own["clusters"][0]["cluster"]})
        whole["users"] += [{"name": name, "user": each["user"]} for each in own["users"] if each["name"] == user]
        whole["contexts"].append({"name": f"{name}-admin", "context": {"cluster": name, "user": name}})
    path = folder / "merged.kubeconfig"
    path.touch(0o600)
    path.write_text(json.dumps({"apiVersion": "v1", "kind": "Config", "current-context": "east-admin", **whole}))
    return path


@pytest.mark.usefixtures("broken")
def test_a_model_looks_at_the_cluster_of_its_incident_and_at_no_other(
    clusters: dict[str, RunningSandbox], model: LlmServer
) -> None:
    def looked() -> dict[str, str] | None:
        found = {}
        for body in model.requests:
            told = json.dumps(body["messages"][0])
            if "payment-api" in told and (seen := seen_by(body)):
                found["west" if "cluster: west" in told else "east"] = seen
        return found if len(found) == 2 else None

    seen = eventually(looked, within_s=150, what="looks at both clusters")
    assert "ready=False" in seen["west"]
    assert "ready=False" not in seen["east"]
    assert "ready=True" in seen["east"]
    assert not model.faults
    for sandbox in clusters.values():
        assert sandbox.client.mutations() == []


@pytest.mark.usefixtures("broken")
def test_a_fix_lands_in_the_cluster_of_its_incident_and_in_no_other(
    house: RunningHouse, clusters: dict[str, RunningSandbox]
) -> None:
    def both() -> dict[str, str] | None:
        rows = [row for row in house.incidents("payment-api") if row["state"] == "awaiting_approval"]
        found = {row["cluster"]: row["id"] for row in rows}
        return found if len(found) == 2 else None

    asked = eventually(both, within_s=150, what="two incidents that wait for a person")
    assert set(asked) == {"east", "west"}
    house.approve(house.incident(asked["west"]))

    def resolved() -> bool:
        return bool(house.incident(asked["west"])["state"] == "resolved")

    eventually(resolved, within_s=120, what="resolved incident in the west")
    assert len(clusters["west"].client.mutations(name="payment-api")) == 1
    assert clusters["east"].client.mutations() == []
    assert house.incident(asked["east"])["state"] == "awaiting_approval"

    house.approve(house.incident(asked["east"]))
    eventually(
        lambda: len(clusters["east"].client.mutations(name="payment-api")) == 1, within_s=120, what="fix in the east"
    )
    assert len(clusters["west"].client.mutations(name="payment-api")) == 1
