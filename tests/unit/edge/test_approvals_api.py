"""Answers to approvals: stored before they are judged, judged by the broker, told to the one who asked."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import httpx2
import pytest

from midwatch.domain.approvals import Choice, Click
from tests.unit.edge import scenes
from tests.unit.edge.conftest import House

URL = f"/api/approvals/{scenes.APPROVAL}"


@pytest.fixture(autouse=True)
async def question(house: House) -> None:
    await scenes.told(house.store.journal, "i-1", scenes.opened(), scenes.diagnosed(), scenes.asked())


@asynccontextmanager
async def broker(house: House, outcome: str, sentence: str) -> AsyncIterator[list[Click]]:
    """Judges every click that is stored, as the approval broker would."""
    judged: list[Click] = []

    async def judge() -> None:
        while True:
            for click in await house.store.clicks.pending():
                judged.append(click)
                await house.store.clicks.settle(click.id, outcome=outcome, sentence=sentence)
            await asyncio.sleep(0)

    task = asyncio.create_task(judge())
    try:
        yield judged
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def test_what_is_asked_comes_with_its_plan(api: httpx2.AsyncClient) -> None:
    (asked,) = (await api.get("/api/approvals")).json()["approvals"]
    assert asked["id"] == scenes.APPROVAL
    assert asked["quorum"] == 1
    assert asked["confirm"] is True
    assert asked["incident"]["title"] == "checkout keeps crashing"
    assert asked["plan"]["steps"][0]["diff"].startswith("--- live")
    assert (await api.get(f"{URL[:-4]}")).json()["id"] == scenes.APPROVAL


@pytest.mark.parametrize("choice", ["approve", "confirm", "reject"])
async def test_an_answer_is_stored_then_judged(choice: str, house: House, api: httpx2.AsyncClient) -> None:
    async with broker(house, "approved", "Approved: Midwatch acts now.") as judged:
        answer = await api.post(f"{URL}/{choice}", json={"reason": "looks right", "digest": scenes.DIGEST})
    assert answer.status_code == 200
    assert answer.json()["outcome"] == "approved"
    assert answer.json()["sentence"] == "Approved: Midwatch acts now."
    (click,) = judged
    assert (click.choice, click.comment, click.user) == (Choice(choice), "looks right", "console:operator")
    assert (click.channel, click.digest, click.approval_id) == ("api", scenes.DIGEST, scenes.APPROVAL)
    assert house.bells.rung == ["clicks"]


async def test_an_answer_without_a_body_is_about_the_plan_of_that_approval(
    house: House, api: httpx2.AsyncClient
) -> None:
    async with broker(house, "approved", "Approved.") as judged:
        assert (await api.post(f"{URL}/approve")).status_code == 200
    assert judged[0].digest == scenes.DIGEST


@pytest.mark.parametrize(
    ("outcome", "status"),
    [
        ("approved", 200),
        ("rejected", 200),
        ("voted", 200),
        ("needs-confirmation", 200),
        ("repeated", 200),
        ("not-allowed", 403),
        ("expired", 409),
        ("stale", 409),
        ("void", 409),
        ("already-decided", 409),
    ],
)
async def test_the_status_says_whether_it_counted(
    outcome: str, status: int, house: House, api: httpx2.AsyncClient
) -> None:
    async with broker(house, outcome, "A sentence."):
        answer = await api.post(f"{URL}/approve", json={})
    assert (answer.status_code, answer.json()["sentence"]) == (status, "A sentence.")


async def test_while_the_broker_is_away_the_answer_is_kept(house: House, api: httpx2.AsyncClient) -> None:
    began = house.clock.now()
    answer = await api.post(f"{URL}/approve", json={})
    assert (answer.status_code, answer.json()["outcome"]) == (202, "pending")
    assert 0.9 < (house.clock.now() - began).total_seconds() < 1.5
    assert len(await house.store.clicks.pending()) == 1


@pytest.mark.parametrize(
    ("path", "content", "status"),
    [
        ("/api/approvals/ffffffff-dead/approve", b"{}", 404),
        (f"{URL}/maybe", b"{}", 422),
        (f"{URL}/approve", b"{", 422),
        (f"{URL}/approve", b'{"reson": "typo"}', 422),
        (f"{URL}/approve", b'{"reason": 7}', 422),
        (f"{URL}/approve", b'{"reason": "' + b"x" * 2001 + b'"}', 422),
        (f"{URL}/approve", b'{"reason": "' + b"x" * 70_000 + b'"}', 413),
    ],
)
async def test_a_bad_answer_stores_no_click(
    path: str, content: bytes, status: int, house: House, api: httpx2.AsyncClient
) -> None:
    answer = await api.post(path, content=content, headers={"Content-Type": "application/json"})
    assert answer.status_code == status
    assert await house.store.clicks.pending() == ()


async def test_answered_questions_are_listed_on_demand(house: House, api: httpx2.AsyncClient) -> None:
    incident = await house.store.journal.read((await house.store.journal.recent())[0].id)
    await scenes.carried_on(house.store.journal, incident, scenes.fixed())
    assert (await api.get("/api/approvals")).json()["approvals"] == []
    (done,) = (await api.get("/api/approvals", params={"all": 1})).json()["approvals"]
    assert (done["outcome"], done["decided_by"]) == ("approved", "console:operator")
