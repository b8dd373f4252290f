"""Who gets in, from where, how often; and what no answer may give away."""

from datetime import timedelta
from urllib.parse import urlsplit

import httpx2
import pytest
from starlette.routing import Route

from serve.api import build_api
from serve.security import COOKIE
from tests.unit.edge import scenes
from tests.unit.edge.conftest import TOKEN, House, Opener

OPEN = ["/health", "/ready", "/login", "/static/midwatch.css", "/static/htmx.min.js"]
API = [
    "/alert-types",
    "/processing-status/x",
    "/metrics",
    "/api/incidents",
    "/api/incidents/x",
    "/api/incidents/x/timeline",
    "/api/incidents/x/postmortem",
    "/api/signals",
    "/api/approvals",
    "/api/silences",
    "/api/me",
    "/api/chat",
    "/api/chat/x",
    "/api/users",
    "/api/audit",
    "/api/freeze",
    "/api/shadows",
    "/api/usage",
    "/api/mcp-servers",
]
PAGES = [
    "/",
    "/live",
    "/incidents/x",
    "/incidents/x/live",
    "/incidents/x/postmortem.md",
    "/submit",
    "/submitted/x",
    "/submitted/x/live",
    "/chat",
    "/chat/x/live",
    "/usage",
    "/people",
]
SIGNED = ["/api/webhook/slack"]
"""Proven by what the sender signs, not by our token; see test_channel_doors.py."""
WRITES = [
    "/alerts",
    "/api/alert/webhook",
    "/api/approvals/x/approve",
    "/api/approvals/x/reject",
    "/api/approvals/x/confirm",
    "/api/chat",
    "/api/users/x/role",
    "/api/freeze",
    "/api/incidents/x/cancel",
    "/api/users/x/tokens",
    "/api/users/x/link",
]
DELETES = [
    "/api/freeze",
    "/api/silences/x",
    "/api/chat/x",
    "/api/users/x",
    "/api/users/x/tokens/x",
    "/api/users/x/identities/x",
]


@pytest.mark.parametrize("path", OPEN)
async def test_open_paths_need_nothing(path: str, opened: Opener) -> None:
    assert (await (await opened(token="")).get(path)).status_code == 200


@pytest.mark.parametrize("token", ["", "wrong", TOKEN + "x", TOKEN[:-1]])
@pytest.mark.parametrize("path", [*API, *WRITES])
async def test_the_api_needs_the_right_token(path: str, token: str, opened: Opener) -> None:
    client = await opened(token=token)
    answer = await (client.post(path, json={}) if path in WRITES else client.get(path))
    assert answer.status_code == 401
    assert answer.headers["WWW-Authenticate"].startswith("Bearer")
    assert TOKEN not in answer.text


@pytest.mark.parametrize("path", DELETES)
async def test_nothing_is_ended_without_the_token(path: str, opened: Opener) -> None:
    assert (await (await opened(token="wrong")).delete(path)).status_code == 401


async def test_the_token_is_nothing_but_a_bearer_token(opened: Opener) -> None:
    client = await opened(token="")
    for header in (f"Basic {TOKEN}", TOKEN, f"Bearer {TOKEN} extra", "Bearer ", "Bearer \xff\xfe"):
        answer = await client.get("/api/incidents", headers={"Authorization": header.encode("latin-1")})
        assert answer.status_code == 401, header
    assert (await client.get("/api/incidents", headers={"Authorization": f"bearer {TOKEN}"})).status_code == 200


@pytest.mark.parametrize("path", PAGES)
async def test_pages_send_strangers_to_the_login(path: str, opened: Opener) -> None:
    answer = await (await opened(token="")).get(path)
    assert answer.status_code == 303
    assert answer.headers["Location"].startswith("/login")


def test_every_route_is_covered_by_these_tests() -> None:
    app = build_api(None)  # type: ignore[arg-type]  # never entered
    known = {
        *OPEN,
        *API,
        *PAGES,
        *WRITES,
        *SIGNED,
        "/logout",
        "/freeze",
        "/unfreeze",
        "/incidents/x/cancel",
        "/api/approvals/x",
        "/incidents/x/answer",
        "/chat/x/clear",
        *DELETES,
    }
    paths = {
        route.path.replace("{incident_id}", "x")
        .replace("{approval_id}", "x")
        .replace("{choice}", "approve")
        .replace("{silence_id}", "x")
        .replace("{alert_id}", "x")
        .replace("{name}", "x")
        .replace("{conversation_id}", "x")
        .replace("{token_id}", "x")
        .replace("{identity}", "x")
        .replace("{channel}", "slack")
        for route in _routes(app)
    }
    assert {"/health", "/api/incidents", "/"} <= paths, "the routes were found"
    assert paths <= known, "a new route: say above who may use it"


