"""A small client of Prometheus' query API: instant and range queries, answered as typed samples."""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import TypeVar
from urllib.parse import urlsplit

import httpx2
import msgspec

from midwatch.adapters.web import Page, Web
from midwatch.domain.errors import Invalid, Permanent, Transient
from midwatch.domain.masking import mask
from midwatch.domain.metrics import Point, Sample, Series

_MAX_ANSWER = 8 * 1024 * 1024
T = TypeVar("T")


class _Data(msgspec.Struct, frozen=True, rename="camel"):
    result_type: str = ""
    result: msgspec.Raw = msgspec.Raw(b"[]")


class _Scalar(msgspec.Struct, frozen=True, array_like=True):
    at: float
    text: str


class _Row(msgspec.Struct, frozen=True):
    metric: dict[str, str] = {}
    value: _Scalar | None = None
    values: tuple[_Scalar, ...] = ()


class _Body(msgspec.Struct, frozen=True, rename="camel"):
    status: str = ""
    data: _Data = _Data()
    error_type: str = ""
    error: str = ""


class PrometheusClient:
    """Asks one address. ``close`` it when done, or use it as an async context manager."""

    def __init__(
        self,
        url: str,
        *,
        headers: Mapping[str, str] | None = None,
        timeout_s: float = 5.0,
        transport: httpx2.AsyncBaseTransport | None = None,
    ) -> None:
        """``url`` is what stands before ``/api/v1``; it may carry user and password. ``Invalid`` for anything else."""
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise Invalid("the address of Prometheus must begin with http:// or https:// and name a host")
        self._base = url.rstrip("/")
        self._web = Web("Prometheus", timeout_s=timeout_s, limit=_MAX_ANSWER, headers=headers, transport=transport)

    async def __aenter__(self) -> "PrometheusClient":
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def close(self) -> None:
        """Give the connections back."""
        await self._web.close()

    async def query(self, expr: str, at: datetime | None = None) -> tuple[Sample, ...]:
        """An instant query, now or at ``at`` (aware). A scalar is one sample without labels.

        Raises ``Transient`` while Prometheus is away, ``Permanent`` when it rejects the query or the credentials.
        """
        params: dict[str, str | int | float] = {"query": expr}
        if at is not None:
            params["time"] = at.timestamp()
        data = await self._ask("/api/v1/query", params)
        if data.result_type in ("scalar", "string"):
            return (_sample({}, _decoded(data.result, _Scalar)),)
        rows = _rows(data.result)
        latest = ((row.metric, row.value or (row.values[-1] if row.values else None)) for row in rows)
        return tuple(_sample(labels, pair) for labels, pair in latest if pair is not None)

    async def query_range(self, expr: str, start: datetime, end: datetime, *, step_s: float) -> tuple[Series, ...]:
        """A query over ``start`` to ``end`` (aware), one point each ``step_s`` seconds. Raises as :meth:`query`."""
        params: dict[str, str | int | float] = {"query": expr, "step": step_s}
        params |= {"start": start.timestamp(), "end": end.timestamp()}
        data = await self._ask("/api/v1/query_range", params)
        return tuple(
            Series(labels=row.metric, points=tuple(_point(pair) for pair in row.values)) for row in _rows(data.result)
        )

    async def values(self, query: str, at: datetime) -> tuple[float, ...]:
        """Only the values of an instant query, one a series; empty when there is no data. Raises as :meth:`query`."""
        return tuple(sample.value for sample in await self.query(query, at))

    async def _ask(self, path: str, params: Mapping[str, str | int | float]) -> _Data:
        page = await self._web.get(self._base + path, params)
        try:
            body = msgspec.json.decode(page.body, type=_Body)
        except msgspec.DecodeError as error:
            raise _failure(page, "") from error
        if page.status != 200 or body.status != "success":
            raise _failure(page, body.error)
        return body.data


def _decoded(raw: msgspec.Raw, kind: type[T]) -> T:
    try:
        return msgspec.json.decode(raw, type=kind)
    except msgspec.DecodeError as error:
        raise Permanent(f"Prometheus answered in a form that is not known: {mask(str(error))}") from error


def _rows(raw: msgspec.Raw) -> list[_Row]:
    return _decoded(raw, list[_Row])


def _failure(page: Page, said: str) -> Permanent | Transient:
    said = f": {mask(said)[:300]}" if said else ""
    if page.status in (401, 403):
        return Permanent(f"Prometheus refuses the credentials ({page.status})")
    if page.status in (408, 429) or page.status >= 500:
        return Transient(f"Prometheus answered {page.status}{said}", 5.0)
    if page.status == 200:
        return Permanent(f"this address does not answer as Prometheus does{said}")
    return Permanent(f"Prometheus rejects the query ({page.status}){said}")


def _sample(labels: dict[str, str], pair: _Scalar) -> Sample:
    point = _point(pair)
    return Sample(labels=labels, at=point.at, value=point.value)


def _point(pair: _Scalar) -> Point:
    try:
        return Point(datetime.fromtimestamp(pair.at, UTC), float(pair.text))
    except ValueError as error:
        raise Permanent("Prometheus answered with text where a number belongs") from error
