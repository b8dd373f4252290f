"""A small client of Loki's query API: the lines of a stream selector within a range."""

from collections.abc import Mapping
from datetime import datetime
from urllib.parse import urlsplit

import httpx2
import msgspec

from midwatch.adapters.web import Web
from midwatch.domain.errors import Invalid, Permanent, Transient
from midwatch.domain.masking import mask

_MAX_ANSWER = 4 * 1024 * 1024
_LONGEST = 2_000


class _Stream(msgspec.Struct, frozen=True):
    stream: dict[str, str] = {}
    values: list[list[msgspec.Raw]] = []


class _Data(msgspec.Struct, frozen=True, rename="camel"):
    result_type: str = ""
    result: list[_Stream] = []


class _Body(msgspec.Struct, frozen=True):
    data: _Data = _Data()


class LokiClient:
    """Asks one address. ``close`` it when done, or use it as an async context manager."""

    def __init__(
        self,
        url: str,
        *,
        headers: Mapping[str, str] | None = None,
        tenant: str = "",
        timeout_s: float = 5.0,
        transport: httpx2.AsyncBaseTransport | None = None,
    ) -> None:
        """``url`` is what stands before ``/loki/api/v1``; ``tenant`` is the organisation where Loki has several."""
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise Invalid("the address of Loki must begin with http:// or https:// and name a host")
        self._url = url.rstrip("/") + "/loki/api/v1/query_range"
        sent = {**(headers or {}), **({"X-Scope-OrgID": tenant} if tenant else {})}
        self._web = Web("Loki", timeout_s=timeout_s, limit=_MAX_ANSWER, headers=sent, transport=transport)

    async def __aenter__(self) -> "LokiClient":
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._web.close()

    async def lines(self, selector: str, start: datetime, end: datetime, *, limit: int) -> tuple[str, ...]:
        """The last ``limit`` lines between ``start`` and ``end`` (aware), oldest first, each behind its pod's name.

        Raises ``Transient`` while Loki is away, ``Permanent`` when it rejects the query or the credentials.
        """
        params: dict[str, str | int | float] = {"query": selector, "limit": limit, "direction": "backward"}
        params |= {"start": _nanoseconds(start), "end": _nanoseconds(end)}
        page = await self._web.get(self._url, params)
        if page.status in (401, 403):
            raise Permanent(f"Loki refuses the credentials ({page.status})")
        if page.status == 429 or page.status >= 500:
            raise Transient(f"Loki answered {page.status}", 5.0)
        if page.status != 200:
            raise Permanent(
                f"Loki rejects the query ({page.status}): {mask(page.body.decode('utf-8', 'replace'))[:300]}"
            )
        try:
            streams = msgspec.json.decode(page.body, type=_Body).data.result
            found = [
                (int(_text(entry[0])), _line(stream.stream, _text(entry[1])))
                for stream in streams
                for entry in stream.values
                if len(entry) >= 2
            ]
        except (msgspec.DecodeError, ValueError) as error:
            raise Permanent("this address does not answer as Loki does") from error
        found.sort(key=lambda pair: pair[0])
        return tuple(line for _, line in found[-limit:])


def _text(raw: msgspec.Raw) -> str:
    return msgspec.json.decode(raw, type=str)


def _line(labels: Mapping[str, str], text: str) -> str:
    where = "/".join(labels[name] for name in ("pod", "container") if labels.get(name))
    return f"{where}: {text[:_LONGEST]}" if where else text[:_LONGEST]


def _nanoseconds(at: datetime) -> int:
    return int(at.timestamp() * 1_000_000) * 1_000
