"""Directories of an embedded store: private, ours, and short enough for a unix socket."""

import contextlib
import errno
import fcntl
import os
import stat
import sys
from collections.abc import Iterator
from pathlib import Path

from midwatch.domain.errors import Permanent

_LONGEST_SOCKET = 103 if sys.platform == "darwin" else 107


def private_dir(path: Path, *, mode: int = 0o700) -> Path:
    """Make a directory for this user alone. Raises ``Permanent`` when somebody else owns it, or it is a link."""
    try:
        path.mkdir(parents=True, exist_ok=True, mode=mode)
        found = path.lstat()
    except OSError as error:
        raise Permanent(f"cannot make {path}: {error.strerror}{_hint(error)}") from error
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.geteuid():
        raise Permanent(f"{path} belongs to somebody else; remove it or set MIDWATCH_STATE_DIR to another directory")
    if stat.S_IMODE(found.st_mode) != mode:
        path.chmod(mode)
    return path


def socket_path(path: Path) -> Path:
    """The path itself, when a unix socket can have it. Raises ``Permanent`` otherwise."""
    if len(os.fsencode(path)) > _LONGEST_SOCKET:
        raise Permanent(
            f"{path} is longer than the {_LONGEST_SOCKET} bytes of a unix socket's path; set TMPDIR to a shorter one"
        )
    return path


def open_to_others(path: Path) -> bool:
    """Whether every directory down to ``path`` may be passed through by any user."""
    return all(directory.stat().st_mode & stat.S_IXOTH for directory in (path, *path.parents) if directory.exists())


@contextlib.contextmanager
def locked(path: Path) -> Iterator[None]:
    """One process at a time; the kernel lets go when its holder ends, however."""
    with path.open("a") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def log_tail(path: Path, size: int = 2000) -> str:
    """The end of a log, for an error message."""
    try:
        return path.read_bytes()[-size:].decode(errors="replace").strip()
    except FileNotFoundError:
        return "no log was written"


def _hint(error: OSError) -> str:
    return "; free some space" if error.errno == errno.ENOSPC else ""


def failed(what: str, log: Path) -> Permanent:
    """Why a store did not start, with the sentence that helps."""
    tail = log_tail(log)
    if "No space left on device" in tail:
        return Permanent(f"{what} did not start: the disk of {log.parent} is full; free some space")
    return Permanent(f"{what} did not start; the end of {log}:\n{tail}")
