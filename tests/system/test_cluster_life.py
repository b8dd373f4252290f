"""Nodes and the head of a real cluster die and come back, and incidents go on (see ``cluster_life.py``)."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.fixtures.houses import house_folder
from tests.system.conftest import Tool

NAMESPACE = ("unshare", "--net", "--pid", "--fork", "--mount-proc")
"""No user namespace: root's database runs as another user, who must exist inside too."""
ADDRESSES = " ; ".join(f"ip addr add 10.9.0.{number}/32 dev lo" for number in (1, 2, 3, 4))


@pytest.mark.timeout(1200)
def test_a_lost_worker_a_new_one_and_a_lost_head(root: Path, tool: Tool) -> None:
    tool("redis-server")
    if not shutil.which("unshare") or subprocess.run([*NAMESPACE, "true"], capture_output=True, check=False).returncode:
        pytest.skip("needs root and unshare (Linux)")
    with house_folder("mw-life-") as folder:
        inside = f'ip link set lo up; {ADDRESSES}; exec "{sys.executable}" -m tests.system.cluster_life "{folder}"'
        done = subprocess.run(
            [*NAMESPACE, "bash", "-c", inside],
            env={**os.environ, "PATH": f"{os.environ['PATH']}:/usr/sbin:/sbin"},
            cwd=root,
            capture_output=True,
            text=True,
            timeout=1100,
            check=False,
        )
        logs = "".join(f"\n== {log.name}\n{log.read_text()[-1500:]}" for log in sorted(folder.glob("*.log")))
    assert done.returncode == 0, done.stdout + done.stderr[-4000:] + logs
    found = json.loads(done.stdout.splitlines()[-1])
    assert min(found["spread"]) >= 1
    assert found["resolved"] == 4
