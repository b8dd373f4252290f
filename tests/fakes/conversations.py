"""Conversations and sessions in memory."""

import asyncio
from datetime import datetime, timedelta

import msgspec

from midwatch.domain.errors import NotFound
from midwatch.services.conversations import ChatMessage, Conversation, MessageState, Session


class MemoryConversations:
    """See :class:`midwatch.services.conversations.Conversations`."""

    def __init__(self) -> None:
        self._conversations: dict[str, Conversation] = {}
        self._messages: dict[str, ChatMessage] = {}
        self._until: dict[str, datetime] = {}

    async def open(self, wanted: Conversation) -> Conversation:
        await asyncio.sleep(0)
        for known in self._conversations.values():
            if (known.channel, known.thread) == (wanted.channel, wanted.thread):
                return known
        self._conversations[wanted.id] = wanted
        return wanted

    async def find(self, conversation_id: str) -> Conversation:
        await asyncio.sleep(0)
        if conversation_id not in self._conversations:
            raise NotFound(f"there is no conversation {conversation_id}")
        return self._conversations[conversation_id]

    async def owned(self, owner: str, *, channel: str, limit: int = 50) -> tuple[Conversation, ...]:
        await asyncio.sleep(0)
        mine = [item for item in self._conversations.values() if (item.owner, item.channel) == (owner, channel)]
        return tuple(sorted(mine, key=lambda item: (item.updated_at, item.id), reverse=True)[:limit])

    async def change(self, conversation: Conversation) -> None:
        await asyncio.sleep(0)
        self._conversations[conversation.id] = conversation

    async def clear(self, conversation_id: str) -> int:
        await asyncio.sleep(0)
        gone = [
            message.id
            for message in self._messages.values()
            if message.conversation == conversation_id and message.state is not MessageState.WAITING
        ]
        for message_id in gone:
            del self._messages[message_id]
        return len(gone)

    async def ask(self, question: ChatMessage) -> bool:
        await asyncio.sleep(0)
        if question.id in self._messages:
            return False
        self._messages[question.id] = question
        return True

    async def claim(
        self, channel: str, *, now: datetime, ttl: timedelta, limit: int = 10, only: str = ""
    ) -> tuple[ChatMessage, ...]:
        await asyncio.sleep(0)
        waiting = [
            message
            for message in self._messages.values()
            if message.channel == channel
            and message.state is MessageState.WAITING
            and self._until.get(message.id, now) <= now
            and only in ("", message.id)
        ]
        claimed = []
        for message in sorted(waiting, key=lambda message: (message.at, message.id))[:limit]:
            self._until[message.id] = now + ttl
            self._messages[message.id] = msgspec.structs.replace(message, attempts=message.attempts + 1)
            claimed.append(self._messages[message.id])
        return tuple(claimed)

    async def release(self, channel: str) -> int:
        await asyncio.sleep(0)
        held = [name for name in self._until if self._messages[name].channel == channel]
        held = [name for name in held if self._messages[name].state is MessageState.WAITING]
        for name in held:
            del self._until[name]
        return len(held)

    async def answer(self, answer: ChatMessage) -> bool:
        await asyncio.sleep(0)
        question, known = self._messages.get(answer.reply_to), await self.reply(answer.reply_to)
        if question is None or (known is not None and known.state is MessageState.DONE):
            return False
        answer = msgspec.structs.replace(answer, id=known.id) if known else answer
        self._messages[answer.id] = answer
        if answer.state is MessageState.DONE:
            self._messages[question.id] = msgspec.structs.replace(question, state=MessageState.DONE)
            self._until.pop(question.id, None)
        return True

    async def reply(self, question_id: str) -> ChatMessage | None:
        await asyncio.sleep(0)
        return next((message for message in self._messages.values() if message.reply_to == question_id), None)

    async def history(
        self, conversation_id: str, *, limit: int = 50, since: datetime | None = None
    ) -> tuple[ChatMessage, ...]:
        await asyncio.sleep(0)
        said = [
            message
            for message in self._messages.values()
            if message.conversation == conversation_id and (since is None or message.at >= since)
        ]
        return tuple(sorted(said, key=lambda message: (message.at, message.reply_to, message.id))[-limit:])


class MemorySessions:
    """Sessions that end when a test says so."""

    def __init__(self) -> None:
        self.kept: dict[str, Session] = {}

    async def get(self, key: str) -> Session | None:
        return self.kept.get(key)

    async def put(self, key: str, session: Session) -> None:
        self.kept[key] = session

    async def drop(self, key: str) -> None:
        self.kept.pop(key, None)
