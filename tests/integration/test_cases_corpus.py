"""Recorded failures of real clusters, where a folder of them is given by MIDWATCH_CORPUS; skipped without."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

CORPUS = os.environ.get("MIDWATCH_CORPUS", "")


@pytest.mark.skipif(not CORPUS, reason="MIDWATCH_CORPUS names no folder of cases")
@pytest.mark.timeout(300)
def test_every_failure_is_seen_and_nothing_else(tmp_path: Path) -> None:
    figures = tmp_path / "figures.json"
    command = [sys.executable, str(Path(CORPUS).parent / "score.py"), CORPUS, "--json", str(figures)]
    program = f"{sys.executable} -m midwatch.commands.diagnose"
    gates = ["k8s=1.0", "false_alarms_k8s=0", "root_cause=0.9", "logs=0.9", "false_alarms_logs=0"]
    done = subprocess.run(
        [*command, "--program", program, *(part for gate in gates for part in ("--gate", gate))],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, json.loads(figures.read_text("utf-8"))["summary"] if figures.exists() else done.stderr
