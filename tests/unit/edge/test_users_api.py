"""Users by API, and what each role opens."""

import httpx2
import pytest

from midwatch.domain.users import Role
from tests.unit.edge import scenes
from tests.unit.edge.conftest import House, Opener

SILENCE = {"match": {"namespaces": ["shop"]}, "ends_at": "2026-11-21T09:00:00Z"}
APPROVE = f"/api/approvals/{scenes.APPROVAL}/approve"


async def personal(house: House, name: str, role: Role) -> str:
    await house.edge.users.add(name, role)
    return (await house.edge.users.new_token(name))[1]


async def test_a_user_is_made_known_and_removed(api: httpx2.AsyncClient, opened: Opener) -> None:
    made = await api.post("/api/users", json={"name": "alice", "role": "approver", "title": "Alice M."})
    assert (made.status_code, made.json()["role"]) == (201, "approver")
    assert (await api.post("/api/users", json={"name": "alice"})).status_code == 409
    secret = (await api.post("/api/users/alice/tokens", json={"label": "laptop"})).json()["token"]
    (shown,) = (await api.get("/api/users")).json()["users"]
    assert (shown["name"], shown["tokens"][0]["label"]) == ("alice", "laptop")
    assert secret not in (await api.get("/api/users")).text
    hers = await opened(token=secret)
    assert (await hers.get("/api/me")).json() == {"user": "user:alice", "role": "approver"}
    assert (await api.post("/api/users/alice/role", json={"role": "viewer"})).json()["role"] == "viewer"
    assert (await hers.get("/api/me")).json()["role"] == "viewer"
    assert (await api.delete("/api/users/alice")).status_code == 200
    assert (await hers.get("/api/me")).status_code == 401
    assert (await api.get("/api/users")).json() == {"users": []}


async def test_a_token_is_revoked_and_its_sessions_end(house: House, api: httpx2.AsyncClient, opened: Opener) -> None:
    secret = await personal(house, "alice", Role.VIEWER)
    browser = await opened(token="")
    assert (await browser.post("/login", data={"token": secret})).status_code == 303
    page = (await browser.get("/")).text
    assert '<span class="who" title="Logged in">alice</span>' in page
    token_id = (await api.get("/api/users")).json()["users"][0]["tokens"][0]["id"]
    assert secret not in str(browser.cookies)
    assert (await api.delete(f"/api/users/alice/tokens/{token_id}")).status_code == 200
    assert (await browser.get("/")).status_code == 303
    assert (await api.delete(f"/api/users/alice/tokens/{token_id}")).status_code == 404


@pytest.mark.parametrize(
    ("role", "looks", "silences", "approves", "manages"),
    [
        (Role.VIEWER, 200, 403, 403, 403),
        (Role.OPERATOR, 200, 201, 403, 403),
        (Role.APPROVER, 200, 201, 202, 403),
        (Role.ADMIN, 200, 201, 202, 200),
    ],
)
async def test_each_role_opens_what_it_should(
    house: House, opened: Opener, role: Role, looks: int, silences: int, approves: int, manages: int
) -> None:
    await scenes.told(house.store.journal, "i-1", scenes.opened(), scenes.diagnosed(), scenes.asked())
    client = await opened(token=await personal(house, "alice", role))
    for path in ("/api/incidents", "/api/approvals", "/api/silences", "/api/signals", "/"):
        assert (await client.get(path)).status_code == looks, path
    assert (await client.post("/api/silences", json=SILENCE)).status_code == silences
    alert = await client.post("/alerts", json={"alert_type": "PodCrash", "message": "x", "namespace": "shop"})
    assert (alert.status_code == 403) == (role is Role.VIEWER), alert.text
    assert (await client.post(APPROVE, json={})).status_code == approves
    assert [click.user for click in await house.store.clicks.pending()] == ["user:alice"] * (approves == 202)
    assert (await client.get("/api/users")).status_code == manages
    for path in ("/api/users/alice/role", "/api/users/bob/tokens", "/api/users/bob/link"):
        answer = await client.post(path, json={"role": "admin"} if path.endswith("role") else {})
        assert (answer.status_code == 403) == (role is not Role.ADMIN), path
    assert ((await client.delete("/api/users/bob")).status_code == 403) == (role is not Role.ADMIN)


async def test_a_viewer_cannot_approve_from_the_console(house: House, opened: Opener) -> None:
    incident = await scenes.told(house.store.journal, "i-1", scenes.opened(), scenes.diagnosed(), scenes.asked())
    client = await opened(token=await personal(house, "vera", Role.VIEWER))
    form = {"approval": scenes.APPROVAL, "choice": "approve", "digest": scenes.DIGEST}
    answer = await client.post(f"/incidents/{incident.id}/answer", data=form, headers={"HX-Request": "true"})
    assert answer.status_code == 403
    assert "needs the role approver" in answer.text
    assert await house.store.clicks.pending() == ()


async def test_a_viewer_cannot_end_a_silence(house: House, api: httpx2.AsyncClient, opened: Opener) -> None:
    made = (await api.post("/api/silences", json=SILENCE)).json()
    viewer = await opened(token=await personal(house, "vera", Role.VIEWER))
    assert (await viewer.delete(f"/api/silences/{made['id']}")).status_code == 403


async def test_a_code_for_oneself_needs_no_admin(house: House, opened: Opener) -> None:
    client = await opened(token=await personal(house, "vera", Role.VIEWER))
    code = (await client.post("/api/users/vera/link")).json()["code"]
    person = await house.edge.users.redeem(code, "slack:U1")
    assert person is not None
    assert person.user == "user:vera"


async def test_the_audit_trail_names_the_admin_and_the_reason(
    house: House, api: httpx2.AsyncClient, opened: Opener
) -> None:
    root = await opened(token=await personal(house, "root", Role.ADMIN))
    before = len(await house.store.audit.rows())
    await root.post("/api/users", json={"name": "alice", "reason": "joined"})
    await root.post("/api/users/alice/role", json={"role": "approver", "reason": "on call"})
    token = (await root.post("/api/users/alice/tokens", json={"reason": "laptop"})).json()["id"]
    await root.delete(f"/api/users/alice/tokens/{token}?reason=lost")
    code = (await root.post("/api/users/alice/link")).json()["code"]
    await house.edge.users.redeem(code, "slack:U1")
    await root.delete("/api/users/alice/identities/slack:U1?reason=left+Slack")
    await root.delete("/api/users/alice?reason=left")
    shown = (await api.get("/api/audit")).json()["rows"]
    rows = await house.store.audit.rows(after=before)
    assert len(shown) == before + len(rows), "and the API shows them"
    assert [(row.record.what, row.record.who, row.record.why) for row in rows] == [
        ("user-made", "user:root", "joined"),
        ("role-changed", "user:root", "on call"),
        ("token-made", "user:root", "laptop"),
        ("token-revoked", "user:root", "lost"),
        ("link-code-made", "user:root", ""),
        ("identity-linked", "slack:U1", "link code"),
        ("identity-unlinked", "user:root", "left Slack"),
        ("user-removed", "user:root", "left"),
    ]


@pytest.mark.parametrize("body", [b"", b"[]", b"{}", b'{"name":"a","role":"king"}', b'{"name":"a","x":1}', b"\xff"])
async def test_what_is_no_user_is_refused(api: httpx2.AsyncClient, body: bytes) -> None:
    answer = await api.post("/api/users", content=body, headers={"Content-Type": "application/json"})
    assert answer.status_code == 422
