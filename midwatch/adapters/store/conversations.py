"""Conversations and messages in PostgreSQL."""

from datetime import datetime, timedelta

from sqlalchemy import Row, delete, func, or_, select, update
from sqlalchemy.dialects.postgresql import insert

from midwatch.adapters.store import tables as t
from midwatch.adapters.store.database import Database
from midwatch.domain.errors import NotFound
from midwatch.services.conversations import ChatMessage, Conversation, MessageState, Speaker

_c, _m = t.conversations.c, t.messages.c


class PostgresConversations:
    """See :class:`midwatch.services.conversations.Conversations`."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def open(self, wanted: Conversation) -> Conversation:
        row = {
            "id": wanted.id,
            "channel": wanted.channel,
            "thread": t.plain(wanted.thread),
            "owner": wanted.owner,
            "incident_id": wanted.incident,
            "title": t.plain(wanted.title),
            "model": t.plain(wanted.model),
            "created_at": wanted.created_at,
            "updated_at": wanted.updated_at,
        }
        here = select(t.conversations).where(_c.channel == wanted.channel, _c.thread == row["thread"])
        async with self._database.begin() as connection:
            await connection.execute(
                insert(t.conversations).values(row).on_conflict_do_nothing(index_elements=["channel", "thread"])
            )
            return _conversation((await connection.execute(here)).one())

    async def find(self, conversation_id: str) -> Conversation:
        query = select(t.conversations).where(_c.id == t.plain(conversation_id))
        async with self._database.begin() as connection:
            row = (await connection.execute(query)).first()
        if row is None:
            raise NotFound(f"there is no conversation {conversation_id[:40]}")
        return _conversation(row)

    async def owned(self, owner: str, *, channel: str, limit: int = 50) -> tuple[Conversation, ...]:
        mine = select(t.conversations).where(_c.owner == owner, _c.channel == channel)
        async with self._database.begin() as connection:
            rows = await connection.execute(mine.order_by(_c.updated_at.desc(), _c.id.desc()).limit(limit))
            return tuple(map(_conversation, rows))

    async def change(self, conversation: Conversation) -> None:
        changing = update(t.conversations).where(_c.id == conversation.id)
        async with self._database.begin() as connection:
            await connection.execute(
                changing.values(
                    title=t.plain(conversation.title),
                    model=t.plain(conversation.model),
                    incident_id=conversation.incident,
                    updated_at=conversation.updated_at,
                )
            )

    async def clear(self, conversation_id: str) -> int:
        forgetting = delete(t.messages).where(
            _m.conversation_id == conversation_id, _m.state != MessageState.WAITING.value
        )
        async with self._database.begin() as connection:
            return len((await connection.execute(forgetting.returning(_m.id))).all())

    async def ask(self, question: ChatMessage) -> bool:
        storing = insert(t.messages).values(_row(question)).on_conflict_do_nothing().returning(_m.id)
        async with self._database.begin() as connection:
            return (await connection.execute(storing)).first() is not None

    async def claim(
        self, channel: str, *, now: datetime, ttl: timedelta, limit: int = 10, only: str = ""
    ) -> tuple[ChatMessage, ...]:
        waiting = select(_m.id).where(
            _m.channel == channel, _m.state == "waiting", or_(_m.until.is_(None), _m.until <= now)
        )
        if only:
            waiting = waiting.where(_m.id == only)
        due = waiting.order_by(_m.at, _m.id).limit(limit).with_for_update(skip_locked=True)
        claiming = update(t.messages).where(_m.id.in_(due)).values(until=now + ttl, attempts=_m.attempts + 1)
        async with self._database.begin() as connection:
            rows = (await connection.execute(claiming.returning(*_m))).all()
        return tuple(sorted(map(_message, rows), key=lambda message: (message.at, message.id)))

    async def release(self, channel: str) -> int:
        freeing = update(t.messages).where(_m.channel == channel, _m.state == "waiting", _m.until.is_not(None))
        async with self._database.begin() as connection:
            return len((await connection.execute(freeing.values(until=None).returning(_m.id))).all())

    async def answer(self, answer: ChatMessage) -> bool:
        row = _row(answer)
        writing = insert(t.messages).values(row)
        text = {name: row[name] for name in ("state", "text", "at", "model")}
        growing = writing.on_conflict_do_update(index_elements=["reply_to"], set_=text, where=_m.state != "done")
        question = select(_m.id).where(_m.id == answer.reply_to).with_for_update()
        async with self._database.begin() as connection:
            if (await connection.execute(question)).first() is None:
                return False
            written = (await connection.execute(growing.returning(_m.id))).first() is not None
            if written and answer.state is MessageState.DONE:
                done = update(t.messages).where(_m.id == answer.reply_to)
                await connection.execute(done.values(state="done", until=None))
        return written

    async def reply(self, question_id: str) -> ChatMessage | None:
        async with self._database.begin() as connection:
            row = (await connection.execute(select(t.messages).where(_m.reply_to == question_id))).first()
        return _message(row) if row else None

    async def history(
        self, conversation_id: str, *, limit: int = 50, since: datetime | None = None
    ) -> tuple[ChatMessage, ...]:
        said = select(t.messages).where(_m.conversation_id == conversation_id)
        if since is not None:
            said = said.where(_m.at >= since)
        # An answer stands after its question even where both have the same time.
        newest = said.order_by(_m.at.desc(), func.coalesce(_m.reply_to, "").desc(), _m.id.desc()).limit(limit)
        async with self._database.begin() as connection:
            rows = (await connection.execute(newest)).all()
        return tuple(_message(row) for row in reversed(rows))


def _row(message: ChatMessage) -> dict[str, object]:
    return {
        "id": message.id,
        "conversation_id": message.conversation,
        "channel": message.channel,
        "role": str(message.speaker),
        "state": str(message.state),
        "text": t.plain(message.text),
        "at": message.at,
        "author": message.author,
        "place": t.plain(message.place),
        "model": t.plain(message.model),
        "reply_to": message.reply_to or None,
    }


def _message(row: Row[tuple[object, ...]]) -> ChatMessage:
    return ChatMessage(
        id=row.id,
        conversation=row.conversation_id,
        channel=row.channel,
        speaker=Speaker(row.role),
        state=MessageState(row.state),
        text=row.text,
        at=row.at,
        author=row.author,
        place=row.place,
        model=row.model,
        reply_to=row.reply_to or "",
        attempts=row.attempts,
    )


def _conversation(row: Row[tuple[object, ...]]) -> Conversation:
    return Conversation(
        id=row.id,
        channel=row.channel,
        thread=row.thread,
        owner=row.owner,
        created_at=row.created_at,
        updated_at=row.updated_at,
        incident=row.incident_id,
        title=row.title,
        model=row.model,
    )
