"""The page of people: an admin changes everybody, everybody else sees and links themselves, and secrets show once."""

import re

import httpx2
import pytest

from midwatch.domain.users import Role
from tests.unit.edge.conftest import House, Opener


def csrf_of(page: str) -> str:
    found = re.search(r'name="csrf" value="([0-9a-f]+)"', page)
    assert found
    return found[1]


async def send(browser: httpx2.AsyncClient, **form: str) -> httpx2.Response:
    page = (await browser.get("/people")).text
    return await browser.post("/people", data={"csrf": csrf_of(page), **form})


async def own_browser(house: House, opened: Opener, name: str, role: Role) -> httpx2.AsyncClient:
    """A browser of somebody who logged in with a token of their own."""
    users = house.edge.users
    await users.add(name, role)
    _, secret = await users.new_token(name)
    client = await opened(token="")
    answer = await client.post("/login", data={"token": secret, "next": "/people"})
    assert answer.status_code == 303
    return client


async def test_an_admin_makes_somebody_and_gives_them_another_role(house: House, browser: httpx2.AsyncClient) -> None:
    assert "Nobody yet but you" in (await browser.get("/people")).text
    assert (await send(browser, act="add", name="alice", role="viewer", title="<b>Alice</b>")).status_code == 303
    page = (await browser.get("/people")).text
    assert "&lt;b&gt;Alice" in page
    assert "<b>Alice" not in page
    assert (await send(browser, act="role", name="alice", role="approver")).status_code == 303
    assert (await house.edge.users.account("alice")).user.role is Role.APPROVER


async def test_a_token_is_shown_once_and_revoked(house: House, browser: httpx2.AsyncClient) -> None:
    await send(browser, act="add", name="alice", role="viewer")
    answer = await send(browser, act="token", name="alice", label="laptop")
    secret = re.search(r"<code>(mwu_[^<]+)</code>", answer.text)
    assert answer.status_code == 200
    assert secret
    assert answer.headers["Cache-Control"] == "no-store"
    assert await house.edge.users.bearer(secret[1])
    page = (await browser.get("/people")).text
    assert "laptop" in page
    assert secret[1] not in page
    (token,) = (await house.edge.users.account("alice")).tokens
    await send(browser, act="revoke", name="alice", token=token.id)
    assert await house.edge.users.bearer(secret[1]) is None


async def test_a_code_links_an_account_which_is_forgotten_again(house: House, browser: httpx2.AsyncClient) -> None:
    await send(browser, act="add", name="alice", role="viewer")
    answer = await send(browser, act="link", name="alice")
    code = re.search(r"<code>link ([^<]+)</code>", answer.text)
    assert code
    assert await house.edge.users.redeem(code[1], "slack:U1")
    assert "slack:U1" in (await browser.get("/people")).text
    await send(browser, act="unlink", name="alice", identity="slack:U1")
    assert (await house.edge.users.account("alice")).identities == ()


async def test_nobody_is_removed_by_a_slip(house: House, browser: httpx2.AsyncClient) -> None:
    await send(browser, act="add", name="alice", role="viewer")
    assert (await send(browser, act="remove", name="alice")).status_code == 422
    assert await house.edge.users.account("alice")
    assert (await send(browser, act="remove", name="alice", sure="yes")).status_code == 303
    assert await house.edge.users.all() == ()


@pytest.mark.parametrize(
    ("form", "status"),
    [
        ({"act": "add", "name": "Not A Name", "role": "viewer"}, 422),
        ({"act": "add", "name": "bob", "role": "king"}, 422),
        ({"act": "add", "name": "alice", "role": "viewer"}, 409),
        ({"act": "role", "name": "nobody", "role": "viewer"}, 404),
        ({"act": "revoke", "name": "alice", "token": "x"}, 404),
        ({"act": "unlink", "name": "alice", "identity": "slack:U9"}, 404),
        ({"act": "conquer"}, 422),
        ({}, 422),
    ],
    ids=["name", "role", "taken", "unknown", "token", "identity", "act", "nothing"],
)
async def test_what_cannot_be_is_said_on_the_page(
    form: dict[str, str], status: int, browser: httpx2.AsyncClient
) -> None:
    await send(browser, act="add", name="alice", role="viewer")
    answer = await send(browser, **form)
    assert answer.status_code == status
    assert 'role="alert"' in answer.text


async def test_a_form_of_another_page_changes_nothing(house: House, browser: httpx2.AsyncClient) -> None:
    form = {"act": "add", "name": "mallory", "role": "admin"}
    assert (await browser.post("/people", data=form)).status_code == 403
    assert (await browser.post("/people", data={**form, "csrf": "0" * 64})).status_code == 403
    page = (await browser.get("/people")).text
    foreign = await browser.post(
        "/people", data={**form, "csrf": csrf_of(page)}, headers={"Origin": "https://evil.example"}
    )
    assert foreign.status_code == 403
    assert await house.edge.users.all() == ()


@pytest.mark.parametrize("role", [Role.VIEWER, Role.OPERATOR, Role.APPROVER])
async def test_others_see_themselves_alone_and_link_their_own_account(role: Role, house: House, opened: Opener) -> None:
    await house.edge.users.add("alice", Role.ADMIN)
    own = await own_browser(house, opened, "bob", role)
    page = (await own.get("/people")).text
    assert "bob" in page
    assert "alice" not in page
    assert "Add somebody" not in page
    assert "<code>link " in (await send(own, act="link", name="bob")).text
    for form in (
        {"act": "link", "name": "alice"},
        {"act": "add", "name": "eve", "role": "admin"},
        {"act": "role", "name": "bob", "role": "admin"},
        {"act": "token", "name": "alice"},
        {"act": "remove", "name": "alice", "sure": "yes"},
    ):
        assert (await send(own, **form)).status_code == 403, form
    assert [account.user.role for account in await house.edge.users.all()] == [Role.ADMIN, role]


async def test_the_audit_trail_names_whoever_changed_something(house: House, opened: Opener) -> None:
    await house.edge.users.add("alice", Role.VIEWER)
    own = await own_browser(house, opened, "root.r", Role.ADMIN)
    before = len(await house.store.audit.rows())
    await send(own, act="add", name="bob", role="viewer")
    await send(own, act="role", name="alice", role="approver")
    await send(own, act="token", name="bob", label="laptop")
    await send(own, act="link", name="bob")
    await send(own, act="remove", name="bob", sure="yes")
    rows = (await house.store.audit.rows())[before:]
    assert len(rows) >= 5
    assert {row.record.who for row in rows} == {"user:root.r"}
