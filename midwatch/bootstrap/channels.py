"""The channels: what one gateway sends and fetches, and the doors at which the edge takes their requests."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import Protocol

from pydantic import SecretStr

from midwatch.adapters.catalog.people import FilePeople
from midwatch.adapters.slack import channel as slack
from midwatch.adapters.slack import door as slack_door
from midwatch.adapters.slack import socket as slack_socket
from midwatch.adapters.slack.requests import Incoming as SlackIncoming
from midwatch.adapters.telegram import channel as telegram
from midwatch.adapters.telegram import door as telegram_door
from midwatch.adapters.telegram import polling as telegram_polling
from midwatch.adapters.telegram.updates import Incoming as TelegramIncoming
from midwatch.adapters.telegram.updates import Pressed
from midwatch.adapters.webhook import channel as webhook
from midwatch.bootstrap import Resources
from midwatch.bootstrap.chat import open_chat
from midwatch.bootstrap.serving import open_limiter
from midwatch.domain.errors import NotFound, Permanent, Transient
from midwatch.domain.rota import deliver
from midwatch.services.answering import ApprovalAnswers
from midwatch.services.chat.desk import CONSOLE
from midwatch.services.digesting import Digesting
from midwatch.services.limiting import Limiter, PersonalRate
from midwatch.services.messaging import Channel, Incoming, KnownPeople
from midwatch.services.notification import ConsoleChannel, Heard, Notification, asked_for
from midwatch.services.pacing import Pace, Rate
from midwatch.services.reception import Door, Reception, Tell
from midwatch.services.replying import Replying
from midwatch.services.runtime import Bells, Wake
from midwatch.services.shortening import compact, investigation

Chore = Callable[[], Awaitable[None]]

_GAP = timedelta(seconds=2)
_STORED_S, _ANSWERED_S, _JUDGED_S = 0.0, 0.3, 10.0
_WEBHOOK_RATE = {"post": Rate(0.1, burst=20), "edit": Rate(0.1, burst=20)}


class Drained(Protocol):
    """Something that brings a channel up to date. ``waiting``: after a drain, more waits for the channel's pace."""

    waiting: bool

    async def drain(self, most: int | None = None) -> int:
        """Send what is due, or ``most`` of it; how much was."""
        ...


@dataclass(frozen=True)
class OpenChannel:
    """What one gateway does: brings outlets up to date in this order, answers, fetches, and looks after its account."""

    outlets: tuple[Drained, ...]
    channel: Channel | None = None
    reply: Chore | None = None
    """Answers what waits; may be called again while it is at it."""
    chores: tuple[Chore, ...] = ()
    check: Callable[[], Awaitable[str]] | None = None
    """Whom the token belongs to; may fail for as long as it likes."""


def incoming_of(resources: Resources, bells: Bells, patience_s: float) -> Incoming:
    """Who answers what comes in from a channel."""
    settings, stores = resources.settings, resources.stores
    return ApprovalAnswers(
        resources.journal(bells),
        stores.clicks,
        KnownPeople(resources.users()),
        bells,
        resources.clock,
        places={
            "slack": frozenset({settings.slack_channel} - {""}),
            "telegram": frozenset({settings.telegram_chat} - {""}),
        },
        patience_s=patience_s,
    )


def doors_of(
    resources: Resources, bells: Bells, heard: Callable[[str], None], tell: Tell, limiter: Limiter
) -> Mapping[str, Door]:
    """The doors of the channels that send us requests. ``heard`` rings the gateway of the channel that is named."""
    settings, doors = resources.settings, dict[str, Door]()
    if "slack" in settings.active_channels and settings.slack_signing_secret is not None:
        reception = _reception(resources, bells, lambda: heard(slack.NAME), tell, limiter, _STORED_S)
        secret = settings.slack_signing_secret.get_secret_value()
        doors[slack.NAME] = slack_door.SlackDoor(secret, reception, resources.clock)
    if "telegram" in settings.active_channels and settings.telegram_secret is not None:
        reception = _reception(resources, bells, lambda: heard(telegram.NAME), tell, limiter, _ANSWERED_S)
        secret = settings.telegram_secret.get_secret_value()
        doors[telegram.NAME] = telegram_door.TelegramDoor(secret, reception, resources.clock)
    return doors


