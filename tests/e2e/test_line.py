"""The whole line on one house, started as `make run` starts it: from what breaks to what was done about it."""

import json
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx2
import pytest
from websockets.exceptions import InvalidStatus
from websockets.sync.client import connect

from midwatch.processes import running_pid
from tests.fixtures.houses import RunningHouse, eventually, free_port, house_folder

Alert = Callable[..., dict[str, Any]]
WEBHOOK = "/api/alert/webhook"


@dataclass(frozen=True)
class Fixable:
    """A scenario that ends with one change: what is seen, what is proposed, what the API server is sent."""

    scenario: str
    owner: str
    condition: str
    playbook: str
    risk: str
    changed: str


FIXABLE = (
    Fixable(
        "crashloop",
        "payment-api",
        "CrashLoopBackOff",
        "restart-workload",
        "MEDIUM",
        "spec.template.metadata.annotations",
    ),
    Fixable("oom", "search", "OOMKilled", "raise-memory-limit", "HIGH", "resources.limits.memory"),
    Fixable("imagepull", "frontend", "ImagePullBackOff/NotFound", "rollback-deployment", "HIGH", ".image"),
    Fixable("bad-rollout", "checkout", "ProgressDeadlineExceeded", "rollback-deployment", "HIGH", ".image"),
)


@pytest.fixture(scope="module")
def house() -> Iterator[RunningHouse]:
    """A house in which, from the start, everything that can be fixed is broken, and a healthy workload is busy."""
    with house_folder() as folder:
        house = RunningHouse(folder, scenario="none")
        try:
            house.start()
            for scenario in ("healthy-noise", *(item.scenario for item in FIXABLE), "pending"):
                house.cluster.breaks(scenario)
            yield house
        finally:
            house.stop()


def told(house: RunningHouse, incident: dict[str, Any]) -> list[str]:
    """The types of the incident's journal entries."""
    return [entry["type"] for entry in house.entries(incident["id"])]


