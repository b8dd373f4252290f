"""Ports of the chat: conversations and messages as rows, and sessions as a cache beside them."""

from datetime import datetime, timedelta
from enum import StrEnum
from typing import Protocol

import msgspec


class Speaker(StrEnum):
    USER = "user"
    ASSISTANT = "assistant"


class MessageState(StrEnum):
    """``waiting``: a question without an answer; ``writing``: an answer that still grows; ``done``: the rest."""

    WAITING = "waiting"
    WRITING = "writing"
    DONE = "done"


class Conversation(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What is said in one thread of one channel. ``owner`` began it; ``incident`` is what it is about, if anything.

    ``model`` is the model chosen for it, empty for the person's own choice.
    """

    id: str
    channel: str
    thread: str
    owner: str
    created_at: datetime
    updated_at: datetime
    incident: str = ""
    title: str = ""
    model: str = ""


class ChatMessage(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One thing said. ``reply_to`` is the question that an answer belongs to; a question has one answer at most.

    ``author`` is the person's own name; ``place`` is where the channel wants the answer, in the channel's own form.
    """

    id: str
    conversation: str
    channel: str
    speaker: Speaker
    state: MessageState
    text: str
    at: datetime
    author: str = ""
    place: str = ""
    model: str = ""
    reply_to: str = ""
    attempts: int = 0


class Conversations(Protocol):
    """What was said, kept before it is answered."""

    async def open(self, wanted: Conversation) -> Conversation:
        """The conversation of this channel and thread; ``wanted`` itself where there was none."""
        ...

    async def find(self, conversation_id: str) -> Conversation:
        """``NotFound`` for an unknown id."""
        ...

    async def owned(self, owner: str, *, channel: str, limit: int = 50) -> tuple[Conversation, ...]:
        """Conversations that ``owner`` began in a channel, newest change first."""
        ...

    async def change(self, conversation: Conversation) -> None:
        """Write title, model, incident and ``updated_at``."""
        ...

    async def clear(self, conversation_id: str) -> int:
        """Forget every message that is not waiting; how many there were."""
        ...

    async def ask(self, question: ChatMessage) -> bool:
        """Commit a question, once by its id; ``False`` for a repeat."""
        ...

    async def claim(
        self, channel: str, *, now: datetime, ttl: timedelta, limit: int = 10, only: str = ""
    ) -> tuple[ChatMessage, ...]:
        """Waiting questions that nobody answers now, oldest first, held until ``now + ttl``; of one id with ``only``.

        ``attempts`` counts the claims, this one included.
        """
        ...

    async def release(self, channel: str) -> int:
        """Free every claim of a channel: its only answerer has just started."""
        ...

    async def answer(self, answer: ChatMessage) -> bool:
        """Write an answer, or as much of it as there is. Once ``done`` it stands, and the question is done with it.

        ``False`` when another answer stands already, or the question is gone.
        """
        ...

    async def reply(self, question_id: str) -> ChatMessage | None:
        """The answer to a question, as far as there is one."""
        ...

    async def history(
        self, conversation_id: str, *, limit: int = 50, since: datetime | None = None
    ) -> tuple[ChatMessage, ...]:
        """The last messages, oldest first; an answer right after its question."""
        ...


class Session(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What is remembered between two messages, for minutes. ``pending`` is a question that lacked ``namespace`` or the
    like, as it was put; ``namespace`` and ``cluster`` are the last ones spoken of; ``since`` is when the session began.
    """

    channel: str
    conversation: str
    since: datetime
    model: str = ""
    namespace: str = ""
    pending: str = ""
    cluster: str = ""


class Sessions(Protocol):
    """A cache: while it is away everybody has no session, and nothing raises."""

    async def get(self, key: str) -> Session | None: ...

    async def put(self, key: str, session: Session) -> None:
        """Keep it, its time beginning anew."""
        ...

    async def drop(self, key: str) -> None: ...
