"""`midwatch diagnose` as a person and a script use it: its own process, files and standard input, exit codes."""

import json
import os
import random
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from midwatch.adapters.catalog.log_patterns import load_log_patterns
from midwatch.domain.logs import LogAnalyser
from midwatch.settings import Settings

NOW = "2026-05-01T12:00:00Z"


def pod(name: str, ready: bool, namespace: str = "shop") -> dict[str, Any]:
    waiting = {"waiting": {"reason": "ImagePullBackOff", "message": "manifest unknown"}}
    state = {"running": {"startedAt": "2026-05-01T11:00:00Z"}} if ready else waiting
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "namespace": namespace, "uid": name, "creationTimestamp": "2026-05-01T11:00:00Z"},
        "spec": {"containers": [{"name": "app", "image": "shop/app:v1"}], "nodeName": "n1"},
        "status": {
            "phase": "Running" if ready else "Pending",
            "conditions": [
                {"type": "Ready", "status": str(ready), "lastTransitionTime": "2026-05-01T11:00:00Z"},
            ],
            "containerStatuses": [
                {"name": "app", "image": "shop/app:v1", "ready": ready, "restartCount": 0, "state": state}
            ],
        },
    }


def run(*arguments: str, given: bytes | None = None) -> subprocess.CompletedProcess[bytes]:
    command = [sys.executable, "-m", "midwatch.commands.diagnose", "diagnose", *arguments]
    environment = {key: value for key, value in os.environ.items() if not key.startswith("MIDWATCH_")}
    return subprocess.run(command, input=given or b"", capture_output=True, timeout=60, check=False, env=environment)


def test_a_broken_pod_from_standard_input() -> None:
    listing = {"apiVersion": "v1", "kind": "List", "items": [pod("web-1", ready=False), pod("api-1", ready=True)]}
    done = run("-", "--now", NOW, given=json.dumps(listing).encode())
    said = done.stdout.decode()
    assert done.returncode == 1, done.stderr.decode()
    assert "web-1" in said
    assert "Root cause" in said
    assert "api-1" not in said


def test_a_healthy_pod_is_healthy() -> None:
    done = run("-", "--now", NOW, given=json.dumps(pod("web-1", ready=True)).encode())
    assert done.returncode == 0, done.stdout.decode()
    assert done.stdout.decode().startswith("Healthy")


def test_yaml_with_several_documents_and_a_namespace(tmp_path: Path) -> None:
    file = tmp_path / "objects.yaml"
    file.write_text("\n---\n".join(json.dumps(item) for item in (pod("a-1", False), pod("b-1", False, "other"))))
    done = run(str(file), "--now", NOW, "-n", "other", "-o", "json")
    answer = json.loads(done.stdout)
    assert done.returncode == 1
    assert {finding["subject"]["name"] for finding in answer["findings"]} == {"b-1"}


def test_logs_alone_and_bytes_that_are_no_text(tmp_path: Path) -> None:
    log = tmp_path / "app.log"
    log.write_bytes(
        b"INFO start\n\xff\xfe\x00 noise\nERROR write /data/x: no space left on device\n" + b"x" * 2_000_000
    )
    empty = tmp_path / "empty.log"
    empty.write_bytes(b"")
    done = run("--logs", str(log), "--logs", str(empty), "-o", "yaml")
    assert done.returncode == 1
    assert "disk_full" in done.stdout.decode()
    assert run("--logs", str(empty)).returncode == 0


def test_a_batch_answers_every_case_in_one_process(tmp_path: Path) -> None:
    cases = [
        {"id": "one", "now": NOW, "objects": [], "logs": {"input": "panic: boom\n\ngoroutine 1 [running]:\n"}},
        {"id": "two", "now": NOW, "objects": [pod("web-1", ready=False)], "logs": {}},
        {"id": "three", "now": None, "objects": None, "logs": None},
    ]
    file = tmp_path / "cases.jsonl"
    file.write_text("".join(json.dumps(case) + "\n" for case in cases))
    done = run("--batch", str(file), "-o", "jsonl")
    answers = {answer["id"]: answer for answer in map(json.loads, done.stdout.splitlines())}
    assert done.returncode == 0
    assert answers["one"]["diagnosis"]["family"] == "crash_panic"
    assert answers["one"]["findings"][0]["evidence"][0] == {"source": "logs:input", "text": "panic: boom", "line": 1}
    assert answers["two"]["findings"][0]["subject"]["name"] == "web-1"
    assert answers["three"]["findings"] == []


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (b"", "standard input is empty"),
        (b"{", "neither JSON nor YAML"),
        (b"just a line of text", "str instead of an object"),
        (b'{"kind": "Pod"}', "kind or metadata.name is missing"),
        (b'{"kind": "List", "items": [7]}', "document 1, item 1"),
    ],
)
def test_bad_input_is_one_clear_line(given: bytes, said: str) -> None:
    done = run("-", given=given)
    lines = done.stderr.decode().strip().splitlines()
    assert done.returncode == 2
    assert len(lines) == 1
    assert said in lines[0]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ((), "nothing to look at"),
        (("no-such-file.json",), "No such file"),
        (("-", "--now", "yesterday"), "is no instant"),
    ],
)
def test_bad_arguments_are_one_clear_line(arguments: tuple[str, ...], said: str) -> None:
    done = run(*arguments, given=b"{}")
    assert done.returncode == 2
    assert said in done.stderr.decode()
    assert "Traceback" not in done.stderr.decode()


def test_a_bad_line_of_a_batch_is_named(tmp_path: Path) -> None:
    file = tmp_path / "cases.jsonl"
    file.write_text('{"id": "a"}\n{"objects": 1}\n')
    done = run("--batch", str(file), "-o", "jsonl")
    assert done.returncode == 2
    assert "line 2" in done.stderr.decode()


def test_ten_megabytes_are_looked_at_fast() -> None:
    """The target is 300 ms of processor time; the bound leaves room for a slower or busier machine."""
    draw = random.Random(7)
    words = [
        "order",
        "placed",
        "cache",
        "miss",
        "sent",
        "mail",
        "user",
        "logged",
        "in",
        "job",
        "done",
        "page",
        "served",
    ]
    rows = [
        f"2026-01-01T10:00:{draw.randrange(60):02}Z INFO {draw.choice(words)} {draw.choice(words)} "
        f"id={draw.getrandbits(96):x} took {draw.random():.3f}s path=/api/{draw.choice(words)}/{draw.randrange(10**6)}"
        for _ in range(110_000)
    ]
    rows[70_000] = "2026-01-01T10:30:00Z ERROR write /data/7: no space left on device"
    text = "\n".join(rows)
    analyser = LogAnalyser(load_log_patterns(Settings().rules_dir / "logs"))
    took = []
    for _ in range(3):
        start = time.process_time()
        report = analyser.analyse("big", text)
        took.append(time.process_time() - start)
    assert len(text) > 10_000_000
    assert report.hits[0].line == 70_001
    assert min(took) < 1.0, took


def test_recorded_cases_keep_their_score() -> None:
    corpus = os.environ.get("MIDWATCH_CORPUS")
    if not corpus:
        pytest.skip("MIDWATCH_CORPUS names no folder of recorded cases")
    score = Path(corpus).parent / "score.py"
    program = f"{sys.executable} -m midwatch.commands.diagnose"
    gates = ("logs=0.9", "false_alarms_logs=0", "false_alarms_k8s=0")
    command = [sys.executable, str(score), corpus, "--program", program]
    done = subprocess.run(
        [*command, *(part for gate in gates for part in ("--gate", gate))],
        capture_output=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stdout.decode() + done.stderr.decode()