@asynccontextmanager
async def open_channel(resources: Resources, channel: str, bells: Bells, heard: Wake) -> AsyncIterator[OpenChannel]:
    """For the gateway of a channel. Raises ``NotFound`` for one that does not exist. Calls nobody."""
    make = _CHANNELS.get(channel)
    if make is None:
        raise NotFound(f"no channel {channel!r}; there are {', '.join(_CHANNELS)}")
    async with make(resources, bells, heard) as opened:
        yield opened


@asynccontextmanager
async def _console(resources: Resources, bells: Bells, heard: Wake) -> AsyncIterator[OpenChannel]:
    del heard
    stores = resources.stores
    async with open_chat(resources, bells) as chat:
        await chat.resume(CONSOLE)

        async def reply() -> None:
            await chat.drain(CONSOLE)  # its questions are stored by the edge

        cards = Notification(stores.journal, stores.cards, ConsoleChannel(), resources.clock)
        yield OpenChannel((cards,), reply=reply)


@asynccontextmanager
async def _slack(resources: Resources, bells: Bells, heard: Wake) -> AsyncIterator[OpenChannel]:
    settings, stores, clock = resources.settings, resources.stores, resources.clock
    token = _needed(settings.slack_bot_token, "SLACK_BOT_TOKEN")
    async with slack.open_client(token, settings.slack_api_url) as client, open_limiter(settings) as limiter:
        channel = slack.SlackChannel(client, settings.slack_channel, console_url=settings.public_url)
        pace = Pace(slack.RATES, started=clock.now())
        cards = Notification(
            stores.journal,
            stores.cards,
            channel,
            clock,
            pace=pace,
            gap=_GAP,
            heard=asked_for(slack.NAME, _routed(resources, slack.NAME)),
            aspect=compact,
        )
        details = Notification(
            stores.journal,
            stores.cards,
            slack.SlackDetails(channel, stores.cards),
            clock,
            pace=pace,
            gap=5 * _GAP,
            aspect=investigation,
            under=slack.NAME,
        )
        reception = _reception(resources, bells, heard, channel.whisper, limiter, _STORED_S)
        chores: list[Chore] = []
        patient = incoming_of(resources, bells, _JUDGED_S)
        async with open_chat(resources, bells, patient) as chat, _Background() as background:
            await chat.resume(slack.NAME)
            replying = Replying(stores.arrivals, chat, channel, clock, pace)
            if settings.slack_app_token is not None:
                app_token = settings.slack_app_token.get_secret_value()

                async def take(incoming: SlackIncoming) -> None:
                    answered = await slack_door.take(incoming, reception)
                    if answered.after is not None:
                        background.run(answered.after())

                chores.append(lambda: slack_socket.listen(client, app_token, take, clock))
            digests = Digesting(stores.journal, stores.digests, channel, clock, resources.ids, pace=pace)
            yield OpenChannel((cards, digests, details), channel, _all_of(replying), tuple(chores), channel.check)


