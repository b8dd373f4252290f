"""The HTTP client under both SDKs: no redirects (they would carry the key along), and a switch for tests."""

from urllib.parse import urlsplit

import httpx2

from midwatch.domain.errors import Permanent

ALLOW_MODEL_REQUESTS = True
"""Set to ``False`` (tests do), nothing but this machine is reached."""

_LOOPBACK = {"127.0.0.1", "localhost", "::1"}


def open_client(base_url: str, *, total_s: float, transport: httpx2.AsyncBaseTransport | None) -> httpx2.AsyncClient:
    """A client for one provider. Raises ``Permanent`` where real requests are switched off."""
    if not ALLOW_MODEL_REQUESTS and transport is None and urlsplit(base_url).hostname not in _LOOPBACK:
        raise Permanent("real model requests are switched off in this process")
    return httpx2.AsyncClient(
        transport=transport,
        follow_redirects=False,
        timeout=httpx2.Timeout(total_s, connect=10.0),
        limits=httpx2.Limits(max_connections=1000, max_keepalive_connections=100),
    )
