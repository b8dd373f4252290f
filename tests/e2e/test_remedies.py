"""What people rely on at night, on one house: the plan shown, the button that stops all, bad fixes undone, tickets."""

import subprocess
import sys
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

import httpx2
import pytest
import yaml

from tests.fakes.gitlab import PROJECT, TOKEN, FakeGitLab, Issue, serving
from tests.fixtures.houses import RunningHouse, eventually, house_folder

DEADLINE_S = 20
"""How long a raised limit is given to help; the issue allows one minute from there until it is taken back."""


@pytest.fixture(scope="module")
def gitlab() -> FakeGitLab:
    return FakeGitLab()


@pytest.fixture(scope="module")
def house(gitlab: FakeGitLab) -> Iterator[RunningHouse]:
    """A house with a ticket system, in which a raised memory limit never suffices."""
    with serving(gitlab) as address, house_folder() as folder:
        environment = {
            "MIDWATCH_GITLAB_URL": address,
            "MIDWATCH_GITLAB_TOKEN": TOKEN,
            "MIDWATCH_GITLAB_PROJECT": PROJECT,
            "MIDWATCH_GITLAB_ONCALL": "oncall",
        }
        house = RunningHouse(folder, scenario="none", environment=environment)
        too_little(folder / "playbooks" / "raise-memory-limit.yaml")
        try:
            house.start()
            yield house
        finally:
            house.stop()


def too_little(playbook: Path) -> None:
    """The playbook as it is shipped, but that its raise does not suffice and that it is given up soon."""
    body = yaml.safe_load(playbook.read_text())
    body["parameters"]["at_most"]["default"] = "300Mi"  # 384Mi would do
    for check in body["steps"][0]["verify"]:
        check["timeout_s"] = DEADLINE_S
    body["examples"] = [example for example in body["examples"] if example["expect"].get("refused")]
    playbook.write_text(yaml.safe_dump(body, sort_keys=False))


def midwatch(house: RunningHouse, *arguments: str) -> subprocess.CompletedProcess[str]:
    """`midwatch …` as its own process."""
    program = str(Path(sys.executable).parent / "midwatch")
    return subprocess.run(
        [program, *arguments], env=house.environment, capture_output=True, text=True, timeout=120, check=False
    )


def issue_of(gitlab: FakeGitLab, incident: dict[str, Any]) -> Issue:
    (found,) = [issue for issue in gitlab.issues if incident["id"] in issue.description]
    return found


def deployment(house: RunningHouse, namespace: str, name: str) -> dict[str, Any]:
    spec: dict[str, Any] = house.cluster("GET", f"/apis/apps/v1/namespaces/{namespace}/deployments/{name}")["spec"]
    return spec


def instant(entry: dict[str, Any]) -> datetime:
    return datetime.fromisoformat(entry["at"])


def test_the_plan_of_an_incident_is_shown_and_nothing_is_done(house: RunningHouse) -> None:
    house.cluster.breaks("crashloop", "shop/cart")
    asked = house.wait_for_state("awaiting_approval", about="cart", within_s=90)
    kubeconfig = str(house.state / "sandbox.kubeconfig")

    shown = midwatch(house, "playbooks", "plan", asked["id"][:8], "--kubeconfig", kubeconfig)

    assert shown.returncode == 0, shown.stderr
    (step,) = asked["plan"]["steps"]
    assert f"Step 1 {step['summary']}" in shown.stdout
    for line in step["diff"].splitlines():
        assert line.split(":")[0].strip() in shown.stdout, "what the card shows, the command shows too"
    assert "Undo: " in shown.stdout
    assert "Policy: ask (risk-needs-approval)" in shown.stdout
    by_itself = midwatch(house, "playbooks", "plan", asked["id"][:8])
    assert by_itself.returncode == 0, "it knows how to reach the incident's own cluster"
    assert f"Step 1 {step['summary']}" in by_itself.stdout
    assert house.cluster.mutations(name="cart") == []
    assert house.incident(asked["id"])["seq"] == asked["seq"], "nothing is journalled"
    unknown = midwatch(house, "playbooks", "plan", "00000000", "--kubeconfig", kubeconfig)
    assert unknown.returncode == 1
    assert "00000000" in unknown.stderr


