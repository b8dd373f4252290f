"""Updates as Telegram sends them, by webhook or long polling: proven and parsed once. Knows no SDK."""

import hmac
import re
from collections.abc import Mapping
from datetime import datetime
from typing import Final, TypeAlias

import msgspec

from midwatch.domain.answers import read_token
from midwatch.domain.errors import Invalid, Refused
from midwatch.domain.texts import clean, cut
from midwatch.services.messaging import LONGEST_TEXT, IncomingClick, IncomingMessage

CHANNEL: Final = "telegram"
_COMMAND: Final = re.compile(r"^/(\w+)(?:@(\w+))?")


class Pressed(msgspec.Struct, frozen=True):
    """A click and the callback query that wants to be answered."""

    click: IncomingClick
    query: str


class Stray(msgspec.Struct, frozen=True):
    """A callback query of no button of ours; it wants an answer too."""

    query: str


Incoming: TypeAlias = Pressed | Stray | IncomingMessage | None
"""``None``: nothing that concerns us."""


class _User(msgspec.Struct, frozen=True):
    id: int
    is_bot: bool = False
    first_name: str = ""
    last_name: str = ""
    username: str = ""


class _Chat(msgspec.Struct, frozen=True):
    id: int
    type: str = ""


class _Root(msgspec.Struct, frozen=True):
    message_id: int
    from_: _User | None = msgspec.field(default=None, name="from")


class _Message(msgspec.Struct, frozen=True):
    message_id: int
    chat: _Chat
    from_: _User | None = msgspec.field(default=None, name="from")
    text: str = ""
    reply_to_message: _Root | None = None
    message_thread_id: int = 0


class _Query(msgspec.Struct, frozen=True):
    id: str
    from_: _User = msgspec.field(name="from")
    data: str = ""
    message: _Message | None = None


class _Update(msgspec.Struct, frozen=True):
    update_id: int
    message: _Message | None = None
    callback_query: _Query | None = None


_update = msgspec.json.Decoder(_Update)


def verify(headers: Mapping[str, str], secret: str) -> None:
    """Raises ``Refused`` (``wrong-secret``) unless the request bears the secret that we gave to Telegram."""
    given = headers.get("x-telegram-bot-api-secret-token", "")
    if not secret or not hmac.compare_digest(given.encode("utf-8", "replace"), secret.encode()):
        raise Refused("wrong-secret", "the request does not bear our secret token")


def read_update(body: bytes | str, now: datetime) -> Incoming:
    """A pressed button or a text. Edited messages, those of bots and everything else concern us not.

    Raises ``Invalid`` for what Telegram does not send.
    """
    try:
        update = _update.decode(body)
    except (msgspec.DecodeError, UnicodeError, RecursionError) as error:
        raise Invalid("not an update as Telegram makes them") from error
    if update.callback_query is not None:
        return _pressed(update.callback_query, now)
    message = update.message
    if message is None or message.from_ is None or message.from_.is_bot or not message.text:
        return None
    return _said(message, message.from_, now)


def _pressed(query: _Query, now: datetime) -> Incoming:
    answer = read_token(query.data)
    if answer is None or query.message is None or query.from_.is_bot:
        return Stray(cut(query.id, 64))
    click = IncomingClick(
        id=cut(query.id, 64),
        user_id=str(query.from_.id),
        user_name=_name(query.from_),
        channel_type=CHANNEL,
        approval=answer.approval,
        choice=answer.choice,
        digest=answer.digest,
        at=now,
        conversation=str(query.message.chat.id),
        message=str(query.message.message_id),
    )
    return Pressed(click, click.id)


def _said(message: _Message, author: _User, now: datetime) -> Incoming:
    """In a group only what is meant for us: a command, a mention, or a reply to a message."""
    direct = message.chat.type == "private"
    root = message.reply_to_message
    command = _COMMAND.match(message.text)
    to_bot = root is not None and root.from_ is not None and root.from_.is_bot
    if not (direct or command or to_bot or "@" in message.text[:100]):
        return None
    text = f"{command[1]}{message.text[command.end() :]}" if command else message.text
    return IncomingMessage(
        id=f"{message.chat.id}:{message.message_id}",
        user_id=str(author.id),
        user_name=_name(author),
        channel_type=CHANNEL,
        text=cut(clean(text[: 2 * LONGEST_TEXT]).strip(), LONGEST_TEXT),
        at=now,
        conversation=str(message.chat.id),
        thread=str(root.message_id) if root is not None else "",
        direct=direct,
        metadata=(("message", str(message.message_id)), ("command", command[1] if command else "")),
    )


def _name(user: _User) -> str:
    return cut(clean(" ".join(part for part in (user.first_name, user.last_name) if part) or user.username), 80)
