"""The rules every test lives under: no network but loopback, no real keys, no leftover task, warnings are errors."""

import asyncio
import inspect
import ipaddress
import os
import shutil
import socket
import sys
import tempfile
from collections.abc import AsyncIterator, Sequence
from pathlib import Path

import pytest
from hypothesis import settings

from midwatch.adapters.llm import transport

# How long an example takes says more about the machine than about us; pytest-timeout catches what hangs.
settings.register_profile("house", deadline=None)
settings.load_profile("house")

pytest_plugins = ["pytester", "tests.fixtures.stores"]

# A test sees no key, no cluster and no setting of the person who runs it.
_PRIVATE = (
    "ANTHROPIC_",
    "OPENAI_",
    "GEMINI_",
    "GITHUB_",
    "SLACK_",
    "TELEGRAM_",
    "AZURE_",
    "XAI_",
    "HF_",
    "OLLAMA_",
    "MIDWATCH_",
    "RAY_ADDRESS",
)
_PRIVATE_NAMES = {"KUBECONFIG", "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "DEFAULT_LLM_PROVIDER", "LOG_LEVEL"}
_KEPT = {"MIDWATCH_CORPUS"}

# Read by the test modules, hence set before they are imported. Ray reports nothing to anybody.
_SAFE = {
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_USAGE_STATS_REPORT_URL": "http://127.0.0.1:9/",
    "RAY_ENABLE_UV_RUN_RUNTIME_ENV": "0",
}


class NetworkRefused(OSError):
    """A test tried to leave this machine."""


def _is_loopback(host: object) -> bool:
    if isinstance(host, bytes):
        host = host.decode(errors="replace")
    if host is None or host in {"", "localhost"}:
        return True
    try:
        return ipaddress.ip_address(str(host).partition("%")[0]).is_loopback
    except ValueError:
        return False


def _refuse_foreign_hosts(event: str, args: tuple[object, ...]) -> None:
    """An audit hook: sees every socket Python opens, whichever library opens it."""
    if event == "socket.connect":
        sock, address = args
        assert isinstance(sock, socket.socket | socket.SocketType)
        # Connecting a datagram socket sends nothing; Ray asks that way for the machine's own address.
        if sock.family not in {socket.AF_INET, socket.AF_INET6} or sock.type & socket.SOCK_DGRAM:
            return
        host = address[0] if isinstance(address, tuple) else None
    elif event == "socket.getaddrinfo":
        host = args[0]
        if host == socket.gethostname():
            return
    else:
        return
    if not _is_loopback(host):
        raise NetworkRefused(f"tests reach nothing but loopback; this one wanted {host!r}")


def pytest_configure(config: pytest.Config) -> None:
    for name in list(os.environ):
        if (name.startswith(_PRIVATE) and name not in _KEPT) or name.upper() in _PRIVATE_NAMES:
            del os.environ[name]
    state = Path(tempfile.mkdtemp(prefix="mw-test-state-"))
    os.environ.update(_SAFE, XDG_STATE_HOME=str(state))
    config.add_cleanup(lambda: shutil.rmtree(state, ignore_errors=True))
    transport.ALLOW_MODEL_REQUESTS = False
    sys.addaudithook(_refuse_foreign_hosts)


def pytest_collection_modifyitems(items: Sequence[pytest.Item]) -> None:
    for item in items:
        if isinstance(item, pytest.Function) and inspect.iscoroutinefunction(inspect.unwrap(item.function)):
            # first in, hence last out: after the fixtures that stop what the test has started
            item.fixturenames.insert(0, "no_leftover_tasks")


@pytest.fixture
async def no_leftover_tasks() -> AsyncIterator[None]:
    """Fail an async test that leaves a task behind: nobody would see it fail, and it dies in the middle of its work."""
    before = asyncio.all_tasks()
    yield
    for _ in range(5):  # let those that were just cancelled end
        leftover = [task for task in asyncio.all_tasks() - before if task is not asyncio.current_task()]
        if not leftover:
            return
        await asyncio.sleep(0)
    names = ", ".join(f"{task.get_name()} in {task.get_coro()}" for task in leftover)
    pytest.fail(f"the test left tasks running: {names}")
