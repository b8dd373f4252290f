"""What a cluster does by itself: pods come back, rollouts roll, endpoints follow, budgets hold."""

from typing import Any

import pytest

from midwatch.sandbox.cluster.behaviours import Run
from midwatch.sandbox.cluster.jobs import due
from midwatch.sandbox.errors import ApiError
from midwatch.sandbox.objects import condition, copy, seconds_of
from midwatch.sandbox.schema import PODS, REPLICASETS

MERGE = "application/merge-patch+json"
STRATEGIC = "application/strategic-merge-patch+json"
CHECKOUT = "/apis/apps/v1/namespaces/shop/deployments/checkout"


def names(pods: list[dict[str, Any]]) -> set[str]:
    return {pod["metadata"]["name"] for pod in pods}


def set_image(bench: Any, tag: str) -> None:
    containers = [{"name": "checkout", "image": f"registry.example.com/shop/checkout:{tag}"}]
    bench.call("PATCH", CHECKOUT, {"spec": {"template": {"spec": {"containers": containers}}}}, kind=STRATEGIC)


def rolled_out(bench: Any) -> bool:
    deployment = bench.get("deployments", "shop", "checkout")
    status, replicas = deployment["status"], deployment["spec"]["replicas"]
    return (
        status["observedGeneration"] == deployment["metadata"]["generation"]
        and status.get("replicas", 0) == replicas
        and status.get("updatedReplicas", 0) == replicas
        and status.get("availableReplicas", 0) == replicas
    )


def revisions(bench: Any) -> dict[str, int]:
    owner = bench.record("deployments", "shop", "checkout").uid
    sets = [record.obj() for record in bench.store.owned(owner, REPLICASETS)]
    return {
        item["metadata"]["annotations"]["deployment.kubernetes.io/revision"]: item["spec"]["replicas"] for item in sets
    }


def test_a_healthy_world_settles_and_then_writes_nothing_but_heartbeats(bench: Any) -> None:
    assert all(record.pod.ready for record in bench.store.scan(PODS))
    bench.pass_time(30)
    seen: list[str] = []
    bench.store.subscribe(lambda change: seen.append(change.record.key.resource.plural))
    bench.pass_time(120)
    assert set(seen) == {"leases", "nodes"}


def test_a_deleted_pod_ends_gracefully_and_another_takes_its_place(bench: Any) -> None:
    before = names(bench.pods("shop", "checkout"))
    victim = min(before)
    bench.call("DELETE", f"/api/v1/namespaces/shop/pods/{victim}")
    assert bench.get("pods", "shop", victim)["metadata"]["deletionTimestamp"]
    bench.wait(lambda: bench.ready("shop", "checkout") == 3 and len(bench.pods("shop", "checkout")) == 3)
    assert victim not in names(bench.pods("shop", "checkout"))
    assert len(names(bench.pods("shop", "checkout")) & before) == 2


def test_a_rollout_never_has_fewer_ready_pods_than_it_may(bench: Any) -> None:
    ready: list[int] = []
    bench.store.subscribe(lambda _change: ready.append(bench.ready("shop", "checkout")))
    set_image(bench, "2.14.4")
    bench.wait(lambda: rolled_out(bench) and len(bench.pods("shop", "checkout")) == 3)
    assert min(ready) >= 3
    images = {pod["spec"]["containers"][0]["image"].rpartition(":")[2] for pod in bench.pods("shop", "checkout")}
    assert images == {"2.14.4"}
    assert revisions(bench) == {"1": 0, "2": 3}


def test_going_back_to_an_old_template_takes_up_its_replicaset_as_a_new_revision(bench: Any) -> None:
    old = bench.get("deployments", "shop", "checkout")["spec"]["template"]
    set_image(bench, "2.14.4")
    bench.wait(lambda: rolled_out(bench))
    bench.call(
        "PATCH",
        CHECKOUT,
        [{"op": "replace", "path": "/spec/template", "value": old}],
        kind="application/json-patch+json",
    )
    bench.wait(lambda: rolled_out(bench))
    assert revisions(bench) == {"2": 0, "3": 3}
    deployment = bench.get("deployments", "shop", "checkout")
    assert deployment["metadata"]["annotations"]["deployment.kubernetes.io/revision"] == "3"


