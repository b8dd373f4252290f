"""Several tool servers at once, each a process of its own: what one of them does wrong stays its own matter."""

import asyncio
import json
import os
import signal
import socket
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from subprocess import DEVNULL, Popen

import pytest

from midwatch.adapters.mcp.manager import CompositeToolbox
from midwatch.adapters.references import References
from midwatch.adapters.system import SystemClock
from midwatch.domain.errors import NotFound
from midwatch.domain.servers import ServerState

ROOT = Path(__file__).parents[2]
ALLOW = ["echo", "large", "hang", "fail", "restart"]
OFFERED = {"echo", "large", "hang", "fail"}


class Child:
    """A server of the fixture on a port, that can be killed, stopped in its tracks and started again."""

    def __init__(self, transport: str) -> None:
        self.transport = transport
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = int(probe.getsockname()[1])
        self.start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/{'sse' if self.transport == 'sse' else 'mcp'}"

    def start(self) -> None:
        command = [sys.executable, "-m", "tests.fixtures.mcp_server", self.transport, str(self.port)]
        self.process = Popen(command, cwd=ROOT, stdout=DEVNULL, stderr=DEVNULL)

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()

    def signal(self, number: signal.Signals) -> None:
        os.kill(self.process.pid, number)


@pytest.fixture(scope="module")
def http() -> Iterator[Child]:
    child = Child("http")
    yield child
    child.kill()


@pytest.fixture(scope="module")
def sse() -> Iterator[Child]:
    child = Child("sse")
    yield child
    child.kill()


@asynccontextmanager
async def toolbox(
    path: Path, observed: list[tuple[str, str, str]] | None = None, **servers: object
) -> AsyncIterator[CompositeToolbox]:
    write(path, **servers)

    def observe(server: str, tool: str, outcome: str, seconds: float) -> None:
        assert seconds >= 0
        if observed is not None:
            observed.append((server, tool, outcome))

    async with CompositeToolbox(
        path, None, References({}).resolve, SystemClock(), observe=observe, reload_s=0.05
    ) as manager:
        yield manager


def write(path: Path, **servers: object) -> None:
    path.write_text(json.dumps({"mcpServers": servers}))


def stdio(**more: object) -> dict[str, object]:
    env = {"PYTHONPATH": str(ROOT)}
    args = ["-m", "tests.fixtures.mcp_server", "stdio"]
    return {"command": sys.executable, "args": args, "env": env, "allow": ALLOW, **more}


def remote(child: Child, **more: object) -> dict[str, object]:
    kind = "sse" if child.transport == "sse" else "streamable-http"
    return {"url": child.url, "type": kind, "allow": ALLOW, **more}


async def until(manager: CompositeToolbox, holds: Callable[[set[str]], bool]) -> set[str]:
    async with asyncio.timeout(40):
        while not holds(names := {spec.name for spec in await manager.offer()}):
            await asyncio.sleep(0.05)
    return names


async def echoed(manager: CompositeToolbox, name: str, text: str = "hello") -> str:
    return (await manager.call(name, json.dumps({"text": text}))).text


async def test_three_transports_side_by_side(tmp_path: Path, http: Child, sse: Child) -> None:
    observed: list[tuple[str, str, str]] = []
    async with toolbox(
        tmp_path / "mcp.json", observed, a=stdio(), b=remote(http), c=remote(sse, toolPrefix="see-")
    ) as manager:
        names = await until(manager, lambda names: len(names) == 3 * len(OFFERED))
        assert names == {prefix + tool for prefix in ("a_", "b_", "see-") for tool in OFFERED}
        answers = await asyncio.gather(*(echoed(manager, name) for name in ("a_echo", "b_echo", "see-echo")))
        assert answers == ["hello"] * 3
        assert ("c", "echo", "ok") in observed
        records = {record.name: record for record in manager.records()}
        assert [records[name].transport for name in "abc"] == ["stdio", "streamable-http", "sse"]
        assert "wipe: not on the allow list" in records["a"].left_out
        assert any(line.startswith("restart: the server says") for line in records["a"].left_out)
        for name in ("a_wipe", "a_restart", "nothing"):
            refused = await manager.call(name, "{}")
            assert not refused.ok
            assert "There is no tool" in refused.text


async def test_failures_are_answers(tmp_path: Path, http: Child) -> None:
    observed: list[tuple[str, str, str]] = []
    async with toolbox(tmp_path / "mcp.json", observed, b=remote(http, timeout=2)) as manager:
        await until(manager, lambda names: "b_echo" in names)
        failed = await manager.call("b_fail", "{}")
        assert not failed.ok
        assert failed.text == "no such thing; password=***"
        assert not (await manager.call("b_echo", '{"txt": 1}')).ok
        assert "JSON object" in (await manager.call("b_echo", "[1]")).text
        assert "not JSON" in (await manager.call("b_echo", "{")).text
        hung, said = await asyncio.gather(manager.call("b_hang", "{}"), echoed(manager, "b_echo"))
        assert said == "hello"
        assert not hung.ok
        assert "no answer within 2 s" in hung.text
        assert observed.count(("b", "hang", "away")) == 1
        assert await echoed(manager, "b_echo") == "hello", "a hung call leaves the server usable"


