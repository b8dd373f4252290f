"""Conditions of everything that is not a pod."""

from typing import Any

import pytest

from midwatch.domain.conditions import failure_class
from tests.unit.conditions.objects import (
    NOW,
    Json,
    ago,
    container,
    deployment,
    event,
    healthy_pod,
    ids,
    live,
    live_ids,
    meta,
    node,
    pod,
    replica_set,
    seen,
)


def said(type_: str, status: str, reason: str = "", age: float = 600, message: str = "") -> Json:
    return {"type": type_, "status": status, "reason": reason, "message": message, "lastTransitionTime": ago(age)}


AVAILABLE, UNAVAILABLE = said("Available", "True"), said("Available", "False", "MinimumReplicasUnavailable")
ROLLING, DONE = said("Progressing", "True", "ReplicaSetUpdated"), said("Progressing", "True", "NewReplicaSetAvailable")
STUCK = said("Progressing", "False", "ProgressDeadlineExceeded")


@pytest.mark.parametrize(
    ("item", "expected"),
    [
        (deployment(conditions=(AVAILABLE, DONE)), []),
        (deployment(available=1, conditions=(AVAILABLE, ROLLING)), []),
        (deployment(available=1, conditions=(AVAILABLE, DONE)), ["DeploymentReplicasShort"]),
        (deployment(available=0, conditions=(UNAVAILABLE, DONE)), ["DeploymentUnavailable"]),
        (deployment(conditions=(AVAILABLE, STUCK)), ["ProgressDeadlineExceeded"]),
        (deployment(wanted=0, available=0, conditions=(AVAILABLE, DONE)), []),
        (deployment(observedGeneration=2), ["GenerationNotObserved"]),
    ],
    ids=["well", "healthy rollout", "short", "down", "stuck", "scaled to zero", "not observed"],
)
def test_deployments(item: Json, expected: list[str]) -> None:
    assert ids(item) == expected
    assert live_ids(item) == expected


def test_a_first_rollout_has_time() -> None:
    starting = deployment(
        available=0, conditions=(said("Available", "False", age=10), said("Progressing", "True", "X", 10))
    )
    assert live_ids(starting) == []


@pytest.mark.parametrize(
    ("message", "expected"),
    [
        ('pods "web-x" is forbidden: exceeded quota: team, requested: pods=1', "FailedCreate/Quota"),
        ('Internal error occurred: failed calling webhook "x": connection refused', "FailedCreate/Webhook"),
        ('error looking up service account shop/web: serviceaccount "web" not found', "FailedCreate/ServiceAccount"),
        ('violates PodSecurity "restricted:latest": privileged', "FailedCreate/PodSecurity"),
        ("maximum memory usage per Container is 1Gi, but limit is 2Gi", "FailedCreate/LimitRange"),
        ("something else", "FailedCreate"),
    ],
)
def test_why_pods_are_refused(message: str, expected: str) -> None:
    item = replica_set()
    item["status"] = {"replicas": 0, "conditions": [said("ReplicaFailure", "True", "FailedCreate", message=message)]}
    assert ids(item) == [expected]


def test_everything_a_quota_refuses_is_one_trouble_of_the_quota() -> None:
    message = 'pods "x" is forbidden: exceeded quota: team, requested: pods=1, used: pods=9, limited: pods=9'
    sets = []
    for name in ("web", "cart"):
        item = replica_set(f"{name}-7d9f8b6c5d", name)
        item["status"] = {"conditions": [said("ReplicaFailure", "True", "FailedCreate", message=message)]}
        sets.append(item)
    down = [deployment(name, available=0, conditions=(UNAVAILABLE,)) for name in ("web", "cart")]
    findings = seen(*sets, *down)
    assert {finding.top_owner.path for finding in findings} == {"ResourceQuota/shop/team"}
    assert {failure_class(finding) for finding in findings} == {"quota"}


def test_a_deployment_short_because_of_a_lost_node_belongs_to_the_node() -> None:
    lost = pod(containers=(container(running={"startedAt": ago(900)}),))
    short = deployment(available=1, conditions=(UNAVAILABLE,))
    findings = seen(
        short, replica_set(), lost, healthy_pod(spec={"nodeName": "node-2"}), node(ready="Unknown"), node("node-2")
    )
    assert {finding.condition for finding in findings} == {"DeploymentUnavailable", "PodOnLostNode", "NodeUnreachable"}
    assert {finding.top_owner.path for finding in findings} == {"Node/node-1"}
    assert {failure_class(finding) for finding in findings} == {"node"}


def job(**status: Any) -> Json:
    return {"kind": "Job", "metadata": meta("import"), "spec": {"completions": 1}, "status": status}


