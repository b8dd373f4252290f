"""What a plan says it touches: budgets, and the endpoints that stay while it is carried out."""

from collections.abc import Sequence
from typing import Any

import pytest

from midwatch.adapters.mcp.kubernetes.api import Json, Kube
from midwatch.adapters.mcp.kubernetes.observe import LiveCluster
from midwatch.domain.compiling import blast_radius, compile_plan
from midwatch.domain.observed import Observed
from midwatch.domain.playbooks import PlanStep, Risk, Target
from midwatch.domain.refs import ObjectRef
from tests.fakes.remedies import PLAYBOOKS

LABELS = {"app": "web"}
SERVICE = {"kubernetes.io/service-name": "web"}
ROLLS = {"strategy": {"rollingUpdate": {"maxUnavailable": 1, "maxSurge": 0}}}


def endpoints(count: int) -> Json:
    ready = [{"addresses": [f"10.0.0.{number}"], "conditions": {"ready": True}} for number in range(count)]
    return {"metadata": {"name": "web-1", "labels": SERVICE}, "endpoints": ready}


class Shop(Kube):
    """One object, a Service with ``ready`` endpoints, and a budget that lets ``headroom`` pods go."""

    def __init__(self, document: Json, *, ready: int, headroom: int = 0) -> None:
        selector = {"matchLabels": LABELS}
        budget = {"metadata": {"name": "b"}, "spec": {"selector": selector}, "status": {"disruptionsAllowed": headroom}}
        other = {"metadata": {"name": "o"}, "spec": {"selector": {"matchLabels": {"app": "x"}}}}
        self.document = document
        self.around: dict[str, Sequence[Json]] = {
            "Service": [{"metadata": {"name": "web"}, "spec": {"selector": LABELS}}],
            "EndpointSlice": [endpoints(ready)],
            "PodDisruptionBudget": [budget, other],
        }

    async def get(self, kind: str, name: str, namespace: str = "") -> Json | None:
        return self.document

    async def list(self, kind: str, *args: object, **options: object) -> tuple[Json, ...]:
        return tuple(self.around.get(kind, ()))


async def seen(kind: str, *, ready: int, spec: Json | None = None, status: Json | None = None) -> Observed:
    labels = LABELS if kind == "Pod" else {}
    whole = {"selector": {"matchLabels": LABELS}, "template": {"metadata": {"labels": LABELS}}, **(spec or {})}
    meta = {"name": "web", "namespace": "shop", "uid": "u", "labels": labels}
    kube = Shop({"metadata": meta, "spec": whole, "status": status or {}}, ready=ready)
    found = await LiveCluster(kube).observe(ObjectRef(kind, "web", "shop"))
    assert found is not None
    return found


@pytest.mark.parametrize(("ready", "left"), [(True, 1), (False, 2)])
async def test_a_pod_takes_its_own_endpoint_with_it(ready: bool, left: int) -> None:
    status = {"phase": "Running", "conditions": [{"type": "Ready", "status": "True" if ready else "False"}]}
    playbook = PLAYBOOKS.get("restart-pod")
    assert playbook is not None
    plan = compile_plan(playbook, await seen("Pod", ready=2, status=status), {})
    assert (plan.blast.pods, plan.blast.ready_now, plan.blast.endpoints_left) == (1, int(ready), left)
    assert plan.blast.pdb_headroom == 0
    assert "Its disruption budget allows no further pod to be away." in plan.warnings


async def test_the_remains_of_a_pod_touch_nothing() -> None:
    playbook = PLAYBOOKS.get("restart-pod")
    assert playbook is not None
    plan = compile_plan(playbook, await seen("Pod", ready=2, status={"phase": "Failed"}), {})
    assert (plan.blast.pods, plan.blast.endpoints_left) == (0, 2)


@pytest.mark.parametrize(
    ("kind", "replicas", "ready", "spec", "left"),
    [
        ("Deployment", 1, 1, {}, 1),
        ("Deployment", 1, 1, ROLLS, 0),
        ("Deployment", 1, 1, {"strategy": {"rollingUpdate": {"maxUnavailable": 0, "maxSurge": "0%"}}}, 0),
        ("Deployment", 4, 4, {}, 3),
        ("Deployment", 7, 7, {}, 6),
        ("Deployment", 4, 2, {}, 2),
        ("Deployment", 4, 4, {"strategy": {"type": "Recreate"}}, 0),
        ("StatefulSet", 1, 1, {}, 0),
        ("StatefulSet", 3, 2, {}, 1),
        ("StatefulSet", 3, 3, {"updateStrategy": {"type": "OnDelete"}}, 3),
    ],
)
async def test_a_rollout_leaves_what_its_strategy_keeps(
    kind: str, replicas: int, ready: int, spec: dict[str, Any], left: int
) -> None:
    found = await seen(kind, ready=ready, spec={"replicas": replicas, **spec}, status={"readyReplicas": ready})
    playbook = PLAYBOOKS.get("restart-workload")
    assert playbook is not None
    plan = compile_plan(playbook, found, {})
    assert plan.blast.endpoints_left == left
    assert any("interrupted" in said for said in plan.warnings) is (left == 0)


@pytest.mark.parametrize(
    ("action", "params", "left"), [("scale", {"replicas": 1}, 1), ("scale", {"replicas": 9}, 3), ("suspend", {}, 3)]
)
def test_other_steps_take_only_what_they_say(action: str, params: dict[str, str | int | bool], left: int) -> None:
    found = Observed(ref=ObjectRef("Deployment", "web", "shop", "u"), desired=3, ready=3, endpoints_ready=3)
    step = PlanStep(action=action, target=Target(found.ref), risk=Risk.MEDIUM, params=params)
    assert blast_radius(found, (step,)).endpoints_left == left
