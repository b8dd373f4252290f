"""The chat as the edge takes part in it: questions are stored and rung for, answers are read as they grow."""

from collections.abc import AsyncIterator
from datetime import timedelta

import msgspec

from midwatch.domain.errors import Invalid, NotFound, Transient
from midwatch.services.chat.titles import title_of
from midwatch.services.conversations import ChatMessage, Conversation, MessageState, Speaker
from serve.dependencies import Edge

CHANNEL = "console"
LONGEST = 4000
_SHOWN = 60
_SLOW_AFTER_S = 120.0


class Talk(msgspec.Struct, frozen=True):
    """A conversation as it stands. ``over``: the next message begins another one."""

    conversation: Conversation
    messages: tuple[ChatMessage, ...]
    over: bool = False

    @property
    def waiting(self) -> bool:
        """Whether an answer is still to come."""
        return any(message.state is not MessageState.DONE for message in self.messages)


async def talk_of(edge: Edge, conversation_id: str, user: str) -> Talk:
    """One's own conversation. ``NotFound`` for anybody else's, as if there were none."""
    conversation = await edge.conversations.find(conversation_id)
    if conversation.owner != user or conversation.channel != CHANNEL:
        raise NotFound(f"there is no conversation {conversation_id[:40]}")
    messages = await edge.conversations.history(conversation.id, limit=_SHOWN)
    return Talk(conversation, messages, over=_over(edge, conversation))


async def latest(edge: Edge, user: str) -> Talk | None:
    """The conversation that is going on, if one is."""
    for conversation in await edge.conversations.owned(user, channel=CHANNEL, limit=1):
        if not _over(edge, conversation):
            return await talk_of(edge, conversation.id, user)
    return None


async def ask(edge: Edge, user: str, text: str, conversation_id: str = "") -> ChatMessage:
    """Store a question and ring for its answer. A conversation that is over is not gone on with: another begins."""
    text = text.replace("\0", "").strip()
    if not text:
        raise Invalid("ask something")
    if len(text) > LONGEST:
        raise Invalid(f"a message has at most {LONGEST} characters")
    now = edge.clock.now()
    talk = await talk_of(edge, conversation_id, user) if conversation_id else None
    if talk is None or talk.over:
        new = edge.ids.new()
        wanted = Conversation(
            id=new, channel=CHANNEL, thread=new, owner=user, title=title_of(text), created_at=now, updated_at=now
        )
        conversation = await edge.conversations.open(wanted)
    else:
        conversation = msgspec.structs.replace(talk.conversation, updated_at=now)
        await edge.conversations.change(conversation)
    question = ChatMessage(
        id=edge.ids.new(),
        conversation=conversation.id,
        channel=CHANNEL,
        speaker=Speaker.USER,
        state=MessageState.WAITING,
        text=text,
        at=now,
        author=user,
    )
    await edge.conversations.ask(question)
    edge.bells.changed()
    return question


async def answer_to(edge: Edge, question: str, *, within_s: float) -> ChatMessage | None:
    """The answer, once it is whole; what there is of it, or nothing, when that takes too long."""
    waited_s = 0.0
    while True:
        reply = await edge.conversations.reply(question)
        if (reply is not None and reply.state is MessageState.DONE) or waited_s >= within_s:
            return reply
        await edge.clock.sleep(edge.limits.poll_s)
        waited_s += edge.limits.poll_s


async def follow(edge: Edge, conversation_id: str, user: str) -> AsyncIterator[Talk | None]:
    """The conversation, again whenever it changed; ``None`` is a heartbeat. Ends when it is over, having said so."""
    shown: Talk | None = None
    quiet_s = still_s = 0.0
    while True:
        pause_s = edge.limits.poll_s * (5 if still_s > _SLOW_AFTER_S else 1)
        try:
            talk = await talk_of(edge, conversation_id, user)
            if talk != shown:
                shown, quiet_s, still_s = talk, 0.0, 0.0
                yield talk
            if talk.over and not talk.waiting:
                return
        except Transient as error:
            pause_s = max(pause_s, error.retry_in)
        await edge.clock.sleep(pause_s)
        quiet_s, still_s = quiet_s + pause_s, still_s + pause_s
        if quiet_s >= edge.limits.heartbeat_s:
            quiet_s = 0.0
            yield None


def _over(edge: Edge, conversation: Conversation) -> bool:
    return edge.clock.now() - conversation.updated_at > timedelta(seconds=edge.limits.chat_session_s)
