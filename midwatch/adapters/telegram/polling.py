"""Long polling: Telegram's updates fetched by us, for a machine that nobody can reach."""

import logging
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Final

import msgspec

from midwatch.adapters.telegram.channel import POLL_S
from midwatch.adapters.telegram.updates import Incoming, read_update
from midwatch.domain.errors import Invalid, MidwatchError
from midwatch.services.runtime import Clock

if TYPE_CHECKING:
    from telegram import Bot

log = logging.getLogger(__name__)

_FIRST_WAIT_S: Final = 1.0
_LONGEST_WAIT_S: Final = 60.0

Take = Callable[[Incoming], Awaitable[object]]
"""Stores what came in. What it raises leaves the update with Telegram, which gives it again."""


async def poll(bot: "Bot", take: Take, clock: Clock) -> None:
    """Take updates for ever. An update counts as taken only once it is stored: the next poll says so."""
    from telegram.error import TelegramError

    after, wait, cleared = 0, _FIRST_WAIT_S, False
    while True:
        try:
            if not cleared:
                await bot.delete_webhook()  # while one is set, Telegram gives nothing to those who poll
                cleared = True
            for update in await bot.get_updates(
                after, timeout=POLL_S, allowed_updates=["message", "callback_query"], limit=50
            ):
                await _taken(update.to_json(), take, clock)
                after = update.update_id + 1
            wait = _FIRST_WAIT_S
        except (TelegramError, MidwatchError) as error:
            log.warning("polling Telegram failed", extra={"error": type(error).__name__})
            await clock.sleep(wait)
            wait = min(2 * wait, _LONGEST_WAIT_S)


async def _taken(update: str, take: Take, clock: Clock) -> None:
    try:
        incoming = read_update(update, clock.now())
    except (Invalid, msgspec.MsgspecError) as error:
        log.warning("update from Telegram refused", extra={"error": str(error)})
        return
    await take(incoming)
