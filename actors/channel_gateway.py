"""ChannelGateway: keeps one channel's messages up to date with the journal, and answers what is asked in it."""

import asyncio
import logging

from actors.clients import ActorBells
from actors.lifecycle import Resident
from midwatch.bootstrap import Resources
from midwatch.bootstrap.chat import open_chat
from midwatch.domain.errors import Transient
from midwatch.services.chat.desk import CONSOLE, Chat
from midwatch.settings import Settings

log = logging.getLogger(__name__)


class ChannelGateway(Resident):
    """One per channel. A channel that is away holds nobody else up."""

    def __init__(self, settings: Settings, name: str, channel: str) -> None:
        self._channel = channel
        super().__init__(settings, name)

    async def run(self, resources: Resources) -> None:
        notification = resources.notification(self._channel)
        async with open_chat(resources, ActorBells()) as chat, asyncio.TaskGroup() as answering:
            await chat.resume(self._channel)

            async def turn() -> None:
                if self._channel == CONSOLE:  # its questions are stored by the edge
                    answering.create_task(_answer(chat, self._channel))
                sent = await notification.drain()
                self._metrics.cards.labels(self._channel, "sent").inc(sent)

            await self.turns(turn)


async def _answer(chat: Chat, channel: str) -> None:
    """A long answer holds up neither cards nor other questions: each turn takes what nobody has taken."""
    try:
        await chat.drain(channel)
    except Transient as error:
        log.info("questions wait for the store", extra={"error": str(error)})