@pytest.mark.parametrize(
    ("item", "expected"),
    [
        (job(succeeded=1, conditions=[said("Complete", "True")]), []),
        (job(succeeded=1, failed=2, conditions=[said("Complete", "True")]), []),
        (job(active=1, startTime=ago(60)), []),
        (job(failed=1, active=1, startTime=ago(60)), ["JobPodsFailing"]),
        (job(failed=3, conditions=[said("Failed", "True", "BackoffLimitExceeded")]), ["JobBackoffLimitExceeded"]),
        (job(failed=1, conditions=[said("Failed", "True", "DeadlineExceeded")]), ["JobDeadlineExceeded"]),
        (job(active=1, startTime=ago(13 * 3600)), ["JobRunningLong"]),
    ],
    ids=["done", "done after retries", "runs", "fails", "failed", "too late", "long"],
)
def test_jobs(item: Json, expected: list[str]) -> None:
    assert ids(item) == expected
    assert live_ids(item) == expected


def cron(schedule: str, last: float | None = None, **spec: Any) -> Json:
    status = {"lastScheduleTime": ago(last)} if last is not None else {}
    item = {"kind": "CronJob", "metadata": meta("nightly"), "spec": {"schedule": schedule, **spec}, "status": status}
    item["metadata"]["creationTimestamp"] = ago(10 * 86_400)
    return item


@pytest.mark.parametrize(
    ("item", "expected"),
    [
        (cron("0 * * * *", last=3600), []),
        (cron("0 * * * *", last=2 * 3600 + 60), ["CronJobMissedRuns"]),
        (cron("*/5 * * * *", last=1200), ["CronJobMissedRuns"]),
        (cron("*/5 * * * *", last=1200, suspend=True), ["CronJobSuspended"]),
        (cron("0 3 * * *", last=9 * 3600), []),
        (cron("@every 5m", last=9 * 3600), []),
        (cron("99 * * * *"), ["CronJobInvalidSchedule"]),
        (cron("every day"), ["CronJobInvalidSchedule"]),
        (cron("0 12 * * *", last=3600, startingDeadlineSeconds=-5), ["CronJobBadDeadline"]),
    ],
)
def test_cron_jobs(item: Json, expected: list[str]) -> None:
    assert ids(item) == expected


def hpa(*conditions: Json, kind: str = "Deployment", name: str = "web") -> Json:
    return {
        "kind": "HorizontalPodAutoscaler",
        "metadata": meta("web"),
        "spec": {"scaleTargetRef": {"kind": kind, "name": name}, "minReplicas": 2, "maxReplicas": 6},
        "status": {"currentReplicas": 2, "desiredReplicas": 2, "conditions": list(conditions)},
    }


@pytest.mark.parametrize(
    ("item", "expected"),
    [
        (hpa(said("AbleToScale", "True"), said("ScalingLimited", "True", "TooFewReplicas")), []),
        (hpa(said("ScalingLimited", "True", "TooManyReplicas")), ["HPAAtMaximum"]),
        (hpa(said("AbleToScale", "False", "FailedGetScale")), ["HPAUnableToScale"]),
        (hpa(said("ScalingActive", "False", "FailedGetResourceMetric")), ["HPAMetricsUnavailable"]),
        (hpa(said("ScalingActive", "False", "ScalingDisabled")), []),
        (hpa(name="gone"), ["HPATargetMissing"]),
        (hpa(kind="DaemonSet"), ["HPATargetUnsupported"]),
    ],
    ids=["at its minimum", "at its maximum", "unable", "no metrics", "disabled", "no target", "bad target"],
)
def test_autoscalers(item: Json, expected: list[str]) -> None:
    assert ids(item, deployment()) == expected


@pytest.mark.parametrize(
    ("item", "expected"),
    [
        (node(), []),
        (node(ready="False"), ["NodeNotReady"]),
        (node(ready="Unknown"), ["NodeUnreachable"]),
        (node(conditions=(said("DiskPressure", "True"),)), ["NodeDiskPressure"]),
        (node(conditions=(said("MemoryPressure", "False"),)), []),
        (node(conditions=(said("ReadonlyFilesystem", "True"),)), ["NodeProblem"]),
        (node(conditions=(said("KernelDeadlock", "False"), said("EtcdIsVoter", "True"))), []),
    ],
)
def test_nodes(item: Json, expected: list[str]) -> None:
    assert ids(item) == expected


def test_a_full_node_counts_only_pods_that_still_run() -> None:
    small = node()
    small["status"]["allocatable"]["pods"] = "3"
    running = [healthy_pod(f"web-7d9f8b6c5d-{n}aaaa") for n in range(3)]
    assert ids(small, *running) == ["NodeAtPodCapacity"]
    done = pod("web-7d9f8b6c5d-done1", phase="Succeeded", containers=(container(terminated={"exitCode": 0}),))
    assert ids(small, *running[:2], done) == []