def test_the_button_stops_what_is_approved_and_the_ticket_says_so(house: RunningHouse, gitlab: FakeGitLab) -> None:
    asked = house.wait_for_state("awaiting_approval", about="cart", within_s=90)
    with httpx2.Client(base_url=house.url, follow_redirects=True, timeout=20) as browser:
        browser.post("/login", data={"token": house.token})
        page = browser.get("/").text
        assert "Pause all actions" in page
        csrf = page.partition('name="csrf" value="')[2].partition('"')[0]
        assert "All actions are paused by" in browser.post("/freeze", data={"csrf": csrf}).text

        house.approve(asked)
        ended = house.wait_for_state("escalated", "resolved", about="cart", within_s=60)
        assert (ended["state"], ended["reason"]) == ("escalated", "frozen")
        assert house.cluster.mutations(name="cart") == []

        assert "Pause all actions" in browser.post("/unfreeze", data={"csrf": csrf}).text
    pauses = house.get("/api/freeze?all=1")["pauses"]
    assert [(pause["active"], pause["by"]) for pause in pauses] == [(False, "console:operator")]

    eventually(lambda: issue_of(gitlab, ended).assignees, within_s=30, what="assignee of the ticket")
    issue = issue_of(gitlab, ended)
    assert (issue.state, issue.assignees) == ("opened", [7])
    assert {"midwatch", "midwatch::escalated"} <= issue.labels
    assert any("paused" in note for note in issue.notes), issue.notes
    house.cluster.heals("crashloop", "shop/cart")


def test_a_fix_that_does_not_help_is_undone_and_escalated_within_a_minute_of_its_deadline(
    house: RunningHouse, gitlab: FakeGitLab
) -> None:
    before = deployment(house, "shop", "search")
    house.cluster.breaks("oom", "shop/search")
    asked = house.wait_for_state("awaiting_approval", about="search", within_s=90)
    assert deployment(house, "shop", "search") == before

    house.approve(asked)
    ended = house.wait_for_state("escalated", "resolved", about="search", within_s=DEADLINE_S + 90)

    assert (ended["state"], ended["reason"]) == ("escalated", "undone"), ended["outcome"]
    assert deployment(house, "shop", "search") == before, "the object is as it was"
    entries = {entry["type"]: entry for entry in house.entries(ended["id"])}
    late_s = (instant(entries["escalated"]) - instant(entries["step-acted"])).total_seconds() - DEADLINE_S
    assert late_s < 60
    print(f"undone and escalated {late_s:.1f} s after the deadline")
    assert len(house.cluster.mutations(name="search")) == 2
    eventually(lambda: issue_of(gitlab, ended).assignees, within_s=30, what="assignee of the ticket")
    assert any("taken back" in note or "undone" in note.lower() for note in issue_of(gitlab, ended).notes)
    house.cluster.heals("oom", "shop/search")


def test_a_fixed_incident_closes_its_ticket_whose_notes_tell_every_step(
    house: RunningHouse, gitlab: FakeGitLab
) -> None:
    gitlab.lost_answers = 2
    house.cluster.breaks("crashloop", "payments/fraud-check")
    asked = house.wait_for_state("awaiting_approval", about="fraud-check", within_s=90)
    house.approve(asked)
    fixed = house.wait_for_state("resolved", "escalated", about="fraud-check", within_s=120)
    assert fixed["state"] == "resolved", fixed["outcome"]

    eventually(lambda: issue_of(gitlab, fixed).state == "closed", within_s=60, what="closed ticket")
    issue = issue_of(gitlab, fixed)
    told = [note.partition("UTC** ")[2].replace("\\", "") for note in issue.notes]
    assert len(set(issue.notes)) == len(issue.notes), "no note is made twice, although answers were lost"
    for beginning in ("Cause:", "Plan:", "Waiting for", "The question"):
        assert sum(note.startswith(beginning) for note in told) == 1, told
    assert gitlab.lost_answers == 0
