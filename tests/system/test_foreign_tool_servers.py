"""Tool servers that others wrote, as their registries ship them: only what our lists name is offered, and masked.

They are fetched from npm and PyPI into a folder of the test; where that is not possible, the test is skipped.
"""

import asyncio
import json
import shutil
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from midwatch.adapters.mcp.manager import CompositeToolbox
from midwatch.adapters.mcp.profiles import PROFILES
from midwatch.adapters.references import References
from midwatch.adapters.system import SystemClock
from midwatch.domain.servers import ServerState
from tests.fixtures.houses import RunningSandbox

KUBERNETES, GRAFANA = "kubernetes-mcp-server@0.0.67", "mcp-grafana==2.1.1"
SECRET = "aHVudGVyMi1ub3QtaW4tYS1wcm9tcHQ="


def fetched(*command: str) -> None:
    """Run an installer, or skip: there may be no registry here, or none that answers."""
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=90, check=False)
    except subprocess.TimeoutExpired:
        pytest.skip(f"{command[0]} did not fetch {command[-1]} within 90 s")
    if done.returncode:
        pytest.skip(f"{command[0]} cannot fetch {command[-1]}: {done.stderr.strip()[-200:]}")


@pytest.fixture(scope="module")
def kubernetes_server(tmp_path_factory: pytest.TempPathFactory) -> Path:
    npm = shutil.which("npm")
    if npm is None:
        pytest.skip("npm is not installed here")
    folder = tmp_path_factory.mktemp("npm")
    fetched(npm, "install", "--no-audit", "--no-fund", "--prefix", str(folder), KUBERNETES)
    return folder / "node_modules/.bin/kubernetes-mcp-server"


@pytest.fixture(scope="module")
def grafana_server(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("pypi")
    fetched(sys.executable, "-m", "pip", "install", "-q", "--no-deps", "--target", str(folder), GRAFANA)
    return folder / "bin/mcp-grafana"


@pytest.fixture(scope="module")
def sandbox(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningSandbox]:
    running = RunningSandbox(tmp_path_factory.mktemp("sandbox"))
    yield running
    running.stop()


@asynccontextmanager
async def offering(folder: Path, name: str, **server: object) -> AsyncIterator[CompositeToolbox]:
    """A toolbox with this one server, as soon as it offers something."""
    config = folder / "mcp.json"
    off = {"kubernetes": {"disabled": True}}
    config.write_text(json.dumps({"mcpServers": {name: server, **off}}))
    async with CompositeToolbox(config, None, References({}).resolve, SystemClock()) as toolbox:
        async with asyncio.timeout(40):
            while not await toolbox.offer():
                await asyncio.sleep(0.05)
        yield toolbox


async def test_the_kubernetes_server_of_npm_reads_and_only_reads(
    kubernetes_server: Path, sandbox: RunningSandbox, tmp_path: Path
) -> None:
    secret = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "db", "namespace": "payments"}}
    sandbox.client("POST", "/api/v1/namespaces/payments/secrets", json=secret | {"data": {"password": SECRET}})
    made = len(sandbox.client.mutations())
    arguments = ["--read-only", "--disable-multi-cluster", "--kubeconfig", str(sandbox.kubeconfig)]
    async with offering(
        tmp_path, "k8s", command=str(kubernetes_server), args=arguments, profile="kubernetes-mcp-server"
    ) as toolbox:
        names = {spec.name for spec in await toolbox.offer()}
        assert names <= {f"k8s_{tool}" for tool in PROFILES["kubernetes-mcp-server"]}
        assert {"k8s_pods_list_in_namespace", "k8s_events_list", "k8s_resources_get"} <= names
        pods = await toolbox.call("k8s_pods_list_in_namespace", json.dumps({"namespace": "payments"}))
        assert pods.ok, pods.text
        assert "payment-api-" in pods.text
        asked = {"apiVersion": "v1", "kind": "Secret", "namespace": "payments", "name": "db"}
        shown = await toolbox.call("k8s_resources_get", json.dumps(asked))
        assert shown.ok, shown.text
        assert SECRET not in shown.text
        for tool in ("pods_delete", "pods_exec", "resources_create_or_update"):
            assert not (await toolbox.call(f"k8s_{tool}", json.dumps({"name": "x"}))).ok
    assert len(sandbox.client.mutations()) == made


async def test_grafanas_server_offers_what_our_list_names(grafana_server: Path, tmp_path: Path) -> None:
    arguments = ["--disable-write", "--enabled-tools", "prometheus,loki,alerting,datasource,dashboard"]
    token = "${file:" + str(tmp_path / "t") + "}"
    environment = {"GRAFANA_URL": "http://127.0.0.1:9", "GRAFANA_SERVICE_ACCOUNT_TOKEN": token}
    environment["PYTHONPATH"] = str(grafana_server.parents[1])
    (tmp_path / "t").write_text("a-made-up-token")
    async with offering(
        tmp_path, "grafana", command=str(grafana_server), args=arguments, env=environment, profile="mcp-grafana"
    ) as toolbox:
        names = {spec.name for spec in await toolbox.offer()}
        assert "grafana_query_prometheus" in names
        assert names <= {f"grafana_{tool}" for tool in PROFILES["mcp-grafana"]}
        (record,) = toolbox.records()
        assert record.state is ServerState.HEALTHY
        answer = await toolbox.call("grafana_list_datasources", "{}")
        assert not answer.ok  # nobody listens there; an error is an answer, and holds no token
        assert "a-made-up-token" not in answer.text
