"""Pausing and cancelling over HTTP, by token and by the console's button."""

from datetime import timedelta

import httpx2
import pytest

from midwatch.domain.incidents import State
from tests.unit.edge import scenes
from tests.unit.edge.conftest import House, Opener

IT = "0195f3a0-0000-7000-8000-00000000c0de"


async def test_all_is_paused_and_goes_on(house: House, api: httpx2.AsyncClient) -> None:
    made = await api.post("/api/freeze", json={"reason": "moving house"})
    assert made.status_code == 201
    assert (made.json()["active"], made.json()["namespaces"]) == (True, ["*"])
    assert "moving house" in made.json()["sentence"]
    (held,) = await house.store.pauses.active(house.clock.now())
    assert held.by == "console:operator"
    assert [each["id"] for each in (await api.get("/api/freeze")).json()["pauses"]] == [held.id]
    ended = (await api.delete("/api/freeze")).json()["pauses"]
    assert [(each["id"], each["active"]) for each in ended] == [(held.id, False)]
    assert (await api.get("/api/freeze")).json() == {"pauses": []}
    assert len((await api.get("/api/freeze", params={"all": "1"})).json()["pauses"]) == 1


async def test_one_namespace_for_a_while(house: House, api: httpx2.AsyncClient) -> None:
    ends_at = house.clock.now() + timedelta(hours=2)
    await api.post("/api/freeze", json={"namespaces": ["shop"], "ends_at": ends_at.isoformat()})
    await api.post("/api/freeze", json={"namespaces": ["pay"]})
    ended = (await api.delete("/api/freeze", params={"namespace": "pay"})).json()["pauses"]
    assert [each["namespaces"] for each in ended] == [["pay"]]
    assert [pause.namespaces for pause in await house.store.pauses.active(house.clock.now())] == [("shop",)]
    assert await house.store.pauses.active(ends_at) == ()


@pytest.mark.parametrize(
    "wish",
    [{"ends_at": "2000-01-01T00:00:00Z"}, {"ends_at": "2026-01-01T00:00:00"}, {"by": "x"}, {"namespaces": []}, []],
)
async def test_what_is_no_pause_is_refused(house: House, api: httpx2.AsyncClient, wish: object) -> None:
    assert (await api.post("/api/freeze", json=wish)).status_code == 422
    assert await house.store.pauses.recent() == ()


async def test_a_plan_is_cancelled_once(house: House, api: httpx2.AsyncClient) -> None:
    incident = await scenes.told(house.store.journal, IT, scenes.opened(), scenes.diagnosed(), scenes.asked())
    answer = await api.post(f"/api/incidents/{incident.id}/cancel", json={"reason": "mine"})
    assert (answer.status_code, answer.json()["state"]) == (200, State.ESCALATED)
    assert answer.json()["outcome"] == "Cancelled by console:operator: mine"
    assert (await api.post(f"/api/incidents/{incident.id}/cancel", json={})).status_code == 409
    assert (await api.post("/api/incidents/00000000-none/cancel", json={})).status_code == 404


async def test_one_button_pauses_and_lets_go_on(house: House, browser: httpx2.AsyncClient) -> None:
    page = (await browser.get("/")).text
    assert "Pause all actions" in page
    csrf = page.partition('name="csrf" value="')[2].partition('"')[0]
    assert (await browser.post("/freeze", data={"csrf": "guess"})).status_code == 403
    assert await house.store.pauses.recent() == ()
    assert (await browser.post("/freeze", data={"csrf": csrf})).status_code == 303
    page = (await browser.get("/")).text
    assert "All actions are paused by console:operator" in page
    assert "Let actions go on" in page
    await browser.post("/unfreeze", data={"csrf": csrf})
    assert "Pause all actions" in (await browser.get("/")).text


async def test_the_page_of_an_incident_has_a_way_out(house: House, browser: httpx2.AsyncClient) -> None:
    incident = await scenes.told(house.store.journal, IT, scenes.opened(), scenes.diagnosed(), scenes.asked())
    page = (await browser.get(f"/incidents/{incident.id}")).text
    csrf = page.partition('name="csrf" value="')[2].partition('"')[0]
    assert "cancel the plan" in page
    for _ in range(2):
        assert (await browser.post(f"/incidents/{incident.id}/cancel", data={"csrf": csrf})).status_code == 303
    assert (await house.store.journal.read(incident.id)).state is State.ESCALATED
    assert "cancel the plan" not in (await browser.get(f"/incidents/{incident.id}")).text


async def test_strangers_stop_nothing(house: House, opened: Opener) -> None:
    stranger = await opened(token="")
    for path in ("/freeze", "/unfreeze", "/incidents/x/cancel"):
        assert (await stranger.post(path, data={})).status_code in (303, 401)
    assert await house.store.pauses.recent() == ()
