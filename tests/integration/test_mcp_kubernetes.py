"""Our Kubernetes MCP server as a child process on standard input and output, against a sandbox cluster."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import msgspec
import psutil
import pytest

from midwatch.adapters.mcp.connection import McpConnection
from midwatch.adapters.mcp.kubernetes_tools import KubernetesTools, server_parameters
from midwatch.domain.errors import Conflict, NotFound, Permanent, Refused, Transient
from midwatch.domain.incidents import State, Work
from midwatch.domain.reasons import Reason
from midwatch.domain.refs import ObjectRef
from midwatch.services.effects import ActionCall, Effect
from tests.fixtures.remedy import Remedy, running_remedy

API = ObjectRef("Deployment", "payment-api", "payments")
READING = {
    "describe_object",
    "get_object",
    "list_events",
    "list_objects",
    "pod_logs",
    "rollout_history",
    "top",
}


@pytest.fixture
async def remedy(tmp_path: Path) -> AsyncIterator[Remedy]:
    async with running_remedy(tmp_path) as remedy:
        yield remedy


@asynccontextmanager
async def server(
    remedy: Remedy, *, read_only: bool, context: str = "", ping_every_s: float | None = None
) -> AsyncIterator[McpConnection]:
    parameters = server_parameters(remedy.sandbox.kubeconfig, context, read_only=read_only)
    async with McpConnection("kubernetes", lambda: parameters, ping_every_s=ping_every_s) as connection:
        yield connection


async def call(remedy: Remedy, action: str, ref: ObjectRef, key: str, **params: str | int | bool) -> ActionCall:
    seen = await remedy.live.observe(ref)
    assert seen is not None
    return ActionCall(action=action, ref=seen.ref, key=key, params=params, generation=seen.generation)


async def test_read_only_has_no_tool_that_changes_anything(remedy: Remedy) -> None:
    async with server(remedy, read_only=True) as connection:
        told = await connection.call("list_objects", {"kind": "Deployment", "namespace": "payments"})
        assert told.ok, told.text
        assert "payment-api" in told.text
        assert set(connection.tools) == READING
        refused = await connection.call("restart_pod", {})
        assert not refused.ok
        assert not remedy.mutations()


async def test_reading_tools_tell_and_mask(remedy: Remedy) -> None:
    secret = {"kind": "Secret", "apiVersion": "v1", "metadata": {"name": "db", "namespace": "payments"}}
    secret |= {"data": {"password": "aHVudGVyMg=="}}
    await remedy.kube._json("POST", "/api/v1/namespaces/payments/secrets", body=secret)
    remedy.sandbox.stage.start("crashloop")
    pod = (await remedy.kube.list("Pod", "payments", labels="app=payment-api"))[0]["metadata"]["name"]
    async with server(remedy, read_only=True) as connection:
        shown = await connection.call("get_object", {"kind": "Secret", "name": "db", "namespace": "payments"})
        assert "password: '***'" in shown.text
        assert "aHVudGVyMg" not in shown.text
        described = await connection.call(
            "describe_object", {"kind": "Deployment", "name": "payment-api", "namespace": "payments"}
        )
        assert "replicas:" in described.text
        history = await connection.call("rollout_history", {"name": "payment-api", "namespace": "payments"})
        assert "(present)" in history.text
        logs = await connection.call("pod_logs", {"namespace": "payments", "pod": pod, "tail_lines": 5})
        assert logs.ok, logs.text
        top = await connection.call("top", {"what": "pods", "namespace": "payments"})
        assert "metrics" in top.text
        missing = await connection.call("get_object", {"kind": "Pod", "name": "nobody", "namespace": "payments"})
        assert missing.text.startswith("not-found: there is no Pod 'nobody'")
        unknown = await connection.call("list_objects", {"kind": "Unicorn"})
        assert "unknown kind" in unknown.text


async def test_one_key_acts_once(remedy: Remedy) -> None:
    async with server(remedy, read_only=False) as connection:
        runner = KubernetesTools(connection)
        wanted = await call(remedy, "rollout_restart", API, "key-1")
        rehearsed = await runner.rehearse(wanted)
        assert rehearsed.effect is Effect.DRY_RUN
        assert "restartedAt" in rehearsed.diff
        assert not remedy.mutations()
        first = await runner.act(wanted)
        second = await runner.act(wanted)
        assert (first.effect, second.effect) == (Effect.APPLIED, Effect.ALREADY_APPLIED)
        assert first.generation == second.generation
        assert len(remedy.mutations()) == 1
        with pytest.raises(Conflict, match="generation"):
            await runner.act(msgspec.structs.replace(wanted, key="key-2"))
        stranger = ObjectRef("Deployment", "payment-api", "payments", "not-this-uid")
        with pytest.raises(Conflict, match="another object"):
            await runner.act(msgspec.structs.replace(wanted, key="key-2", ref=stranger))
        nobody = ObjectRef("Deployment", "nobody", "payments", "uid")
        with pytest.raises(NotFound):
            await runner.act(msgspec.structs.replace(wanted, key="key-2", ref=nobody))
        pod = ObjectRef("Pod", "x", "payments", "uid")
        with pytest.raises(Permanent, match="works on"):
            await runner.act(msgspec.structs.replace(wanted, key="key-2", ref=pod))
        assert len(remedy.mutations()) == 1


async def test_a_missing_right_is_named(remedy: Remedy) -> None:
    async with server(remedy, read_only=False, context="sandbox-read-only") as connection:
        wanted = await call(remedy, "rollout_restart", API, "key-1")
        with pytest.raises(Refused, match='cannot patch resource "deployments"') as caught:
            await KubernetesTools(connection).act(wanted)
        assert caught.value.reason == Reason.RIGHT_MISSING


async def test_a_killed_server_comes_back(remedy: Remedy) -> None:
    async with server(remedy, read_only=True) as connection:
        await connection.call("list_objects", {"kind": "Node"})
        _child().kill()
        with pytest.raises(Transient):
            await connection.call("list_objects", {"kind": "Node"})
        answer = await connection.call("list_objects", {"kind": "Node"})
        assert answer.ok
        assert connection.connects == 2


async def test_a_server_killed_while_nobody_calls_is_back_before_the_next_call(remedy: Remedy) -> None:
    async with server(remedy, read_only=True, ping_every_s=0.05) as connection:
        await connection.call("list_objects", {"kind": "Node"})
        _child().kill()
        async with asyncio.timeout(20):
            while connection.connects < 2:
                await asyncio.sleep(0.02)
        assert (await connection.call("list_objects", {"kind": "Node"})).ok


def _child() -> psutil.Process:
    (child,) = [
        process
        for process in psutil.Process().children(recursive=True)
        if "midwatch.adapters.mcp.kubernetes_server" in process.cmdline()
    ]
    return child


async def test_a_server_that_does_not_start_says_why() -> None:
    parameters = server_parameters(Path("/nowhere/kubeconfig"), "", read_only=True)
    async with McpConnection("kubernetes", lambda: parameters, connect_timeout_s=5) as connection:
        with pytest.raises(Transient, match="not connected"):
            await connection.call("list_objects", {"kind": "Node"}, timeout_s=4)


async def test_the_line_goes_through_the_server(remedy: Remedy) -> None:
    remedy.sandbox.stage.start("crashloop")
    async with server(remedy, read_only=False) as connection:
        remedy.actions = KubernetesTools(connection)
        incident = await remedy.approved(await remedy.incident("CrashLoopBackOff", "Deployment/payments/payment-api"))
        incident = await remedy.execution.run(await remedy.claim(Work.EXECUTE))
    assert incident.state is State.RESOLVED, incident.outcome
    assert len(remedy.mutations()) == 1
