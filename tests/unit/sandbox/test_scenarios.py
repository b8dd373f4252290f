"""Each scenario breaks the way it should, shows the signs a person would look for, and heals by its own cure."""

from typing import Any

import pytest

from midwatch.sandbox.errors import ApiError
from midwatch.sandbox.objects import condition, dig
from midwatch.sandbox.scenarios.stage import CATALOGUE, Stage
from midwatch.sandbox.scenarios.world import age
from midwatch.sandbox.schema import PODS

STRATEGIC = "application/strategic-merge-patch+json"


@pytest.fixture
def stage(bench: Any) -> Stage:
    return Stage(bench.cluster)


def waiting(bench: Any, space: str, app: str) -> set[str]:
    pods = bench.pods(space, app)
    states = [item["state"] for pod in pods for item in pod["status"].get("containerStatuses", [])]
    return {state["waiting"]["reason"] for state in states if "waiting" in state}


def patch_template(bench: Any, space: str, app: str, template: dict[str, Any]) -> None:
    path = f"/apis/apps/v1/namespaces/{space}/deployments/{app}"
    bench.call("PATCH", path, {"spec": {"template": template}}, kind=STRATEGIC)


def roll_back(bench: Any, space: str, app: str) -> None:
    """As kubectl rollout undo does: the template of the revision before."""
    sets = [record.obj() for record in bench.store.owned(bench.record("deployments", space, app).uid)]
    sets.sort(key=lambda item: int(item["metadata"]["annotations"]["deployment.kubernetes.io/revision"]))
    template = sets[-2]["spec"]["template"]
    del template["metadata"]["labels"]["pod-template-hash"]
    patch = [{"op": "replace", "path": "/spec/template", "value": template}]
    path = f"/apis/apps/v1/namespaces/{space}/deployments/{app}"
    bench.call("PATCH", path, patch, kind="application/json-patch+json")


def test_crashloop_shows_its_logs_and_heals_by_a_restart_only(bench: Any, stage: Stage) -> None:
    stage.start("crashloop")
    bench.wait(lambda: waiting(bench, "payments", "payment-api") == {"CrashLoopBackOff"}, 3)
    pod = bench.pods("payments", "payment-api")[0]
    (status,) = pod["status"]["containerStatuses"]
    assert status["lastState"]["terminated"]["exitCode"] == 1
    assert status["lastState"]["terminated"]["reason"] == "Error"
    assert status["restartCount"] == 1
    assert not bench.get("endpoints", "payments", "payment-api")["subsets"][0].get("addresses")
    path = f"/api/v1/namespaces/payments/pods/{pod['metadata']['name']}/log"
    assert "connection refused" in bench.raw("GET", path, previous="true").body.decode()
    assert bench.events("BackOff")

    bench.pass_time(60)
    later = bench.get("pods", "payments", pod["metadata"]["name"])["status"]["containerStatuses"][0]
    assert later["restartCount"] > 3
    bench.call("DELETE", f"/api/v1/namespaces/payments/pods/{pod['metadata']['name']}")
    bench.pass_time(30)
    assert bench.ready("payments", "payment-api") == 0

    patch_template(bench, "payments", "payment-api", {"metadata": {"annotations": {"restarted": "now"}}})
    bench.wait(lambda: bench.ready("payments", "payment-api") == 3 and len(bench.pods("payments", "payment-api")) == 3)
    bench.pass_time(120)
    assert bench.ready("payments", "payment-api") == 3


def test_oom_kills_with_137_until_the_limit_is_high_enough(bench: Any, stage: Stage) -> None:
    stage.start("oom")
    bench.wait(lambda: "CrashLoopBackOff" in waiting(bench, "shop", "search"), 5)
    (status,) = bench.pods("shop", "search")[0]["status"]["containerStatuses"]
    terminated = status["lastState"]["terminated"]
    assert (terminated["exitCode"], terminated["reason"]) == (137, "OOMKilled")
    limit = {"containers": [{"name": "search", "resources": {"limits": {"memory": "320Mi"}}}]}
    patch_template(bench, "shop", "search", {"spec": limit})
    bench.pass_time(30)
    assert bench.ready("shop", "search") < 2
    limit["containers"][0]["resources"] = {"limits": {"memory": "512Mi"}}
    patch_template(bench, "shop", "search", {"spec": limit})
    bench.wait(lambda: bench.ready("shop", "search") == 2 and len(bench.pods("shop", "search")) == 2)


def test_imagepull_leaves_the_old_pods_and_heals_by_rollback(bench: Any, stage: Stage) -> None:
    stage.start("imagepull")
    seen: set[str] = set()

    def backing_off() -> bool:
        seen.update(waiting(bench, "shop", "frontend"))
        return {"ErrImagePull", "ImagePullBackOff"} <= seen

    bench.wait(backing_off, 5)
    assert bench.ready("shop", "frontend") == 3
    assert any("not found" in event["message"] for event in bench.events("Failed"))
    roll_back(bench, "shop", "frontend")
    bench.wait(lambda: bench.ready("shop", "frontend") == len(bench.pods("shop", "frontend")) == 3)


