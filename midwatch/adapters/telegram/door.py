"""Telegram's updates at our door. Knows no SDK: a pressed button is answered in the answer to the update itself."""

from collections.abc import Mapping

import msgspec

from midwatch.adapters.telegram.updates import Incoming, Pressed, Stray, read_update, verify
from midwatch.domain.texts import cut
from midwatch.services.answering import PENDING
from midwatch.services.messaging import IncomingMessage
from midwatch.services.reception import After, Answered, Reception
from midwatch.services.runtime import Clock


class TelegramDoor:
    """See :class:`midwatch.services.reception.Door`."""

    def __init__(self, secret: str, reception: Reception, clock: Clock) -> None:
        self._secret, self._reception, self._clock = secret, reception, clock

    async def receive(self, headers: Mapping[str, str], body: bytes) -> Answered:
        verify(headers, self._secret)
        taken = await take(read_update(body, self._clock.now()), self._reception)
        if not taken.query:
            return Answered(b"{}", after=taken.after)
        called = {"method": "answerCallbackQuery", "callback_query_id": taken.query, "text": cut(taken.text, 190)}
        return Answered(msgspec.json.encode({**called, "show_alert": True}))


class Taken(msgspec.Struct, frozen=True):
    """What to answer to the callback query, if it was one. ``settled``: there is nothing more to be known of it."""

    query: str = ""
    text: str = ""
    settled: bool = True
    after: After | None = None


async def take(incoming: Incoming, reception: Reception) -> Taken:
    """Store what came in."""
    if isinstance(incoming, Pressed):
        reply = await reception.click(incoming.click)
        return Taken(incoming.query, reply.sentence, settled=reply.outcome != PENDING)
    if isinstance(incoming, Stray):
        return Taken(incoming.query, "This button is not one of mine (any more).")
    if isinstance(incoming, IncomingMessage):
        return Taken(after=await reception.message(incoming))
    return Taken()
