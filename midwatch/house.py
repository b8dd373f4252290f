"""What `midwatch up` owns on one machine besides Ray: embedded stores where no URL is set, and the sandbox cluster."""

import asyncio
import json
import logging
import socket
import subprocess
import sys
import time
from collections.abc import Sequence

import psutil
from pydantic import SecretStr

from midwatch.adapters.embedded.keeper import Embedded, Keeper
from midwatch.adapters.embedded.postgres import EmbeddedPostgres
from midwatch.adapters.embedded.valkey import EmbeddedValkey
from midwatch.adapters.store.database import Database
from midwatch.adapters.store.migrate import migrate
from midwatch.domain.errors import Permanent, Transient
from midwatch.sandbox.client import ControlClient
from midwatch.settings import Settings

log = logging.getLogger(__name__)

_STORE_S = 60.0
_MIGRATION_S = 3600.0


class House:
    """Started things, with the settings that say where they are. Close it in the process that opened it."""

    def __init__(self, settings: Settings) -> None:
        """Starts nothing: see :func:`open_house`."""
        self._stores: list[EmbeddedPostgres | EmbeddedValkey] = []
        changes: dict[str, object] = {}
        if settings.database_url is None:
            postgres = EmbeddedPostgres(settings.state_dir, settings.runtime_dir)
            self._stores.append(postgres)
            changes["database_url"] = SecretStr(postgres.url)
        if settings.redis_url is None:
            valkey = EmbeddedValkey(settings.state_dir, settings.runtime_dir)
            self._stores.append(valkey)
            changes["redis_url"] = SecretStr(valkey.url)
        if settings.watches_sandbox:
            changes["kubeconfig"] = settings.sandbox_kubeconfig
        self.settings = settings.model_copy(update=changes)
        self._sandbox: SandboxProcess | None = SandboxProcess(settings) if settings.watches_sandbox else None

    def open(self) -> None:
        """Start everything and bring the schema up to date. Raises ``Permanent`` with what to do."""
        if self._sandbox is not None:
            self._sandbox.spawn()
        for store in self._stores:
            store.start()
        asyncio.run(_migrated(self.settings))
        if self._sandbox is not None:
            self._sandbox.wait()

    async def keep(self) -> None:
        """Start again what dies, until cancelled."""
        owned: Sequence[Embedded] = [*self._stores, *([self._sandbox] if self._sandbox else [])]
        await Keeper(owned).run()

    async def play(self) -> None:
        """Begin the sandbox's scenario once ``sandbox_after_s`` have passed: a newcomer should see it happen."""
        scenario = {"demo": "crashloop"}.get(self.settings.sandbox_scenario, self.settings.sandbox_scenario)
        if self._sandbox is None or scenario == "none":
            return
        await asyncio.sleep(self.settings.sandbox_after_s)
        await asyncio.to_thread(ControlClient(self.settings.sandbox_kubeconfig).start, scenario)

    def processes(self) -> list[psutil.Process]:
        """What runs now and would outlive this process."""
        pids = [thing.pid for thing in (*self._stores, *([self._sandbox] if self._sandbox else []))]
        return [psutil.Process(pid) for pid in pids if pid is not None and psutil.pid_exists(pid)]

    def close(self) -> None:
        """End everything this house started; state stays on disk."""
        if self._sandbox is not None:
            self._sandbox.stop()
        for store in reversed(self._stores):
            store.stop()


def open_house(settings: Settings) -> House:
    """A house with everything started; what had started already is ended again when the rest fails."""
    house = House(settings)
    try:
        house.open()
    except BaseException:
        house.close()
        raise
    return house


async def _migrated(settings: Settings) -> None:
    """Wait for the database (a real one may still be starting) and migrate it."""
    if settings.database_url is None:
        raise Permanent("no database URL")
    database = Database(settings.database_url.get_secret_value(), pool_size=1, answer_s=_MIGRATION_S)
    deadline = time.monotonic() + _STORE_S
    try:
        while True:
            try:
                await migrate(database)
                return
            except Transient as error:
                if time.monotonic() > deadline:
                    raise Permanent(f"{error} (waited {_STORE_S:.0f} s); check MIDWATCH_DATABASE_URL") from error
                await asyncio.sleep(min(error.retry_in, 1.0))
    finally:
        await database.close()


class SandboxProcess:
    """The simulated cluster in a process of its own, on one port for the whole life of the house."""

    name = "sandbox cluster"

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._process: subprocess.Popen[bytes] | None = None
        self._port = _free_port()

    @property
    def pid(self) -> int | None:
        return self._process.pid if self._process is not None and self._process.poll() is None else None

    def alive(self) -> bool:
        return self.pid is not None

    def spawn(self) -> None:
        """Start it; :meth:`wait` says when it listens."""
        self._settings.log_dir.mkdir(parents=True, exist_ok=True)
        command = [sys.executable, "-m", "midwatch.sandbox", "--port", str(self._port), "--with-parent"]
        command += ["--kubeconfig", str(self._settings.sandbox_kubeconfig)]
        command += ["--scenario", "none"]  # nothing breaks before somebody watches: see House.play
        with (self._settings.log_dir / "sandbox.log").open("ab") as errors:
            self._process = subprocess.Popen(
                command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=errors, start_new_session=True
            )

    def wait(self) -> None:
        """Return when it listens. Raises ``Permanent`` when it does not."""
        process = self._process
        if process is None or process.stdout is None:
            raise Permanent("the sandbox was not started")
        line = process.stdout.readline()
        try:
            json.loads(line)["url"]
        except (ValueError, KeyError) as error:
            raise Permanent(f"the sandbox did not start; see {self._settings.log_dir / 'sandbox.log'}") from error

    def start(self) -> None:
        """Start and wait, for the keeper."""
        self.spawn()
        self.wait()

    def stop(self) -> None:
        """Ask it to end, then end it."""
        if self._process is None:
            return
        self._process.terminate()
        try:
            self._process.wait(3)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None:
                pipe.close()


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
