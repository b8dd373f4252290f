"""Pages of other origins: none may call the API unless it is named, and then with a token alone."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import httpx2
import pytest

from midwatch.domain.errors import Invalid
from midwatch.settings import load_settings
from serve.api import build_api
from serve.dependencies import Edge
from tests.unit.edge.conftest import TOKEN, House

PORTAL, ELSEWHERE = "https://portal.example", "https://elsewhere.example"


def asking(origin: str) -> dict[str, str]:
    """What a browser asks before it sends a token to another origin."""
    return {
        "Origin": origin,
        "Access-Control-Request-Method": "GET",
        "Access-Control-Request-Headers": "authorization",
    }


@pytest.fixture
async def open_to_portal(house: House) -> AsyncIterator[httpx2.AsyncClient]:
    @asynccontextmanager
    async def edge() -> AsyncIterator[Edge]:
        yield house.edge

    app = build_api(edge, (PORTAL,))
    transport = httpx2.ASGITransport(app=app, client=("127.0.0.1", 4711))
    async with (
        app.router.lifespan_context(app),
        httpx2.AsyncClient(transport=transport, base_url="http://midwatch.test") as client,
    ):
        yield client


async def test_a_named_origin_may_call_with_a_token(open_to_portal: httpx2.AsyncClient) -> None:
    asked = await open_to_portal.options("/api/incidents", headers=asking(PORTAL))
    assert (asked.status_code, asked.headers["Access-Control-Allow-Origin"]) == (200, PORTAL)

    told = await open_to_portal.get("/api/incidents", headers={"Origin": PORTAL, "Authorization": f"Bearer {TOKEN}"})
    assert (told.status_code, told.headers["Access-Control-Allow-Origin"]) == (200, PORTAL)
    assert "Access-Control-Allow-Credentials" not in told.headers, "no cookie is sent from there"
    assert (await open_to_portal.get("/api/incidents", headers={"Origin": PORTAL})).status_code == 401


async def test_any_other_is_not_allowed(open_to_portal: httpx2.AsyncClient) -> None:
    asked = await open_to_portal.options("/api/incidents", headers=asking(ELSEWHERE))
    assert asked.status_code == 400
    assert "Access-Control-Allow-Origin" not in asked.headers


async def test_none_is_allowed_unless_named(api: httpx2.AsyncClient) -> None:
    assert "Access-Control-Allow-Origin" not in (await api.get("/api/incidents", headers={"Origin": PORTAL})).headers


@pytest.mark.parametrize("origin", ["*", "portal.example", "https://portal.example/", "https://a.example https://b"])
def test_what_is_no_origin_is_refused_at_the_start(monkeypatch: pytest.MonkeyPatch, origin: str) -> None:
    monkeypatch.setenv("MIDWATCH_CORS_ORIGINS", origin)
    with pytest.raises(Invalid, match="cors_origins"):
        load_settings()


def test_several_stand_with_commas_between(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MIDWATCH_CORS_ORIGINS", f"{PORTAL}, http://127.0.0.1:3000")
    assert load_settings().cors_origins == (PORTAL, "http://127.0.0.1:3000")