def test_a_restart_annotation_replaces_every_pod(bench: Any) -> None:
    before = names(bench.pods("shop", "checkout"))
    annotations = {"kubectl.kubernetes.io/restartedAt": "2026-11-21T03:00:00Z"}
    bench.call("PATCH", CHECKOUT, {"spec": {"template": {"metadata": {"annotations": annotations}}}}, kind=STRATEGIC)
    bench.wait(lambda: rolled_out(bench) and len(bench.pods("shop", "checkout")) == 3)
    assert not names(bench.pods("shop", "checkout")) & before


def test_a_paused_deployment_does_not_roll(bench: Any) -> None:
    bench.call("PATCH", CHECKOUT, {"spec": {"paused": True}}, kind=MERGE)
    before = names(bench.pods("shop", "checkout"))
    set_image(bench, "2.14.4")
    bench.pass_time(20)
    assert names(bench.pods("shop", "checkout")) == before
    bench.call("PATCH", CHECKOUT, {"spec": {"paused": None}}, kind=MERGE)
    bench.wait(lambda: rolled_out(bench))


def test_recreate_stops_all_before_it_starts_any(bench: Any) -> None:
    bench.call("PATCH", CHECKOUT, {"spec": {"strategy": {"type": "Recreate", "rollingUpdate": None}}}, kind=MERGE)
    mixed: list[set[str]] = []

    def look(_change: Any) -> None:
        mixed.append({pod["spec"]["containers"][0]["image"] for pod in bench.pods("shop", "checkout")})

    bench.store.subscribe(look)
    set_image(bench, "2.14.4")
    bench.wait(lambda: rolled_out(bench))
    assert max(len(images) for images in mixed) == 1


def test_endpoints_hold_the_ready_pods_and_only_those(bench: Any) -> None:
    def addresses() -> set[str]:
        subsets = bench.get("endpoints", "shop", "checkout")["subsets"]
        return {item["ip"] for subset in subsets for item in subset.get("addresses", [])}

    assert addresses() == {pod["status"]["podIP"] for pod in bench.pods("shop", "checkout")}
    bench.call("PATCH", CHECKOUT, {"spec": {"replicas": 0}}, kind=MERGE)
    bench.wait(lambda: not bench.get("endpoints", "shop", "checkout")["subsets"])


def test_an_orphan_that_matches_is_adopted_and_a_surplus_pod_goes(bench: Any) -> None:
    pod = copy(bench.pods("shop", "checkout")[0])
    orphan = {
        "metadata": {"name": "orphan", "namespace": "shop", "labels": pod["metadata"]["labels"]},
        "spec": {"containers": pod["spec"]["containers"]},
    }
    bench.call("POST", "/api/v1/namespaces/shop/pods", orphan)
    bench.wait(lambda: bench.ready("shop", "checkout") == 3 and len(bench.pods("shop", "checkout")) == 3)


def test_deleting_a_deployment_takes_everything_below_it(bench: Any) -> None:
    bench.call("DELETE", CHECKOUT)
    bench.wait(lambda: not bench.pods("shop", "checkout"))
    assert not [record for record in bench.store.scan(REPLICASETS, "shop") if record.labels.get("app") == "checkout"]


def test_orphaning_leaves_the_pods(bench: Any) -> None:
    bench.call("DELETE", CHECKOUT, {"propagationPolicy": "Orphan"})
    bench.pass_time(10)
    assert bench.ready("shop", "checkout") == 3


def test_a_statefulset_pod_comes_back_under_its_own_name(bench: Any) -> None:
    before = bench.get("pods", "payments", "payments-db-1")["metadata"]["uid"]
    bench.call("DELETE", "/api/v1/namespaces/payments/pods/payments-db-1")
    bench.wait(lambda: bench.ready("payments", "payments-db") == 2)
    assert bench.get("pods", "payments", "payments-db-1")["metadata"]["uid"] != before


def test_a_cordoned_node_takes_no_new_pods_but_daemons(bench: Any) -> None:
    for node in ("node-1", "node-2"):
        bench.call("PATCH", f"/api/v1/nodes/{node}", {"spec": {"unschedulable": True}}, kind=MERGE)
    for pod in bench.pods("shop", "checkout") + bench.pods("kube-system", "kube-proxy"):
        metadata = pod["metadata"]
        bench.call("DELETE", f"/api/v1/namespaces/{metadata['namespace']}/pods/{metadata['name']}")
    bench.wait(lambda: bench.ready("shop", "checkout") == 3 and bench.ready("kube-system", "kube-proxy") == 3)
    assert {pod["spec"]["nodeName"] for pod in bench.pods("shop", "checkout")} == {"node-3"}