@asynccontextmanager
async def _telegram(resources: Resources, bells: Bells, heard: Wake) -> AsyncIterator[OpenChannel]:
    settings, stores, clock = resources.settings, resources.stores, resources.clock
    token = _needed(settings.telegram_bot_token, "TELEGRAM_BOT_TOKEN")
    async with telegram.open_bot(token, settings.telegram_api_url) as bot, open_limiter(settings) as limiter:
        channel = telegram.TelegramChannel(bot, settings.telegram_chat, console_url=settings.public_url)
        pace = Pace(telegram.rates(settings.telegram_chat), started=clock.now(), same=telegram.SAME)
        cards = Notification(
            stores.journal,
            stores.cards,
            channel,
            clock,
            pace=pace,
            gap=_GAP,
            heard=asked_for(telegram.NAME, _routed(resources, telegram.NAME)),
        )
        reception = _reception(resources, bells, heard, channel.whisper, limiter, _STORED_S)
        patient = incoming_of(resources, bells, _JUDGED_S)
        async with open_chat(resources, bells, patient) as chat, _Background() as background:
            await chat.resume(telegram.NAME)
            replying = Replying(stores.arrivals, chat, channel, clock, pace)

            async def answer(pressed: Pressed) -> None:
                await channel.answer(pressed.query, (await patient.click(pressed.click)).sentence)

            async def take(incoming: TelegramIncoming) -> None:
                taken = await telegram_door.take(incoming, reception)
                if isinstance(incoming, Pressed) and not taken.settled:
                    background.run(answer(incoming))
                elif taken.query:
                    background.run(channel.answer(taken.query, taken.text))
                elif taken.after is not None:
                    background.run(taken.after())

            async def be_sent() -> None:
                secret = _needed(settings.telegram_secret, "TELEGRAM_SECRET")
                await channel.set_webhook(settings.telegram_webhook_url, secret)
                await asyncio.Event().wait()

            chore = be_sent if settings.telegram_webhook_url else lambda: telegram_polling.poll(bot, take, clock)
            digests = Digesting(stores.journal, stores.digests, channel, clock, resources.ids, pace=pace)
            yield OpenChannel((cards, digests), channel, _all_of(replying), (chore,), channel.check)


@asynccontextmanager
async def _webhook(resources: Resources, bells: Bells, heard: Wake) -> AsyncIterator[OpenChannel]:
    del bells, heard
    settings, stores, clock = resources.settings, resources.stores, resources.clock
    secret = _needed(settings.webhook_secret, "MIDWATCH_WEBHOOK_SECRET")
    urls = [webhook.checked(url.get_secret_value()) for url in settings.webhook_urls]
    async with webhook.open_session() as session:
        channels = [
            webhook.WebhookChannel(session, url, secret, clock, console_url=settings.public_url) for url in urls
        ]
        yield OpenChannel(
            tuple(
                Notification(
                    stores.journal,
                    stores.cards,
                    channel,
                    clock,
                    pace=Pace(_WEBHOOK_RATE, started=clock.now()),
                    heard=asked_for("webhook"),
                    aspect=compact,
                )
                for channel in channels
            )
        )


_CHANNELS: dict[str, Callable[[Resources, Bells, Wake], AbstractAsyncContextManager[OpenChannel]]] = {
    "console": _console,
    "slack": _slack,
    "telegram": _telegram,
    "webhook": _webhook,
}


def _routed(resources: Resources, channel: str) -> Heard:
    """Routes and quiet hours of ``people.yaml``, as they are at each message."""
    people = FilePeople(resources.settings.people_file)
    return lambda incident, now: deliver(incident, channel, people.current(), now)


def _reception(
    resources: Resources, bells: Bells, heard: Wake, tell: Tell, limiter: Limiter, patience_s: float
) -> Reception:
    return Reception(
        resources.stores.arrivals,
        resources.stores.cards,
        quick=incoming_of(resources, bells, patience_s),
        patient=incoming_of(resources, bells, _JUDGED_S),
        heard=heard,
        tell=tell,
        rate=PersonalRate(limiter, resources.clock, per_minute=resources.settings.channel_user_per_minute),
    )


def _all_of(replying: Replying) -> Chore:
    async def reply() -> None:
        await replying.drain()

    return reply


def _needed(secret: SecretStr | None, name: str) -> str:
    if secret is None or not secret.get_secret_value():
        raise Permanent(f"set {name}")
    return secret.get_secret_value()


class _Background:
    """Courtesies that nobody waits for; those under way when the channel closes are given up."""

    def __init__(self) -> None:
        self._tasks = set[asyncio.Task[None]]()

    async def __aenter__(self) -> "_Background":
        return self

    async def __aexit__(self, *_: object) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def run(self, work: Awaitable[None]) -> None:
        task = asyncio.ensure_future(_quietly(work))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)


async def _quietly(work: Awaitable[None]) -> None:
    try:
        await work
    except (Transient, Permanent, NotFound):
        return  # the card shows what became of it
