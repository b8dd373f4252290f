"""Any other ticket system: signed JSON posts, one a piece of news, each with a key to recognise it by again."""

import hashlib
import hmac
from collections.abc import Mapping, Sequence

import msgspec

from midwatch.adapters.tickets.http import TicketHttp
from midwatch.domain.tickets import Note, Standing, Ticket
from midwatch.services.runtime import Clock

TIMESTAMP, SIGNATURE, KEY = "X-Midwatch-Timestamp", "X-Midwatch-Signature", "Idempotency-Key"


class WebhookTickets:
    """A :class:`~midwatch.services.tickets.TicketSystem` that posts to one address.

    The signature is HMAC-SHA256 over ``timestamp.body`` with the shared secret, in hexadecimal after ``sha256=``.
    """

    name = "ticket:webhook"

    def __init__(self, http: TicketHttp, url: str, secret: str, clock: Clock) -> None:
        self._http, self._url, self._secret, self._clock = http, url, secret.encode(), clock

    async def ensure(self, ticket: Ticket) -> str:
        news = {"title": ticket.title, "severity": ticket.severity, "lines": ticket.lines}
        await self._post("opened", ticket.incident, f"{ticket.incident}:0", news)
        return ticket.incident

    async def note(self, ref: str, notes: Sequence[Note]) -> None:
        for note in notes:
            await self._post("note", ref, note.key, {"at": note.at, "lines": note.lines})

    async def stand(self, ref: str, standing: Standing) -> None:
        stamp = int(self._clock.now().timestamp() * 1000)
        await self._post("standing", ref, f"{ref}:{standing}:{stamp}", {"standing": standing})

    async def _post(self, kind: str, incident: str, key: str, news: Mapping[str, object]) -> None:
        body = msgspec.json.encode({"kind": kind, "incident": incident, "key": key, **news})
        at = str(int(self._clock.now().timestamp()))
        headers = {TIMESTAMP: at, SIGNATURE: signature(self._secret, at, body), KEY: key}
        await self._http.send("POST", self._url, body=body, headers=headers)


def signature(secret: bytes, at: str, body: bytes) -> str:
    """What the receiver computes too, and compares in constant time."""
    return "sha256=" + hmac.new(secret, at.encode() + b"." + body, hashlib.sha256).hexdigest()