def _routes(app: object) -> list[Route]:
    found: list[Route] = []
    for route in getattr(app, "routes", ()):
        inner = getattr(route, "original_router", None)
        found += _routes(inner) if inner is not None else [route] if isinstance(route, Route) else []
    return found


async def test_logging_in_gives_a_session_that_opens_the_console(opened: Opener) -> None:
    client = await opened(token="")
    answer = await client.post("/login", data={"token": TOKEN, "next": "/incidents/x"})
    assert (answer.status_code, answer.headers["Location"]) == (303, "/incidents/x")
    cookie = answer.headers["Set-Cookie"].lower()
    assert "httponly" in cookie
    assert "samesite=strict" in cookie
    assert TOKEN not in answer.headers["Set-Cookie"]
    assert (await client.get("/")).status_code == 200
    assert (await client.get("/api/incidents")).status_code == 200


async def test_the_cookie_is_secure_behind_tls(opened: Opener) -> None:
    client = await opened(token="")
    answer = await client.post("/login", data={"token": TOKEN}, headers={"X-Forwarded-Proto": "https"})
    assert "secure" in answer.headers["Set-Cookie"].lower()


async def test_a_wrong_token_does_not_log_in(opened: Opener) -> None:
    client = await opened(token="")
    answer = await client.post("/login", data={"token": "guess"})
    assert answer.status_code == 401
    assert "Set-Cookie" not in answer.headers
    assert "guess" not in answer.text
    assert (await client.get("/")).status_code == 303


async def test_the_printed_address_logs_in_and_leaves_the_address_bar(opened: Opener) -> None:
    client = await opened(token="")
    answer = await client.get("/login", params={"token": TOKEN})
    assert (answer.status_code, answer.headers["Location"]) == (303, "/")
    assert (await client.get("/")).status_code == 200


@pytest.mark.parametrize(
    "goal", ["https://evil.test/", "//evil.test", "/\\evil.test", "javascript:alert(1)", "/a\r\nX: y"]
)
async def test_the_login_leads_nowhere_else(goal: str, opened: Opener) -> None:
    client = await opened(token="")
    assert (await client.post("/login", data={"token": TOKEN, "next": goal})).headers["Location"] == "/"


async def test_a_session_ends(house: House, browser: httpx2.AsyncClient) -> None:
    house.clock.at += timedelta(seconds=house.limits.session_s + 1)
    assert (await browser.get("/api/incidents")).status_code == 401


async def test_a_session_cannot_be_made_or_prolonged_without_the_key(house: House, browser: httpx2.AsyncClient) -> None:
    real = browser.cookies[COOKIE]
    expires, nonce, token_id, signature = real.split(".")
    assert token_id == ""
    for forged in (
        f"{int(expires) + 9999}.{nonce}..{signature}",
        f"{expires}.{nonce}..{'0' * 64}",
        f"{expires}.{nonce}.another-token.{signature}",
        f"{expires}.{nonce}.{signature}",
        "a.b.c",
        "..",
        real[:-1],
    ):
        browser.cookies.set(COOKIE, forged)
        browser.cookies.clear()
        answer = await browser.get("/api/incidents", headers={"Cookie": f"{COOKIE}={forged}"})
        assert answer.status_code == 401, forged


async def csrf_of(browser: httpx2.AsyncClient) -> str:
    page = (await browser.get("/")).text
    return page.split('name="csrf" value="')[1].split('"')[0]


async def test_a_sessions_writes_need_its_csrf_token(house: House, browser: httpx2.AsyncClient) -> None:
    await scenes.told(house.store.journal, "i-1", scenes.opened(), scenes.diagnosed(), scenes.asked())
    path = f"/api/approvals/{scenes.APPROVAL}/approve"
    token = await csrf_of(browser)
    for headers in ({}, {"X-CSRF-Token": "x"}, {"X-CSRF-Token": token, "Origin": "https://evil.test"}):
        answer = await browser.post(path, json={}, headers=headers)
        assert answer.status_code == 403, headers
    assert await house.store.clicks.pending() == ()
    good = {"X-CSRF-Token": token, "Origin": "http://midwatch.test"}
    assert (await browser.post(path, json={}, headers=good)).status_code == 202
    (click,) = await house.store.clicks.pending()
    assert (click.user, click.channel) == ("console:operator", "console")


