"""A kubeconfig for the sandbox: one context that may do everything, one that may only read."""

from __future__ import annotations

import base64
import os
from pathlib import Path

from midwatch.sandbox.objects import encode

ADMIN_CONTEXT = "sandbox"
READER_CONTEXT = "sandbox-read-only"


def write_kubeconfig(path: Path, url: str, certificate: bytes, *, admin_token: str, reader_token: str) -> None:
    """Write it for its owner only (0600); JSON, which is YAML too."""
    users = {"sandbox-admin": admin_token, "sandbox-reader": reader_token}
    contexts = {ADMIN_CONTEXT: "sandbox-admin", READER_CONTEXT: "sandbox-reader"}
    authority = base64.b64encode(certificate).decode()
    document = {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": ADMIN_CONTEXT,
        "clusters": [{"name": "sandbox", "cluster": {"server": url, "certificate-authority-data": authority}}],
        "users": [{"name": name, "user": {"token": token}} for name, token in users.items()],
        "contexts": [
            {"name": name, "context": {"cluster": "sandbox", "user": user, "namespace": "default"}}
            for name, user in contexts.items()
        ],
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    fresh = path.with_name(path.name + ".new")
    descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        os.fchmod(file.fileno(), 0o600)
        file.write(encode(document))
    fresh.replace(path)
