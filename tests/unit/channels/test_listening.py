"""Requests that we fetch: acknowledged once they are stored, fetched again when they could not be."""

import asyncio
from collections.abc import Callable

from midwatch.adapters.slack.channel import open_client
from midwatch.adapters.slack.requests import Incoming as SlackIncoming
from midwatch.adapters.slack.socket import listen
from midwatch.adapters.system import SystemClock
from midwatch.adapters.telegram.channel import open_bot
from midwatch.adapters.telegram.polling import poll
from midwatch.adapters.telegram.updates import Incoming as TelegramIncoming
from midwatch.adapters.telegram.updates import Pressed
from midwatch.domain.errors import Transient
from midwatch.services.messaging import IncomingClick, IncomingMessage
from tests.fakes import slack_server as slack
from tests.fakes import telegram_server as telegram
from tests.fakes.slack_server import SlackServer
from tests.fakes.telegram_server import TelegramServer
from tests.unit.channels.cards import APPROVAL

BUTTON = f"a:{APPROVAL}:dddddddddddd"


async def until(true: Callable[[], object]) -> None:
    async with asyncio.timeout(20):
        while not true():
            await asyncio.sleep(0.01)


async def ended(task: "asyncio.Task[None]") -> None:
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


async def test_socket_mode_acknowledges_what_is_stored_and_nothing_else() -> None:
    server, taken, away = SlackServer(), list[SlackIncoming](), [True]

    async def take(incoming: SlackIncoming) -> None:
        if away[0]:
            raise Transient("the store is away")
        taken.append(incoming)

    url = await server.start()
    async with open_client(slack.TOKEN, url) as client:
        listening = asyncio.ensure_future(listen(client, slack.APP_TOKEN, take, SystemClock()))
        await until(lambda: server.sockets)
        await server.deliver("e1", slack.pressed(BUTTON))
        await asyncio.sleep(0.2)
        assert server.acked == []
        away[0] = False
        await server.deliver("e1", slack.pressed(BUTTON))
        await server.deliver("e2", slack.said("<@UBOT> why?"))
        await server.deliver("e3", {"type": "block_actions", "actions": [{"action_id": "x", "value": "y"}]})
        await until(lambda: len(server.acked) == 3)
        await ended(listening)
    await server.stop()
    click, message, nothing = taken
    assert isinstance(click, IncomingClick)
    assert click.approval == APPROVAL
    assert isinstance(message, IncomingMessage)
    assert message.text == "why?"
    assert nothing is None


async def test_socket_mode_that_is_refused_is_tried_again() -> None:
    server = SlackServer()
    server.faults.add("apps.connections.open", "500", "429")

    async def take(incoming: SlackIncoming) -> None:
        raise AssertionError(incoming)

    class Quick(SystemClock):
        async def sleep(self, seconds: float) -> None:
            await asyncio.sleep(min(seconds, 0.01) if seconds < 60 else seconds)

    async with open_client(slack.TOKEN, await server.start()) as client:
        listening = asyncio.ensure_future(listen(client, slack.APP_TOKEN, take, Quick()))
        await until(lambda: server.sockets)
        await ended(listening)
    await server.stop()


async def test_an_update_is_fetched_until_it_is_stored_and_then_no_more() -> None:
    server, taken, away = TelegramServer(), list[TelegramIncoming](), [2]

    async def take(incoming: TelegramIncoming) -> None:
        if away[0]:
            away[0] -= 1
            raise Transient("the store is away")
        taken.append(incoming)

    class Quick(SystemClock):
        async def sleep(self, seconds: float) -> None:
            await asyncio.sleep(0)

    server.webhook = {"url": "https://old.example"}
    server.faults.add("getUpdates", "500")
    server.sends(telegram.pressed(BUTTON, number=1))
    server.sends(telegram.said("/status", number=2))
    server.sends({"update_id": 3, "poll_answer": {"poll_id": "1", "option_ids": [], "option_persistent_ids": []}})
    async with open_bot(telegram.TOKEN, await server.start()) as bot:
        polling = asyncio.ensure_future(poll(bot, take, Quick()))
        await until(lambda: len(taken) == 3)
        await ended(polling)
    await server.stop()
    pressed, said, nothing = taken
    assert isinstance(pressed, Pressed)
    assert pressed.click.conversation == telegram.CHAT
    assert isinstance(said, IncomingMessage)
    assert said.text == "status"
    assert nothing is None
