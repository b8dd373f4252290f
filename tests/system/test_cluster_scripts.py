"""`head.sh` and `worker.sh` make a cluster of two nodes that actors spread over, token on.

In a network namespace with nothing in it but loopback, two addresses on it are the two machines.
"""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

TWO_NODES = """
set -u
ip link set lo up; ip addr add 10.9.0.1/32 dev lo; ip addr add 10.9.0.2/32 dev lo
wait_for() { for _ in $(seq 120); do grep -q "$1" "$2" && return; sleep 0.25; done; cat "$2"; exit 1; }

NODE_IP=10.9.0.1 TEMP_DIR=$FOLDER/1 "$SCRIPTS/head.sh" > "$FOLDER/head.log" 2>&1 & head=$!
wait_for 'runtime started' "$FOLDER/head.log"
HEAD_IP=10.9.0.1 NODE_IP=10.9.0.2 TEMP_DIR=$FOLDER/2 \\
    PORTS='--node-manager-port=7380 --object-manager-port=7381 --min-worker-port=30000 --max-worker-port=30999' \\
    "$SCRIPTS/worker.sh" > "$FOLDER/worker.log" 2>&1 & worker=$!
wait_for 'runtime started' "$FOLDER/worker.log"
RAY_AUTH_MODE=token "$PYTHON" -c "$PROBE"
echo "with a wrong token:"
env -u RAY_AUTH_TOKEN_PATH RAY_AUTH_MODE=token RAY_AUTH_TOKEN=wrong timeout 20 "$PYTHON" -c "$PROBE" 2>&1 |
    grep -o -m1 -i -E 'unauthenticated|invalid.*token' | head -1
kill $worker $head; wait
"""

PROBE = """
import ray
ray.init(address="10.9.0.1:6379", log_to_driver=False, logging_level="ERROR")

@ray.remote(num_cpus=0, resources={"rca": 1}, scheduling_strategy="SPREAD")
class Worker:
    def where(self):
        return ray.util.get_node_ip_address()

workers = [Worker.remote() for _ in range(4)]
print("nodes:", *sorted(set(ray.get([worker.where.remote() for worker in workers]))))
"""

NAMESPACE = ("unshare", "--user", "--map-root-user", "--net", "--pid", "--fork", "--mount-proc")


@pytest.fixture
def namespace() -> tuple[str, ...]:
    if not shutil.which("unshare") or not shutil.which("ip"):
        pytest.skip("needs unshare and ip (Linux)")
    if subprocess.run([*NAMESPACE, "true"], capture_output=True, check=False).returncode:
        pytest.skip("this system does not let us make a network namespace")
    return NAMESPACE


def test_two_nodes_join_and_share_the_work(namespace: tuple[str, ...], root: Path, short_path: Path) -> None:
    token = short_path / "token"
    token.write_text("0123456789abcdef0123456789abcdef")
    token.chmod(0o600)
    environment = {
        "PATH": f"{Path(sys.executable).parent}:/usr/sbin:/usr/bin:/sbin:/bin",
        "HOME": str(short_path),
        "FOLDER": str(short_path),
        "GCS_DIR": str(short_path / "gcs"),
        "SCRIPTS": str(root / "cluster_config/ray"),
        "PYTHON": sys.executable,
        "PROBE": PROBE,
        "RAY_AUTH_TOKEN_PATH": str(token),
    }
    result = subprocess.run(
        [*namespace, "bash", "-c", TWO_NODES], env=environment, capture_output=True, text=True, timeout=150, check=False
    )
    assert "nodes: 10.9.0.1 10.9.0.2\nwith a wrong token:\nUnauthenticated\n" in result.stdout, (
        result.stdout + result.stderr
    )


@pytest.mark.parametrize("script", ["head.sh", "worker.sh"])
def test_no_token_no_node(script: str, root: Path, tmp_path: Path) -> None:
    result = subprocess.run(
        [root / "cluster_config/ray" / script],
        env={"PATH": "/usr/bin:/bin", "RAY_AUTH_TOKEN_PATH": str(tmp_path / "none")},
        capture_output=True,
        text=True,
        timeout=20,
        check=False,
    )
    assert result.returncode == 1
    assert "no Ray token" in result.stderr
