"""Slack as its documents describe it: tokens, limits, lengths, edit rules, history, Socket Mode, signed requests.

What the real one would refuse is refused, and what it would have to refuse is counted in ``violations``.
"""

import asyncio
import hashlib
import hmac
import json
import time
import urllib.parse
from dataclasses import dataclass, field
from typing import Any

from aiohttp import WSMsgType, web

from tests.fakes.faults import Faults, Listening, Window, hang_up

TOKEN, APP_TOKEN, SECRET, CHANNEL, BOT = "xoxb-fake-1", "xapp-fake-1", "signing-secret", "C0NIGHT", "UBOT"
FORM = "application/x-www-form-urlencoded"
Json = dict[str, Any]


@dataclass
class Message:
    """A message as it stands, and how it stood before. ``at`` is monotonic."""

    ts: str
    channel: str
    body: Json
    thread: str = ""
    at: list[float] = field(default_factory=list)
    versions: list[Json] = field(default_factory=list)

    @property
    def blocks(self) -> list[Json]:
        attached = [block for part in self.body.get("attachments", ()) for block in part.get("blocks", ())]
        return [*self.body.get("blocks", ()), *attached]

    @property
    def text(self) -> str:
        """All text that people see."""
        texts = [block["text"]["text"] for block in self.blocks if "text" in block]
        texts += [item["text"] for block in self.blocks if block["type"] == "context" for item in block["elements"]]
        return "\n".join(texts)

    @property
    def buttons(self) -> dict[str, Json]:
        """Buttons by label."""
        elements = [item for block in self.blocks if block["type"] == "actions" for item in block["elements"]]
        return {item["text"]["text"]: item for item in elements}

    @property
    def colour(self) -> str:
        return str(self.body.get("attachments", [{}])[0].get("color", ""))

    @property
    def incident(self) -> str:
        ids = [str(block.get("block_id", "")) for block in self.blocks]
        return next((found.removeprefix("card:") for found in ids if found.startswith("card:")), "")


