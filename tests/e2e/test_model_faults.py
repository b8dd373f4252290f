"""What fails in the middle of an investigation costs it nothing: worker, provider, tool server; and no secret leaves.

One house for all: a workload is broken for each fault, and each incident must end with one report, by a model.
"""

import json
import re
import sys
import threading
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.fakes.llm_server import Answer, Error, Hang, LlmServer, Step, Text, Tool, says
from tests.fixtures.houses import ROOT, RunningHouse, eventually, house_folder

CAUSE = "it cannot start"
MODEL_CALLS, TOOL_CALLS = 8, 5
WORKER, OVERLOADED, SILENT, CUT, TOOLS, GREEDY = (
    "payment-api",
    "cart",
    "frontend",
    "fraud-check",
    "mail-relay",
    "report-builder",
)
PLACES = {
    WORKER: "payments",
    OVERLOADED: "shop",
    SILENT: "shop",
    CUT: "payments",
    TOOLS: "platform",
    GREEDY: "platform",
}
FAULTS: dict[str, Step] = {
    OVERLOADED: Error(529, "overloaded_error", headers={"retry-after-ms": "50"}),
    SILENT: Hang(),
    CUT: Answer((Text("The first half of what is the matter here is told, and then"),), cut_after=5),
}
IN_A_SECRET = ("c2FuZGJveC1vbmx5", "sandbox-only")
PLANTED = "ghp_PlantedInAnAnnotation0123456789"
OF_A_SERVER = "hunter2hunter2"


class Vendors:
    """Two vendors: the first fails as it is told to in the middle of an investigation, the second goes on."""

    def __init__(self) -> None:
        self.first, self.second = LlmServer(script=self._first), LlmServer(script=self._second)
        self.failed = Counter[str]()
        self.held = threading.Event()
        """Set once the model has been asked about the incident whose worker is to die."""

    @property
    def requests(self) -> list[dict[str, Any]]:
        return [*self.first.requests, *self.second.requests]

    def about(self, name: str) -> list[dict[str, Any]]:
        return [body for body in self.requests if subject(body) == name]

    def _first(self, body: dict[str, Any]) -> Step:
        name = subject(body)
        if name in FAULTS and rounds(body):
            self.failed[name] += 1
            return FAULTS[name]
        return self._next(body)

    def _second(self, body: dict[str, Any]) -> Step:
        name = subject(body)
        if name in FAULTS and not self.failed[name] and offered(body):
            return look(body, delay_s=0.5)  # the first vendor rests because of another incident: until it is back
        return self._next(body)

    def _next(self, body: dict[str, Any]) -> Step:
        name, number = subject(body), rounds(body)
        if not offered(body):
            return says(json.dumps(conclusion(body)))
        if name == GREEDY:
            return look(body, new=True)
        if name == WORKER and number == 0:
            self.held.set()
            secret = Tool("get_object", {"kind": "Secret", "name": "payments-db", "namespace": "payments"})
            return Answer((Text("What it connects with."), secret), delay_s=3.0)
        if name == TOOLS and number < 2:
            return Answer((Text("Ask the other server."), Tool(("other_fail", "other_hang")[number])))
        if number == 0:
            return look(body)
        return says(json.dumps(conclusion(body)))


def texts(body: dict[str, Any]) -> str:
    """All that a model was told, in either vendor's form."""
    found: list[str] = []
    for message in body["messages"]:
        content = message.get("content") or ""
        parts = [{"text": content}] if isinstance(content, str) else content
        found += [str(part.get("text") or part.get("content") or "") for part in parts]
    return "\n".join(found)


def subject(body: dict[str, Any]) -> str:
    """Which workload the investigation is about."""
    owner = re.search(r"(?m)^owner: \w+ (?:[\w-]+/)?([\w-]+)", texts(body))
    return owner[1] if owner else ""


def rounds(body: dict[str, Any]) -> int:
    """How often a model has spoken already."""
    return sum(message["role"] == "assistant" for message in body["messages"])


def offered(body: dict[str, Any]) -> bool:
    return bool(body.get("tools"))


def first_look(body: dict[str, Any]) -> str:
    found = re.search(r'source="looks">.*?\[([\w.-]+)\]', texts(body), re.DOTALL)
    return found[1] if found else "none"


