"""Seeded pods look like any others, and churn changes them without changing what they are."""

from typing import Any

from midwatch.sandbox.churn import Churn
from midwatch.sandbox.objects import condition
from midwatch.sandbox.scenarios.seeding import seed_pods
from midwatch.sandbox.schema import DEPLOYMENTS, NODES, PODS, REPLICASETS


def test_seeded_pods_have_owners_and_nodes_and_stay_as_they_are(bench: Any) -> None:
    before = {resource: bench.store.count(resource) for resource in (PODS, DEPLOYMENTS, REPLICASETS, NODES)}
    seed_pods(bench.cluster, 250)
    added = {resource.plural: bench.store.count(resource) - count for resource, count in before.items()}
    assert added == {"pods": 250, "deployments": 13, "replicasets": 13, "nodes": 3}
    pod = bench.call("GET", "/api/v1/namespaces/load-000/pods", limit="1")["items"][0]
    (owner,) = pod["metadata"]["ownerReferences"]
    assert bench.get("replicasets", "load-000", owner["name"])["metadata"]["uid"] == owner["uid"]
    bench.pass_time(60)
    assert bench.store.count(PODS) - before[PODS] == 250


def test_a_seeded_pod_that_is_deleted_comes_back(bench: Any) -> None:
    seed_pods(bench.cluster, 20)
    pod = bench.call("GET", "/api/v1/namespaces/load-000/pods", limit="1")["items"][0]
    bench.call("DELETE", f"/api/v1/namespaces/load-000/pods/{pod['metadata']['name']}")
    bench.wait(lambda: bench.ready("load-000", "service-00000") == 20 and bench.store.count(PODS, "load-000") == 20)


def test_churn_is_a_new_version_of_the_same_healthy_pod(bench: Any) -> None:
    seed_pods(bench.cluster, 20)
    (first, *_rest) = list(bench.store.scan(PODS, "load-000"))
    churn = Churn(bench.cluster)
    churn.set_rate(10)
    bench.pass_time(5)
    for _ in range(bench.store.count(PODS)):
        churn.touch_next()
    after = bench.store.get(first.key)
    old, new = first.obj(), after.obj()
    assert int(new["metadata"]["resourceVersion"]) > int(old["metadata"]["resourceVersion"])
    ready = condition(new, "Ready")
    assert ready is not None
    assert ready["lastProbeTime"] > condition(old, "Ready")["lastProbeTime"]
    ready["lastProbeTime"] = condition(old, "Ready")["lastProbeTime"]
    new["metadata"]["resourceVersion"] = old["metadata"]["resourceVersion"]
    assert new == old
