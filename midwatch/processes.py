"""Processes of one house, by recorded pid: the lock against a second start, and the reaping of what a crash left.

A pid alone proves nothing, it may have been given to somebody else since; so each is recorded with its start time, and
only a process with both is ours to end.
"""

import fcntl
import gc
import os
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Self, TextIO

import msgspec
import psutil

from midwatch.domain.errors import Permanent


class Recorded(msgspec.Struct, frozen=True):
    """A process we started: pid, start time (seconds since the epoch, as the kernel tells it), and what it is."""

    pid: int
    started: float
    what: str


class HouseLock:
    """Held by the one ``midwatch up`` of a state directory; the kernel frees it when that process ends, however."""

    def __init__(self, state_dir: Path) -> None:
        self._path = state_dir / "up.lock"
        self._file: TextIO | None = None

    def __enter__(self) -> Self:
        """Raises :class:`Permanent` when another process holds it."""
        self._path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        file = self._path.open("a+")
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            file.close()
            pid = self._path.read_text().strip() or "unknown"
            raise Permanent(
                f"Midwatch already runs on {self._path.parent} (pid {pid}). "
                "Look at it with `midwatch status`, end it with `midwatch down`, "
                "or set MIDWATCH_STATE_DIR and MIDWATCH_PORT for a second one."
            ) from error
        file.truncate(0)
        file.write(str(os.getpid()))
        file.flush()
        self._file = file
        return self

    def __exit__(self, *_: object) -> None:
        if self._file is not None:
            self._file.truncate(0)
            self._file.close()


def running_pid(state_dir: Path) -> int | None:
    """The pid of the ``midwatch up`` that holds this state directory, if one does."""
    path = state_dir / "up.lock"
    try:
        with path.open("r+") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError:
                text = path.read_text().strip()
                return int(text) if text.isdigit() else None
    except FileNotFoundError:
        return None
    return None


class Ledger:
    """The file of recorded processes in the state directory."""

    def __init__(self, state_dir: Path) -> None:
        self._path = state_dir / "processes.json"
        self._known: dict[int, Recorded] = {}

    def record(self, processes: Iterable[psutil.Process], what: str = "") -> None:
        """Add processes (those that ended meanwhile are passed over) and write the file if anything is new."""
        fresh = {}
        for process in processes:
            try:
                if process.pid not in self._known:
                    fresh[process.pid] = Recorded(process.pid, process.create_time(), what or process.name())
            except psutil.NoSuchProcess:
                continue
        if fresh:
            self._known |= fresh
            self._write(tuple(self._known.values()))

    def _write(self, records: tuple[Recorded, ...]) -> None:
        draft = self._path.with_suffix(".new")
        draft.write_bytes(msgspec.json.encode(records))
        draft.replace(self._path)

    def reap(self, wait_s: float = 3.0) -> tuple[Recorded, ...]:
        """End every recorded process that still lives: asked first, killed after ``wait_s``. Returns who was ended."""
        try:
            records = msgspec.json.decode(self._path.read_bytes(), type=tuple[Recorded, ...])
        except (FileNotFoundError, msgspec.DecodeError):
            return ()
        ours = [(record, process) for record in records if (process := _same(record)) is not None]
        for _, process in ours:
            _end(process.terminate)
        _, alive = psutil.wait_procs([process for _, process in ours], timeout=wait_s)
        for process in alive:
            _end(process.kill)
        psutil.wait_procs(alive, timeout=wait_s)
        self._known = {}
        self._path.unlink(missing_ok=True)
        return tuple(record for record, _ in ours)


def _same(record: Recorded) -> psutil.Process | None:
    try:
        process = psutil.Process(record.pid)
        return process if abs(process.create_time() - record.started) < 0.05 else None
    except psutil.NoSuchProcess:
        return None


def _end(signal: Callable[[], None]) -> None:
    try:
        signal()
    except psutil.NoSuchProcess:
        return


def settle_collector() -> None:
    """Call it once a process stands: what it has loaded by then is never looked through for garbage again.

    A body of fifty alerts makes some thousand objects, none of them in a cycle. By default that is a collection a body,
    and now and then one of all that was ever imported: a quarter of the edge's processor time.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(20_000, 20, 50)
