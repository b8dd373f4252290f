"""Silences by hand: made, listed, ended, and refused where they would hide too much."""

from datetime import timedelta
from typing import Any

import httpx2
import pytest

from tests.unit.edge.conftest import House, Opener

MATCH = {"namespaces": ["shop"], "labels": {"team": "~a|b"}}


def wish(house: House, *, hours: float = 2, **more: Any) -> dict[str, Any]:
    return {"match": MATCH, "ends_at": (house.clock.now() + timedelta(hours=hours)).isoformat(), **more}


async def test_a_silence_is_made_and_listed_and_ended(house: House, api: httpx2.AsyncClient) -> None:
    answer = await api.post("/api/silences", json=wish(house, comment="upgrade"))
    made = answer.json()
    assert (answer.status_code, made["active"], made["by"]) == (201, True, "console:operator")
    assert (made["match"]["labels"], made["match"]["at_least"], made["comment"]) == (MATCH["labels"], "info", "upgrade")
    assert (await house.store.silences.active(house.clock.now()))[0].id == made["id"]

    listed = (await api.get("/api/silences", params={"active": "1"})).json()["silences"]
    assert [each["id"] for each in listed] == [made["id"]]
    ended = await api.delete(f"/api/silences/{made['id'][:18]}")
    assert (ended.status_code, ended.json()["active"]) == (200, False)
    assert (await api.get("/api/silences", params={"active": "1"})).json() == {"silences": []}
    (kept,) = (await api.get("/api/silences")).json()["silences"]
    assert kept["ends_at"] == house.clock.now().isoformat()
    assert (await api.delete(f"/api/silences/{made['id']}")).json() == kept, "over is over"


async def test_a_silence_may_begin_later(house: House, api: httpx2.AsyncClient) -> None:
    later = (house.clock.now() + timedelta(hours=1)).isoformat()
    made = (await api.post("/api/silences", json=wish(house, starts_at=later))).json()
    assert (made["active"], made["starts_at"]) == (False, later)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"match": {}}, "would silence everything"),
        ({"match": {"labels": {"a": "~("}}}, "no regular expression"),
        ({"match": {"annotations": {"a": "b"}}}, "unknown field"),
        ({"ends_at": "2000-01-01T00:00:00Z"}, "over before it began"),
        ({"ends_at": "2099-01-01T00:00:00Z"}, "at most 90 days"),
        ({"ends_at": "2026-01-01T00:00:00"}, "timezone"),
        ({"by": "somebody else"}, "unknown field"),
        ({"comment": "x" * 2001}, "2000"),
    ],
)
async def test_what_is_no_silence_is_refused_and_nothing_is_kept(
    house: House, api: httpx2.AsyncClient, change: dict[str, Any], words: str
) -> None:
    answer = await api.post("/api/silences", json=wish(house) | change)
    assert answer.status_code == 422
    assert words in answer.json()["detail"]
    assert await house.store.silences.recent() == ()


async def test_unknown_and_foreign(house: House, api: httpx2.AsyncClient, opened: Opener) -> None:
    assert (await api.delete("/api/silences/00000000-none")).status_code == 404
    assert (
        await api.post("/api/silences", content=b"[", headers={"content-type": "application/json"})
    ).status_code == 422
    assert (await api.post("/api/silences", content=b"x")).status_code == 415
    stranger = await opened(token="")
    for answer in (
        await stranger.get("/api/silences"),
        await stranger.post("/api/silences", json=wish(house)),
        await stranger.delete("/api/silences/00000000"),
    ):
        assert answer.status_code == 401
    house.break_store()
    assert (await api.post("/api/silences", json=wish(house))).status_code == 503
