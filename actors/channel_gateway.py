"""ChannelGateway: keeps one channel's messages up to date with the journal."""

from actors.lifecycle import Resident
from midwatch.bootstrap import Resources
from midwatch.settings import Settings


class ChannelGateway(Resident):
    """One per channel. A channel that is away holds nobody else up."""

    def __init__(self, settings: Settings, name: str, channel: str) -> None:
        self._channel = channel
        super().__init__(settings, name)

    async def run(self, resources: Resources) -> None:
        notification = resources.notification(self._channel)

        async def turn() -> None:
            sent = await notification.drain()
            self._metrics.cards.labels(self._channel, "sent").inc(sent)

        await self.turns(turn)