async def test_the_consoles_form_needs_it_too(house: House, browser: httpx2.AsyncClient) -> None:
    incident = await scenes.told(house.store.journal, "i-1", scenes.opened(), scenes.diagnosed(), scenes.asked())
    form = {"approval": scenes.APPROVAL, "choice": "approve", "digest": scenes.DIGEST}
    path = f"/incidents/{incident.id}/answer"
    assert (await browser.post(path, data=form)).status_code == 403
    assert (await browser.post(path, data={**form, "csrf": "x" * 64})).status_code == 403
    assert await house.store.clicks.pending() == ()
    answer = await browser.post(path, data={**form, "csrf": await csrf_of(browser)})
    assert (answer.status_code, answer.headers["Location"]) == (303, path.removesuffix("/answer"))
    assert len(await house.store.clicks.pending()) == 1


async def test_logging_out_needs_it_and_ends_the_session(browser: httpx2.AsyncClient) -> None:
    assert (await browser.post("/logout", data={"csrf": "no"})).status_code == 403
    assert (await browser.get("/")).status_code == 200
    assert (await browser.post("/logout", data={"csrf": await csrf_of(browser)})).status_code == 303
    assert (await browser.get("/")).status_code == 303


async def test_one_sessions_csrf_token_is_not_anothers(opened: Opener) -> None:
    mine, theirs = await opened(token=""), await opened(token="")
    for client in (mine, theirs):
        await client.post("/login", data={"token": TOKEN})
    assert await csrf_of(mine) != await csrf_of(theirs)
    assert (await mine.post("/logout", data={"csrf": await csrf_of(theirs)})).status_code == 403


@pytest.mark.parametrize(
    "path", ["/", "/login", "/health", "/api/incidents", "/static/midwatch.js", "/nowhere", "/incidents/x"]
)
async def test_every_answer_carries_the_security_headers(path: str, opened: Opener) -> None:
    headers = (await (await opened()).get(path)).headers
    policy = headers["Content-Security-Policy"]
    assert "default-src 'none'" in policy
    assert "script-src 'self'" in policy
    assert "unsafe" not in policy
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert headers["X-Frame-Options"] == "DENY"


async def test_pages_have_neither_inline_script_nor_style(house: House, browser: httpx2.AsyncClient) -> None:
    incident = await scenes.told(house.store.journal, "i-1", scenes.opened(), scenes.diagnosed(), scenes.asked())
    for path in ("/", "/login", f"/incidents/{incident.id}"):
        page = (await browser.get(path)).text
        assert "style=" not in page
        assert "<style" not in page
        assert " onclick" not in page
        assert "hx-on" not in page
        assert all("src=" in tag for tag in page.split("<script")[1:])
        assert "http://" not in page
        assert "https://" not in page


async def test_a_client_that_asks_too_often_is_told_to_wait(house: House, opened: Opener) -> None:
    house.change(limits=house.limits.__class__(requests_per_minute=5))
    client = await opened()
    answers = [await client.get("/api/incidents") for _ in range(6)]
    assert [answer.status_code for answer in answers] == [200] * 5 + [429]
    assert int(answers[-1].headers["Retry-After"]) >= 1
    assert (await client.get("/health")).status_code == 200, "probes are not limited"
    house.clock.at += timedelta(seconds=12)
    assert (await client.get("/api/incidents")).status_code == 200


async def test_guessing_the_token_is_slow(house: House, opened: Opener) -> None:
    house.change(limits=house.limits.__class__(requests_per_minute=5))
    client = await opened(token="")
    answers = [(await client.post("/login", data={"token": f"guess-{n}"})).status_code for n in range(7)]
    assert answers == [401] * 5 + [429] * 2


async def test_an_internal_error_shows_nothing_of_itself(house: House, opened: Opener) -> None:
    async def crash() -> bytes:
        raise RuntimeError(f"cannot reach postgresql://midwatch:hunter2@db, token={TOKEN}")

    house.change(scrape=crash)
    answer = await (await opened(raise_errors=False)).get("/metrics")
    assert answer.status_code == 500
    assert answer.headers["content-type"] == "application/problem+json"
    assert "hunter2" not in answer.text
    assert TOKEN not in answer.text
    assert "RuntimeError" not in answer.text


async def test_a_store_that_is_away_is_503_everywhere(house: House, opened: Opener) -> None:
    client = await opened()
    house.break_store()
    for path in ("/", "/incidents/x", "/api/incidents", "/api/incidents/x", "/api/signals", "/api/approvals"):
        answer = await client.get(path)
        assert answer.status_code == 503, path
        assert answer.headers["Retry-After"] == "3"
        assert "hunter2" not in answer.text


async def test_unknown_paths_and_methods_are_problems_too(api: httpx2.AsyncClient) -> None:
    for answer, status in ((await api.get("/nowhere"), 404), (await api.delete("/api/incidents"), 405)):
        assert answer.status_code == status
        assert answer.json()["status"] == status
    assert urlsplit((await api.get("/nowhere")).json()["type"]).scheme == "urn"
