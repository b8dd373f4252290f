"""Questions are rows before they are answered, each is answered once, and what was said can be read and forgotten."""

import asyncio
from datetime import timedelta

import msgspec
import pytest

from midwatch.domain.errors import NotFound
from midwatch.services.conversations import ChatMessage, Conversation, MessageState, Speaker
from tests.contract.conftest import AnyStore
from tests.fakes.runtime import NOON, CountingIds

SECOND = timedelta(seconds=1)
TTL = timedelta(seconds=60)


async def a_conversation(
    store: AnyStore, ids: CountingIds, thread: str = "C1/t1", owner: str = "user:alice"
) -> Conversation:
    wanted = Conversation(
        id=ids.new(), channel="slack", thread=thread, owner=owner, created_at=NOON, updated_at=NOON, title="a\x00b"
    )
    return await store.conversations.open(wanted)


def question(ids: CountingIds, talk: Conversation, text: str = "why?", after: int = 0) -> ChatMessage:
    return ChatMessage(
        id=ids.new(),
        conversation=talk.id,
        channel=talk.channel,
        speaker=Speaker.USER,
        state=MessageState.WAITING,
        text=text,
        at=NOON + after * SECOND,
        author="slack:U1",
    )


def reply(ids: CountingIds, asked: ChatMessage, text: str, state: MessageState = MessageState.DONE) -> ChatMessage:
    return msgspec.structs.replace(
        asked, id=ids.new(), speaker=Speaker.ASSISTANT, state=state, text=text, author="midwatch", reply_to=asked.id
    )


async def test_a_thread_is_one_conversation(store: AnyStore, ids: CountingIds) -> None:
    talk = await a_conversation(store, ids)
    assert await a_conversation(store, ids) == await store.conversations.find(talk.id)
    other = await a_conversation(store, ids, thread="C1/t2")
    assert other.id != talk.id
    later = msgspec.structs.replace(talk, updated_at=NOON + SECOND, model="big", title="pods", incident="i-1")
    await store.conversations.change(later)
    assert await store.conversations.owned("user:alice", channel="slack") == (later, other)
    assert await store.conversations.owned("user:alice", channel="slack", limit=1) == (later,)
    assert await store.conversations.owned("user:bob", channel="slack") == ()
    with pytest.raises(NotFound):
        await store.conversations.find("nowhere")


async def test_a_question_is_kept_once_and_answered_once(store: AnyStore, ids: CountingIds) -> None:
    talk = await a_conversation(store, ids)
    asked = question(ids, talk)
    assert await store.conversations.ask(asked)
    assert not await store.conversations.ask(asked)
    (held,) = await store.conversations.claim("slack", now=NOON, ttl=TTL)
    assert (held.id, held.attempts) == (asked.id, 1)
    assert await store.conversations.claim("slack", now=NOON + 59 * SECOND, ttl=TTL) == ()
    assert await store.conversations.reply(asked.id) is None
    assert await store.conversations.answer(reply(ids, asked, "Beca", MessageState.WRITING))
    so_far = await store.conversations.reply(asked.id)
    assert so_far is not None
    assert (so_far.text, so_far.state) == ("Beca", MessageState.WRITING)
    assert await store.conversations.answer(reply(ids, asked, "Because."))
    assert not await store.conversations.answer(reply(ids, asked, "Another."))
    whole = await store.conversations.reply(asked.id)
    assert whole is not None
    assert (whole.text, whole.state) == ("Because.", MessageState.DONE)
    assert await store.conversations.claim("slack", now=NOON + 2 * TTL, ttl=TTL) == ()


async def test_what_a_dead_process_held_is_taken_up(store: AnyStore, ids: CountingIds) -> None:
    talk = await a_conversation(store, ids)
    first, second = question(ids, talk), question(ids, talk, after=1)
    for asked in (second, first):
        await store.conversations.ask(asked)
    assert await store.conversations.claim("telegram", now=NOON, ttl=TTL) == ()
    assert [item.id for item in await store.conversations.claim("slack", now=NOON, ttl=TTL)] == [first.id, second.id]
    assert [item.attempts for item in await store.conversations.claim("slack", now=NOON + TTL, ttl=TTL, limit=1)] == [2]
    assert await store.conversations.release("telegram") == 0
    assert await store.conversations.release("slack") == 2
    (only,) = await store.conversations.claim("slack", now=NOON + TTL, ttl=TTL, only=second.id)
    assert only.id == second.id


async def test_racing_answerers_share_the_questions(store: AnyStore, ids: CountingIds) -> None:
    talk = await a_conversation(store, ids)
    for number in range(8):
        await store.conversations.ask(question(ids, talk, after=number))
    claims = await asyncio.gather(*(store.conversations.claim("slack", now=NOON, ttl=TTL, limit=3) for _ in range(6)))
    taken = [item.id for claim in claims for item in claim]
    rest = await store.conversations.claim("slack", now=NOON, ttl=TTL)
    assert len({*taken, *(item.id for item in rest)}) == len(taken) + len(rest) == 8


async def test_history_is_told_in_order_and_forgotten(store: AnyStore, ids: CountingIds) -> None:
    talk = await a_conversation(store, ids)
    asked = [question(ids, talk, f"q{number}", after=number) for number in range(3)]
    for each in asked:
        await store.conversations.ask(each)
    for each in asked[:2]:
        await store.conversations.answer(reply(ids, each, f"a{each.text[1]}"))
    said = await store.conversations.history(talk.id)
    assert [item.text for item in said] == ["q0", "a0", "q1", "a1", "q2"]
    assert [item.text for item in await store.conversations.history(talk.id, limit=2)] == ["a1", "q2"]
    assert [item.text for item in await store.conversations.history(talk.id, since=NOON + SECOND)] == ["q1", "a1", "q2"]
    assert await store.conversations.clear(talk.id) == 4
    assert [item.text for item in await store.conversations.history(talk.id)] == ["q2"]
    assert not await store.conversations.answer(reply(ids, asked[0], "too late"))
