"""What a sender is told of its alert: asked for once, or followed over a WebSocket."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import httpx2
import pytest
from fastapi import FastAPI

from midwatch.domain import events as ev
from midwatch.domain.ids import IncidentId, SignalId
from midwatch.domain.reasons import Reason
from serve.api import build_api
from serve.dependencies import Edge
from serve.security import COOKIE, Sessions
from tests.unit.edge import scenes
from tests.unit.edge.conftest import TOKEN, House, Opener

ONE = "0192f0a0-1111-7000-8000-000000000001"
TWO = "0192f0a0-2222-7000-8000-000000000002"
ALERT = {"alert_type": "KubePodCrashLooping", "namespace": "shop", "pod": "checkout-1", "message": "it crashes"}
BEARER = ((b"authorization", f"Bearer {TOKEN}".encode()),)


async def posted(api: httpx2.AsyncClient) -> str:
    (alert_id,) = (await api.post("/alerts", json=ALERT)).json()["alert_ids"]
    return str(alert_id)


async def status(api: httpx2.AsyncClient, alert_id: str) -> dict[str, Any]:
    answer = await api.get(f"/processing-status/{alert_id}")
    assert answer.status_code == 200
    return dict(answer.json())


async def test_an_alert_is_queued_until_the_rules_have_seen_it(api: httpx2.AsyncClient) -> None:
    told = await status(api, await posted(api))
    assert (told["status"], told["progress"], told["result"], told["incident"]) == ("queued", 0, None, None)


@pytest.mark.parametrize("reason", [Reason.NO_RULE, Reason.SILENCED, Reason.RESOLVED_BEFORE])
async def test_an_alert_that_nothing_comes_of_says_why(reason: Reason, house: House, api: httpx2.AsyncClient) -> None:
    alert_id = await posted(api)
    await house.store.inbox.settle([(SignalId(alert_id), reason, None)])
    told = await status(api, alert_id)
    assert (told["status"], told["progress"], told["result"]) == ("completed", 100, None)
    assert len(told["current_step"].split()) > 3, "words, not a code"


async def test_an_alert_follows_the_incident_it_joined(house: House, api: httpx2.AsyncClient) -> None:
    first, second = await posted(api), None
    (second,) = (await api.post("/alerts", json={**ALERT, "pod": "checkout-2"})).json()["alert_ids"]
    incident = await scenes.told(house.store.journal, ONE, scenes.opened())
    outcomes = [(SignalId(alert), Reason.RULE_MATCHED, incident.id) for alert in (first, second)]
    await house.store.inbox.settle(outcomes)
    told = await status(api, first)
    assert (told["status"], told["id"], told["incident"]) == ("processing", first, ONE)
    assert 0 < told["progress"] < 50
    await scenes.carried_on(house.store.journal, incident, scenes.diagnosed())
    told, other = await status(api, first), await status(api, second)
    assert (told["status"], told["progress"], told["iterations"], told["id"]) == ("completed", 100, 1, first)
    assert told["result"]["diagnosis"]["root_cause"] == "The database refuses connections on port 5432"
    assert told["result"]["markdown"].startswith("## ")
    assert other == {**told, "id": second}


async def test_what_a_cause_took_in_goes_on_in_the_cause(house: House, api: httpx2.AsyncClient) -> None:
    cause = await scenes.told(house.store.journal, ONE, scenes.opened(), scenes.diagnosed())
    adopted = ev.Adopted(reason=Reason.ADOPTED_BY_CAUSE, into=IncidentId(ONE))
    await scenes.told(house.store.journal, TWO, scenes.opened(title="web is short of pods"), [adopted])
    assert (await status(api, TWO))["incident"] == cause.id


async def test_an_investigation_that_gave_up_is_an_error(house: House, api: httpx2.AsyncClient) -> None:
    gave_up = ev.Escalated(reason=Reason.ATTEMPTS_EXHAUSTED, detail="gave up on 'investigate' after 8 attempts")
    await scenes.told(house.store.journal, ONE, scenes.opened(), [gave_up])
    told = await status(api, ONE)
    assert (told["status"], told["error"]) == ("error", gave_up.detail)


async def test_unknown_ids_are_404(api: httpx2.AsyncClient) -> None:
    assert (await api.get("/processing-status/ffffffff-0000")).status_code == 404


class Socket:
    """One WebSocket spoken to the app as a server would."""

    def __init__(self, app: FastAPI, path: str, headers: tuple[tuple[bytes, bytes], ...]) -> None:
        self._incoming: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
        self.sent: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
        self._incoming.put_nowait({"type": "websocket.connect"})
        scope = {
            "type": "websocket",
            "asgi": {"version": "3.0"},
            "path": path,
            "raw_path": path.encode(),
            "query_string": b"",
            "headers": [(b"host", b"midwatch.test"), *headers],
            "client": ("127.0.0.1", 4711),
            "subprotocols": [],
            "scheme": "ws",
            "server": ("midwatch.test", 80),
        }
        self.task = asyncio.ensure_future(app(scope, self._incoming.get, self.sent.put))

    async def next(self) -> dict[str, Any]:
        async with asyncio.timeout(5):
            return await self.sent.get()

    async def rest(self) -> list[dict[str, Any]]:
        """Everything said until the app is done with this socket."""
        async with asyncio.timeout(5):
            await self.task
        return [self.sent.get_nowait() for _ in range(self.sent.qsize())]

    def leave(self) -> None:
        self._incoming.put_nowait({"type": "websocket.disconnect", "code": 1001})


@asynccontextmanager
async def running(house: House) -> AsyncIterator[FastAPI]:
    @asynccontextmanager
    async def edge() -> AsyncIterator[Edge]:
        yield house.edge

    app = build_api(edge)
    async with app.router.lifespan_context(app):
        yield app


def messages(sent: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [json.loads(message["text"]) for message in sent if message["type"] == "websocket.send"]


async def test_many_viewers_see_all_of_it_also_those_that_come_late(house: House) -> None:
    incident = await scenes.told(house.store.journal, ONE, scenes.opened())
    async with running(house) as app:
        viewers = [Socket(app, f"/ws/{ONE}", BEARER) for _ in range(5)]
        for viewer in viewers:
            assert (await viewer.next())["type"] == "websocket.accept"
            assert json.loads((await viewer.next())["text"])["type"] == "entry"
        incident = await scenes.carried_on(house.store.journal, incident, scenes.diagnosed())
        late = Socket(app, f"/ws/{ONE}", BEARER)
        seen = [await viewer.rest() for viewer in (*viewers, late)]
    for sent in seen:
        assert sent[-1]["type"] == "websocket.close"
        assert sent[-1]["code"] == 1000
        last = messages(sent)[-1]
        assert last["type"] == "status"
        assert last["processing"]["status"] == "completed"
    entries = [message["entry"]["seq"] for message in messages(seen[-1]) if message["type"] == "entry"]
    assert entries == list(range(1, incident.seq + 1))


async def test_a_viewer_that_leaves_leaves_nothing_behind(house: House) -> None:
    await scenes.told(house.store.journal, ONE, scenes.opened())
    async with running(house) as app:
        viewer = Socket(app, f"/ws/{ONE}", BEARER)
        await viewer.next()
        viewer.leave()
        await viewer.rest()


async def test_an_unknown_id_is_said_and_closed(house: House) -> None:
    async with running(house) as app:
        sent = await Socket(app, "/ws/ffffffff-0000", BEARER).rest()
    assert messages(sent)[0]["type"] == "error"
    assert sent[-1] == {"type": "websocket.close", "code": 1008, "reason": "unknown id"}


def cookie(house: House, origin: str) -> tuple[tuple[bytes, bytes], ...]:
    session = Sessions(TOKEN).begin("nonce", expires=house.clock.now().replace(year=2100))
    return (b"cookie", f"{COOKIE}={session}".encode()), (b"origin", origin.encode())


async def test_strangers_and_foreign_pages_may_not_listen(house: House) -> None:
    await scenes.told(house.store.journal, ONE, scenes.opened())
    async with running(house) as app:
        foreign = cookie(house, "https://evil.test")
        for headers in ((), ((b"authorization", b"Bearer wrong"),), foreign, foreign[:1]):
            sent = await Socket(app, f"/ws/{ONE}", headers).rest()
            assert [message["type"] for message in sent] == ["websocket.close"], headers
        own = Socket(app, f"/ws/{ONE}", cookie(house, "http://midwatch.test"))
        assert (await own.next())["type"] == "websocket.accept"
        own.leave()
        await own.rest()


FORM = {"alert_type": "KubePodCrashLooping", "severity": "warning", "namespace": "shop", "message": "it crashes"}


async def test_the_form_comes_filled_and_leads_to_the_page_that_shows_what_becomes_of_it(
    house: House, api: httpx2.AsyncClient
) -> None:
    page = await api.get("/submit")
    assert "KubePodCrashLooping" in page.text
    answer = await api.post("/submit", data=FORM)
    assert answer.status_code == 303
    assert house.bells.rung == ["signals"]
    shown = await api.get(answer.headers["Location"])
    assert "Queued" in shown.text
    (row,) = await house.store.inbox.recent()
    assert row.signal.labels["namespace"] == "shop"


async def test_a_wrong_form_says_what_is_wrong_keeps_what_was_typed_and_stores_nothing(
    house: House, api: httpx2.AsyncClient
) -> None:
    answer = await api.post("/submit", data={**FORM, "severity": "<b>bad</b>", "message": "typed with care"})
    assert answer.status_code == 422
    assert "severity" in answer.text
    assert "typed with care" in answer.text
    assert "<b>bad" not in answer.text
    assert await house.store.inbox.recent() == ()


async def test_a_session_submits_with_its_csrf_token_only(house: House, opened: Opener) -> None:
    client = await opened(token="")
    await client.post("/login", data={"token": TOKEN})
    assert (await client.post("/submit", data=FORM)).status_code == 403
    assert await house.store.inbox.recent() == ()


async def test_the_live_page_ends_with_the_report(house: House, api: httpx2.AsyncClient) -> None:
    alert_id = await posted(api)
    incident = await scenes.told(house.store.journal, ONE, scenes.opened(), scenes.diagnosed())
    await house.store.inbox.settle([(SignalId(alert_id), Reason.RULE_MATCHED, incident.id)])
    stream = (await api.get(f"/submitted/{alert_id}/live")).text
    assert "Looked into" in stream
    assert "The database refuses connections" in stream
    assert stream.rstrip().endswith("data: {}")
    assert "event: end" in stream
    assert (await api.get("/submitted/ffffffff-0000/live")).status_code == 404