def service(name: str = "web", port: Any = 8080, **selector: str) -> Json:
    spec = {"selector": selector or {"app": "web"}, "ports": [{"name": "http", "port": 80, "targetPort": port}]}
    return {"kind": "Service", "metadata": meta(name), "spec": spec}


def slice_(ready: int, waiting: int = 0, name: str = "web") -> Json:
    ends = [{"conditions": {"ready": True}}] * ready + [{"conditions": {"ready": False}}] * waiting
    labels = {"kubernetes.io/service-name": name}
    return {"kind": "EndpointSlice", "metadata": meta(f"{name}-x", labels=labels), "endpoints": ends}


def test_services() -> None:
    assert ids(service(), slice_(2), healthy_pod()) == []
    assert ids(service(), slice_(0, 1), healthy_pod()) == ["ServiceNoEndpoints"]
    assert ids(service(app="other"), slice_(0), healthy_pod()) == ["ServiceSelectorMismatch"]
    assert ids(service(port="grpc"), slice_(1), healthy_pod()) == ["ServicePortMismatch"]
    assert ids(service(), healthy_pod()) == []  # nothing is known of its endpoints


def test_what_hangs_on_a_workload_is_part_of_its_trouble() -> None:
    crashing = pod(containers=(container(waiting={"reason": "CrashLoopBackOff"}, restarts=4),))
    maxed = hpa(said("ScalingLimited", "True", "TooManyReplicas"))
    findings = seen(
        service(), slice_(0, 1), crashing, replica_set(), deployment(available=0, conditions=(UNAVAILABLE,)), maxed
    )
    assert {finding.condition for finding in findings} == {
        "ServiceNoEndpoints",
        "CrashLoopBackOff",
        "DeploymentUnavailable",
        "HPAAtMaximum",
    }
    assert {(finding.top_owner.path, failure_class(finding)) for finding in findings} == {
        ("Deployment/shop/web", "workload")
    }


def test_a_service_of_a_workload_scaled_to_zero_is_meant_to_be_empty() -> None:
    assert live_ids(service(), slice_(0), deployment(wanted=0, available=0)) == []


def test_ingresses() -> None:
    rule = {"http": {"paths": [{"backend": {"service": {"name": "web", "port": {"number": 80}}}}]}}
    item = {"kind": "Ingress", "metadata": meta("shop"), "spec": {"ingressClassName": "nginx", "rules": [rule]}}
    nginx = {"kind": "IngressClass", "metadata": {"name": "nginx", "uid": "u"}}
    assert ids(item, nginx, service()) == []
    assert ids(item, nginx, service("other")) == ["IngressBackendMissing"]
    rule["http"]["paths"][0]["backend"]["service"]["port"] = {"number": 81}
    assert ids(item, nginx, service()) == ["IngressPortMismatch"]
    item["spec"]["ingressClassName"] = "traefik"
    assert "IngressClassMissing" in ids(item, nginx, service())
    # A dump without services says nothing about whether they exist.
    assert ids({**item, "spec": {"ingressClassName": "nginx", "rules": [rule]}}, nginx) == []


def test_claims() -> None:
    def claim(phase: str = "Pending", age: float = 600) -> Json:
        return {
            "kind": "PersistentVolumeClaim",
            "metadata": meta("data", creationTimestamp=ago(age)),
            "spec": {"storageClassName": "fast"},
            "status": {"phase": phase},
        }

    fast = {
        "kind": "StorageClass",
        "metadata": {"name": "fast", "uid": "u"},
        "volumeBindingMode": "WaitForFirstConsumer",
    }
    failed = event(
        "PersistentVolumeClaim", "data", "ProvisioningFailed", 'storageclass.storage.k8s.io "fast" not found'
    )
    assert ids(claim("Bound")) == []
    assert ids(claim("Lost")) == ["PVCLost"]
    assert ids(claim(), fast) == []  # waits for its first consumer, as it should
    assert ids(claim(), failed) == ["PVCPending"]
    assert live_ids(claim(age=10), healthy_pod()) == []


def test_webhooks() -> None:
    def hook(name: str) -> Json:
        call = {"name": "check.example", "clientConfig": {"service": {"name": name, "namespace": "shop"}}}
        return {"kind": "ValidatingWebhookConfiguration", "metadata": {"name": "check", "uid": "u"}, "webhooks": [call]}

    assert ids(hook("web"), service(), healthy_pod()) == []
    assert ids(hook("gone"), service(), healthy_pod()) == ["WebhookServiceMissing"]
    assert ids(hook("web"), service(app="none"), healthy_pod()) == ["WebhookNoReceiver"]


def drawn(kind: str, name: str = "x", **parts: Any) -> Json:
    """An object as written by hand: never seen by a server."""
    return {"kind": kind, "metadata": {"name": name, "namespace": "shop"}, **parts}


