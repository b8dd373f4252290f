"""ChannelGateway: keeps one channel's messages up to date with the journal, and answers what people write there."""

import asyncio
import logging
from contextlib import suppress

from actors.clients import ActorBells
from actors.lifecycle import Resident
from midwatch.bootstrap import Resources
from midwatch.bootstrap.channels import Chore, Drained, OpenChannel, open_channel
from midwatch.domain.errors import MidwatchError, Transient
from midwatch.services.messaging import Channel, Place
from midwatch.settings import Settings

log = logging.getLogger(__name__)

_FIRST_WAIT_S, _LONGEST_WAIT_S = 1.0, 60.0
_CHECK_EVERY_S = 300.0


class ChannelGateway(Resident):
    """One per channel. A channel that is away holds nobody else up: its cards wait in the outbox."""

    def __init__(self, settings: Settings, name: str, channel: str) -> None:
        self._channel = channel
        self._heard = asyncio.Event()
        self._open: Channel | None = None
        self._account = ""
        super().__init__(settings, name)

    async def wake(self) -> None:
        await super().wake()
        self._heard.set()

    async def health(self) -> dict[str, object]:
        return await super().health() | ({"detail": self._account} if self._account else {})

    async def tell(self, place: Place, channel_user: str, text: str) -> None:
        """Tell one person at a place. A courtesy: what cannot be told now is not told."""
        if self._open is not None:
            with suppress(MidwatchError):
                await self._open.whisper(place, channel_user, text)

    async def run(self, resources: Resources) -> None:
        bells = ActorBells(self._settings.active_channels)
        async with open_channel(resources, self._channel, bells, self._heard.set) as opened:
            self._open = opened.channel
            async with asyncio.TaskGroup() as group:
                group.create_task(self.turns(lambda: self._bring_up_to_date(opened.outlets)))
                if opened.reply is not None:
                    group.create_task(self._reply(group, opened.reply))
                for chore in opened.chores:
                    group.create_task(self._supervised(chore))
                if opened.check is not None:
                    group.create_task(self._look_after(opened))

    async def _bring_up_to_date(self, outlets: tuple[Drained, ...]) -> None:
        """The first outlet whole, then one message of each other, again and again: people wait for the first."""
        first, *others = outlets
        while True:
            sent = await first.drain()
            late = [await other.drain(most=1) for other in others]
            self._metrics.cards.labels(self._channel, "sent").inc(sent + sum(late))
            if not any(late) and not any(other.waiting for other in others):
                return

    async def _reply(self, group: asyncio.TaskGroup, reply: Chore) -> None:
        """A long answer holds up neither cards nor other questions: each round takes what nobody has taken."""
        while True:
            self._heard.clear()
            group.create_task(self._round(reply))
            with suppress(TimeoutError):
                async with asyncio.timeout(self._settings.sweep_s):
                    await self._heard.wait()

    async def _round(self, reply: Chore) -> None:
        try:
            await reply()
        except Transient as error:
            log.info("questions wait for the store", extra={"error": str(error)})

    async def _supervised(self, chore: Chore) -> None:
        """A chore that ends by an error begins again; the cards go on meanwhile."""
        wait = _FIRST_WAIT_S
        while True:
            try:
                await chore()
                wait = _FIRST_WAIT_S
            except MidwatchError as error:
                log.warning("channel in trouble", extra={"channel": self._channel, "error": str(error)})
            await asyncio.sleep(wait)
            wait = min(2 * wait, _LONGEST_WAIT_S)

    async def _look_after(self, opened: OpenChannel) -> None:
        """Know whose token it is, and say so in the health; never a reason not to go on."""
        assert opened.check is not None
        while True:
            try:
                self._account = await opened.check()
                pause = _CHECK_EVERY_S
            except MidwatchError as error:
                self._account, pause = f"not connected: {error}", 10.0
            await asyncio.sleep(pause)