def look(body: dict[str, Any], *, new: bool = False, delay_s: float = 0.0) -> Answer:
    """A round that asks for something: of what was seen, or of the cluster."""
    number = rounds(body) + 1
    calls = (
        [Tool("list_events", {"namespace": "platform", "name": f"x-{number}-{each}"}) for each in (1, 2)]
        if new
        else [Tool("read_output", {"call_id": first_look(body), "from_line": 1, "to_line": number})]
    )
    return Answer((Text("What was seen first."), *calls), delay_s=delay_s)


def conclusion(body: dict[str, Any]) -> dict[str, object]:
    looks = texts(body).partition('source="looks">')[2].partition("</data-")[0]
    evidence = [
        {"call_id": each, "line": None, "quote": subject(body)}
        for each in re.findall(r"(?m)^\[([\w.-]+)\]", looks)[:15]
    ]
    return {
        "known": True,
        "root_cause": CAUSE,
        "summary": "It exits at once.",
        "confidence": 0.7,
        "evidence": evidence,
        "next_checks": ["look at its configuration"],
        "title": "It cannot start",
        "condition": "",
        "subject": {"kind": "Deployment", "name": subject(body), "namespace": PLACES.get(subject(body), "")},
        "factors": [],
        "ruled_out": [],
        "recommended_action": "",
        "prevention": "",
        "playbook": "",
        "parameters": [],
    }


@pytest.fixture(scope="module")
def vendors() -> Vendors:
    return Vendors()


@pytest.fixture(scope="module")
def house(vendors: Vendors) -> Iterator[RunningHouse]:
    with vendors.first.serve() as first, vendors.second.serve() as second, house_folder("mw-faults-") as folder:
        environment = {
            "ANTHROPIC_API_KEY": "key-of-the-first",
            "MIDWATCH_MODELS_FILE": str(models(folder, first, second)),
            "MIDWATCH_MCP_CONFIG": str(servers(folder)),
            "MIDWATCH_REFINE_RACE_BELOW": "0",
            "MIDWATCH_INCIDENT_BUDGET_MODEL_CALLS": str(MODEL_CALLS),
            "MIDWATCH_INCIDENT_BUDGET_TOOL_CALLS": str(TOOL_CALLS),
        }
        house = RunningHouse(folder, scenario="none", environment=environment)
        try:
            house.start()
            yield house
        finally:
            house.stop()


def models(folder: Path, first: str, second: str) -> Path:
    """The shipped file, with two vendors that are impatient and rest for a moment only."""
    file = yaml.safe_load((ROOT / "cluster_config" / "models.yaml").read_text())
    names = {"large": "big", "small": "little"}
    key = "${env:ANTHROPIC_API_KEY}"
    file["providers"] = {
        "first": {"kind": "anthropic", "base_url": first, "key": key, "models": names, "idle_s": 4},
        "second": {"kind": "custom", "base_url": f"{second}/v1", "key": key, "models": names},
    }
    file |= {"default": "first", "fallbacks": ["second"], "cooldown_s": 0.2}
    for layer in file["middleware"]:
        if layer["use"] == "retry":
            layer["options"] = {"attempts": 2, "base_s": 0.05, "longest_s": 10}
    path = folder / "models.yaml"
    path.write_text(yaml.safe_dump(file))
    return path


def servers(folder: Path) -> Path:
    other = {
        "command": sys.executable,
        "args": ["-m", "tests.fixtures.mcp_server", "stdio"],
        "env": {"PYTHONPATH": str(ROOT)},
        "allow": ["echo", "hang", "fail"],
    }
    path = folder / "mcp.json"
    path.write_text(json.dumps({"mcpServers": {"other": other}}))
    return path


