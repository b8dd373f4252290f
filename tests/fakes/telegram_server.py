"""Telegram's Bot API as its documents describe it: token, limits, lengths, entities, edit rules, updates by polling or
webhook. What it would have to refuse for its speed is counted in ``violations``.
"""

import asyncio
import json
import re
import time
from dataclasses import dataclass, field
from html.parser import HTMLParser
from typing import Any

from aiohttp import web

from tests.fakes.faults import Faults, Listening, Window, hang_up

TOKEN, SECRET, CHAT, BOT = "4711:fake", "webhook-secret", "-1001", 99
Json = dict[str, Any]
_TAGS = {"b", "i", "u", "s", "code", "pre", "a", "blockquote", "tg-spoiler"}


class Refused(Exception):
    """The description that Telegram answers with."""


@dataclass
class Message:
    """A message as it stands. ``text`` is what is left of the markup; ``at`` is monotonic."""

    id: int
    chat: str
    html: str
    text: str
    buttons: dict[str, str]
    reply_to: int = 0
    at: list[float] = field(default_factory=list)


class TelegramServer:
    """``limited``: count and refuse what is faster than documented."""

    def __init__(self, *, limited: bool = True) -> None:
        app = web.Application(client_max_size=4 * 2**20)
        app.router.add_post("/bot{token}/{method}", self._called)
        self._listening = Listening(app)
        self.faults, self.violations = Faults(), list[str]()
        self.messages: dict[int, Message] = {}
        self.answers: list[Json] = []
        self.calls: list[tuple[str, Json]] = []
        self.webhook: Json = {}
        self._updates: list[Json] = []
        self._news = asyncio.Event()
        self._limited = limited
        self._group, self._all = Window(20, 60), Window(30, 1)

    async def start(self) -> str:
        return await self._listening.start()

    async def stop(self) -> None:
        self._news.set()  # whoever polls is answered, also one whose client has gone: the server forgot about that one
        for _ in range(20):
            await asyncio.sleep(0)
        await self._listening.stop()

    def card(self, incident: str) -> Message:
        (message,) = self.cards(incident)
        return message

    def cards(self, incident: str) -> list[Message]:
        return [message for message in list(self.messages.values()) if f"<code>{incident[:18]}</code>" in message.html]

    def sends(self, update: Json) -> None:
        """An update for those who poll."""
        self._updates.append(update)
        self._news.set()

    async def _called(self, request: web.Request) -> web.StreamResponse:
        method, body = request.match_info["method"], _plain(dict(await request.post()))
        self.calls.append((method, body))
        fault = self.faults.next(method)
        if fault == "429":
            return _no(429, "Too Many Requests: retry after 1", retry_after=1)
        if fault == "500":
            return web.Response(status=502, text="bad gateway")
        if fault == "silent":
            return hang_up(request)
        if request.match_info["token"] != TOKEN:
            return _no(401, "Unauthorized")
        try:
            result = await self._answer(method, body)
        except Refused as error:
            return _no(400, f"Bad Request: {error}")
        if isinstance(result, web.Response):
            return result
        return hang_up(request) if fault == "lost" else web.json_response({"ok": True, "result": result})

    async def _answer(self, method: str, body: Json) -> Any:
        match method:
            case "getMe":
                return {"id": BOT, "is_bot": True, "first_name": "Midwatch", "username": "midwatch_bot"}
            case "sendMessage" | "editMessageText":
                return self._written(method, body)
            case "answerCallbackQuery":
                if len(body.get("text", "")) > 200:
                    raise Refused("MESSAGE_TOO_LONG")
                self.answers.append(body)
                return True
            case "setWebhook":
                self.webhook = body
                return True
            case "deleteWebhook":
                self.webhook = {}
                return True
            case "getUpdates":
                return await self._polled(body)
        raise Refused("method not found")

    async def _polled(self, body: Json) -> Any:
        if self.webhook:
            return _no(409, "Conflict: can't use getUpdates method while webhook is active")
        after = int(body.get("offset", 0))
        self._updates = [update for update in self._updates if update["update_id"] >= after]
        if not self._updates:
            self._news.clear()
            try:
                async with asyncio.timeout(min(1.0, float(body.get("timeout", 0)))):
                    await self._news.wait()
            except TimeoutError:
                return []
        return self._updates[:100]

    def _written(self, method: str, body: Json) -> Any:
        chat = str(body.get("chat_id", ""))
        if chat not in (CHAT, "42"):
            raise Refused("chat not found")
        if self._limited and (self._all.full() or (chat.startswith("-") and self._group.full())):
            self.violations.append(f"too many messages in {chat}")
            return _no(429, "Too Many Requests: retry after 3", retry_after=3)
        html = str(body.get("text", ""))
        text = parsed(html) if body.get("parse_mode") == "HTML" else html
        if not text.strip():
            raise Refused("message text is empty")
        if len(text.encode("utf-16-le")) // 2 > 4096:
            raise Refused("message is too long")
        buttons = _buttons(body.get("reply_markup"))
        now = time.monotonic()
        if method == "sendMessage":
            number = len(self.messages) + 1
            root = (body.get("reply_parameters") or {}).get("message_id", 0)
            self.messages[number] = Message(number, chat, html, text, buttons, root, [now])
            return _shown(self.messages[number])
        known = self.messages.get(int(body.get("message_id", 0)))
        if known is None or known.chat != chat:
            raise Refused("message to edit not found")
        if (known.html, known.buttons) == (html, buttons):
            raise Refused(
                "message is not modified: specified new message content and reply markup are exactly the same"
            )
        known.html, known.text, known.buttons = html, text, buttons
        known.at.append(now)
        return _shown(known)


