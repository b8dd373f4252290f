"""A drain is many requests: broken off, it is gone on with; what budgets hold back is asked again."""

import msgspec
import pytest

from midwatch.adapters.mcp.kubernetes import actions
from midwatch.adapters.mcp.kubernetes.actions import ClusterActions
from midwatch.adapters.mcp.kubernetes.api import Json
from midwatch.adapters.mcp.kubernetes.pointers import KEY
from midwatch.domain.errors import Transient
from midwatch.domain.incidents import State
from midwatch.domain.observed import Observed, PodSeen
from midwatch.domain.policy import Policy
from midwatch.domain.reasons import Reason
from midwatch.domain.refs import ObjectRef
from midwatch.services.effects import ActionCall, Effect, Outcome
from tests.fakes.cluster import WEB, FakeCluster, HastyClock
from tests.fakes.remedies import Bench

NODE = ObjectRef("Node", "node-1", "", "uid-node")


class OneNode(FakeCluster):
    """A node with pods. An act patches the node and evicts one pod, from the call number ``from_call`` on."""

    def __init__(self, pods: int, from_call: int) -> None:
        super().__init__()
        self.seen = Observed(
            ref=NODE, pods=tuple(PodSeen(name=f"web-{n}", namespace="shop", owners=(WEB,)) for n in range(pods))
        )
        self.from_call, self.calls = from_call, 0

    async def observe(self, ref: ObjectRef) -> Observed | None:
        return self.seen if ref.path == NODE.path else None

    async def rehearse(self, call: ActionCall) -> Outcome:
        return Outcome(effect=Effect.DRY_RUN, before='{"/spec/unschedulable":null}')

    def _act(self, call: ActionCall) -> Outcome:
        self.calls += 1
        known = self.seen.last_action == call.key
        if not known:
            self.mutations.append((call.action, call.key))
            cordoned = call.action == "drain"
            self.seen = msgspec.structs.replace(self.seen, last_action=call.key, unschedulable=cordoned)
        if call.action == "drain" and self.calls >= self.from_call:
            self.seen = msgspec.structs.replace(self.seen, pods=self.seen.pods[1:])
        return Outcome(effect=Effect.ALREADY_APPLIED if known else Effect.APPLIED)


async def drained(cluster: OneNode, lost: int = 0) -> tuple[State, Reason]:
    """A node's hardware fails, its drain is approved; ``lost`` answers never come."""
    bench, answers = Bench(cluster), iter(range(lost))

    def lose(what: str) -> None:
        if what == "after act" and next(answers, None) is not None:
            raise Transient("the process died here")

    cluster.on_call = lose
    await bench.approved(await bench.incident("NodeHardware", subject=NODE, owner=NODE))
    incident = await bench.executed()
    return incident.state, incident.reason


async def test_a_drain_that_was_broken_off_is_gone_on_with() -> None:
    cluster = OneNode(pods=3, from_call=2)
    state, reason = await drained(cluster, lost=1)
    assert [action for action, _ in cluster.mutations] == ["drain"]
    assert not cluster.seen.pods
    assert (state, reason) == (State.ESCALATED, Reason.STILL_FIRING), "an empty node is no mended one"


async def test_budgets_are_asked_until_the_verification_ends() -> None:
    cluster = OneNode(pods=1, from_call=120)
    _, reason = await drained(cluster)
    assert reason is Reason.STILL_FIRING, "it was verified"
    assert cluster.calls >= 120


async def test_a_node_that_is_well_again_when_it_is_drained_needs_nobody() -> None:
    bench = Bench(OneNode(pods=1, from_call=1))
    incident = await bench.approved(await bench.incident("NodeHardware", subject=NODE, owner=NODE))

    async def clears() -> None:
        await bench.clears(incident)

    bench.cluster.after_act = clears
    ended = await bench.executed()
    assert (ended.state, ended.reason) == (State.RESOLVED, Reason.ALL_STEPS_VERIFIED)


@pytest.mark.parametrize("when", ["before its turn", "after the act"])
async def test_a_protected_pod_that_comes_to_the_node_later_is_not_evicted(when: str) -> None:
    cluster = OneNode(pods=1, from_call=1 if when == "before its turn" else 3)
    bench = Bench(cluster, Policy(cooldown_s=0.0, protected_objects=("StatefulSet/shop/pg",)))
    await bench.approved(await bench.incident("NodeHardware", subject=NODE, owner=NODE))
    precious = PodSeen(name="pg-0", namespace="shop", owners=(ObjectRef("StatefulSet", "pg", "shop"),))

    async def comes() -> None:
        if precious not in cluster.seen.pods:
            cluster.seen = msgspec.structs.replace(cluster.seen, pods=(precious,))

    if when == "before its turn":
        await comes()
    else:
        cluster.after_act = comes
    incident = await bench.executed()
    assert precious in cluster.seen.pods
    assert incident.state is State.ESCALATED
    assert incident.reason is (Reason.PROTECTED_NAMESPACE if when == "before its turn" else Reason.UNDONE)


async def test_pods_that_stay_fail_the_verification_and_the_node_is_uncordoned() -> None:
    cluster = OneNode(pods=2, from_call=10_000)
    state, reason = await drained(cluster)
    assert (state, reason) == (State.ESCALATED, Reason.UNDONE)
    assert [action for action, _ in cluster.mutations] == ["drain", "restore"]


class StubKube:
    """One node that bears a key, with one pod whose budget says not now so many times."""

    def __init__(self, *, cordoned: bool, refusals: int) -> None:
        meta = {"name": "node-1", "uid": "uid-node", "annotations": {KEY: "k"}}
        self.node: Json = {"metadata": meta, "spec": {"unschedulable": cordoned}}
        owners = [{"kind": "ReplicaSet", "name": "web", "controller": True}]
        pod = {"name": "web-1", "namespace": "shop", "uid": "u1", "ownerReferences": owners}
        self.pods: list[Json] = [{"metadata": pod}]
        self.refusals, self.asked = refusals, 0

    async def get(self, kind: str, name: str, namespace: str = "") -> Json:
        return self.node

    async def list(self, kind: str, **_: str) -> list[Json]:
        return list(self.pods)

    async def evict(self, ref: ObjectRef) -> None:
        self.asked += 1
        if self.asked <= self.refusals:
            raise Transient("its budget says not now")
        self.pods.clear()


DRAIN = ActionCall(action="drain", ref=NODE, key="k", params={"namespaces": "shop"})


@pytest.mark.parametrize(
    ("cordoned", "refusals", "left"),
    [(True, 2, 0), (True, 10**9, 1), (False, 0, 1)],
    ids=["goes-on", "held-back", "uncordoned-by-a-person"],
)
async def test_under_its_key_what_is_left_is_evicted(
    monkeypatch: pytest.MonkeyPatch, cordoned: bool, refusals: int, left: int
) -> None:
    monkeypatch.setattr(actions, "_DRAIN_S", 0.05)
    kube = StubKube(cordoned=cordoned, refusals=refusals)
    outcome = await ClusterActions(kube, HastyClock()).act(DRAIN)  # type: ignore[arg-type]
    assert outcome.effect is Effect.ALREADY_APPLIED
    assert len(kube.pods) == left
