"""The chat's desk: takes a message, finds out who speaks and what is wanted, and has it answered once."""

import asyncio
import hashlib
import logging
from datetime import timedelta
from typing import Final, Protocol

import msgspec

from midwatch.domain.errors import MidwatchError, Transient
from midwatch.domain.intents import Intent, Kind, intent_of
from midwatch.domain.masking import mask
from midwatch.domain.users import Person
from midwatch.services.chat.deciding import CHOICES, Deciding
from midwatch.services.chat.requesting import Requesting
from midwatch.services.chat.sight import LOOKS, Looking
from midwatch.services.chat.titles import title_of
from midwatch.services.chat.watch import Watchkeeping
from midwatch.services.chat.where import Place, Where
from midwatch.services.chat.words import FAILED, HELP, HELP_MODEL, NO_MODEL, NO_SCANNER, STRANGER
from midwatch.services.conversations import (
    ChatMessage,
    Conversation,
    Conversations,
    MessageState,
    Session,
    Sessions,
    Speaker,
)
from midwatch.services.linking import Linking
from midwatch.services.messaging import Incoming, IncomingMessage, OutgoingReply, Stream
from midwatch.services.runtime import Clock, Ids
from midwatch.services.users import Users

log = logging.getLogger(__name__)

CONSOLE: Final = "console"
_HELD: Final = timedelta(seconds=120)
"""How long one answer may take; after that the question may be answered by somebody else."""
_MOST_ATTEMPTS: Final = 3


class Talker(Protocol):
    """Answers what no keyword tells, with a model and read-only tools."""

    async def available(self) -> bool: ...

    async def answer(
        self,
        question: ChatMessage,
        conversation: Conversation,
        person: Person,
        session: Session,
        stream: Stream,
        *,
        cluster: str,
    ) -> str:
        """Text for a person, with the tools of one cluster. ``Transient`` or ``Permanent`` when no model can answer."""
        ...

    async def choose(self, name: str, conversation: Conversation, person: Person, *, always: bool) -> str:
        """Use another model; with an empty name only tell which is used."""
        ...


class Extra(Protocol):
    """Answers to intents that depend on what else is configured: freezes, security scans, who is on call."""

    async def answer(self, intent: Intent, person: Person) -> str: ...


class Helpers(msgspec.Struct, frozen=True, kw_only=True):
    """Who answers what. ``None`` and absent ones say so themselves."""

    where: Where
    looking: Looking
    watch: Watchkeeping
    deciding: Deciding
    requesting: Requesting
    talker: Talker | None = None
    extras: dict[Kind, Extra] = {}


