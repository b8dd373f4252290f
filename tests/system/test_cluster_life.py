"""Nodes and the head of a real cluster die and come back, and incidents go on (see ``cluster_life.py``)."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.fixtures.houses import house_folder
from tests.system.conftest import Tool


def apart() -> tuple[str, ...]:
    """A prefix that gives a command a network of its own, or nothing where this system forbids that.

    Without a namespace the nodes have the same addresses on the machine's own loopback, and listen beyond it. No user
    namespace: root's database runs as another user, who must exist inside too.
    """
    alone = ("unshare", "--net", "--pid", "--fork", "--mount-proc", "--kill-child")
    up = ("bash", "-c", 'ip link set lo up && exec "$@"', "bash")
    if (
        shutil.which("unshare")
        and not subprocess.run([*alone, *up, "true"], capture_output=True, check=False).returncode
    ):
        return (*alone, *up)
    return ()


@pytest.mark.timeout(900)
@pytest.mark.parametrize(("scene", "incidents"), [("several", 6), ("one-machine", 2)])
def test_nodes_are_lost_and_every_incident_ends_once(scene: str, incidents: int, root: Path, tool: Tool) -> None:
    tool("redis-server")
    with house_folder("mw-life-") as folder:
        done = subprocess.run(
            [*apart(), sys.executable, "-m", "tests.system.cluster_life", scene, str(folder)],
            cwd=root,
            capture_output=True,
            text=True,
            timeout=880,
            check=False,
        )
        logs = "".join(f"\n== {log.name}\n{log.read_text()[-1500:]}" for log in sorted(folder.glob("*.log")))
    assert done.returncode == 0, done.stdout + done.stderr[-4000:] + logs
    found = json.loads(done.stdout.splitlines()[-1])
    print(json.dumps(found))
    assert (found["resolved"], found["left_behind"]) == (incidents, [])
