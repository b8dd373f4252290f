"""Tokens kept in the state directory: made once, readable by their owner alone."""

import os
import secrets
from pathlib import Path


def token_in(path: Path) -> tuple[str, bool]:
    """The token in ``path`` and whether it was made just now. Two racing processes get the same one."""
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    try:
        handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        path.chmod(0o600)
        return path.read_text().strip(), False
    token = secrets.token_urlsafe(32)
    with os.fdopen(handle, "w") as file:
        file.write(token)
    return token, True
