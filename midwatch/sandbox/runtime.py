"""A running sandbox: the cluster, its API on a loopback port, and the task that lets time pass."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import tempfile
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from pathlib import Path
from random import Random

import uvicorn
from starlette.types import ASGIApp

from midwatch.sandbox.api.http import CuttableProtocol, create_app
from midwatch.sandbox.api.requests import User
from midwatch.sandbox.api.server import ApiServer
from midwatch.sandbox.certificates import self_signed
from midwatch.sandbox.churn import Churn
from midwatch.sandbox.clock import PacedClock
from midwatch.sandbox.cluster.assembly import Cluster
from midwatch.sandbox.cluster.pace import Pace
from midwatch.sandbox.control import Control
from midwatch.sandbox.kubeconfig import write_kubeconfig
from midwatch.sandbox.objects import random_suffix
from midwatch.sandbox.scenarios.seeding import seed_pods
from midwatch.sandbox.scenarios.stage import Stage
from midwatch.sandbox.scenarios.voices import ordinary
from midwatch.sandbox.scenarios.world import age

ADMIN = "sandbox-admin"
READER = "system:serviceaccount:midwatch:reader"


@dataclass(frozen=True, slots=True, kw_only=True)
class SandboxOptions:
    """How to build a sandbox. ``pods`` more are seeded beside the demo world; ``world`` False leaves it empty."""

    port: int = 0
    kubeconfig: Path | None = None
    world: bool = True
    pods: int = 0
    speed: float = 1.0
    pace: Pace = field(default_factory=Pace)
    history: int = 50_000


class Sandbox:
    """The cluster and everything around it; ``running_sandbox`` serves it.

    ``wall`` gives seconds since the epoch, ``random`` makes tokens, uids and names.
    """

    def __init__(self, options: SandboxOptions, wall: Callable[[], float], random: Random) -> None:
        self.options = options
        self.clock = PacedClock(wall, options.speed)
        self.cluster = Cluster(self.clock, random, ordinary, pace=options.pace, history=options.history)
        self.api = ApiServer(self.cluster.store, self.clock, self.cluster.logs)
        self.stage = Stage(self.cluster)
        self.churn = Churn(self.cluster)
        self.admin_token = random_suffix(random.getrandbits(160), 30)
        self.reader_token = random_suffix(random.getrandbits(160), 30)
        self.url = ""
        self.certificate = b""
        """PEM; what clients must trust."""
        self._wake = asyncio.Event()
        self.cluster.simulation.on_work = self._wake.set
        if options.world:
            age(self.cluster)
        if options.pods:
            seed_pods(self.cluster, options.pods)
        self.cluster.start()

    @property
    def kubeconfig(self) -> Path | None:
        """Where the kubeconfig was written."""
        return self.options.kubeconfig

    def app(self) -> ASGIApp:
        """The ASGI application."""
        users = {self.admin_token: User(ADMIN), self.reader_token: User(READER, read_only=True)}
        return create_app(self.api, users, Control(self).routes())

    def set_speed(self, factor: float) -> None:
        """Let time run so many times as fast."""
        self.clock.set_speed(factor)
        self._wake.set()

    async def drive(self) -> None:
        """Let time pass: run the simulation whenever something is due. Never returns."""
        while True:
            self._wake.clear()
            due = self.cluster.simulation.run()
            wait = None if due is None else (due - self.clock.now()) / max(self.clock.speed, 1e-6)
            if wait is not None and wait <= 0:
                await asyncio.sleep(0)
                continue
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(wait):
                    await self._wake.wait()

    async def start_later(self, name: str, after: float) -> None:
        """Start a scenario in so many seconds of real time."""
        await asyncio.sleep(after)
        self.stage.start(name)


@contextlib.asynccontextmanager
async def running_sandbox(options: SandboxOptions, wall: Callable[[], float], random: Random) -> AsyncIterator[Sandbox]:
    """Serve a sandbox on 127.0.0.1 until the block ends; ``url`` and the kubeconfig stand by then."""
    sandbox = Sandbox(options, wall, random)
    listener = socket.create_server(("127.0.0.1", options.port), backlog=512)
    # asyncio does this only for sockets made with an explicit protocol; without it every answer waits 40 ms for an ACK
    listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    sandbox.url = f"https://127.0.0.1:{listener.getsockname()[1]}"
    certificate, key = self_signed(wall())
    sandbox.certificate = certificate
    if options.kubeconfig is not None:
        tokens = {"admin_token": sandbox.admin_token, "reader_token": sandbox.reader_token}
        write_kubeconfig(options.kubeconfig, sandbox.url, certificate, **tokens)
    config = uvicorn.Config(
        sandbox.app(),
        http=CuttableProtocol,
        ws="none",
        lifespan="off",
        log_level="critical",
        access_log=False,
        timeout_graceful_shutdown=1,
    )
    with tempfile.TemporaryDirectory(prefix="midwatch-sandbox-") as folder:
        # OpenSSL reads its key from files only; they are gone once it has.
        files = Path(folder, "certificate.pem"), Path(folder, "key.pem")
        for file, content in zip(files, (certificate, key), strict=True):
            file.write_bytes(content)
        config.ssl_certfile, config.ssl_keyfile = files
        config.load()
    server = _Server(config)
    tasks = [
        asyncio.create_task(server.serve([listener]), name="sandbox-http"),
        asyncio.create_task(sandbox.drive(), name="sandbox-time"),
        asyncio.create_task(sandbox.churn.run(), name="sandbox-churn"),
    ]
    try:
        while not server.started:  # noqa: ASYNC110 uvicorn offers no event to wait for
            await asyncio.sleep(0.005)
        yield sandbox
    finally:
        sandbox.api.watches.disconnect()
        server.should_exit = True
        await tasks[0]
        for task in tasks[1:]:
            task.cancel()
        await asyncio.gather(*tasks[1:], return_exceptions=True)
        listener.close()


class _Server(uvicorn.Server):
    """Leaves signals to whoever runs the loop."""

    @contextlib.contextmanager
    def capture_signals(self):  # type: ignore[no-untyped-def]
        yield
