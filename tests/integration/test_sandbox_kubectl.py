"""kubectl against the sandbox, started as a user starts it. Skipped where there is no kubectl."""

import json
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from midwatch.sandbox.client import ControlClient

Kubectl = Callable[..., str]

needs_kubectl = pytest.mark.skipif(shutil.which("kubectl") is None, reason="no kubectl on this machine")


@pytest.fixture(scope="module")
def kubeconfig(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    path = tmp_path_factory.mktemp("sandbox") / "kubeconfig"
    command = [sys.executable, "-m", "midwatch.sandbox", "--kubeconfig", str(path), "--with-parent"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        told = json.loads(process.stdout.readline())
        assert told["kubeconfig"] == str(path)
        yield path
        process.send_signal(signal.SIGTERM)
        assert process.wait(10) == 0


@pytest.fixture
def kubectl(kubeconfig: Path) -> Kubectl:
    def run(*words: str, code: int = 0, stdin: str | None = None) -> str:
        command = ["kubectl", "--kubeconfig", str(kubeconfig), *words]
        done = subprocess.run(command, input=stdin, capture_output=True, text=True, timeout=40, check=False)
        assert done.returncode == code, done.stdout + done.stderr
        return done.stdout + done.stderr

    return run


@needs_kubectl
def test_it_looks_like_a_small_cluster(kubectl: Kubectl) -> None:
    assert "node-2" in kubectl("get", "nodes", "-o", "wide")
    pods = kubectl("get", "pods", "-A", "-o", "wide")
    assert "payment-api" in pods
    assert "Completed" in pods
    assert "deployment.apps/cart" in kubectl("get", "all", "-n", "shop")
    assert json.loads(kubectl("get", "pods", "-A", "-o", "json"))["items"]
    assert "Readiness" in kubectl("describe", "pod", "-n", "shop", "-l", "app=cart")
    assert "Allocated resources" in kubectl("describe", "node", "node-1")
    assert "Metrics API not available" in kubectl("top", "pods", code=1)


@needs_kubectl
def test_a_bad_image_is_seen_and_rolled_back(kubectl: Kubectl) -> None:
    kubectl("-n", "shop", "set", "image", "deploy/cart", "cart=registry.example.com/shop/cart:missing-1")
    waiting = "jsonpath={.status.containerStatuses[0].state.waiting.reason}=ErrImagePull"
    pods = json.loads(kubectl("-n", "shop", "get", "pods", "-l", "app=cart", "-o", "json"))["items"]
    new = next(p["metadata"]["name"] for p in pods if "missing-1" in p["spec"]["containers"][0]["image"])
    kubectl("-n", "shop", "wait", f"pod/{new}", f"--for={waiting}", "--timeout=20s")
    assert "not found" in kubectl("events", "-n", "shop", "--for", f"pod/{new}")
    assert "rolled back" in kubectl("-n", "shop", "rollout", "undo", "deploy/cart")
    assert "successfully rolled out" in kubectl("-n", "shop", "rollout", "status", "deploy/cart", "--timeout=20s")
    history = kubectl("-n", "shop", "rollout", "history", "deploy/cart")
    assert [line.split()[0] for line in history.splitlines()[2:] if line.strip()] == ["2", "3"]


@needs_kubectl
def test_a_crash_loop_is_restarted_and_the_audit_knows_one_mutation(kubectl: Kubectl, kubeconfig: Path) -> None:
    control = ControlClient(kubeconfig)
    before = len(control.mutations())
    control.start("crashloop", "payments/fraud-check")
    kubectl("-n", "payments", "wait", "deploy/fraud-check", "--for=condition=Available=false", "--timeout=20s")
    pod = json.loads(kubectl("-n", "payments", "get", "pods", "-l", "app=fraud-check", "-o", "json"))["items"][0]
    name = pod["metadata"]["name"]
    restarted = "jsonpath={.status.containerStatuses[0].lastState.terminated.exitCode}=1"
    kubectl("-n", "payments", "wait", f"pod/{name}", f"--for={restarted}", "--timeout=20s")
    previous = "jsonpath={.status.containerStatuses[0].restartCount}=1"
    kubectl("-n", "payments", "wait", f"pod/{name}", f"--for={previous}", "--timeout=20s")
    assert "connection refused" in kubectl("-n", "payments", "logs", name, "--previous")
    kubectl("-n", "payments", "rollout", "restart", "deploy/fraud-check")
    kubectl("-n", "payments", "rollout", "status", "deploy/fraud-check", "--timeout=40s")
    (entry,) = control.mutations()[before:]
    assert (entry["verb"], entry["resource"], entry["name"]) == ("patch", "deployments", "fraud-check")
    assert "kubectl.kubernetes.io/restartedAt" in entry["annotations"]


@needs_kubectl
def test_apply_scale_patch_and_delete(kubectl: Kubectl) -> None:
    template = {"metadata": {"labels": {"app": "mine"}}, "spec": {"containers": [{"name": "mine", "image": "mine:1"}]}}
    spec = {"replicas": 1, "selector": {"matchLabels": {"app": "mine"}}, "template": template}
    metadata = {"name": "mine", "namespace": "default"}
    document = json.dumps({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": metadata, "spec": spec})
    assert "created" in kubectl("apply", "-f", "-", stdin=document)
    assert "unchanged" in kubectl("apply", "-f", "-", stdin=document)
    assert "serverside-applied" in kubectl("apply", "--server-side", "-f", "-", stdin=document)
    kubectl("scale", "deploy/mine", "--replicas=2")
    kubectl("rollout", "status", "deploy/mine", "--timeout=20s")
    patch = '[{"op":"replace","path":"/spec/replicas","value":3}]'
    shown = kubectl("patch", "deploy", "mine", "--type=json", "-p", patch, "--dry-run=server", "-o", "json")
    assert json.loads(shown)["spec"]["replicas"] == 3
    assert json.loads(kubectl("get", "deploy", "mine", "-o", "json"))["spec"]["replicas"] == 2
    kubectl("delete", "deploy", "mine")


@needs_kubectl
def test_drain_respects_budgets_and_uncordon_ends_it(kubectl: Kubectl) -> None:
    drained = kubectl("drain", "node-3", "--ignore-daemonsets", "--delete-emptydir-data", "--force", "--timeout=35s")
    assert "node/node-3 drained" in drained
    assert "SchedulingDisabled" in kubectl("get", "nodes")
    kubectl("uncordon", "node-3")


@needs_kubectl
def test_the_read_only_context_is_refused_in_the_real_words(kubectl: Kubectl) -> None:
    words = ("--context", "sandbox-read-only", "-n", "shop", "rollout", "restart", "deploy/cart")
    refused = kubectl(*words, code=1)
    assert 'cannot patch resource "deployments" in API group "apps" in the namespace "shop"' in refused


def test_it_ends_with_its_parent(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "midwatch.sandbox", "--kubeconfig", str(tmp_path / "k"), "--with-parent"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stdin is not None
        assert process.stdout.readline()
        process.stdin.close()
        assert process.wait(10) == 0


def test_a_taken_port_is_one_clear_sentence(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        command = [sys.executable, "-m", "midwatch.sandbox", "--kubeconfig", str(tmp_path / "k"), "--port", port]
        done = subprocess.run(command, capture_output=True, text=True, timeout=30, check=False)
    assert done.returncode == 1
    assert done.stderr.count("\n") == 1
    assert "cannot listen" in done.stderr