def command(house: RunningHouse, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """`midwatch …` as its own process."""
    program = str(Path(sys.executable).parent / "midwatch")
    env = {**house.environment, **environment}
    return subprocess.run([program, *arguments], env=env, capture_output=True, text=True, timeout=120, check=False)


@pytest.mark.parametrize("case", FIXABLE, ids=lambda case: case.scenario)
def test_what_breaks_is_diagnosed_approved_fixed_once_and_verified(house: RunningHouse, case: Fixable) -> None:
    asked = house.wait_for_state("awaiting_approval", about=case.owner, within_s=120)
    assert asked["condition"] == case.condition
    assert asked["report"]["root_cause"] != "unknown"
    assert asked["report"]["evidence"], "a cause is shown, not claimed"
    assert (asked["plan"]["playbook"], asked["plan"]["risk"]) == (case.playbook, case.risk)
    assert all(step["diff"] for step in asked["plan"]["steps"]), "the card shows the server's own dry run"
    assert house.cluster.mutations(name=case.owner) == [], "and a dry run changes nothing"

    approval = asked["approval"]
    first = house.answer(approval["id"], "approve")
    if case.risk == "HIGH":
        assert first["outcome"] == "needs-confirmation"
        assert house.cluster.mutations(name=case.owner) == [], "a HIGH risk waits for the second word"
        first = house.answer(approval["id"], "confirm")
    assert first["outcome"] == "approved"

    fixed = house.wait_for_state("resolved", "escalated", about=case.owner, within_s=120)
    assert (fixed["state"], fixed["reason"]) == ("resolved", "all-steps-verified"), fixed["outcome"]
    (made,) = house.cluster.mutations(name=case.owner)
    assert made["manager"] == "midwatch"
    assert case.changed in str(made["changed"])
    assert len(house.incidents(case.owner)) == 1
    assert told(house, fixed).count("step-acted") == 1


def test_what_no_playbook_may_touch_goes_to_a_person_with_a_report(house: RunningHouse) -> None:
    pending = house.wait_for_state("escalated", about="report-builder", within_s=90)
    assert pending["condition"] == "FailedScheduling/InsufficientMemory"
    assert pending["report"]["root_cause"] != "unknown"
    assert house.cluster.mutations(name="report-builder") == []


def test_a_rejected_plan_changes_nothing_and_keeps_the_reason(house: RunningHouse) -> None:
    house.cluster.breaks("crashloop", "payments/fraud-check")
    asked = house.wait_for_state("awaiting_approval", about="fraud-check", within_s=90)
    judged = house.answer(asked["approval"]["id"], "reject", reason="the database team is on it")
    assert judged["outcome"] == "rejected"

    ended = house.wait_for_state("escalated", about="fraud-check")
    assert ended["approval"]["comment"] == "the database team is on it"
    assert house.cluster.mutations(name="fraud-check") == []
    late = house.request("POST", f"/api/approvals/{asked['approval']['id']}/approve", json={})
    assert late.status_code == 409, "what is decided stays decided"
    assert house.cluster.mutations(name="fraud-check") == []


def test_an_alert_about_the_same_workload_joins_its_incident(house: RunningHouse, alert: Alert) -> None:
    (incident,) = house.incidents("fraud-check")
    now = datetime.now(UTC)
    labels = {"namespace": "payments", "deployment": "fraud-check", "reason": "CrashLoopBackOff"}
    body = alert("KubePodCrashLooping", starts_at=now.isoformat(), **labels)
    assert house.request("POST", WEBHOOK, json=body).status_code == 202

    def joined() -> bool:
        members = house.incident(incident["id"])["members"]
        return any(member["source"] == "alertmanager" for member in members)

    eventually(joined, within_s=30, what="alert among the members")
    assert len(house.incidents("fraud-check")) == 1

    again = house.request("POST", WEBHOOK, json=body)
    assert (again.status_code, again.json()["repeated"]) == (200, 1)

    house.cluster.heals("crashloop", "payments/fraud-check")
    # Fresh pods, as any fix brings: one that crashed often must run for minutes before it is believed.
    pods = house.cluster("GET", "/api/v1/namespaces/payments/pods", params={"labelSelector": "app=fraud-check"})
    for pod in pods["items"]:
        house.cluster("DELETE", f"/api/v1/namespaces/payments/pods/{pod['metadata']['name']}")
    ended = alert("KubePodCrashLooping", starts_at=now.isoformat(), ends_at=datetime.now(UTC).isoformat(), **labels)
    assert house.request("POST", WEBHOOK, json=ended).status_code == 202
    closed = house.wait_for_state("closed", about="fraud-check", within_s=120)
    assert closed["id"] == incident["id"]


def test_a_sender_follows_its_alert_over_a_websocket(house: RunningHouse, alert: Alert) -> None:
    now = datetime.now(UTC).isoformat()
    body = alert("KubeJobFailed", starts_at=now, namespace="reports", job_name="nightly-totals")
    (alert_id,) = house.request("POST", "/alerts", json=body).json()["alert_ids"]
    address = house.url.replace("http", "ws", 1)
    told: list[dict[str, Any]] = []
    with connect(f"{address}/ws/{alert_id}", additional_headers={"Authorization": f"Bearer {house.token}"}) as socket:
        told += [json.loads(message) for message in socket]  # until the house closes it
    (last,) = [message["processing"] for message in told if message["type"] == "status"][-1:]
    assert (last["status"], last["id"]) == ("completed", alert_id)
    assert last["result"]["markdown"].startswith("## ")
    assert [message["entry"]["seq"] for message in told if message["type"] == "entry"][:2] == [1, 2]
    assert house.get(f"/processing-status/{alert_id}")["incident"] == last["incident"]
    with pytest.raises(InvalidStatus), connect(f"{address}/ws/{alert_id}"):
        pass


def test_a_resolved_alert_ends_the_incident_it_opened(house: RunningHouse, alert: Alert) -> None:
    started = datetime.now(UTC) - timedelta(minutes=3)
    labels = {"namespace": "platform", "deployment": "mail-relay"}
    body = alert("MailQueueGrows", starts_at=started.isoformat(), **labels)
    assert house.request("POST", WEBHOOK, json=body).status_code == 202
    house.wait_for_state("escalated", about="mail-relay", within_s=60)

    body = alert("MailQueueGrows", starts_at=started.isoformat(), ends_at=datetime.now(UTC).isoformat(), **labels)
    assert house.request("POST", WEBHOOK, json=body).status_code == 202
    house.wait_for_state("closed", about="mail-relay", within_s=60)
    assert house.cluster.mutations(name="mail-relay") == []


def test_bad_bodies_are_refused_with_details_and_store_nothing(house: RunningHouse, alert: Alert) -> None:
    good = alert("BadBodies", starts_at=datetime.now(UTC).isoformat(), namespace="default")
    no_labels = {**good, "alerts": [{**good["alerts"][0], "labels": "none"}]}
    json_type = {"Content-Type": "application/json"}
    refused: dict[int, list[dict[str, Any]]] = {
        422: [
            {"content": b"{not json", "headers": json_type},
            {"content": b"", "headers": json_type},
            {"content": b"[" * 200_000, "headers": json_type},
            {"json": {"alerts": "none"}},
            {"json": no_labels},
        ],
        413: [{"content": b'{"alerts": [' + b" " * 5_000_000 + b"]}", "headers": json_type}],
        415: [{"content": b"alert!", "headers": {"Content-Type": "text/plain"}}],
        401: [{"json": good, "headers": {"Authorization": "Bearer wrong"}}],
    }
    before = {row["signal"]["id"] for row in house.signals()}
    for status, requests in refused.items():
        for request in requests:
            answer = house.request("POST", WEBHOOK, **request)
            assert answer.status_code == status, answer.text[:300]
            assert answer.headers["content-type"] == "application/problem+json"
            assert answer.json()["detail"] or status == 401
    sent_by_others = {row["signal"]["id"] for row in house.signals() if row["signal"]["source"] == "watch"}
    assert {row["signal"]["id"] for row in house.signals()} - sent_by_others <= before, "nothing was stored"
    assert house.request("POST", WEBHOOK, json=good).status_code == 202, "and the next good one is taken"


def test_while_the_store_is_away_the_door_says_503_and_loses_nothing(house: RunningHouse, alert: Alert) -> None:
    answers: list[tuple[int, tuple[str, ...]]] = []
    enough = threading.Event()

    def send() -> None:
        number = 0
        while not enough.is_set():
            number += 1
            body = alert(
                f"Storm{number}", starts_at=datetime.now(UTC).isoformat(), severity="info", namespace="default"
            )
            try:
                answer = house.request("POST", WEBHOOK, json=body)
            except httpx2.TransportError:
                continue  # no answer: the sender repeats it
            answers.append((answer.status_code, tuple(answer.json().get("ids", ()))))

    def seen(status: int, after: int = 0) -> bool:
        return any(code == status for code, _ in answers[after:])

    sender = threading.Thread(target=send)
    sender.start()
    try:
        eventually(lambda: seen(202), within_s=20, what="alert accepted before")
        killed = house.kill_store()
        eventually(lambda: seen(503), within_s=20, what="503 while the store is away", every_s=0.01)
        mark = len(answers)
        eventually(lambda: seen(202, mark), within_s=30, what="alert accepted again")
        assert house.store_pid != killed
    finally:
        enough.set()
        sender.join(30)

    assert {code for code, _ in answers} <= {202, 503}
    kept = {row["signal"]["id"] for row in house.signals()}
    lost = [ids for code, ids in answers if code == 202 and not set(ids) <= kept]
    assert lost == [], "what was answered 202 is stored"
    healthy = eventually(
        lambda: house.request("GET", "/health").json()["status"] == "ok", within_s=30, what="healthy house again"
    )
    assert healthy


def test_a_second_start_says_in_one_sentence_why_not(house: RunningHouse, tmp_path: Path) -> None:
    same_state = command(house, "up")
    other_state = command(house, "up", MIDWATCH_STATE_DIR=str(tmp_path / "other"))
    same_state_other_port = command(house, "up", MIDWATCH_PORT=str(free_port()))

    for run in (same_state, other_state, same_state_other_port):
        assert run.returncode == 1
        assert "Traceback" not in run.stdout + run.stderr
    for run in (same_state, same_state_other_port):
        assert "Midwatch already runs" in run.stderr
        assert f"pid {running_pid(house.state)}" in " ".join(run.stderr.split())
    assert f"port {house.port}" in other_state.stderr
    assert house.request("GET", "/ready").status_code == 200, "the first one is not disturbed"


def test_a_lost_node_is_one_incident_and_for_a_person(house: RunningHouse) -> None:
    house.cluster.breaks("notready-node")
    lost = house.wait_for_state("escalated", about="node-3", within_s=120)
    assert lost["owner"]["kind"] == "Node"
    assert lost["report"]["root_cause"] != "unknown"
    assert len(house.incidents("node-3")) == 1
    assert not [item for item in house.cluster.mutations() if item["resource"] == "nodes"]


def test_a_healthy_workload_that_is_busy_wakes_nobody(house: RunningHouse) -> None:
    turns = 4  # a rollout, a job, growing, shrinking: the noise has been through all of them by now, or soon

    def rolled() -> bool:
        state = house.cluster("GET", "/sandbox/state")
        began = min(item["since"] for item in state["running"] if item["name"] == "healthy-noise")
        now = datetime.fromisoformat(state["time"])
        return now - datetime.fromisoformat(began) > timedelta(seconds=10 * turns)

    eventually(rolled, within_s=60, what="whole round of noise", every_s=1)
    assert house.incidents("cart") == []
    assert house.incidents("backup") == []


def test_ctrl_c_ends_everything_within_seconds(house: RunningHouse) -> None:
    began = time.monotonic()
    assert house.stop() == 0
    assert time.monotonic() - began < 30
    assert house.left_behind == ()
    assert "Traceback" not in house.log.read_text()
