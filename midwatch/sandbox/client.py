"""A small blocking client of the control API, for scripts, benchmarks and tests in other processes.

In the sandbox's own process use :class:`midwatch.sandbox.runtime.Sandbox` itself: this one would block its loop.
"""

from __future__ import annotations

import base64
import http.client
import ssl
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from midwatch.sandbox.errors import ApiError
from midwatch.sandbox.objects import Obj, decode, encode


class ControlClient:
    """Talks to the sandbox that wrote the kubeconfig at ``path``, as its admin."""

    def __init__(self, path: Path) -> None:
        config = decode(path.read_bytes())
        cluster = config["clusters"][0]["cluster"]
        self._address = urlsplit(cluster["server"])
        self._token = config["users"][0]["user"]["token"]
        authority = base64.b64decode(cluster["certificate-authority-data"]).decode()
        self._tls = ssl.create_default_context(cadata=authority)

    def request(self, method: str, path: str, body: Any = None, *, timeout: float = 30.0) -> Any:
        """Any path of the server; JSON in, JSON out. Raises ApiError for an answer of 400 or more."""
        connection = http.client.HTTPSConnection(
            self._address.hostname or "", self._address.port, context=self._tls, timeout=timeout
        )
        try:
            headers = {"Authorization": f"Bearer {self._token}", "Content-Type": "application/json"}
            connection.request(method, path, None if body is None else encode(body), headers)
            response = connection.getresponse()
            answer = decode(response.read())
        finally:
            connection.close()
        if response.status >= 400:
            raise ApiError(response.status, answer.get("reason", ""), answer.get("message", ""))
        return answer

    def state(self) -> Obj:
        """Time, counts, running scenarios."""
        document: Obj = self.request("GET", "/sandbox/state")
        return document

    def mutations(self) -> list[Obj]:
        """What API clients changed, oldest first."""
        entries: list[Obj] = self.request("GET", "/sandbox/mutations")["mutations"]
        return entries

    def start(self, scenario: str, target: str = "") -> Obj:
        """Break something."""
        document: Obj = self.request("POST", f"/sandbox/scenarios/{scenario}", {"target": target})
        return document

    def heal(self, scenario: str) -> Obj:
        """Take its cause away."""
        document: Obj = self.request("DELETE", f"/sandbox/scenarios/{scenario}")
        return document

    def fault(self, **rule: Any) -> Obj:
        """Inject a fault of the API server: see :class:`midwatch.sandbox.api.faults.Fault`."""
        document: Obj = self.request("POST", "/sandbox/faults", rule)
        return document
