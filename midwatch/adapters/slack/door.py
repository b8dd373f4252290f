"""Slack's requests at our door: events, and pressed buttons. Knows no SDK."""

from collections.abc import Mapping
from functools import partial
from typing import Final
from urllib.parse import parse_qs

from midwatch.adapters.slack.requests import Hello, Incoming, read_event, read_interaction, verify
from midwatch.domain.errors import Invalid
from midwatch.services.messaging import IncomingClick, IncomingMessage
from midwatch.services.reception import TOO_MANY, Answered, Reception
from midwatch.services.runtime import Clock

_FORM: Final = "application/x-www-form-urlencoded"


class SlackDoor:
    """See :class:`midwatch.services.reception.Door`. Slack waits three seconds, then delivers again."""

    def __init__(self, secret: str, reception: Reception, clock: Clock) -> None:
        self._secret, self._reception, self._clock = secret, reception, clock

    async def receive(self, headers: Mapping[str, str], body: bytes) -> Answered:
        now = self._clock.now()
        verify(body, headers, self._secret, now)
        form = headers.get("content-type", "").partition(";")[0].strip().lower() == _FORM
        incoming = read_interaction(_payload(body), now) if form else read_event(body, now)
        if isinstance(incoming, Hello):
            return Answered(incoming.challenge.encode(errors="replace"), "text/plain; charset=utf-8")
        again = "x-slack-retry-num" in headers
        return await take(incoming, self._reception, again=again)


async def take(incoming: Incoming, reception: Reception, *, again: bool = False) -> Answered:
    """Store what came in. ``again``: it was delivered before, and whoever clicked has been told."""
    if isinstance(incoming, IncomingClick):
        reply = await reception.click(incoming)
        if reply.outcome == TOO_MANY:
            return Answered(after=None if again else partial(reception.refuse, incoming))
        return Answered(after=None if again else partial(reception.follow, incoming))
    if isinstance(incoming, IncomingMessage):
        return Answered(after=await reception.message(incoming))
    return Answered()


def _payload(body: bytes) -> str:
    try:
        return parse_qs(body.decode(), max_num_fields=20)["payload"][0]
    except (KeyError, ValueError) as error:
        raise Invalid("not an interaction as Slack makes them") from error
