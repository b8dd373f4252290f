"""Slack as a channel: cards and texts through the Web API, errors told by what to do about them."""

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, Final

from midwatch.adapters.slack.blocks import (
    Json,
    block_id,
    card_message,
    details_message,
    digest_block_id,
    digest_message,
    escaped,
    text_message,
)
from midwatch.domain.cards import Card
from midwatch.domain.digests import Digest
from midwatch.domain.errors import NotFound, Permanent, Throttled, Transient
from midwatch.domain.ids import IncidentId
from midwatch.domain.texts import clean, cut
from midwatch.services.messaging import Place
from midwatch.services.pacing import Rate
from midwatch.services.ports import CardBox

if TYPE_CHECKING:
    from slack_sdk.web.async_client import AsyncWebClient

NAME: Final = "slack"
DETAILS: Final = "slack:details"
RATES: Final = {"post": Rate(1.3), "edit": Rate(1.5, burst=10, reserve=4)}
"""One message a second in a channel, with room for what a busy machine adds; ``chat.update`` takes 50 a minute."""

_TIMEOUT_S: Final = 10
_SKEW: Final = timedelta(seconds=60)
_GONE: Final = ("message_not_found", "cant_update_message", "edit_window_closed")
_PASSING: Final = ("internal_error", "fatal_error", "service_unavailable", "request_timeout", "ratelimited")


class SlackChannel:
    """One Slack channel. ``api_url`` ends with a slash; it is another one for GovSlack."""

    name = NAME

    def __init__(self, client: "AsyncWebClient", channel: str, *, console_url: str = "") -> None:
        self._client, self._channel, self._console_url = client, channel, console_url.rstrip("/")

    async def check(self) -> str:
        """Whom the token belongs to. Raises ``Permanent`` when it does not count (any more)."""
        answer = await _asked(self._client.auth_test)
        return f"{answer.get('user')} in {answer.get('team')}"

    async def show(self, card: Card, ref: str) -> str:
        link = f"{self._console_url}/incidents/{card.incident}" if self._console_url else ""
        return await self._put(card_message(card, link=link), ref, incident=card.incident)

    async def find(self, incident: IncidentId, since: datetime) -> str:
        """See :class:`midwatch.services.notification.Searchable`."""
        return await self._found(block_id(incident), since)

    async def show_digest(self, digest: Digest) -> str:
        """See :class:`midwatch.services.digesting.DigestOutlet`."""
        return await self._put(digest_message(digest), "")

    async def find_digest(self, digest_id: str, since: datetime) -> str:
        """See :class:`midwatch.services.digesting.DigestSearchable`."""
        return await self._found(digest_block_id(digest_id), since)

    async def _found(self, block: str, since: datetime) -> str:
        """The message with this block, posted at ``since`` or later."""
        oldest, cursor = f"{(since - _SKEW).timestamp():.6f}", ""
        while True:
            page = await _asked(self._history(oldest, cursor))
            for message in page.get("messages") or ():
                if block in _block_ids(message):
                    return str(message["ts"])
            cursor = str((page.get("response_metadata") or {}).get("next_cursor") or "")
            if not cursor:
                return ""

    async def say(self, place: Place, text: str, ref: str = "") -> str:
        return await self._put(text_message(text), ref, conversation=place.conversation, thread=place.thread)

    async def whisper(self, place: Place, channel_user: str, text: str) -> None:
        message = {"text": escaped(cut(clean(text), 1000)), **({"thread_ts": place.thread} if place.thread else {})}
        await _asked(
            lambda: self._client.api_call(
                "chat.postEphemeral", json={"channel": place.conversation, "user": channel_user, **message}
            )
        )

    async def put_details(self, card: Card, ref: str, root: str) -> str:
        """Post or edit the investigation in the thread of the card ``root``."""
        return await self._put(details_message(card), ref, thread=root)

    async def _put(
        self,
        message: Mapping[str, Json],
        ref: str,
        *,
        conversation: str = "",
        thread: str = "",
        incident: IncidentId | None = None,
    ) -> str:
        body: dict[str, Json] = {"channel": conversation or self._channel, **message, "unfurl_links": False}
        if ref:
            await _asked(lambda: self._client.api_call("chat.update", json={**body, "ts": ref}))
            return ref
        body |= {"thread_ts": thread} if thread else {}
        if incident is not None:
            body["metadata"] = {"event_type": "midwatch_card", "event_payload": {"incident": str(incident)}}
        answer = await _asked(lambda: self._client.api_call("chat.postMessage", json=body))
        return str(answer["ts"])

    def _history(self, oldest: str, cursor: str) -> Callable[[], Awaitable[Any]]:
        asked = {"channel": self._channel, "oldest": oldest, "limit": 200, **({"cursor": cursor} if cursor else {})}
        return lambda: self._client.api_call("conversations.history", params=asked)


class SlackDetails:
    """The threads under the cards."""

    name = DETAILS

    def __init__(self, channel: SlackChannel, cards: CardBox) -> None:
        self._channel, self._cards = channel, cards

    async def show(self, card: Card, ref: str) -> str:
        root = await self._cards.get(card.incident, NAME)
        if root is None or not root.ref:
            raise Transient(f"the card of {card.incident} is not there yet")
        return await self._channel.put_details(card, ref, root.ref)


@asynccontextmanager
async def open_client(token: str, api_url: str) -> "AsyncIterator[AsyncWebClient]":
    """The Web API without retries of its own: the outbox retries, and knows when."""
    from aiohttp import ClientSession, ClientTimeout
    from slack_sdk.web.async_client import AsyncWebClient

    async with ClientSession(timeout=ClientTimeout(total=_TIMEOUT_S)) as session:
        base = api_url if api_url.endswith("/") else f"{api_url}/"
        yield AsyncWebClient(token, base_url=base, timeout=_TIMEOUT_S, session=session, retry_handlers=[])


async def _asked(call: Callable[[], Awaitable[Any]]) -> Any:
    """The answer of one call. Texts of errors hold no request, hence no token."""
    from aiohttp import ClientError
    from slack_sdk.errors import SlackApiError, SlackClientError

    try:
        return (await call()).data
    except SlackApiError as error:
        raise _told(error.response) from error
    except (ClientError, TimeoutError, OSError, SlackClientError, ValueError) as error:
        raise Transient(f"Slack did not answer ({type(error).__name__})", 2.0) from error


def _told(response: Any) -> Transient | Permanent | NotFound:
    """What an answer that is not ``ok`` asks of us."""
    status = int(getattr(response, "status_code", 0) or 0)
    code = str(response.get("error", "")) if isinstance(getattr(response, "data", None), dict) else ""
    if status == 429 or code == "ratelimited":
        after = str(getattr(response, "headers", {}).get("Retry-After", "") or "1")
        return Throttled("Slack wants a rest", float(after) if after.isdecimal() else 1.0)
    if status >= 500 or code in _PASSING or not code:
        return Transient(f"Slack has trouble ({status or '?'} {code})", 2.0)
    if code in _GONE:
        return NotFound(f"Slack: {code}")
    return Permanent(f"Slack refuses: {code}; see docs/slack.md")


def _block_ids(message: Mapping[str, Any]) -> set[str]:
    attached = [block for part in message.get("attachments") or () for block in part.get("blocks") or ()]
    return {str(block.get("block_id", "")) for block in (*(message.get("blocks") or ()), *attached)}