class SlackServer:
    """``limited``: count and refuse what is faster than documented."""

    def __init__(self, *, limited: bool = True) -> None:
        app = web.Application(client_max_size=4 * 2**20)
        app.router.add_post("/api/{method}", self._called)
        app.router.add_get("/socket", self._socket)
        self._listening = Listening(app)
        self.faults, self.violations = Faults(), list[str]()
        self.messages: dict[str, Message] = {}
        self.ephemerals: list[Json] = []
        self.calls: list[tuple[str, Json]] = []
        self.acked: list[str] = []
        self.sockets: list[web.WebSocketResponse] = []
        self.answers_after_s = 0.0
        """How long it takes to tell what it has done."""
        self._limited, self._count = limited, 0
        self._posts: dict[str, Window] = {}
        self._updates, self._ephemeral, self._history = Window(50, 60), Window(100, 60), Window(50, 60)

    async def start(self) -> str:
        return await self._listening.start() + "/api/"

    async def stop(self) -> None:
        for socket in self.sockets:
            await socket.close()
        await self._listening.stop()

    @property
    def cards(self) -> dict[str, list[Message]]:
        """Cards by incident: more than one is one too many."""
        found: dict[str, list[Message]] = {}
        for message in list(self.messages.values()):  # a test looks from another thread
            if message.incident:
                found.setdefault(message.incident, []).append(message)
        return found

    def card(self, incident: str) -> Message:
        (message,) = self.cards[incident]
        return message

    def thread(self, ts: str) -> list[Message]:
        return [message for message in list(self.messages.values()) if message.thread == ts]

    # the Web API

    async def _called(self, request: web.Request) -> web.StreamResponse:
        method = request.match_info["method"]
        body = await _body(request)
        self.calls.append((method, body))
        fault = self.faults.next(method)
        if fault == "429":
            return self._too_fast(1)
        if fault == "500":
            return web.Response(status=500, text="oops")
        if fault == "silent":
            return hang_up(request)
        wanted = APP_TOKEN if method.startswith("apps.") else TOKEN
        if request.headers.get("Authorization") != f"Bearer {wanted}":
            return _no("invalid_auth")
        answer = self._answer(method, body)
        await asyncio.sleep(self.answers_after_s)
        return hang_up(request) if fault == "lost" else answer

    def _answer(self, method: str, body: Json) -> web.Response:
        match method:
            case "auth.test":
                return _yes(user="midwatch", user_id=BOT, bot_id="B1", team="night", team_id="T1", url="https://x/")
            case "chat.postMessage":
                return self._post(body)
            case "chat.update":
                return self._update(body)
            case "chat.postEphemeral":
                if self._limited and self._ephemeral.full():
                    return self._violated("chat.postEphemeral above 100 a minute")
                self.ephemerals.append(body)
                return _yes(message_ts="1.1") if body.get("user") and body.get("text") else _no("no_text")
            case "conversations.history":
                return self._past(body)
            case "apps.connections.open":
                return _yes(url=self._listening.url.replace("http", "ws", 1) + "/socket")
        return _no("unknown_method")

    def _post(self, body: Json) -> web.Response:
        channel = str(body.get("channel", ""))
        if channel != CHANNEL and not channel.startswith("D"):
            return _no("channel_not_found")
        window = self._posts.setdefault(channel, Window(1, 0.98))
        if self._limited and window.full():
            return self._violated(f"more than one message a second in {channel}")
        if wrong := _wrong(body):
            return _no(wrong)
        self._count += 1
        ts = f"{int(time.time())}.{self._count:06d}"
        self.messages[ts] = Message(ts, channel, body, str(body.get("thread_ts", "")), [time.monotonic()], [body])
        return _yes(ts=ts, channel=channel, message=body)

    def _update(self, body: Json) -> web.Response:
        if self._limited and self._updates.full():
            return self._violated("chat.update above 50 a minute")
        message = self.messages.get(str(body.get("ts", "")))
        if message is None or message.channel != body.get("channel"):
            return _no("message_not_found")
        if wrong := _wrong(body):
            return _no(wrong)
        message.body = body
        message.at.append(time.monotonic())
        message.versions.append(body)
        return _yes(ts=message.ts, channel=message.channel, text=body.get("text", ""))

    def _past(self, body: Json) -> web.Response:
        if self._limited and self._history.full():
            return self._violated("conversations.history above 50 a minute")
        oldest = float(body.get("oldest", 0))
        found = [m for m in self.messages.values() if not m.thread and float(m.ts) >= oldest]
        page = sorted(found, key=lambda m: m.ts, reverse=True)
        start, limit = int(body.get("cursor") or 0), int(body.get("limit", 100))
        more = str(start + limit) if len(page) > start + limit else ""
        shown = [{"ts": m.ts, "user": BOT, **m.body} for m in page[start : start + limit]]
        return _yes(messages=shown, response_metadata={"next_cursor": more})

    def _violated(self, what: str) -> web.Response:
        self.violations.append(what)
        return self._too_fast(1)

    def _too_fast(self, after: int) -> web.Response:
        body = {"ok": False, "error": "ratelimited"}
        return web.json_response(body, status=429, headers={"Retry-After": str(after)})

    # Socket Mode

    async def _socket(self, request: web.Request) -> web.WebSocketResponse:
        socket = web.WebSocketResponse()
        await socket.prepare(request)
        self.sockets.append(socket)
        await socket.send_json({"type": "hello", "num_connections": 1})
        async for message in socket:
            if message.type is WSMsgType.TEXT and (told := json.loads(message.data)).get("envelope_id"):
                self.acked.append(told["envelope_id"])
        self.sockets.remove(socket)
        return socket

    async def deliver(self, envelope: str, payload: Json) -> None:
        """Send a request by Socket Mode."""
        kind = "interactive" if payload.get("type") == "block_actions" else "events_api"
        told = {"type": kind, "envelope_id": envelope, "payload": payload, "accepts_response_payload": False}
        await self.sockets[-1].send_json(told)

    async def connected(self) -> None:
        while not self.sockets:
            await asyncio.sleep(0.01)


