"""The built-in analyser walks from symptoms to their cause."""

import time

import pytest

from midwatch.domain.analysis import Analysis, analyse
from midwatch.domain.diagnosis import Diagnosis, Evidence, Finding
from midwatch.domain.logs import Hit, LogReport
from midwatch.domain.objects import parse_snapshot
from midwatch.domain.refs import ObjectRef, Severity
from tests.unit.conditions.objects import (
    NOW,
    Json,
    ago,
    container,
    deployment,
    event,
    healthy_pod,
    meta,
    node,
    pod,
    replica_set,
)

CRASHED = {"exitCode": 1, "reason": "Error", "startedAt": ago(40), "finishedAt": ago(30)}
OOM = {"exitCode": 137, "reason": "OOMKilled", "startedAt": ago(40), "finishedAt": ago(30)}
CRASHING = container(waiting={"reason": "CrashLoopBackOff"}, restarts=4, last=CRASHED)
DOWN = deployment(available=0, conditions=({"type": "Available", "status": "False", "lastTransitionTime": ago(600)},))
POD = "web-7d9f8b6c5d-abcde"


def look(*items: Json, logs: tuple[LogReport, ...] = (), focus: ObjectRef | None = None) -> Analysis:
    return analyse(parse_snapshot(items), logs, NOW, focus=focus)


def diagnosis(*items: Json, logs: tuple[LogReport, ...] = (), focus: ObjectRef | None = None) -> Diagnosis:
    found = look(*items, logs=logs, focus=focus).diagnosis
    assert found is not None
    return found


def log(name: str, title: str, text: str, *, family: str = "connection_refused", recovered: bool = False) -> LogReport:
    finding = Finding(
        condition="ConnectionRefused",
        family=family,
        severity=Severity.ERROR,
        subject=ObjectRef("Log", name),
        title=title,
        summary="Every attempt was refused.",
        evidence=(Evidence(source=f"logs:{name}", text=text, line=7),),
    )
    hit = Hit(finding=finding, explanation="nobody listens there", weight=50, line=7, count=3, recovered=recovered)
    return LogReport(name=name, lines=20, hits=(hit,))


def test_the_cause_stands_before_its_consequences() -> None:
    told = diagnosis(DOWN, replica_set(), pod(containers=(CRASHING,)))
    assert told.condition == "CrashLoopBackOff"
    assert any("replicas" in factor for factor in told.factors)
    assert told.subject == ObjectRef("Deployment", "web", "shop", "uid-web")


def test_a_log_says_why_a_container_crashes() -> None:
    told = diagnosis(DOWN, pod(containers=(CRASHING,)), logs=(log(f"{POD}/app/previous", "the database refuses", "x"),))
    assert "the database refuses" in told.root_cause
    assert any(piece.line == 7 for piece in told.evidence)
    bare = diagnosis(DOWN, pod(containers=(CRASHING,)))
    assert told.confidence > bare.confidence


def test_a_refused_connection_leads_to_the_service_that_has_no_endpoints() -> None:
    labels = {"kubernetes.io/service-name": "orders-db"}
    service = {
        "kind": "Service",
        "metadata": meta("orders-db"),
        "spec": {"selector": {"app": "db"}, "ports": [{"port": 5432}]},
    }
    ends = {"kind": "EndpointSlice", "metadata": meta("orders-db-1", labels=labels), "endpoints": []}
    refused = log(f"{POD}/app", "a connection was refused", "dial tcp orders-db:5432: connect: connection refused")
    told = diagnosis(DOWN, pod(containers=(CRASHING,)), service, ends, logs=(refused,))
    assert "orders-db" in told.root_cause
    assert "selector" in told.root_cause
    other = log(f"{POD}/app", "a connection was refused", "dial tcp elsewhere:5432: connect: connection refused")
    assert "orders-db" not in diagnosis(DOWN, pod(containers=(CRASHING,)), service, ends, logs=(other,)).root_cause


def test_an_out_of_memory_kill_proposes_a_higher_limit() -> None:
    told = diagnosis(
        DOWN, replica_set(), pod(containers=(container(waiting={"reason": "CrashLoopBackOff"}, last=OOM),))
    )
    assert told.playbook == "raise-memory-limit"
    assert told.parameters == {"factor": "2"}


def test_a_guilty_rollout_is_taken_back_and_an_innocent_one_is_not() -> None:
    crashing = pod(containers=(CRASHING,), unready_for=500)
    good = healthy_pod("web-5c6f7d8b9f-zzzzz", owner="web-5c6f7d8b9f")
    before = replica_set("web-5c6f7d8b9f", revision=1, born=90_000)
    told = diagnosis(DOWN, before, replica_set(revision=2, born=600), crashing, good)
    assert told.playbook == "rollback-deployment"
    assert "web:2" in " ".join(told.factors)
    assert "revision 2" in told.root_cause
    assert told.confidence >= 0.8
    old = diagnosis(DOWN, before, replica_set(revision=2, born=50_000), crashing, good)
    assert old.playbook == "restart-workload"
    assert any("No rollout" in text for text in old.ruled_out)


