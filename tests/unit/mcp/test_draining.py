"""Draining a node: what it would evict is seen and told, and nothing else is evicted."""

from collections.abc import Sequence

import pytest

from midwatch.adapters.mcp.kubernetes.actions import ClusterActions
from midwatch.adapters.mcp.kubernetes.api import Json, Kube
from midwatch.adapters.mcp.kubernetes.observe import LiveCluster
from midwatch.domain.compiling import compile_plan
from midwatch.domain.errors import Refused
from midwatch.domain.playbooks import Evicted
from midwatch.domain.reasons import Reason
from midwatch.domain.refs import ObjectRef
from midwatch.services.effects import ActionCall
from tests.fakes.cluster import HastyClock
from tests.fakes.remedies import PLAYBOOKS

NODE = ObjectRef("Node", "node-1", "", "u-node")


def pod(name: str, namespace: str = "shop", controller: str = "ReplicaSet") -> Json:
    owner = {"kind": controller, "name": "web-a", "uid": "rs", "controller": True}
    meta = {"name": name, "namespace": namespace, "uid": f"u-{name}"}
    return {"metadata": meta | ({"ownerReferences": [owner]} if controller else {})}


class Node(Kube):
    """One node and its pods. ``arrives``: what is there once the node is cordoned."""

    def __init__(self, *pods: Json, arrives: Sequence[Json] = ()) -> None:
        self.pods, self.arrives = list(pods), arrives
        self.evicted: list[str] = []
        self.cordoned = False

    async def get(self, kind: str, name: str, namespace: str = "") -> Json | None:
        if kind == "ReplicaSet":
            owner = {"kind": "Deployment", "name": "web", "uid": "d", "controller": True}
            return {"metadata": {"name": name, "namespace": namespace, "uid": "rs", "ownerReferences": [owner]}}
        spec = {"unschedulable": True} if self.cordoned else {}
        return {"metadata": {"name": "node-1", "uid": "u-node", "resourceVersion": "1"}, "spec": spec}

    async def list(self, kind: str, *args: object, **options: object) -> tuple[Json, ...]:
        return tuple(self.pods) if kind == "Pod" else ()

    async def patch(self, ref: ObjectRef, operations: Sequence[Json], *, dry_run: bool) -> Json:
        self.cordoned = True
        self.pods += self.arrives
        return await self.get("Node", "node-1") or {}

    async def evict(self, ref: ObjectRef) -> None:
        self.evicted.append(ref.path)
        self.pods = [item for item in self.pods if item["metadata"]["name"] != ref.name]


def drain(namespaces: str = "shop") -> ActionCall:
    return ActionCall(action="drain", ref=NODE, key="k", params={"namespaces": namespaces} if namespaces else {})


async def test_the_plan_says_whose_pods_are_evicted() -> None:
    daemon, bare = pod("daemon", controller="DaemonSet"), pod("b", "pay", "")
    seen = await LiveCluster(Node(pod("web-1"), pod("web-2"), pod("api", "pay"), daemon, bare)).observe(NODE)
    assert seen is not None
    playbook = PLAYBOOKS.get("drain-node")
    assert playbook is not None
    plan = compile_plan(playbook, seen, {})
    owners = (ObjectRef("ReplicaSet", "web-a", "shop", "rs"), ObjectRef("Deployment", "web", "shop", "d"))
    assert Evicted(ref=ObjectRef("Pod", "web-1", "shop", "u-web-1"), owners=owners) in plan.blast.evicts
    assert Evicted(ref=ObjectRef("Pod", "b", "pay", "u-b")) in plan.blast.evicts
    assert plan.blast.notes == ("evicts 4 pods: 2 in pay, 2 in shop",)
    assert {ref.namespace for ref in plan.touched} == {"", "pay", "shop"}
    assert plan.steps[0].params == {"namespaces": "pay,shop"}


async def test_pods_of_the_approved_namespaces_are_evicted() -> None:
    kube = Node(pod("web-1"), pod("api", "pay"), pod("daemon", "kube-system", "DaemonSet"))
    await ClusterActions(kube, HastyClock()).act(drain("pay,shop"))
    assert sorted(kube.evicted) == ["Pod/pay/api", "Pod/shop/web-1"]


@pytest.mark.parametrize(
    ("stranger", "namespaces", "reason", "said"),
    [
        (pod("alone", controller=""), "shop", Reason.PRECHECK_FAILED, "Pod shop/alone on node-1 has no controller"),
        (pod("dns", "kube-system"), "shop", Reason.TARGET_CHANGED, "Pod kube-system/dns on node-1 is of a namespace"),
        (pod("web-2"), "", Reason.TARGET_CHANGED, "no eviction was approved"),
    ],
    ids=["no-controller", "other-namespace", "nothing-approved"],
)
async def test_a_pod_that_must_stay_stops_the_drain_before_anything_is_done(
    stranger: Json, namespaces: str, reason: Reason, said: str
) -> None:
    kube = Node(pod("web-1"), stranger)
    with pytest.raises(Refused, match="Pod") as raised:
        await ClusterActions(kube, HastyClock()).act(drain(namespaces))
    assert raised.value.reason == reason
    assert said in str(raised.value)
    assert not kube.evicted
    assert not kube.cordoned


async def test_a_pod_that_comes_with_the_cordon_stops_the_drain_too() -> None:
    kube = Node(pod("web-1"), arrives=[pod("alone", controller="")])
    with pytest.raises(Refused, match="no controller"):
        await ClusterActions(kube, HastyClock()).act(drain())
    assert not kube.evicted