def pressed(value: str, *, action: str = "answer:approve", user: str = "U1", message: str = "1.1", **more: Any) -> Json:
    """The payload of a pressed button."""
    return {
        "type": "block_actions",
        "user": {"id": user, "username": "ann", **more.pop("user_more", {})},
        "api_app_id": "A1",
        "team": {"id": "T1"},
        "container": {"type": "message", "message_ts": message},
        "channel": {"id": CHANNEL, "name": "night"},
        "message": {"ts": message, "text": "card"},
        "response_url": "https://hooks.slack.invalid/x",
        "actions": [{"type": "button", "action_id": action, "value": value, "action_ts": more.pop("at", "5.5")}],
        **more,
    }


def said(text: str, *, kind: str = "app_mention", user: str = "U1", ts: str = "7.7", **more: Any) -> Json:
    """The body of an event."""
    event = {"type": kind, "user": user, "text": text, "ts": ts, "channel": CHANNEL, **more}
    return {"type": "event_callback", "team_id": "T1", "api_app_id": "A1", "event_id": f"Ev{ts}", "event": event}


def form(payload: Json) -> bytes:
    return urllib.parse.urlencode({"payload": json.dumps(payload)}).encode()


def signed(body: bytes, *, at: float, secret: str = SECRET, kind: str = FORM) -> dict[str, str]:
    """The headers with which Slack sends a body."""
    stamp = str(int(at))
    proof = hmac.new(secret.encode(), f"v0:{stamp}:".encode() + body, hashlib.sha256).hexdigest()
    return {"Content-Type": kind, "X-Slack-Request-Timestamp": stamp, "X-Slack-Signature": f"v0={proof}"}


async def _body(request: web.Request) -> Json:
    if "json" in request.headers.get("Content-Type", ""):
        found: Json = await request.json()
        return found
    return {**request.query, **dict(await request.post())}


def _wrong(body: Json) -> str:
    """Why Slack would not take a message, empty when it would."""
    if len(str(body.get("text", ""))) > 40_000:
        return "msg_too_long"
    attached = body.get("attachments", ())
    blocks = [*body.get("blocks", ()), *(block for part in attached for block in part.get("blocks", ()))]
    if not blocks and not body.get("text"):
        return "no_text"
    if len(blocks) > 50 or any(_wrong_block(block) for block in blocks) or not _unique(blocks):
        return "invalid_blocks"
    return ""


def _unique(blocks: list[Json]) -> bool:
    ids = [block["block_id"] for block in blocks if "block_id" in block]
    return len(ids) == len(set(ids))


def _wrong_block(block: Json) -> bool:
    if len(block.get("block_id", "")) > 255:
        return True
    match block["type"]:
        case "section":
            return not _mrkdwn(block["text"], 3000)
        case "context":
            return len(block["elements"]) > 10 or any(not _mrkdwn(item, 3000) for item in block["elements"])
        case "actions":
            return not 0 < len(block["elements"]) <= 25 or any(_wrong_button(item) for item in block["elements"])
    return True


def _mrkdwn(text: Json, room: int) -> bool:
    """Of the right length, and naming nobody: no special mention or link but our own to the console."""
    inside = text["text"]
    named = inside.replace("<http", "")
    return text["type"] == "mrkdwn" and 0 < len(inside) <= room and "<" not in named


def _wrong_button(button: Json) -> bool:
    label, style = button["text"], button.get("style", "primary")
    lengths = len(label["text"]) > 75 or len(button["value"]) > 2000 or len(button["action_id"]) > 255
    return lengths or label["type"] != "plain_text" or style not in ("primary", "danger")


def _yes(**more: Any) -> web.Response:
    return web.json_response({"ok": True, **more})


def _no(error: str) -> web.Response:
    return web.json_response({"ok": False, "error": error})
