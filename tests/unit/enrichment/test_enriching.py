"""Enrichment as a whole: side by side, within its time, and never in the way of the first report."""

import asyncio
import json
from datetime import UTC, datetime, timedelta

import httpx2
import pytest

from midwatch.adapters.loki.client import LokiClient
from midwatch.domain.analysis.recent import recent_changes
from midwatch.domain.enrichment import Question
from midwatch.domain.errors import Permanent, Transient
from midwatch.domain.ids import IncidentId
from midwatch.domain.incidents import Incident
from midwatch.domain.metrics import Point, Series
from midwatch.domain.refs import ObjectRef
from midwatch.services.enriching import Enriching
from midwatch.services.investigation import Look

AT = datetime(2026, 3, 1, 2, 0, tzinfo=UTC)
POD = ObjectRef("Pod", "web-1", "shop")
CASE = Incident(id=IncidentId("i"), condition="OOMKilled", subject=POD, owner=POD, began_at=AT)
LIMIT = Question(id="m", title="Memory", expr='m{pod=~"$pods"}', unit="ratio", cite_above=0.9)


class Hands:
    def now(self) -> datetime:
        return AT + timedelta(minutes=5)


class Ranges:
    def __init__(self, answer: float | Exception | None) -> None:
        self.answer = answer

    async def query_range(self, expr: str, start: datetime, end: datetime, *, step_s: float) -> tuple[Series, ...]:
        if self.answer is None:
            await asyncio.Event().wait()
        if isinstance(self.answer, Exception):
            raise self.answer
        return (Series(labels={"pod": "web-1"}, points=(Point(AT, float(self.answer or 0)),)),)


class Lines:
    async def lines(self, selector: str, start: datetime, end: datetime, *, limit: int) -> tuple[str, ...]:
        assert selector == '{namespace="shop", pod=~"web-1"}'
        return ("web-1: starting", "web-1: password=hunter2hunter2")


async def looks(ranges: Ranges | None = None, lines: Lines | None = None, limit_s: float = 5) -> tuple[Look, ...]:
    return await Enriching(lambda: (LIMIT,), Hands(), ranges=ranges, lines=lines, limit_s=limit_s).enrich(CASE)


async def test_numbers_and_lines() -> None:
    first, second = await looks(Ranges(0.97), Lines())
    assert (first.tool, first.input, first.ok) == ("prometheus.range", 'm{pod=~"web-1"}', True)
    assert first.claim == "Memory: 97 % at 02:00:00 UTC in web-1"
    assert second.tool == "loki.lines"
    assert "hunter2" not in second.output
    assert "starting" in second.output


@pytest.mark.parametrize("error", [Transient("away"), Permanent("no such metric")])
async def test_what_cannot_be_read_is_a_failed_look(error: Exception) -> None:
    (look,) = await looks(Ranges(error))
    assert (look.ok, look.output, look.claim) == (False, str(error), "")


async def test_what_is_late_is_left_behind() -> None:
    late, lines = await looks(Ranges(None), Lines(), limit_s=0.01)
    assert not late.ok
    assert "no answer within" in late.output
    assert lines.ok


async def test_nothing_configured_is_nothing_asked() -> None:
    assert await looks() == ()


def loki(answer: httpx2.Response, asked: list[httpx2.Request]) -> LokiClient:
    def handle(request: httpx2.Request) -> httpx2.Response:
        asked.append(request)
        return answer

    return LokiClient("http://u:hunter2@loki:3100", tenant="night", transport=httpx2.MockTransport(handle))


async def test_loki_lines_in_order() -> None:
    asked: list[httpx2.Request] = []
    streams = [
        {"stream": {"pod": "a", "container": "c"}, "values": [["2000", "second"], ["1000", "first"]]},
        {"stream": {"pod": "b"}, "values": [["3000", "third", {"meta": "x"}]]},
    ]
    answer = httpx2.Response(200, json={"status": "success", "data": {"resultType": "streams", "result": streams}})
    async with loki(answer, asked) as client:
        found = await client.lines('{pod="a"}', AT, AT + timedelta(minutes=1), limit=10)
    assert found == ("a/c: first", "a/c: second", "b: third")
    assert asked[0].url.params["start"] == "1772330400000000000"
    assert asked[0].headers["x-scope-orgid"] == "night"


@pytest.mark.parametrize(
    ("answer", "kind"),
    [
        (httpx2.Response(400, text="parse error"), Permanent),
        (httpx2.Response(401), Permanent),
        (httpx2.Response(503), Transient),
        (httpx2.Response(200, text="<html>"), Permanent),
        (httpx2.Response(200, json={"data": {"result": [{"values": [["x", "line"]]}]}}), Permanent),
    ],
)
async def test_loki_errors(answer: httpx2.Response, kind: type[Exception]) -> None:
    async with loki(answer, []) as client:
        with pytest.raises(kind) as raised:
            await client.lines("{}", AT, AT, limit=1)
    assert "hunter2" not in str(raised.value)


def obj(kind: str, name: str, minutes: int, **more: object) -> tuple[str, bytes]:
    at = (AT - timedelta(minutes=minutes)).isoformat()
    meta = {"name": name, "namespace": "shop", "creationTimestamp": at, **more.pop("meta", {})}  # type: ignore[dict-item]
    return kind, json.dumps({"metadata": meta, **more}).encode()


def revision(number: int, minutes: int, image: str) -> tuple[str, bytes]:
    meta = {
        "annotations": {"deployment.kubernetes.io/revision": str(number)},
        "ownerReferences": [{"kind": "Deployment", "name": "web"}],
    }
    spec = {"template": {"spec": {"containers": [{"name": "app", "image": image}]}}}
    return obj("ReplicaSet", f"web-{number}", minutes, meta=meta, spec=spec)


def test_recent_changes() -> None:
    touched = {"managedFields": [{"manager": "kubectl-edit", "time": (AT - timedelta(minutes=3)).isoformat()}]}
    objects = [
        revision(2, 5, "shop/web:2"),
        revision(1, 600, "shop/web:1"),
        obj("ConfigMap", "web-config", 9000, meta=touched),
        obj("Secret", "new", 10),
        obj("ConfigMap", "old", 500),
        obj("ConfigMap", "kube-root-ca.crt", 1),
        ("ConfigMap", b"{"),
        ("Pod", b"{}"),
    ]
    assert recent_changes(objects, AT - timedelta(hours=1), AT) == (
        "01:57:00 UTC ConfigMap shop/web-config was changed by kubectl-edit",
        "01:55:00 UTC Deployment shop/web got revision 2, app: shop/web:1 → shop/web:2",
        "01:50:00 UTC Secret shop/new was made",
    )
