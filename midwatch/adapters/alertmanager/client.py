"""The groups of one Alertmanager, over its API v2. The answer is left as bytes: the edge knows its shape."""

import json
import re
from collections.abc import Mapping
from urllib.parse import urlsplit

import aiohttp

from midwatch.domain.errors import Permanent, Transient

_MAX_ANSWER = 16 * 1024 * 1024


class AlertmanagerClient:
    """Asks only the address it was given, and follows no redirect: what a body says of its sender is not believed."""

    def __init__(self, url: str, *, timeout_s: float = 3.0) -> None:
        """``url`` may carry user and password, and a path in front of Alertmanager's own."""
        if urlsplit(url).scheme not in ("http", "https") or not urlsplit(url).hostname:
            raise Permanent("MIDWATCH_ALERTMANAGER_URL must be an http:// or https:// address")
        self._url = url.rstrip("/") + "/api/v2/alerts/groups"
        self._timeout = aiohttp.ClientTimeout(total=timeout_s)

    async def group(self, receiver: str, labels: Mapping[str, str]) -> bytes:
        """What fires of a receiver's group, muted alerts left out. Raises ``Transient`` when there is no answer."""
        asked = [("receiver", f"^{re.escape(receiver)}$"), ("silenced", "false"), ("inhibited", "false")]
        asked += [("filter", f"{name}={json.dumps(value, ensure_ascii=False)}") for name, value in labels.items()]
        try:
            async with (
                aiohttp.ClientSession(timeout=self._timeout) as session,
                session.get(self._url, params=asked, allow_redirects=False) as answer,
            ):
                if answer.status != 200:
                    raise Transient(f"Alertmanager answered {answer.status}")
                return await _whole(answer.content)
        except (aiohttp.ClientError, TimeoutError) as error:
            # Its text may hold the address, hence a password.
            raise Transient(f"Alertmanager did not answer ({type(error).__name__})") from error


async def _whole(content: aiohttp.StreamReader) -> bytes:
    chunks: list[bytes] = []
    size = 0
    async for chunk in content.iter_any():
        size += len(chunk)
        if size > _MAX_ANSWER:
            raise Transient(f"Alertmanager's answer is larger than {_MAX_ANSWER} bytes")
        chunks.append(chunk)
    return b"".join(chunks)