@pytest.fixture(scope="module")
def ended(house: RunningHouse, vendors: Vendors) -> dict[str, dict[str, Any]]:
    """Every workload broken, every fault done, every investigation at its end: the incidents by workload."""
    for name in (WORKER, *FAULTS):
        house.cluster.breaks("crashloop", f"{PLACES[name]}/{name}")
    labels = {"alertname": "KubePodCrashLooping", "namespace": "payments", "deployment": WORKER, "severity": "critical"}
    alert = {
        "status": "firing",
        "labels": labels,
        "annotations": {"summary": f"It crashes, token={PLANTED}", "description": f"token={PLANTED}"},
        "startsAt": datetime.now(UTC).isoformat(),
    }
    body = {"version": "4", "status": "firing", "receiver": "midwatch", "alerts": [alert]}
    assert house.request("POST", "/api/alert/webhook", json=body).status_code == 202

    eventually(vendors.held.is_set, within_s=120, what="the model is asked")
    house.kill_actor("RcaWorker")

    eventually(lambda: serves(house, "other", "kubernetes"), within_s=120, what="tool servers of the next worker")
    for name in (TOOLS, GREEDY):
        house.cluster.breaks("crashloop", f"{PLACES[name]}/{name}")
    eventually(lambda: hangs(vendors), within_s=120, what="call that hangs")
    for process in house.processes("tests.fixtures.mcp_server"):
        process.kill()

    def all_ended() -> dict[str, dict[str, Any]] | None:
        found = {}
        for name in PLACES:
            for row in house.incidents(name):
                told = [entry["type"] for entry in house.entries(row["id"])]
                if "refinement-ended" in told:
                    found[name] = house.incident(row["id"])
        return found if len(found) == len(PLACES) else None

    return eventually(all_ended, within_s=150, what="end of every investigation", every_s=0.5)


def serves(house: RunningHouse, *names: str) -> bool:
    """Whether a worker is connected to all of these."""
    workers = house.get("/api/mcp-servers")["workers"]
    connected = [{each["name"] for each in worker["servers"] if each["connected"]} for worker in workers]
    return any(set(names) <= each for each in connected)


def hangs(vendors: Vendors) -> bool:
    """Whether the call was asked for that is never answered."""
    return any(rounds(body) == 1 for body in vendors.about(TOOLS))


@pytest.mark.timeout(500)
def test_each_ends_with_one_report_by_a_model(house: RunningHouse, ended: dict[str, dict[str, Any]]) -> None:
    for name, incident in ended.items():
        entries = house.entries(incident["id"])
        told = Counter(entry["type"] for entry in entries)
        last = [(entry["reason"], entry["detail"]) for entry in entries if entry["type"] == "refinement-ended"]
        assert told["refinement-ended"] == 1, (name, told, last)
        assert incident["report"]["root_cause"] != "unknown"
        if name != GREEDY:  # whoever has spent all its calls may end with the first report
            assert (told["report-made"], incident["report"]["root_cause"]) == (2, CAUSE), (name, told, last)
        assert len(house.incidents(name)) == 1


def test_another_worker_goes_on_where_one_was_killed(house: RunningHouse, ended: dict[str, dict[str, Any]]) -> None:
    told = Counter(entry["type"] for entry in house.entries(ended[WORKER]["id"]))
    assert told["refinement-started"] == 2


@pytest.mark.parametrize("name", FAULTS)
def test_the_next_provider_goes_on_where_one_failed(
    name: str, ended: dict[str, dict[str, Any]], vendors: Vendors
) -> None:
    assert vendors.failed[name]
    assert ended[name]["report"]["author"].startswith("second/")


def test_a_tool_server_that_dies_is_an_answer(ended: dict[str, dict[str, Any]], vendors: Vendors) -> None:
    told = json.dumps(vendors.about(TOOLS))
    assert "other_hang" in told
    assert "go on with other tools" in told, sorted(ended)


def test_no_budget_is_passed_by_more_than_a_call(ended: dict[str, dict[str, Any]]) -> None:
    for name, incident in ended.items():
        spent = incident["spending"]
        assert sum(each["calls"] for each in spent) <= MODEL_CALLS + 1, name
        assert sum(each["tool_calls"] for each in spent) <= TOOL_CALLS + 1, name
    assert sum(each["tool_calls"] for each in ended[GREEDY]["spending"]) == TOOL_CALLS


@pytest.mark.usefixtures("ended")
def test_no_secret_is_in_any_prompt(house: RunningHouse, vendors: Vendors) -> None:
    told = json.dumps(vendors.requests, ensure_ascii=False)
    assert '"payments-db' in told or "payments-db" in told, "the Secret was looked at"
    assert "no such thing" in told, "the other server's answer was read"
    for secret in (*IN_A_SECRET, PLANTED, OF_A_SERVER, house.token, "key-of-the-first"):
        assert secret not in told
    assert not vendors.first.faults
    assert not vendors.second.faults