@pytest.mark.parametrize("kind", ["stdio", "http", "sse"])
async def test_two_mebibytes_harm_nobody(tmp_path: Path, http: Child, sse: Child, kind: str) -> None:
    server = {"stdio": stdio(), "http": remote(http), "sse": remote(sse, timeout=5)}[kind]
    async with toolbox(tmp_path / "mcp.json", big=server, other=stdio()) as manager:
        await until(manager, lambda names: {"big_large", "other_echo"} <= names)
        answer = await manager.call("big_large", '{"characters": 2097152}')
        # The SDK's SSE client cannot read an event of that size: the session is lost, and made anew.
        assert answer.ok is (kind != "sse")
        assert len(answer.text) < 1_100_000
        assert await echoed(manager, "other_echo") == "hello"
        await until(manager, lambda names: "big_echo" in names)
        assert await echoed(manager, "big_echo") == "hello"


@pytest.mark.parametrize("transport", ["http", "sse"])
async def test_a_killed_server_leaves_the_offer_and_comes_back(tmp_path: Path, transport: str) -> None:
    child = Child(transport)
    try:
        async with toolbox(tmp_path / "mcp.json", b=remote(child), other=stdio()) as manager:
            await until(manager, lambda names: {"b_echo", "other_echo"} <= names)
            hanging = asyncio.create_task(manager.call("b_hang", "{}"))
            await asyncio.sleep(0)
            child.kill()
            if transport == "sse":
                assert not (await hanging).ok
            else:  # every call is a request of its own: only this one is lost
                assert not (await asyncio.wait_for(hanging, 35)).ok
            for _ in range(3):
                await manager.refresh("b", timeout_s=0.5)
            (record,) = (record for record in manager.records() if record.name == "b")
            assert record.state is ServerState.FAILED
            assert record.offered == ()
            assert "away for now" in (await manager.call("b_echo", '{"text": "x"}')).text
            assert await echoed(manager, "other_echo") == "hello"
            child.start()
            async with asyncio.timeout(45):
                while (await manager.refresh("b", timeout_s=0.5)).state is not ServerState.HEALTHY:
                    await asyncio.sleep(0.05)
            await until(manager, lambda names: "b_echo" in names)
            assert await echoed(manager, "b_echo") == "hello"
    finally:
        child.kill()


async def test_a_server_that_hangs_is_found_by_probes_alone(tmp_path: Path) -> None:
    child = Child("http")
    try:
        async with toolbox(tmp_path / "mcp.json", b=remote(child), other=stdio()) as manager:
            await until(manager, lambda names: {"b_echo", "other_echo"} <= names)
            child.signal(signal.SIGSTOP)
            states = [(await manager.refresh("b", timeout_s=0.3)).state for _ in range(3)]
            assert states == [ServerState.HEALTHY, ServerState.HEALTHY, ServerState.FAILED]
            assert await until(manager, lambda names: "b_echo" not in names) >= {"other_echo"}
            child.signal(signal.SIGCONT)
            async with asyncio.timeout(30):
                while (await manager.refresh("b", timeout_s=2)).state is not ServerState.HEALTHY:
                    await asyncio.sleep(0.05)
            await until(manager, lambda names: "b_echo" in names)
            flips = {record.name: record.flips for record in manager.records()}
            assert [flip.state for flip in flips["b"]] == [ServerState.HEALTHY, ServerState.FAILED]
            assert flips["other"] == ()
    finally:
        child.signal(signal.SIGCONT)
        child.kill()


async def test_a_change_of_the_file_is_seen_and_a_bad_one_is_not_obeyed(tmp_path: Path) -> None:
    path = tmp_path / "mcp.json"
    async with toolbox(path, a=stdio()) as manager:
        await until(manager, lambda names: "a_echo" in names)
        write(path, a=stdio(), b=stdio(allow=["echo"]), off=stdio(state="maintenance"))
        assert await until(manager, lambda names: "b_echo" in names) == {f"a_{name}" for name in OFFERED} | {"b_echo"}
        states = {record.name: record.state for record in manager.records()}
        assert states["off"] is ServerState.MAINTENANCE
        path.write_text('{"mcpServers": {"a": {"comand": "x"}}}')
        async with asyncio.timeout(10):
            while not manager.fault:
                await asyncio.sleep(0.02)
        assert "comand" in manager.fault
        assert await echoed(manager, "a_echo") == "hello"
        write(path, b=stdio(allow=["echo"]))
        assert await until(manager, lambda names: "a_echo" not in names) == {"b_echo"}
        with pytest.raises(NotFound):
            await manager.refresh("a")


async def test_a_server_that_cannot_start_costs_the_others_nothing(tmp_path: Path) -> None:
    servers = {"gone": {"command": "/nowhere/at/all", "allow": ["x"]}, "keyless": stdio(env={"KEY": "${env:NO_SUCH}"})}
    async with toolbox(tmp_path / "mcp.json", **servers, fine=stdio()) as manager:
        await until(manager, lambda names: "fine_echo" in names)
        records = {record.name: record for record in manager.records()}
        assert records["gone"].state is ServerState.FAILED
        assert "FileNotFoundError" in records["gone"].error
        assert "NO_SUCH" in records["keyless"].error
