"""A gateway as it is built for its process, without Ray: real store, real SDKs, servers that behave like the real."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path

import pytest

from midwatch.adapters.store.database import Database
from midwatch.bootstrap import Resources, open_resources
from midwatch.bootstrap.channels import OpenChannel, doors_of, open_channel
from midwatch.domain.ids import IncidentId
from midwatch.domain.incidents import Work
from midwatch.domain.users import Role
from midwatch.services.limiting import LocalRateLimiter
from midwatch.services.messaging import IncomingMessage, Place
from midwatch.settings import Settings
from tests.fakes import samples, slack_server, telegram_server
from tests.fakes.slack_server import SlackServer
from tests.fakes.telegram_server import TelegramServer
from tests.fakes.webhook_server import WebhookServer

INCIDENT = IncidentId("0000000a-0000-7000-8000-000000000001")
KUBECONFIG = """
apiVersion: v1
kind: Config
current-context: lab
contexts: [{name: lab, context: {cluster: lab, user: me}}]
clusters: [{name: lab, cluster: {server: "http://127.0.0.1:9"}}]
users: [{name: me, user: {token: t}}]
"""


pytestmark = pytest.mark.timeout(180)  # the SDKs take seconds to import, and posts keep their pace


class Silence:
    def signals(self) -> None: ...
    def clicks(self) -> None: ...
    def work(self, work: Work) -> None: ...
    def changed(self) -> None: ...


class Wiring:
    def __init__(self, resources: Resources, stack: AsyncExitStack) -> None:
        self.resources, self._stack = resources, stack
        self.slack, self.telegram, self.webhook = SlackServer(limited=False), TelegramServer(), WebhookServer("shared")

    async def open(self, channel: str) -> OpenChannel:
        return await self._stack.enter_async_context(open_channel(self.resources, channel, Silence(), lambda: None))


@pytest.fixture
async def wiring(database: Database, embedded_postgres: object, tmp_path: Path) -> AsyncIterator[Wiring]:
    kubeconfig = tmp_path / "kubeconfig"
    kubeconfig.write_text(KUBECONFIG)
    slack, telegram, webhook = SlackServer(limited=False), TelegramServer(), WebhookServer("shared")
    async with AsyncExitStack() as stack:
        for server in (slack, telegram, webhook):
            stack.push_async_callback(server.stop)
        settings = Settings(
            state_dir=tmp_path,
            database_url=embedded_postgres.url,  # type: ignore[attr-defined]
            redis_url="redis://127.0.0.1:9/0",
            kubeconfig=kubeconfig,
            slack_bot_token=slack_server.TOKEN,
            slack_signing_secret=slack_server.SECRET,
            slack_channel=slack_server.CHANNEL,
            slack_api_url=await slack.start(),
            telegram_bot_token=telegram_server.TOKEN,
            telegram_chat=telegram_server.CHAT,
            telegram_secret=telegram_server.SECRET,
            telegram_api_url=await telegram.start(),
            webhook_urls=await webhook.start(),
            webhook_secret="shared",
        )
        resources = await stack.enter_async_context(open_resources(settings, owner="test"))
        wired = Wiring(resources, stack)
        wired.slack, wired.telegram, wired.webhook = slack, telegram, webhook
        yield wired


async def test_every_channel_that_is_set_up_is_active(wiring: Wiring) -> None:
    assert wiring.resources.settings.active_channels == ("console", "slack", "telegram", "webhook")

    async def tell(*_: object) -> None: ...

    doors = doors_of(wiring.resources, Silence(), lambda _: None, tell, LocalRateLimiter())
    assert sorted(doors) == ["slack", "telegram"]


async def test_one_incident_is_one_card_in_each(wiring: Wiring) -> None:
    events = [samples.opened(), samples.attached(), samples.report(), samples.proposed(), samples.requested()]
    at = wiring.resources.clock.now()
    await wiring.resources.stores.journal.open(INCIDENT, events, at=at, by="test")
    for channel in wiring.resources.settings.active_channels:
        opened = await wiring.open(channel)
        for outlet in opened.outlets:
            await outlet.drain()
        if opened.check is not None:
            assert "midwatch" in await opened.check()
    assert "Approve" in wiring.slack.card(INCIDENT).buttons
    assert wiring.slack.thread(wiring.slack.card(INCIDENT).ts)
    assert "Approve" in wiring.telegram.card(INCIDENT).buttons
    assert wiring.webhook.bodies[-1]["state"] == "awaiting_approval"


async def test_what_is_asked_in_a_chat_is_answered_there(wiring: Wiring) -> None:
    clock = wiring.resources.clock
    for channel, conversation in (("slack", slack_server.CHANNEL), ("telegram", telegram_server.CHAT)):
        asked = IncomingMessage(
            id="m1",
            user_id="1",
            channel_type=channel,
            text="help",
            at=clock.now(),
            conversation=conversation,
            direct=True,
        )
        await wiring.resources.stores.arrivals.put(asked)
        opened = await wiring.open(channel)
        assert opened.reply is not None
        await opened.reply()
        assert await wiring.resources.stores.arrivals.pending(channel, now=clock.now()) == ()
        assert opened.channel is not None
        await opened.channel.whisper(Place(channel, conversation), "1", "done")
    assert wiring.slack.ephemerals
    assert wiring.telegram.messages


async def test_telegram_is_told_where_to_send_or_is_asked(wiring: Wiring) -> None:
    opened = await wiring.open("telegram")
    wiring.telegram.sends(telegram_server.said("help", number=1, chat="42"))
    (fetching,) = (asyncio.ensure_future(chore()) for chore in opened.chores)
    arrivals, clock = wiring.resources.stores.arrivals, wiring.resources.clock
    async with asyncio.timeout(20):
        while not await arrivals.pending("telegram", now=clock.now()):
            await asyncio.sleep(0.02)
    fetching.cancel()
    await asyncio.gather(fetching, return_exceptions=True)


async def test_a_button_pressed_in_telegram_is_fetched_and_stored(wiring: Wiring) -> None:
    resources = wiring.resources
    users, journal = resources.users(), resources.stores.journal
    await users.add("bob", Role.APPROVER)
    assert await users.redeem(await users.new_code("bob"), "telegram:7")
    events = [samples.opened(), samples.attached(), samples.report(), samples.proposed(), samples.requested()]
    await journal.open(INCIDENT, events, at=resources.clock.now(), by="test")
    opened = await wiring.open("telegram")
    (cards, *_), (fetching,) = opened.outlets, (asyncio.ensure_future(chore()) for chore in opened.chores)
    await cards.drain()
    card = wiring.telegram.card(INCIDENT)
    wiring.telegram.sends(telegram_server.said("help", user=7, chat="42", number=1))
    wiring.telegram.sends(telegram_server.pressed(card.buttons["Reject"], user=8, message=card.id, number=2))
    wiring.telegram.sends(telegram_server.pressed(card.buttons["Reject"], user=7, message=card.id, number=3))
    async with asyncio.timeout(20):
        while not (clicks := await resources.stores.clicks.pending()) or not wiring.telegram.answers:
            await asyncio.sleep(0.02)
    fetching.cancel()
    await asyncio.gather(fetching, return_exceptions=True)
    assert [(click.user, click.choice) for click in clicks] == [("telegram:7", "reject")]
    (told, *_) = wiring.telegram.answers
    assert "do not know you" in told["text"]
