"""Status webhooks: every change of an incident that people would see, as signed JSON to an address of theirs."""

import hashlib
import hmac
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import datetime
from typing import Final
from urllib.parse import urlsplit

import aiohttp
import msgspec

from midwatch.domain.card_words import plain_card, words_of
from midwatch.domain.cards import Card, card_digest
from midwatch.domain.errors import Permanent, Throttled, Transient
from midwatch.services.runtime import Clock

_TIMEOUT: Final = aiohttp.ClientTimeout(total=10)
_LOOPBACK: Final = ("localhost", "127.0.0.1", "::1")


class Delivery(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The body. ``delivery`` is the same when one change is delivered again: drop what you know."""

    version: int = 1
    delivery: str
    incident: str
    state: str
    severity: str
    title: str
    text: str
    url: str = ""
    began_at: datetime | None = None
    ended_at: datetime | None = None
    affected: int = 0
    cause: str = ""
    confidence: float | None = None
    action: str = ""
    ask: str = ""
    outcome: str = ""


class WebhookChannel:
    """One receiver. Redirects are not followed: what is signed goes where the setting says, and nowhere else."""

    def __init__(
        self, session: aiohttp.ClientSession, url: str, secret: str, clock: Clock, *, console_url: str = ""
    ) -> None:
        self.name = name_of(url)
        self._session, self._url, self._secret, self._clock = session, url, secret, clock
        self._console_url = console_url.rstrip("/")

    async def show(self, card: Card, ref: str) -> str:
        del ref  # a receiver is told every change; there is nothing to edit
        body = msgspec.json.encode(delivery_of(card, self._console_url))
        stamp = str(int(self._clock.now().timestamp()))
        headers = {
            "Content-Type": "application/json",
            "User-Agent": "Midwatch",
            "X-Midwatch-Timestamp": stamp,
            "X-Midwatch-Signature": signature(self._secret, stamp, body),
        }
        try:
            async with self._session.post(self._url, data=body, headers=headers, allow_redirects=False) as answer:
                status, after = answer.status, answer.headers.get("Retry-After", "")
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            # Its text may hold the address, hence a secret.
            raise Transient(f"the receiver did not answer ({type(error).__name__})", 2.0) from error
        if status == 429:
            raise Throttled("the receiver wants a rest", float(after) if after.isdecimal() else 5.0)
        if status >= 500 or status == 408:
            raise Transient(f"the receiver has trouble ({status})", 2.0)
        if status >= 300:
            raise Permanent(f"the receiver refuses ({status})")
        return card.incident


def delivery_of(card: Card, console_url: str = "") -> Delivery:
    """What a receiver is told of a card."""
    words = words_of(card)
    return Delivery(
        delivery=f"{card.incident}:{card_digest(card)}",
        incident=card.incident,
        state=card.state,
        severity=card.severity,
        title=words.title,
        text=plain_card(card),
        url=f"{console_url}/incidents/{card.incident}" if console_url else "",
        began_at=card.began_at,
        ended_at=card.ended_at,
        affected=card.affected,
        cause=words.cause,
        confidence=card.confidence,
        action=words.action,
        ask=words.ask,
        outcome=words.outcome,
    )


def signature(secret: str, stamp: str, body: bytes) -> str:
    """``v1=`` and the HMAC-SHA256 of ``timestamp.body`` in hex."""
    return "v1=" + hmac.new(secret.encode(), stamp.encode() + b"." + body, hashlib.sha256).hexdigest()


def name_of(url: str) -> str:
    """The receiver's key in the outbox: it tells nothing of the address."""
    return f"webhook:{hashlib.sha256(url.encode()).hexdigest()[:12]}"


def checked(url: str) -> str:
    """The address, known to be fit: https, or http on this machine. Raises ``Permanent``."""
    parts = urlsplit(url)
    if parts.scheme == "https" or (parts.scheme == "http" and parts.hostname in _LOOPBACK):
        return url
    raise Permanent("MIDWATCH_WEBHOOK_URLS takes https:// addresses (http:// on this machine alone)")


@asynccontextmanager
async def open_session() -> AsyncIterator[aiohttp.ClientSession]:
    """Connections to receivers."""
    async with aiohttp.ClientSession(timeout=_TIMEOUT) as session:
        yield session