def test_an_eviction_that_breaks_a_budget_is_refused_until_there_is_room(bench: Any) -> None:
    def evict(name: str) -> None:
        body = {"apiVersion": "policy/v1", "kind": "Eviction", "metadata": {"name": name, "namespace": "payments"}}
        bench.call("POST", f"/api/v1/namespaces/payments/pods/{name}/eviction", body)

    first, second, _ = sorted(names(bench.pods("payments", "payment-api")))
    evict(first)
    bench.pass_time(0.1)
    with pytest.raises(ApiError) as refused:
        evict(second)
    assert refused.value.code == 429
    bench.wait(lambda: bench.ready("payments", "payment-api") == 3)
    evict(second)


def test_a_job_runs_to_completion(bench: Any) -> None:
    cron = bench.record("cronjobs", "platform", "backup")
    job = bench.cluster.cronjobs.trigger(cron)
    name = job.key.name
    bench.wait(lambda: bool(condition(bench.get("jobs", "platform", name), "Complete")))
    status = bench.get("jobs", "platform", name)["status"]
    assert status["succeeded"] == 1
    assert seconds_of(status["completionTime"]) > seconds_of(status["startTime"])
    assert "lastSuccessfulTime" in bench.get("cronjobs", "platform", "backup")["status"]


def test_a_job_that_keeps_failing_stops_at_its_limit(bench: Any) -> None:
    def fails(pod: Any, _container: Any) -> Run | None:
        return Run(exit_after=0.5, exit_code=3) if pod["metadata"]["labels"].get("job-name") == "bad" else None

    bench.cluster.rules.add(fails)
    pod = {"spec": {"restartPolicy": "Never", "containers": [{"name": "main", "image": "main:1"}]}}
    job = {"metadata": {"name": "bad"}, "spec": {"backoffLimit": 2, "template": pod}}
    bench.call("POST", "/apis/batch/v1/namespaces/platform/jobs", job)
    bench.wait(lambda: bool(condition(bench.get("jobs", "platform", "bad"), "Failed")))
    status = bench.get("jobs", "platform", "bad")["status"]
    assert status["failed"] == 3
    assert "succeeded" not in status
    found = condition(bench.get("jobs", "platform", "bad"), "Failed")
    assert found is not None
    assert found["reason"] == "BackoffLimitExceeded"


def test_a_missing_configmap_keeps_a_container_from_being_created_until_it_is_there(bench: Any) -> None:
    source = [{"configMapRef": {"name": "later"}}]
    pod = {"metadata": {"name": "needy"}, "spec": {"containers": [{"name": "c", "image": "c:1", "envFrom": source}]}}
    bench.call("POST", "/api/v1/namespaces/shop/pods", pod)
    bench.pass_time(3)
    waiting = bench.get("pods", "shop", "needy")["status"]["containerStatuses"][0]["state"]["waiting"]
    assert waiting == {"reason": "CreateContainerConfigError", "message": 'configmap "later" not found'}
    bench.call("POST", "/api/v1/namespaces/shop/configmaps", {"metadata": {"name": "later"}})
    bench.wait(lambda: bench.record("pods", "shop", "needy").pod.ready)


@pytest.mark.parametrize(
    ("schedule", "moment", "wanted"),
    [
        ("*/15 * * * *", "2026-11-21T03:30:10Z", True),
        ("*/15 * * * *", "2026-11-21T03:31:00Z", False),
        ("0 3 * * 6", "2026-11-21T03:00:00Z", True),
        ("0 3 * * 1-5", "2026-11-21T03:00:00Z", False),
        ("@hourly", "2026-11-21T04:00:30Z", True),
        ("5,10 2-4 21 11 *", "2026-11-21T03:10:00Z", True),
        ("not a schedule", "2026-11-21T03:10:00Z", False),
    ],
)
def test_cron_schedules(schedule: str, moment: str, wanted: bool) -> None:
    assert due(schedule, seconds_of(moment)) is wanted


def test_repeated_events_count_up_and_old_ones_go(bench: Any) -> None:
    pod = bench.pods("shop", "cart")[0]
    for _ in range(3):
        bench.cluster.recorder.warning(pod, "Unhealthy", "it does not answer", source="kubelet")
    (event,) = bench.events("Unhealthy")
    assert event["count"] == 3
    bench.pass_time(2 * 3600)
    assert not bench.events("Unhealthy")