def test_a_restart_is_no_change_to_take_back() -> None:
    newest = replica_set(revision=2, born=600)
    older = replica_set("web-5c6f7d8b9f", revision=1, born=90_000)
    newest["spec"]["template"] = {
        "metadata": {"annotations": {"kubectl.kubernetes.io/restartedAt": ago(600)}},
        "spec": older["spec"]["template"]["spec"],
    }
    told = diagnosis(DOWN, older, newest, pod(containers=(CRASHING,), unready_for=500))
    assert told.playbook == "restart-workload"


def test_a_first_revision_cannot_be_rolled_back() -> None:
    waiting = container(waiting={"reason": "ImagePullBackOff", "message": "manifest unknown"})
    told = diagnosis(DOWN, replica_set(born=600), pod(phase="Pending", containers=(waiting,)))
    assert told.condition == "ImagePullBackOff/NotFound"
    assert told.playbook == ""


def test_a_lost_node_explains_what_was_on_it() -> None:
    lost = pod(containers=(container(running={"startedAt": ago(900)}),))
    told = diagnosis(DOWN, replica_set(), lost, node(ready="Unknown"), focus=ObjectRef("Node", "node-1"))
    assert told.condition == "NodeUnreachable"
    assert told.playbook == ""


def test_a_quota_explains_missing_pods() -> None:
    refused = replica_set()
    message = 'pods "web-x" is forbidden: exceeded quota: team, requested: pods=1, used: pods=9, limited: pods=9'
    refused["status"] = {
        "conditions": [{"type": "ReplicaFailure", "status": "True", "reason": "FailedCreate", "message": message}]
    }
    told = diagnosis(DOWN, refused)
    assert told.condition == "FailedCreate/Quota"
    assert "quota" in told.root_cause


def test_a_missing_claim_explains_an_unschedulable_pod() -> None:
    refused = {
        "type": "PodScheduled",
        "status": "False",
        "reason": "Unschedulable",
        "message": "0/1 nodes are available: pod has unbound immediate PersistentVolumeClaims.",
        "lastTransitionTime": ago(600),
    }
    volume = {"volumes": [{"name": "data", "persistentVolumeClaim": {"claimName": "data"}}]}
    claim = {
        "kind": "PersistentVolumeClaim",
        "metadata": meta("data"),
        "spec": {"storageClassName": "fast"},
        "status": {"phase": "Pending"},
    }
    failed = event(
        "PersistentVolumeClaim", "data", "ProvisioningFailed", 'storageclass.storage.k8s.io "fast" not found'
    )
    told = diagnosis(pod(phase="Pending", conditions=(refused,), spec=volume), claim, failed)
    assert told.condition == "PVCPending"
    assert "storage class fast" in told.root_cause
    assert any("scheduled" in factor or "PersistentVolumeClaim" in factor for factor in told.factors)


def test_only_what_belongs_to_the_focus_is_explained() -> None:
    other = pod(
        "cart-5c6f7d8b9f-zzzzz",
        owner="cart-5c6f7d8b9f",
        containers=(container(waiting={"reason": "InvalidImageName"}),),
    )
    crashing = pod(containers=(CRASHING,))
    assert diagnosis(crashing, other, focus=ObjectRef("Deployment", "web", "shop")).condition == "CrashLoopBackOff"
    assert diagnosis(crashing, other, focus=ObjectRef("Deployment", "cart", "shop")).family == "image_pull"
    assert look(crashing, focus=ObjectRef("Deployment", "gone", "shop")).diagnosis is None


def test_a_ready_pod_vouches_for_itself() -> None:
    name = "web-7d9f8b6c5d-fffff"
    found = look(healthy_pod(), logs=(log(f"{name}/app", "a connection was refused", "x"),))
    assert all(finding.severity is Severity.INFO for finding in found.findings)
    assert found.diagnosis is not None
    assert found.diagnosis.confidence < 0.5


def test_nothing_wrong_means_no_diagnosis() -> None:
    assert look(healthy_pod(), deployment(), node()) == Analysis((), None)


def test_evidence_is_cited_for_every_claim() -> None:
    told = diagnosis(DOWN, replica_set(), pod(containers=(CRASHING,)), event("Pod", POD, "BackOff", "restarting"))
    assert {piece.source.partition(":")[0] for piece in told.evidence} == {"object", "event"}
    assert told.next_checks
    assert 0 < told.confidence <= 1


@pytest.mark.parametrize("pods", [300])
def test_one_incident_is_analysed_in_no_time(pods: int) -> None:
    items = parse_snapshot(
        [DOWN, replica_set(), node(), *(pod(f"web-7d9f8b6c5d-{n:05d}", containers=(CRASHING,)) for n in range(pods))]
    )
    best = float("inf")
    for _ in range(3):
        began = time.perf_counter()
        analyse(items, (), NOW)
        best = min(best, time.perf_counter() - began)
    assert best < 1.0  # a tenth of this on an idle machine
