"""Bodies that leave alerts out: what is fetched from the sender's API, and that what came is kept whatever happens."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Coroutine, Mapping
from contextlib import asynccontextmanager
from typing import Any

import httpx2
import pytest
from aiohttp import web

from midwatch.adapters.alertmanager.client import AlertmanagerClient
from midwatch.domain.errors import Permanent, Transient
from midwatch.domain.signals import SignalStatus
from tests.unit.edge.conftest import House, Opener

URL = "/api/alert/webhook"
GROUP = {"alertname": "PodDown", "namespace": "shop"}
START = "2026-11-21T03:00:00Z"


def fingerprint(number: int) -> str:
    return f"{number:016x}"


def labels(number: int) -> dict[str, str]:
    return {**GROUP, "pod": f"web-{number}"}


def truncated(numbers: range, missing: int) -> dict[str, Any]:
    alerts = [
        {"status": "firing", "labels": labels(n), "startsAt": START, "fingerprint": fingerprint(n)} for n in numbers
    ]
    return {
        "version": "4",
        "receiver": "midwatch",
        "groupLabels": GROUP,
        "truncatedAlerts": missing,
        "alerts": alerts,
    }


def group(numbers: range, *, receiver: str = "midwatch", of: Mapping[str, str] = GROUP) -> dict[str, Any]:
    """As Alertmanager's API answers: ends are in the future, the status is an object."""
    alerts = [
        {
            "labels": labels(n),
            "annotations": {"summary": f"web-{n} is down"},
            "startsAt": START,
            "endsAt": "2026-11-21T03:05:00Z",
            "updatedAt": START,
            "fingerprint": fingerprint(n),
            "receivers": [{"name": receiver}],
            "status": {"state": "active", "silencedBy": [], "inhibitedBy": []},
        }
        for n in numbers
    ]
    return {"alerts": alerts, "labels": dict(of), "receiver": {"name": receiver}}


class Asked:
    """An Alertmanager's API that answers what it was told to."""

    def __init__(self, answer: bytes | Transient) -> None:
        self.answer, self.questions = answer, list[tuple[str, dict[str, str]]]()

    async def group(self, receiver: str, labels: Mapping[str, str]) -> bytes:
        self.questions.append((receiver, dict(labels)))
        if isinstance(self.answer, Transient):
            raise self.answer
        return self.answer


async def test_what_was_left_out_is_fetched(house: House, opened: Opener) -> None:
    others = [group(range(90, 93), receiver="pager"), group(range(93, 95), of={**GROUP, "namespace": "billing"})]
    asked = Asked(json.dumps([*others, group(range(7))]).encode())
    house.change(alertmanager=asked)
    answer = await (await opened()).post(URL, json=truncated(range(5), missing=3))
    assert asked.questions == [("midwatch", GROUP)]
    signals = [row.signal for row in await house.store.inbox.recent(limit=100)]
    assert {signal.fingerprint for signal in signals} == {fingerprint(n) for n in range(7)}
    assert {signal.status for signal in signals} == {SignalStatus.FIRING}
    assert all(signal.ends_at is None for signal in signals), "until when Alertmanager believes it is no end"
    told = answer.json()
    assert (answer.status_code, told["accepted"], len(told["ids"]), told["missing"]) == (202, 7, 7, 1)
    assert "2 that fire were fetched" in told["detail"]


async def test_what_is_fetched_and_sent_later_counts_once(house: House, opened: Opener) -> None:
    house.change(alertmanager=Asked(json.dumps([group(range(6))]).encode()))
    client = await opened()
    await client.post(URL, json=truncated(range(5), missing=1))
    later = await client.post(URL, json=truncated(range(5, 6), missing=0))
    assert later.json()["repeated"] == 1, "the same start and fingerprint: the same delivery"


@pytest.mark.parametrize(
    "fault", [Transient("Alertmanager did not answer (TimeoutError)"), b"<html>login</html>", b'{"status": "success"}']
)
async def test_what_came_is_kept_when_the_rest_cannot_be_had(
    fault: bytes | Transient, house: House, opened: Opener
) -> None:
    house.change(alertmanager=Asked(fault))
    answer = await (await opened()).post(URL, json=truncated(range(5), missing=3))
    assert (answer.status_code, answer.json()["accepted"], answer.json()["missing"]) == (202, 5, 3)
    assert "could not be fetched" in answer.json()["detail"]


async def test_without_an_address_nobody_is_asked_and_the_answer_says_so(api: httpx2.AsyncClient) -> None:
    answer = await api.post(URL, json=truncated(range(5), missing=3))
    assert (answer.json()["accepted"], answer.json()["missing"]) == (5, 3)
    assert "MIDWATCH_ALERTMANAGER_URL" in answer.json()["detail"]
    generic = await api.post("/alerts", json=truncated(range(5), missing=3))
    assert (generic.json()["queued"], generic.json()["missing"]) == (0, 3)


async def test_whole_bodies_ask_nobody(house: House, opened: Opener) -> None:
    asked = Asked(b"[]")
    house.change(alertmanager=asked)
    answer = await (await opened()).post(URL, json=truncated(range(5), missing=0))
    assert asked.questions == []
    assert set(answer.json()) == {"accepted", "repeated", "ids"}


Handler = Callable[[web.Request], Coroutine[Any, Any, web.StreamResponse]]


@asynccontextmanager
async def alertmanager(handler: Handler) -> AsyncIterator[str]:
    app = web.Application()
    app.router.add_get("/prefix/api/v2/alerts/groups", handler)
    runner = web.AppRunner(app)
    await runner.setup()
    try:
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        host, port = runner.addresses[0][:2]
        yield f"http://watch:hunter2@{host}:{port}/prefix/"
    finally:
        await runner.cleanup()


async def test_the_question_names_receiver_and_group_exactly() -> None:
    seen: list[web.Request] = []

    async def answer(request: web.Request) -> web.Response:
        seen.append(request)
        return web.Response(body=b"[]")

    async with alertmanager(answer) as url:
        assert await AlertmanagerClient(url).group("a.b", {"alertname": 'say "no"', "path": "C:\\x"}) == b"[]"
    (request,) = seen
    assert request.query.getall("filter") == ['alertname="say \\"no\\""', 'path="C:\\\\x"']
    assert request.query["receiver"] == "^a\\.b$"
    assert request.headers["Authorization"].startswith("Basic ")


async def test_a_server_that_fails_redirects_hangs_or_is_away_is_transient_and_keeps_its_secret() -> None:
    async def failing(_: web.Request) -> web.Response:
        return web.Response(status=500)

    async def elsewhere(_: web.Request) -> web.Response:
        return web.Response(status=302, headers={"Location": "http://127.0.0.1:1/"})

    over = asyncio.Event()

    async def hanging(_: web.Request) -> web.Response:
        await over.wait()
        return web.Response()

    for handler in (failing, elsewhere, hanging):
        over.clear()
        async with alertmanager(handler) as url:
            with pytest.raises(Transient) as refused:
                await AlertmanagerClient(url, timeout_s=0.2).group("midwatch", {})
            assert "hunter2" not in str(refused.value)
            over.set()
    with pytest.raises(Transient) as away:
        await AlertmanagerClient(url, timeout_s=0.2).group("midwatch", {})
    assert "hunter2" not in str(away.value)


@pytest.mark.parametrize("url", ["ftp://am", "am:9093", "http://"])
def test_an_address_that_is_none_is_refused_at_the_start(url: str) -> None:
    with pytest.raises(Permanent, match="MIDWATCH_ALERTMANAGER_URL"):
        AlertmanagerClient(url)
