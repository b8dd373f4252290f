"""Secrets by reference: configuration says where a secret stands, never what it is."""

import re
from collections.abc import Mapping
from pathlib import Path

from midwatch.domain.errors import Invalid

_REFERENCE = re.compile(r"\$\{(?P<kind>env|file):(?P<name>[^}]+)\}")
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*\Z")
_MAX_BYTES = 64 * 1024


class References:
    """Puts values in place of ``${env:NAME}`` and ``${file:PATH}``; the environment is given, not read."""

    def __init__(self, environment: Mapping[str, str], base: Path | None = None) -> None:
        """Relative paths are read from ``base``; without one they are refused."""
        self._environment, self._base = environment, base

    def resolve(self, text: str) -> str:
        """``text`` with every reference replaced. Raises ``Invalid`` naming the reference that leads nowhere."""
        return _REFERENCE.sub(self._value, text)

    def _value(self, found: re.Match[str]) -> str:
        kind, name = found["kind"], found["name"].strip()
        if kind == "env":
            value = self._environment.get(name)
            if not _NAME.match(name) or not value:
                raise Invalid(f"{found[0]}: this environment variable is not set")
            return value
        path = Path(name).expanduser()
        if not path.is_absolute():
            if self._base is None:
                raise Invalid(f"{found[0]}: write an absolute path")
            path = self._base / path
        try:
            with path.open("rb") as file:
                data = file.read(_MAX_BYTES + 1)
            value = data.decode("utf-8").strip()
        except (OSError, UnicodeDecodeError) as error:
            raise Invalid(f"{found[0]}: cannot be read ({type(error).__name__})") from error
        if not value or len(data) > _MAX_BYTES:
            raise Invalid(f"{found[0]}: is empty or larger than {_MAX_BYTES} bytes")
        return value


def is_reference(text: str) -> bool:
    """Whether ``text`` holds a reference."""
    return _REFERENCE.search(text) is not None