class _Markup(HTMLParser):
    """Telegram's HTML: few tags, properly nested, no other entities than five."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.open: list[str] = []
        self.text: list[str] = []

    def handle_starttag(self, tag: str, attrs: Any) -> None:
        if tag not in _TAGS or (tag == "pre" and "pre" in self.open):
            raise Refused(f'can\'t parse entities: unsupported start tag "{tag}"')
        self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        if not self.open or self.open.pop() != tag:
            raise Refused("can't parse entities: unexpected end tag")

    def handle_data(self, data: str) -> None:
        self.text.append(data)


def parsed(html: str) -> str:
    """What is left of the markup; raises as Telegram does for what it does not take."""
    if re.search(r"&(?!(lt|gt|amp|quot|#\d+|#x[0-9a-fA-F]+);)", html):
        raise Refused("can't parse entities: a bare &")
    parser = _Markup()
    parser.feed(html)
    parser.close()
    if parser.open:
        raise Refused("can't parse entities: a tag is not closed")
    return "".join(parser.text)


def pressed(
    data: str, *, user: int = 7, message: int = 5, chat: str = CHAT, number: int = 1, name: str = "Ann"
) -> Json:
    """An update of a pressed button."""
    author = {"id": user, "is_bot": False, "first_name": name}
    on = {"message_id": message, "date": 1, "chat": {"id": int(chat), "type": "supergroup"}, "text": "card"}
    query = {"id": f"q-{number}", "from": author, "chat_instance": "1", "data": data, "message": on}
    return {"update_id": number, "callback_query": query}


def said(text: str, *, user: int = 7, chat: str = CHAT, number: int = 1, reply_to: int = 0, **more: Any) -> Json:
    """An update of a message."""
    kind = "supergroup" if chat.startswith("-") else "private"
    author = {"id": user, "is_bot": False, "first_name": "Ann", **more.pop("author", {})}
    message = {"message_id": 100 + number, "date": 1, "chat": {"id": int(chat), "type": kind}, "from": author}
    if reply_to:
        bot = {"id": BOT, "is_bot": True, "first_name": "Midwatch"}
        message["reply_to_message"] = {"message_id": reply_to, "date": 1, "chat": message["chat"], "from": bot}
    return {"update_id": number, more.pop("kind", "message"): {**message, "text": text, **more}}


def _buttons(markup: Any) -> dict[str, str]:
    rows = (markup or {}).get("inline_keyboard", [])
    found = {button["text"]: button["callback_data"] for row in rows for button in row}
    if any(not 1 <= len(data.encode()) <= 64 for data in found.values()):
        raise Refused("BUTTON_DATA_INVALID")
    return found


def _plain(body: Json) -> Json:
    """Fields as they were meant: objects come as JSON."""
    plain = {}
    for name, value in body.items():
        try:
            plain[name] = json.loads(value) if isinstance(value, str) and value[:1] in "{[" else value
        except ValueError:
            plain[name] = value
    return plain


def _shown(message: Message) -> Json:
    kind = "supergroup" if message.chat.startswith("-") else "private"
    shown = {"message_id": message.id, "date": int(time.time()), "chat": {"id": int(message.chat), "type": kind}}
    return {**shown, "text": message.text}


def _no(code: int, description: str, **parameters: int) -> web.Response:
    body: Json = {"ok": False, "error_code": code, "description": description}
    if parameters:
        body["parameters"] = parameters
    return web.json_response(body, status=code)
