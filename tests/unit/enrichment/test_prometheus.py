"""The client of Prometheus' query API: typed samples, and errors that say what to do without saying the password."""

import math
from datetime import UTC, datetime, timedelta

import httpx2
import pytest

from midwatch.adapters.prometheus.client import PrometheusClient
from midwatch.domain.errors import Invalid, Permanent, Transient

AT = datetime(2026, 3, 1, 2, 0, tzinfo=UTC)


def client(answer: httpx2.Response | Exception, asked: list[httpx2.Request] | None = None) -> PrometheusClient:
    def handle(request: httpx2.Request) -> httpx2.Response:
        if asked is not None:
            asked.append(request)
        if isinstance(answer, Exception):
            raise answer
        return answer

    return PrometheusClient("http://mw:hunter2@prom:9090/base/", transport=httpx2.MockTransport(handle))


def success(kind: str, result: object) -> httpx2.Response:
    return httpx2.Response(200, json={"status": "success", "data": {"resultType": kind, "result": result}})


async def test_an_instant_vector() -> None:
    asked: list[httpx2.Request] = []
    rows = [{"metric": {"pod": "a"}, "value": [1772330400.5, "12.5"]}, {"metric": {}, "value": [1772330400, "NaN"]}]
    async with client(success("vector", rows), asked) as prometheus:
        first, second = await prometheus.query('up{pod="a"}', AT)
    assert (first.labels, first.value, first.at.tzinfo) == ({"pod": "a"}, 12.5, UTC)
    assert math.isnan(second.value)
    assert asked[0].url.path == "/base/api/v1/query"
    assert dict(asked[0].url.params) == {"query": 'up{pod="a"}', "time": str(AT.timestamp())}


async def test_a_scalar_is_one_sample_without_labels() -> None:
    async with client(success("scalar", [1772330400, "+Inf"])) as prometheus:
        assert [(s.labels, s.value) for s in await prometheus.query("scalar(x)")] == [({}, math.inf)]
        assert await prometheus.values("scalar(x)", AT) == (math.inf,)


async def test_a_range() -> None:
    rows = [{"metric": {"pod": "a"}, "values": [[1772330400, "1"], [1772330415, "2"]]}]
    asked: list[httpx2.Request] = []
    async with client(success("matrix", rows), asked) as prometheus:
        (series,) = await prometheus.query_range("x", AT, AT + timedelta(minutes=6), step_s=15)
    assert [point.value for point in series.points] == [1.0, 2.0]
    assert asked[0].url.params["step"] == "15"


@pytest.mark.parametrize(
    ("answer", "kind", "says"),
    [
        (httpx2.Response(400, json={"status": "error", "error": "parse error at char 3"}), Permanent, "parse error"),
        (httpx2.Response(401, text="who are you"), Permanent, "credentials"),
        (httpx2.Response(503, json={"status": "error", "error": "query timed out"}), Transient, "timed out"),
        (httpx2.Response(302, headers={"location": "http://169.254.169.254/"}), Permanent, "302"),
        (httpx2.Response(200, text="<html>login</html>"), Permanent, "does not answer as Prometheus"),
        (httpx2.ConnectError("to http://mw:hunter2@prom:9090 failed"), Transient, "ConnectError"),
        (success("vector", [{"metric": {}, "value": [1, "many"]}]), Permanent, "text where a number"),
        (httpx2.Response(200, content=b" " * (9 * 1024 * 1024)), Permanent, "larger than"),
    ],
    ids=["bad query", "401", "503", "redirect", "not prometheus", "down", "odd value", "too large"],
)
async def test_errors_say_what_to_do(answer: httpx2.Response | Exception, kind: type[Exception], says: str) -> None:
    async with client(answer) as prometheus:
        with pytest.raises(kind, match=says) as raised:
            await prometheus.query("x")
    assert "hunter2" not in str(raised.value)


def test_only_web_addresses() -> None:
    with pytest.raises(Invalid):
        PrometheusClient("file:///etc/passwd")
