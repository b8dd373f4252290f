"""Telegram as a channel: cards and texts through the Bot API, errors told by what to do about them.

The Bot API cannot list what a bot has posted: a post whose outcome is unknown is made again, so a death at the very
moment of a post may show a card twice. Buttons of both count; the older one stays as it was.
"""

import warnings
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import TYPE_CHECKING, Final, TypeVar

from midwatch.adapters.telegram.markup import card_html, digest_html, keyboard, text_html
from midwatch.domain.cards import Card
from midwatch.domain.digests import Digest
from midwatch.domain.errors import MidwatchError, NotFound, Permanent, Throttled, Transient
from midwatch.domain.texts import cut
from midwatch.services.messaging import Place
from midwatch.services.pacing import Rate

if TYPE_CHECKING:
    from telegram import Bot, InlineKeyboardMarkup

T = TypeVar("T")

NAME: Final = "telegram"
_TIMEOUT_S: Final = 10.0
_GROUP: Final = {"post": Rate(5.0, burst=8, reserve=3)}
_PRIVATE: Final = {"post": Rate(1.05, burst=1)}
SAME: Final = {"edit": "post"}
"""An edit is counted as a message."""
_GONE: Final = ("message to edit not found", "message_id_invalid", "message can't be edited")


def rates(chat: str) -> dict[str, Rate]:
    """20 messages a minute in a group, one a second with a person."""
    return dict(_GROUP if chat.startswith("-") else _PRIVATE)


class TelegramChannel:
    """One chat of the bot."""

    name = NAME

    def __init__(self, bot: "Bot", chat: str, *, console_url: str = "") -> None:
        self._bot, self._chat, self._console_url = bot, chat, console_url.rstrip("/")

    async def check(self) -> str:
        """Whom the token belongs to. Raises ``Permanent`` when it does not count (any more)."""
        me = await _asked(self._bot.get_me)
        return f"@{me.username}"

    async def set_webhook(self, url: str, secret: str) -> None:
        """Have updates sent to ``url``."""
        allowed = ["message", "callback_query"]
        await _asked(lambda: self._bot.set_webhook(url, secret_token=secret, allowed_updates=allowed))

    async def show(self, card: Card, ref: str) -> str:
        link = f"{self._console_url}/incidents/{card.incident}" if self._console_url else ""
        return await self._put(self._chat, card_html(card, link=link), ref, markup=_markup(card))

    async def show_digest(self, digest: Digest) -> str:
        """See :class:`midwatch.services.digesting.DigestOutlet`."""
        return await self._put(self._chat, digest_html(digest), "")

    async def say(self, place: Place, text: str, ref: str = "") -> str:
        return await self._put(place.conversation, text_html(text), ref, reply_to=place.thread)

    async def whisper(self, place: Place, channel_user: str, text: str) -> None:
        del channel_user  # a group has no message for one member alone
        await self._put(place.conversation, text_html(cut(text, 500)), "", reply_to=place.thread)

    async def answer(self, query: str, text: str) -> None:
        """Tell the one who pressed a button; only for a few seconds after it, hence no retry."""
        await _asked(lambda: self._bot.answer_callback_query(query, text=cut(text, 190), show_alert=True))

    async def _put(
        self, chat: str, text: str, ref: str, *, markup: "InlineKeyboardMarkup | None" = None, reply_to: str = ""
    ) -> str:
        from telegram import LinkPreviewOptions, ReplyParameters
        from telegram.error import BadRequest

        silent = LinkPreviewOptions(is_disabled=True)
        if not ref:
            root = ReplyParameters(int(reply_to), allow_sending_without_reply=True) if reply_to.isdecimal() else None
            sent = await _asked(
                lambda: self._bot.send_message(
                    chat,
                    text,
                    parse_mode="HTML",
                    reply_markup=markup,
                    reply_parameters=root,
                    link_preview_options=silent,
                )
            )
            return str(sent.message_id)

        async def edit() -> None:
            try:
                await self._bot.edit_message_text(
                    text, chat, int(ref), parse_mode="HTML", reply_markup=markup, link_preview_options=silent
                )
            except BadRequest as error:
                if "message is not modified" not in str(error).lower():
                    raise

        await _asked(edit)
        return ref


@asynccontextmanager
async def open_bot(token: str, api_url: str) -> "AsyncIterator[Bot]":
    """The bot, without a call: Telegram may be away when we start."""
    from telegram import Bot
    from telegram.request import HTTPXRequest

    # Raised within the SDK by its own `RetryAfter`; both of its types are read here.
    warnings.filterwarnings("ignore", message=".*In a future major version attribute `retry_after`")

    def request(read_s: float) -> HTTPXRequest:
        return HTTPXRequest(
            connection_pool_size=8,
            connect_timeout=_TIMEOUT_S,
            read_timeout=read_s,
            write_timeout=_TIMEOUT_S,
            pool_timeout=_TIMEOUT_S,
        )

    base = api_url.rstrip("/")
    calls, polls = request(_TIMEOUT_S), request(_TIMEOUT_S + POLL_S)
    bot = Bot(token, base_url=f"{base}/bot", base_file_url=f"{base}/file/bot", request=calls, get_updates_request=polls)
    await calls.initialize()
    await polls.initialize()
    try:
        yield bot
    finally:
        await calls.shutdown()
        await polls.shutdown()


POLL_S: Final = 25


def _markup(card: Card) -> "InlineKeyboardMarkup | None":
    from telegram import InlineKeyboardButton, InlineKeyboardMarkup

    row = [InlineKeyboardButton(label, callback_data=data) for label, data in keyboard(card)]
    return InlineKeyboardMarkup([row]) if row else None


async def _asked(call: Callable[[], Awaitable[T]]) -> T:
    from telegram.error import TelegramError

    try:
        return await call()
    except TelegramError as error:
        raise _told(error) from error


def _told(error: Exception) -> MidwatchError:
    """What an error asks of us. Its text is Telegram's own word on the request, without the token."""
    from telegram.error import BadRequest, ChatMigrated, Conflict, Forbidden, InvalidToken, NetworkError, RetryAfter

    if isinstance(error, RetryAfter):
        after = error.retry_after
        return Throttled("Telegram wants a rest", after.total_seconds() if isinstance(after, timedelta) else after)
    if isinstance(error, BadRequest):
        text = str(error).lower()
        return NotFound(f"Telegram: {text}") if any(gone in text for gone in _GONE) else Permanent(f"Telegram: {text}")
    if isinstance(error, ChatMigrated):
        return Permanent(f"the group became a supergroup: set MIDWATCH_TELEGRAM_CHAT to {error.new_chat_id}")
    if isinstance(error, InvalidToken | Forbidden):
        return Permanent("Telegram refuses the token or the chat; see docs/telegram.md")
    if isinstance(error, Conflict):
        return Transient("another process polls this bot, or a webhook is set", 10.0)
    if isinstance(error, NetworkError):
        return Transient(f"Telegram did not answer ({type(error).__name__})", 2.0)
    return Transient(f"Telegram has trouble ({type(error).__name__})", 5.0)
