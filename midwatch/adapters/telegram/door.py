"""Telegram's updates at our door. Knows no SDK: a pressed button is answered in the answer to the update itself."""

from collections.abc import Mapping

import msgspec

from midwatch.adapters.telegram.updates import Incoming, Pressed, Stray, read_update, verify
from midwatch.domain.texts import cut
from midwatch.services.messaging import IncomingMessage
from midwatch.services.reception import Answered, Reception
from midwatch.services.runtime import Clock


class TelegramDoor:
    """See :class:`midwatch.services.reception.Door`."""

    def __init__(self, secret: str, reception: Reception, clock: Clock) -> None:
        self._secret, self._reception, self._clock = secret, reception, clock

    async def receive(self, headers: Mapping[str, str], body: bytes) -> Answered:
        verify(headers, self._secret)
        answer = await take(read_update(body, self._clock.now()), self._reception)
        if answer is None:
            return Answered(b"{}")
        query, text = answer
        called = {"method": "answerCallbackQuery", "callback_query_id": query, "text": cut(text, 190)}
        return Answered(msgspec.json.encode({**called, "show_alert": True}))


async def take(incoming: Incoming, reception: Reception) -> tuple[str, str] | None:
    """Store what came in; the callback query to be answered, and with what."""
    if isinstance(incoming, Pressed):
        reply = await reception.click(incoming.click)
        return incoming.query, reply.sentence
    if isinstance(incoming, Stray):
        return incoming.query, "This button is not one of mine (any more)."
    if isinstance(incoming, IncomingMessage):
        await reception.message(incoming)
    return None
