"""`midwatch diagnose --live` over a simulated API server."""

import asyncio
import json
import sys
import time
from pathlib import Path
from random import Random

import pytest

from midwatch.sandbox.runtime import Sandbox, SandboxOptions, running_sandbox


async def diagnose(*arguments: str) -> tuple[int, dict, str]:
    process = await asyncio.create_subprocess_exec(
        str(Path(sys.executable).parent / "midwatch"),
        "diagnose",
        "-o",
        "json",
        *arguments,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    out, err = await process.communicate()
    assert process.returncode is not None
    return process.returncode, json.loads(out) if out else {}, err.decode()


@pytest.fixture
async def sandbox(tmp_path):
    options = SandboxOptions(kubeconfig=tmp_path / "kubeconfig")
    async with running_sandbox(options, time.time, Random(1)) as running:
        yield running


async def broken(sandbox: Sandbox, kubeconfig: Path) -> dict:
    """Break the payment service and diagnose until it shows."""
    sandbox.stage.start("crashloop")
    async with asyncio.timeout(30):
        while True:
            status, verdict, _ = await diagnose("--kubeconfig", str(kubeconfig), "-n", "payments")
            if status == 1 and any(item["condition"] == "CrashLoopBackOff" for item in verdict["findings"]):
                return verdict


async def test_a_healthy_cluster_is_healthy(sandbox, tmp_path):
    status, verdict, _ = await diagnose("--kubeconfig", str(tmp_path / "kubeconfig"))
    assert (status, verdict["findings"]) == (0, [])


async def test_a_crash_loop_is_explained_from_objects_and_logs(sandbox, tmp_path):
    verdict = await broken(sandbox, tmp_path / "kubeconfig")
    assert "database" in verdict["diagnosis"]["root_cause"]
    assert any(item["source"].startswith("logs:") and item["line"] for item in verdict["diagnosis"]["evidence"])


async def test_a_context_that_does_not_exist_is_one_clear_line(sandbox, tmp_path):
    status, _, said = await diagnose("--kubeconfig", str(tmp_path / "kubeconfig"), "--context", "nowhere")
    assert status == 2
    assert "nowhere" in said
    assert "Traceback" not in said