def test_what_is_written_by_hand_is_all_there_is() -> None:
    stateful = drawn(
        "StatefulSet", spec={"serviceName": "db", "volumeClaimTemplates": [{"spec": {"storageClassName": "fast"}}]}
    )
    assert ids(stateful) == ["StatefulSetServiceMissing", "StorageClassMissing"]
    fast = {"kind": "StorageClass", "metadata": {"name": "fast"}}
    assert ids(stateful, drawn("Service", "db"), fast) == []
    assert ids(drawn("Ingress", spec={})) == ["IngressClassMissing"]
    tls = drawn("Ingress", spec={"ingressClassName": "nginx", "tls": [{"secretName": "cert"}]})
    assert ids(tls, {"kind": "IngressClass", "metadata": {"name": "nginx"}}) == ["IngressTlsMissing"]
    scaled = drawn("HorizontalPodAutoscaler", spec={"scaleTargetRef": {"kind": "ReplicationController", "name": "old"}})
    assert ids(scaled, drawn("ReplicationController", "old")) == []
    assert ids(scaled) == ["HPATargetMissing"]


def test_gateways() -> None:
    waiting = {"conditions": [{"type": "Accepted", "status": "Unknown"}]}
    accepted = {"conditions": [{"type": "Accepted", "status": "True"}]}
    class_ = {"kind": "GatewayClass", "metadata": {"name": "edge"}, "status": accepted}
    gate = drawn("Gateway", spec={"gatewayClassName": "edge"}, status=accepted)
    assert ids(gate, class_) == []
    assert ids(drawn("Gateway", spec={"gatewayClassName": "gone"})) == ["GatewayClassMissing"]
    assert ids(drawn("Gateway", spec={"gatewayClassName": "edge"}, status=waiting), class_) == ["GatewayNotAccepted"]
    assert ids({"kind": "GatewayClass", "metadata": {"name": "edge"}, "status": waiting}) == ["GatewayClassNotAccepted"]


def test_budgets() -> None:
    def budget(healthy: int, desired: int) -> Json:
        status = {"expectedPods": 2, "currentHealthy": healthy, "desiredHealthy": desired, "disruptionsAllowed": 0}
        return {"kind": "PodDisruptionBudget", "metadata": meta("web"), "status": status}

    assert ids(budget(1, 2)) == ["PDBBlocksDisruption"]
    assert ids(budget(2, 2)) == []  # it just holds: drains wait, and that is what it is for
    refused = {"conditions": [{"type": "DisruptionAllowed", "status": "False", "reason": "InsufficientPods"}]}
    assert ids(drawn("PodDisruptionBudget", status=refused)) == ["PDBBlocksDisruption"]


def test_endpoints_of_the_older_kind() -> None:
    def ends(ready: int, waiting: int, **annotations: str) -> Json:
        subset = {"addresses": [{"ip": "1"}] * ready, "notReadyAddresses": [{"ip": "2"}] * waiting}
        item = drawn("Endpoints", "web", subsets=[subset])
        item["metadata"]["annotations"] = {key.replace("_", "/"): value for key, value in annotations.items()}
        return item

    web = drawn("Service", "web", spec={"selector": {"app": "web"}})
    assert ids(web, ends(1, 0)) == []
    assert ids(web, ends(1, 2)) == ["ServiceEndpointsUnready"]
    assert ids(web, ends(0, 2)) == ["ServiceNoEndpoints"]
    assert ids(web, ends(0, 0)) == ["ServiceNoEndpoints"]
    assert ids(web, ends(0, 0, **{"control-plane.alpha.kubernetes.io/leader": "{}"})) == []


def test_a_claim_nobody_waits_for_is_no_trouble() -> None:
    claim = drawn("PersistentVolumeClaim", "data", status={"phase": "Pending"})
    assert ids(claim) == []
    user = pod(phase="Running", ready=True, spec={"volumes": [{"persistentVolumeClaim": {"claimName": "data"}}]})
    assert ids(claim, user) == ["PVCPending"]


def test_an_event_that_does_not_say_what_it_is_about_is_heard_in_a_snapshot() -> None:
    claim = drawn("PersistentVolumeClaim", "data", status={"phase": "Pending"})
    stray = drawn("Event", "data-1", reason="ProvisioningFailed", message="no provisioner")
    assert ids(claim, stray) == ["PVCPending"]


def test_live_and_hygiene_are_kept_apart() -> None:
    """What should not be, but is not broken, wakes nobody who watches."""
    privileged = healthy_pod(spec={"containers": [{"name": "app", "securityContext": {"privileged": True}}]})
    assert ids(privileged, info=True) == ["PrivilegedContainer"]
    assert live(privileged).findings == ()
    assert NOW.tzinfo is not None