class Chat:
    """Implements :meth:`midwatch.services.messaging.Incoming.message`, and drains what the console's edge stored."""

    def __init__(
        self,
        users: Users,
        conversations: Conversations,
        sessions: Sessions,
        helpers: Helpers,
        clock: Clock,
        ids: Ids,
        *,
        linking: Linking,
        approvals: Incoming | None = None,
    ) -> None:
        """``approvals`` answers approvals written in channels, by the channels' own rules of place."""
        self._users, self._conversations, self._sessions = users, conversations, sessions
        self._helpers, self._clock, self._ids, self._approvals = helpers, clock, ids, approvals
        self._linking = linking

    async def message(self, message: IncomingMessage, stream: Stream) -> OutgoingReply | None:
        """The answer to a message from a channel; the same again for a redelivery."""
        intent = intent_of(message.text)
        identity = f"{message.channel_type}:{message.user_id}"
        if intent.kind is Kind.LINK:
            return OutgoingReply(await self._linking.redeem(intent.name, identity), private=True)
        person = await self._users.find(identity)
        if person is None:
            return OutgoingReply(STRANGER, private=True) if message.direct or intent.kind is not Kind.CHAT else None
        if intent.kind in CHOICES and self._approvals is not None and intent.name:
            return await self._approvals.message(message, stream)
        question, conversation, new = await self._stored(message, person, identity)
        if not new:
            known = await self._conversations.reply(question.id)
            if known is not None and known.state is MessageState.DONE:
                return OutgoingReply(known.text)
        now = self._clock.now()
        held = await self._conversations.claim(message.channel_type, now=now, ttl=_HELD, only=question.id)
        if not held:
            raise Transient("this question is being answered already", 5.0)
        answer = await self._answered(held[0], stream, conversation, person)
        return OutgoingReply(answer.text)

    async def resume(self, channel: str) -> int:
        """Take up what a process that is gone had begun; how many questions that were."""
        return await self._conversations.release(channel)

    async def drain(self, channel: str) -> int:
        """Answer what waits in a channel whose questions are stored by others; how many were answered."""
        count = 0
        now = self._clock.now()
        while claimed := await self._conversations.claim(channel, now=now, ttl=_HELD, limit=4):
            await asyncio.gather(*(self._answered(question, _unseen) for question in claimed))
            count += len(claimed)
            now = self._clock.now()
        return count

    async def _stored(
        self, message: IncomingMessage, person: Person, identity: str
    ) -> tuple[ChatMessage, Conversation, bool]:
        """The question, its conversation, and whether it was not known before."""
        thread = "/".join((message.conversation, message.thread))
        now = self._clock.now()
        conversation = await self._conversations.open(
            Conversation(
                id=self._ids.new(),
                channel=message.channel_type,
                thread=thread,
                owner=person.user,
                created_at=now,
                updated_at=now,
                incident=message.incident or "",
                title=title_of(message.text),
            )
        )
        question = ChatMessage(
            id=message_id(message.channel_type, message.conversation, message.id),
            conversation=conversation.id,
            channel=message.channel_type,
            speaker=Speaker.USER,
            state=MessageState.WAITING,
            text=message.text,
            at=now,
            author=identity,
        )
        return question, conversation, await self._conversations.ask(question)

    async def _answered(
        self,
        question: ChatMessage,
        stream: Stream,
        conversation: Conversation | None = None,
        person: Person | None = None,
    ) -> ChatMessage:
        """Answer a claimed question and commit the answer; what grows is committed now and then on the way.

        ``conversation`` and ``person`` are looked up where they were not just read.
        """
        answer = ChatMessage(
            id=self._ids.new(),
            conversation=question.conversation,
            channel=question.channel,
            speaker=Speaker.ASSISTANT,
            state=MessageState.WRITING,
            text="",
            at=self._clock.now(),
            author="midwatch",
            reply_to=question.id,
        )

        async def growing(text: str) -> None:
            await self._conversations.answer(msgspec.structs.replace(answer, text=mask(text)))
            await stream(text)

        conversation = conversation or await self._conversations.find(question.conversation)
        text = await self._text(question, conversation, person, growing)
        done = msgspec.structs.replace(answer, text=mask(text), state=MessageState.DONE, at=self._clock.now())
        await self._conversations.answer(done)
        changed = msgspec.structs.replace(await self._conversations.find(conversation.id), updated_at=done.at)
        await self._conversations.change(changed)
        return done

    async def _text(
        self, question: ChatMessage, conversation: Conversation, person: Person | None, stream: Stream
    ) -> str:
        if question.attempts > _MOST_ATTEMPTS:
            return FAILED
        try:
            async with asyncio.timeout((_HELD * 0.9).total_seconds()):
                person = person or await self._users.find(question.author)
                if person is None:
                    return STRANGER
                return await self._wanted(question, conversation, person, stream)
        except TimeoutError:
            return "That took too long; I gave up. Ask for less at once."
        except Transient as error:
            log.warning("a question could not be answered", extra={"question": question.id, "error": error.message})
            return f"I cannot answer that now: {error.message[:300]}"
        except MidwatchError as error:
            return error.message[:600]
        except Exception:  # a person waits for a word; the defect is recorded
            log.exception("a question stumbled", extra={"question": question.id})
            return FAILED

    async def _wanted(self, question: ChatMessage, conversation: Conversation, person: Person, stream: Stream) -> str:
        key = f"{conversation.channel}:{conversation.thread}:{person.user}"
        session = await self._sessions.get(key) or Session(
            channel=conversation.channel, conversation=conversation.id, since=question.at
        )
        place = await self._helpers.where.of(question.text, conversation, session)
        intent = completed(intent_of(place.text), place.text, session)
        said, pending = await self._by_intent(intent, place, question, conversation, person, session, stream)
        if intent.kind is Kind.CLEAR:
            await self._sessions.drop(key)
        else:
            spoken_of = place.cluster if place.certain else session.cluster
            await self._sessions.put(key, msgspec.structs.replace(session, pending=pending, cluster=spoken_of))
        return said

    async def _by_intent(
        self,
        intent: Intent,
        place: Place,
        question: ChatMessage,
        conversation: Conversation,
        person: Person,
        session: Session,
        stream: Stream,
    ) -> tuple[str, str]:
        """The answer, and the question to be completed by the next message where a word was missing."""
        help_ = self._helpers
        if place.refusal and (intent.kind in LOOKS or intent.kind in (Kind.SCALE, Kind.RESTART)):
            return place.refusal, ""
        if intent.kind in LOOKS:
            said = await help_.looking.answer(intent, place.cluster)
            told = f"(cluster {place.cluster}) {said.text}" if help_.where.many else said.text
            return told, place.text[:300] if said.unclear else ""
        if intent.kind in CHOICES:
            about = {"identity": question.author, "channel": question.channel, "message": question.id}
            return await help_.deciding.answer(intent, person, **about), ""
        if intent.kind in (Kind.SCALE, Kind.RESTART):
            return await help_.requesting.answer(intent, person, place, said=question.text), ""
        if (extra := help_.extras.get(intent.kind)) is not None:
            return await extra.answer(intent, person), ""
        return await self._plain(intent, place, question, conversation, person, session, stream), ""

    async def _plain(
        self,
        intent: Intent,
        place: Place,
        question: ChatMessage,
        conversation: Conversation,
        person: Person,
        session: Session,
        stream: Stream,
    ) -> str:
        watch, talker = self._helpers.watch, self._helpers.talker
        match intent.kind:
            case Kind.INCIDENTS:
                return await watch.incidents()
            case Kind.INCIDENT:
                return await watch.incident(intent.name)
            case Kind.APPROVALS:
                return await watch.approvals()
            case Kind.SILENCE:
                return await watch.silence(intent, person)
            case Kind.SILENCES:
                return await watch.silences()
            case Kind.UNSILENCE:
                return await watch.unsilence(intent.name, person)
            case Kind.LINK:
                return await self._linking.redeem(intent.name, question.author)
            case Kind.WHO_AM_I:
                return f"You are {person.user}, {person.role}. I know you as {', '.join(person.names)}."
            case Kind.CLEAR:
                forgotten = await self._conversations.clear(conversation.id)
                return f"Forgotten: {forgotten} message{'s' if forgotten != 1 else ''}."
            case Kind.HELP:
                return HELP + (HELP_MODEL if talker is not None and await talker.available() else "")
            case Kind.SCAN:
                return NO_SCANNER
            case Kind.FREEZE | Kind.UNFREEZE:
                return "Freezes are not to be had from the chat here: use `midwatch freeze`."
            case Kind.ON_CALL:
                return "No on-call rota is configured (cluster_config/people.yaml)."
            case Kind.MODEL if talker is not None:
                always = intent.rest == "always"
                return await talker.choose(intent.word, conversation, person, always=always)
            case _:
                if talker is None or not await talker.available():
                    return NO_MODEL
                if place.refusal:
                    return place.refusal
                return await talker.answer(question, conversation, person, session, stream, cluster=place.cluster)


def completed(intent: Intent, text: str, session: Session) -> Intent:
    """A lone word after "in which namespace?" answers that; anything else is a question of its own."""
    word = text.strip().strip("`.!").lower()
    if intent.kind is not Kind.CHAT or not session.pending or len(word.split()) != 1:
        return intent
    again = intent_of(f"{session.pending} in {word}")
    return again if again.kind in LOOKS and again.namespace == word else intent


def message_id(channel: str, conversation: str, message: str) -> str:
    """The same for every delivery of one message."""
    told = "\0".join((channel, conversation, message)).encode("utf-8", "replace")
    return f"{channel[:20]}-{hashlib.sha256(told).hexdigest()[:32]}"


async def _unseen(_: str) -> None:
    """Nobody watches this answer grow but through its row."""
