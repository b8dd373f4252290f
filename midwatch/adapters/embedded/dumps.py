"""Dumps of a whole database, by the programs that come with the embedded server."""

import os
import subprocess
from pathlib import Path
from urllib.parse import unquote, urlsplit, urlunsplit

from midwatch.adapters.embedded.postgres import wheel
from midwatch.domain.errors import Permanent

_MAGIC = b"PGDMP"
"""How a dump in PostgreSQL's custom format begins."""


def dump(url: str, file: Path) -> int:
    """Write a consistent picture of the database to a file of mode 0600; its size in bytes.

    The server may be at work meanwhile. The file appears whole or not at all. Raises ``Permanent`` with what the
    program said.
    """
    draft = file.with_name(f".{file.name}.new")
    try:
        descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    except OSError as error:
        raise Permanent(f"cannot write {file}: {error.strerror}") from error
    try:
        with os.fdopen(descriptor, "wb") as out:
            done = _run("pg_dump", "--format=custom", "--no-owner", "--no-privileges", url=url, stdout=out)
            if done.returncode != 0:
                raise Permanent(f"the database was not dumped: {_said(done)}")
            out.flush()
            os.fsync(out.fileno())
        draft.replace(file)
    finally:
        draft.unlink(missing_ok=True)
    return file.stat().st_size


def without_password(url: str) -> tuple[str, str]:
    """The URL as PostgreSQL's own programs read it, and the password that must not stand in a list of processes."""
    parts = urlsplit(url)
    user, at, host = parts.netloc.rpartition("@")
    name, _, password = user.partition(":")
    bare = urlunsplit(parts._replace(scheme="postgresql", netloc=f"{name}{at}{host}"))
    return (bare if parts.netloc else bare.replace("postgresql:", "postgresql://", 1)), unquote(password)


def load(url: str, file: Path) -> None:
    """Fill an empty database from a dump, in one transaction. Raises ``Permanent``; nothing is then loaded."""
    try:
        with file.open("rb") as dumped:
            if dumped.read(len(_MAGIC)) != _MAGIC:
                raise Permanent(f"{file} is no backup of Midwatch")
    except OSError as error:
        raise Permanent(f"cannot read {file}: {error.strerror}") from error
    how = ("--single-transaction", "--exit-on-error", "--no-owner", "--no-privileges")
    done = _run("pg_restore", *how, str(file), url=url)
    if done.returncode != 0:
        raise Permanent(f"{file} was not restored, and nothing was changed: {_said(done)}")


def _run(program: str, *arguments: str, url: str, stdout: object = None) -> subprocess.CompletedProcess[bytes]:
    address, password = without_password(url)
    command = [str(wheel() / "bin" / program), f"--dbname={address}", *arguments]
    environment = {"PATH": "/usr/bin:/bin", "LC_ALL": "C", **({"PGPASSWORD": password} if password else {})}
    return subprocess.run(  # type: ignore[call-overload, no-any-return]  # an open file, or nothing
        command, check=False, stdin=subprocess.DEVNULL, stdout=stdout, stderr=subprocess.PIPE, env=environment
    )


def _said(done: subprocess.CompletedProcess[bytes]) -> str:
    lines = done.stderr.decode(errors="replace").strip().splitlines()
    return lines[-1] if lines else f"exit status {done.returncode}"