def test_bad_rollout_passes_its_deadline_and_heals_by_rollback(bench: Any, stage: Stage) -> None:
    stage.start("bad-rollout")

    def reason() -> str:
        found = condition(bench.get("deployments", "shop", "checkout"), "Progressing")
        return found["reason"] if found else ""

    bench.wait(lambda: reason() == "ProgressDeadlineExceeded", 60)
    assert bench.ready("shop", "checkout") == 3
    assert any("500" in event["message"] for event in bench.events("Unhealthy"))
    roll_back(bench, "shop", "checkout")
    bench.wait(lambda: reason() == "NewReplicaSetAvailable")
    assert bench.ready("shop", "checkout") == 3


def test_pending_says_what_is_insufficient_and_heals_by_rollback(bench: Any, stage: Stage) -> None:
    stage.start("pending")
    bench.pass_time(1)
    (pod,) = [pod for pod in bench.pods("platform", "report-builder") if pod["status"]["phase"] == "Pending"]
    scheduled = condition(pod, "PodScheduled")
    assert scheduled is not None
    assert scheduled["reason"] == "Unschedulable"
    assert scheduled["message"].startswith("0/3 nodes are available: 3 Insufficient memory.")
    assert bench.events("FailedScheduling")
    roll_back(bench, "platform", "report-builder")
    bench.wait(lambda: len(bench.pods("platform", "report-builder")) == 1)
    assert bench.ready("platform", "report-builder") == 1


def test_a_lost_node_turns_unknown_loses_its_pods_and_comes_back(bench: Any, stage: Stage) -> None:
    before = {record.uid for record in bench.store.on_node("node-3")}
    stage.start("notready-node")
    bench.pass_time(6)
    node = bench.get("nodes", "", "node-3")
    ready = condition(node, "Ready")
    assert ready is not None
    assert (ready["status"], ready["reason"]) == ("Unknown", "NodeStatusUnknown")
    assert {taint["key"] for taint in node["spec"]["taints"]} == {"node.kubernetes.io/unreachable"}
    assert not any(record.pod.ready for record in bench.store.on_node("node-3"))

    bench.pass_time(60)
    stuck = [record.obj() for record in bench.store.on_node("node-3")]
    owners = {
        dig(pod, "metadata.ownerReferences")[0]["kind"] for pod in stuck if not dig(pod, "metadata.deletionTimestamp")
    }
    assert owners <= {"DaemonSet"}
    assert bench.ready("shop", "frontend") == 3

    stage.heal("notready-node")
    bench.wait(lambda: all(record.pod.ready for record in bench.store.scan(PODS)))
    assert "taints" not in bench.get("nodes", "", "node-3")["spec"]
    assert len(before & {record.uid for record in bench.store.on_node("node-3")}) < len(before)


def test_healthy_noise_moves_things_and_leaves_no_warning(bench: Any, stage: Stage) -> None:
    version = bench.store.version
    stage.start("healthy-noise")
    bench.pass_time(120)
    assert bench.store.version > version + 100
    warnings = [r.obj() for r in bench.store.scan(bench.record("events", "shop", _any_event(bench)).key.resource)]
    assert [event["message"] for event in warnings if event["type"] == "Warning"] == []
    assert not waiting(bench, "shop", "cart") - {"ContainerCreating"}


def _any_event(bench: Any) -> str:
    name: str = bench.events("Scheduled")[0]["metadata"]["name"]
    return (
        next(e["metadata"]["name"] for e in bench.events("Scheduled") if e["metadata"]["namespace"] == "shop") or name
    )


@pytest.mark.parametrize("name", sorted(set(CATALOGUE) - {"healthy-noise"}))
def test_every_scenario_heals_when_its_cause_is_taken_away(bench: Any, stage: Stage, name: str) -> None:
    pods = bench.store.count(PODS)
    stage.start(name)
    bench.pass_time(20)
    stage.heal(name)
    bench.wait(lambda: bench.store.count(PODS) == pods and all(r.pod.ready for r in bench.store.scan(PODS)), 200)
    assert not stage.document()["running"]


def test_unknown_scenarios_and_targets_are_refused_and_two_of_the_same_too(stage: Stage) -> None:
    for name, target, code in (("nonsense", "", 404), ("oom", "shop/none", 400), ("notready-node", "node-9", 400)):
        with pytest.raises(ApiError) as refused:
            stage.start(name, target)
        assert refused.value.code == code
    stage.start("oom")
    with pytest.raises(ApiError) as refused:
        stage.start("oom")
    assert refused.value.code == 409


def test_an_aged_world_is_healthy_has_a_past_and_stands_in_the_present() -> None:
    from random import Random

    from midwatch.sandbox.clock import ManualClock
    from midwatch.sandbox.cluster.assembly import Cluster
    from midwatch.sandbox.scenarios.voices import ordinary

    cluster = Cluster(ManualClock(), Random(1), ordinary)
    now = cluster.clock.now()
    age(cluster)
    assert cluster.clock.now() == pytest.approx(now, abs=1)
    pods = [record for record in cluster.store.scan(PODS) if record.pod is not None and record.pod.phase != "Succeeded"]
    assert all(record.pod is not None and record.pod.ready for record in pods)
    restarts = [dig(item, "restartCount") for record in pods for item in record.obj()["status"]["containerStatuses"]]
    assert sorted(restarts)[-2:] == [0, 1]
