"""The chat at the edge: stored, rung for, read as it grows, one's own alone."""

import asyncio
from datetime import timedelta

import httpx2
import msgspec

from midwatch.domain.users import Role
from midwatch.services.conversations import ChatMessage, MessageState, Speaker
from serve.chatting import follow
from tests.unit.edge.conftest import House, Opener
from tests.unit.edge.test_access import csrf_of


async def answered(house: House, text: str, state: MessageState = MessageState.DONE) -> ChatMessage:
    """The chat's part: take what waits and answer it."""
    for _ in range(200):
        held = await house.store.conversations.claim("console", now=house.clock.now(), ttl=timedelta(seconds=60))
        if held:
            break
        await asyncio.sleep(0)
    (question,) = held
    reply = msgspec.structs.replace(
        question, id=f"r-{question.id}", speaker=Speaker.ASSISTANT, state=state, text=text, reply_to=question.id
    )
    await house.store.conversations.answer(reply)
    return question


async def test_a_program_asks_and_is_answered(house: House, api: httpx2.AsyncClient) -> None:
    asking = asyncio.create_task(api.post("/api/chat", json={"text": "pods in shop"}))
    question = await answered(house, "2 pods")
    told = (await asking).json()
    assert (told["answer"], told["state"], told["question"]) == ("2 pods", "done", question.id)
    assert question.author == "console:operator"
    assert house.bells.rung == ["changed"]
    again = asyncio.create_task(api.post("/api/chat", json={"text": "more", "conversation": told["conversation"]}))
    assert (await answered(house, "3 pods")).conversation == told["conversation"]
    assert (await again).status_code == 200
    whole = (await api.get(f"/api/chat/{told['conversation']}")).json()
    assert [message["text"] for message in whole["messages"]] == ["pods in shop", "2 pods", "more", "3 pods"]
    assert len((await api.get("/api/chat")).json()["conversations"]) == 1
    assert (await api.delete(f"/api/chat/{told['conversation']}")).json() == {"forgotten": 4}


async def test_an_answer_that_takes_long_is_202(api: httpx2.AsyncClient) -> None:
    answer = await api.post("/api/chat", json={"text": "why?"})
    assert (answer.status_code, answer.json()["state"]) == (202, "waiting")


async def test_what_is_no_question_is_refused(api: httpx2.AsyncClient) -> None:
    for body in ({"text": ""}, {"text": " \0 "}, {"text": "x" * 5000}, {"txt": "x"}, [], {"text": 1}):
        assert (await api.post("/api/chat", json=body)).status_code == 422, body
    assert (await api.post("/api/chat", json={"text": "x", "conversation": "nowhere"})).status_code == 404


async def test_anothers_conversation_is_not_there(house: House, api: httpx2.AsyncClient, opened: Opener) -> None:
    told = (await api.post("/api/chat", json={"text": "secret plans"})).json()
    await house.edge.users.add("eve", Role.ADMIN)
    eve = await opened(token=(await house.edge.users.new_token("eve"))[1])
    for path in (f"/api/chat/{told['conversation']}", f"/chat?c={told['conversation']}"):
        assert (await eve.get(path)).status_code == 404, path
    assert (await eve.get(f"/chat/{told['conversation']}/live")).status_code == 404
    assert (await eve.delete(f"/api/chat/{told['conversation']}")).status_code == 404
    body = {"text": "mine now", "conversation": told["conversation"]}
    assert (await eve.post("/api/chat", json=body)).status_code == 404
    assert (await eve.get("/api/chat")).json() == {"conversations": []}


async def test_the_page_shows_what_was_said_escaped(house: House, browser: httpx2.AsyncClient) -> None:
    assert "Ask about the cluster" in (await browser.get("/chat")).text
    csrf = await csrf_of(browser)
    said = await browser.post("/chat", data={"csrf": csrf, "text": "<script>pods</script>"})
    assert said.status_code == 303
    await answered(house, "All well:\n```\n<b>web-1</b>\n```\nbye")
    page = (await browser.get(said.headers["Location"])).text
    assert "&lt;script&gt;pods" in page
    assert "<pre>&lt;b&gt;web-1&lt;/b&gt;</pre>" in page
    assert "<script>pods" not in page
    assert (await browser.get("/chat")).text.count("web-1") == 1, "the one that is going on"
    assert (await browser.post("/chat", data={"text": "x"})).status_code == 403


async def test_a_conversation_ends_by_silence(house: House, browser: httpx2.AsyncClient) -> None:
    csrf = await csrf_of(browser)
    first = (await browser.post("/chat", data={"csrf": csrf, "text": "one"})).headers["Location"]
    house.clock.at += timedelta(seconds=house.limits.chat_session_s - 1)
    form = {"csrf": csrf, "text": "two", "conversation": first.partition("c=")[2]}
    assert (await browser.post("/chat", data=form)).headers["Location"] == first
    house.clock.at += timedelta(seconds=house.limits.chat_session_s + 1)
    assert "Ask about the cluster" in (await browser.get("/chat")).text
    assert "is over" in (await browser.get(first)).text
    third = (await browser.post("/chat", data=form)).headers["Location"]
    assert third != first
    cleared = await browser.post(f"/chat/{third.partition('c=')[2]}/clear", data={"csrf": csrf})
    assert cleared.headers["Location"] == third


async def test_an_answer_is_followed_as_it_grows(house: House, api: httpx2.AsyncClient) -> None:
    told = (await api.post("/api/chat", json={"text": "why?"})).json()
    updates = follow(house.edge, told["conversation"], "console:operator")
    first = await anext(updates)
    assert first is not None
    assert first.waiting
    question = await answered(house, "Beca", MessageState.WRITING)
    second = await anext(updates)
    assert second is not None
    assert [message.text for message in second.messages] == ["why?", "Beca"]
    assert question.id == told["question"]
    await updates.aclose()
