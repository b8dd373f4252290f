"""Replies: once, in place, in order, and never lost to a passing trouble."""

import asyncio
from datetime import timedelta

from midwatch.domain.errors import Permanent, Transient
from midwatch.services.messaging import IncomingMessage, OutgoingReply, Place, Stream
from midwatch.services.pacing import unlimited
from midwatch.services.replying import Replying
from tests.fakes.runtime import NOON, ManualClock
from tests.fakes.stores import MemoryStore


class Chat:
    """Keeps every text by its id, and what was whispered."""

    name = "chat"

    def __init__(self) -> None:
        self.texts: dict[str, list[str]] = {}
        self.whispers: list[str] = []
        self.trouble: list[Exception] = []

    async def say(self, place: Place, text: str, ref: str = "") -> str:
        if self.trouble:
            raise self.trouble.pop(0)
        ref = ref or f"r{len(self.texts) + 1}"
        self.texts.setdefault(ref, []).append(text)
        return ref

    async def whisper(self, place: Place, channel_user: str, text: str) -> None:
        self.whispers.append(f"{channel_user}: {text}")


class Answers:
    """Says so far what it has, then the whole."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.trouble: list[Exception] = []
        self.private = False
        self.wait: asyncio.Event | None = None

    async def message(self, message: IncomingMessage, stream: Stream) -> OutgoingReply | None:
        self.asked.append(message.text)
        await stream("one")
        await stream("one two")
        if self.wait is not None:
            await self.wait.wait()
        if self.trouble:
            raise self.trouble.pop(0)
        return OutgoingReply(f"re: {message.text}", private=self.private)


class Room:
    def __init__(self) -> None:
        self.store, self.clock, self.chat, self.answers = MemoryStore(), ManualClock(), Chat(), Answers()
        pace = unlimited(self.clock.now())
        self.replying = Replying(self.store.arrivals, self.answers, self.chat, self.clock, pace)  # type: ignore[arg-type]

    async def hear(self, text: str, number: int = 1, conversation: str = "C1") -> None:
        await self.store.arrivals.put(
            IncomingMessage(
                id=f"m{number}",
                user_id="U1",
                channel_type="chat",
                text=text,
                at=self.clock.now() + timedelta(milliseconds=number),
                conversation=conversation,
            )
        )


async def test_an_answer_grows_in_one_message_and_is_given_once() -> None:
    room = Room()
    await room.hear("why?")
    assert await room.replying.drain() == 1
    assert await room.replying.drain() == 0
    assert room.chat.texts == {"r1": ["one", "re: why?"]}, "growth within two seconds waits for the next"


async def test_after_a_passing_trouble_the_same_message_is_edited() -> None:
    room = Room()
    room.answers.trouble = [Transient("the model is away", 2.0)]
    await room.hear("why?")
    assert await room.replying.drain() == 0
    assert await room.replying.drain() == 0, "not before its time"
    room.clock.advance(2)
    assert await room.replying.drain() == 1
    assert list(room.chat.texts) == ["r1"]
    assert room.chat.texts["r1"][-1] == "re: why?"


async def test_what_nobody_can_answer_is_given_up() -> None:
    room = Room()
    room.answers.trouble = [Permanent("no")]
    await room.hear("why?")
    await room.replying.drain()
    room.clock.advance(3600)
    assert await room.store.arrivals.pending("chat", now=room.clock.now()) == ()
    for _ in range(40):
        room.answers.trouble = [Transient("away", 1.0)]
        await room.hear("again?", 2)
        await room.replying.drain()
        room.clock.advance(30)
    assert await room.store.arrivals.pending("chat", now=room.clock.now()) == ()
    assert room.answers.asked.count("again?") <= 7


async def test_a_question_of_long_ago_is_not_answered_out_of_the_blue() -> None:
    room = Room()
    await room.hear("why?")
    room.clock.advance(31 * 60)
    assert await room.replying.drain() == 1
    assert room.chat.texts == {}


async def test_within_a_conversation_in_order_and_beside_the_others() -> None:
    room = Room()
    room.answers.wait = asyncio.Event()
    await room.hear("first", 1)
    await room.hear("second", 2)
    await room.hear("other", 3, conversation="C2")
    busy = asyncio.ensure_future(room.replying.drain())
    while len(room.answers.asked) < 2:
        await asyncio.sleep(0)
    assert room.answers.asked == ["first", "other"]
    assert await room.replying.drain() == 0, "both conversations are being answered"
    room.answers.wait.set()
    assert await busy == 3
    assert room.answers.asked == ["first", "other", "second"]


async def test_a_private_answer_is_whispered() -> None:
    room = Room()
    room.answers.private = True

    async def message(message: IncomingMessage, stream: Stream) -> OutgoingReply | None:
        return OutgoingReply("for you", private=True)

    room.answers.message = message  # type: ignore[method-assign]
    await room.hear("link ABC")
    await room.replying.drain()
    assert (room.chat.whispers, room.chat.texts) == (["U1: for you"], {})
    assert room.clock.now() == NOON
