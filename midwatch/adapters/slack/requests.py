"""What Slack sends us, by HTTP or Socket Mode: proven to be Slack's, and parsed once. Knows no SDK."""

import hashlib
import hmac
import re
from collections.abc import Mapping
from datetime import datetime
from typing import Final, TypeAlias, TypeVar

import msgspec

from midwatch.domain.answers import read_token
from midwatch.domain.errors import Invalid, Refused
from midwatch.domain.texts import clean, cut
from midwatch.services.messaging import LONGEST_TEXT, IncomingClick, IncomingMessage

CHANNEL: Final = "slack"
WINDOW_S: Final = 300
"""How old a request may be: Slack's own advice against replays."""
_MENTION: Final = re.compile(r"<@[UW][A-Z0-9]+(?:\|[^>]*)?>")
_LINK: Final = re.compile(r"<(?:[#@!]\w*\|?|(?=https?:|mailto:))([^>|]*)(?:\|([^>]*))?>")


class Hello(msgspec.Struct, frozen=True):
    """Slack asks whether the address is ours; it wants ``challenge`` back."""

    challenge: str


Incoming: TypeAlias = IncomingClick | IncomingMessage | Hello | None
"""``None``: nothing that concerns us."""


class _Id(msgspec.Struct, frozen=True):
    id: str = ""
    username: str = ""
    name: str = ""


class _Action(msgspec.Struct, frozen=True):
    action_id: str = ""
    value: str = ""
    action_ts: str = ""


class _At(msgspec.Struct, frozen=True):
    ts: str = ""
    thread_ts: str = ""
    message_ts: str = ""


class _Interaction(msgspec.Struct, frozen=True):
    type: str
    user: _Id = _Id()
    channel: _Id = _Id()
    message: _At = _At()
    container: _At = _At()
    actions: tuple[_Action, ...] = ()


class _Event(msgspec.Struct, frozen=True):
    type: str = ""
    subtype: str = ""
    user: str = ""
    bot_id: str = ""
    text: str = ""
    channel: str = ""
    channel_type: str = ""
    ts: str = ""
    thread_ts: str = ""


class _Outer(msgspec.Struct, frozen=True):
    type: str = ""
    challenge: str = ""
    event_id: str = ""
    event: _Event = _Event()


_T = TypeVar("_T")
_interaction = msgspec.json.Decoder(_Interaction)
_outer = msgspec.json.Decoder(_Outer)


def verify(body: bytes, headers: Mapping[str, str], secret: str, now: datetime) -> None:
    """Raises ``Refused`` (``stale-request``, ``wrong-signature``) unless Slack signed this body lately."""
    stamp = headers.get("x-slack-request-timestamp", "")
    if not stamp.isdecimal() or len(stamp) > 12 or abs(now.timestamp() - int(stamp)) > WINDOW_S:
        raise Refused("stale-request", "the request is too old or bears no time: it may be a replay")
    signed = hmac.new(secret.encode(), b"v0:" + stamp.encode() + b":" + body, hashlib.sha256).hexdigest()
    given = headers.get("x-slack-signature", "").encode("utf-8", "replace")
    if not secret or not hmac.compare_digest(given, f"v0={signed}".encode()):
        raise Refused("wrong-signature", "the request is not signed with our signing secret")


def read_interaction(payload: bytes | str, now: datetime) -> Incoming:
    """A pressed button. Raises ``Invalid`` for what Slack does not send."""
    interaction = _decoded(_interaction, payload)
    if interaction.type != "block_actions" or not interaction.actions:
        return None
    action = interaction.actions[0]
    answer = read_token(action.value)
    if answer is None or not action.action_id.startswith("answer:") or not interaction.user.id:
        raise Invalid(f"an unknown button: {clean(action.action_id)[:40]!r}")
    message = interaction.message.ts or interaction.container.message_ts
    return IncomingClick(
        id=f"{interaction.channel.id}:{message}:{interaction.user.id}:{action.action_ts}:{action.value}",
        user_id=interaction.user.id,
        user_name=cut(clean(interaction.user.username or interaction.user.name), 80),
        channel_type=CHANNEL,
        approval=answer.approval,
        choice=answer.choice,
        digest=answer.digest,
        at=now,
        conversation=interaction.channel.id,
        message=message,
    )


def read_event(body: bytes | str, now: datetime) -> Incoming:
    """An event of the Events API. Messages of bots, and edited or deleted ones, concern us not."""
    outer = _decoded(_outer, body)
    if outer.type == "url_verification":
        return Hello(outer.challenge[:200])
    event = outer.event
    direct = event.type == "message" and event.channel_type == "im"
    threaded = event.type == "message" and bool(event.thread_ts) and event.thread_ts != event.ts
    ours = direct or threaded or event.type == "app_mention"
    if outer.type != "event_callback" or not ours or event.subtype or event.bot_id or not event.user or not event.ts:
        return None
    mentioned = _MENTION.search(event.text) is not None
    if event.type == "message" and not direct and mentioned:
        return None  # the same comes as an app_mention where it mentions us
    return IncomingMessage(
        id=f"{event.channel}:{event.ts}",
        user_id=event.user,
        channel_type=CHANNEL,
        text=_text(event.text),
        at=now,
        conversation=event.channel,
        thread=event.thread_ts or ("" if direct else event.ts),
        direct=direct,
        addressed=direct or event.type == "app_mention",
        metadata=(("event", outer.event_id[:64]), ("ts", event.ts), ("mentioned", str(mentioned).lower())),
    )


def _text(text: str) -> str:
    """Slack's escapes undone, mentions of us left out."""
    text = _MENTION.sub("", text[: 2 * LONGEST_TEXT])
    text = _LINK.sub(lambda found: found[2] or found[1], text)
    text = text.replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&")
    return cut(clean(text).strip(), LONGEST_TEXT)


def _decoded(decoder: msgspec.json.Decoder[_T], body: bytes | str) -> _T:
    try:
        return decoder.decode(body)
    except (msgspec.DecodeError, UnicodeError, RecursionError) as error:
        raise Invalid("not a request as Slack makes them") from error
