"""Every channel over a server that behaves as its platform: posts once, edits in place, tells errors by what to do."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import pytest

from midwatch.adapters.slack.channel import SlackChannel, SlackDetails, open_client
from midwatch.adapters.system import SystemClock
from midwatch.adapters.telegram.channel import TelegramChannel, open_bot
from midwatch.adapters.webhook.channel import WebhookChannel, open_session
from midwatch.domain.digests import Digest, digest_of
from midwatch.domain.errors import NotFound, Permanent, Throttled, Transient
from midwatch.domain.ids import IncidentId
from midwatch.domain.incidents import Incident
from midwatch.services.messaging import Channel, Place
from midwatch.services.notification import Outlet, Searchable
from midwatch.services.ports import CardRow
from tests.fakes import slack_server, telegram_server
from tests.fakes.slack_server import SlackServer
from tests.fakes.stores import MemoryStore
from tests.fakes.telegram_server import TelegramServer
from tests.fakes.webhook_server import WebhookServer
from tests.unit.channels.cards import INCIDENT, NASTY, asking_card, open_card, resolved_card


@dataclass
class Wired:
    """A channel and the server it speaks to; ``post`` and ``edit`` are the server's methods."""

    channel: Outlet
    server: SlackServer | TelegramServer | WebhookServer
    post: str
    edit: str
    texts: Callable[[], list[str]]
    """What people see: one text a message."""


Opener = Callable[[AsyncExitStack], Awaitable[Wired]]


async def slack(stack: AsyncExitStack, token: str = slack_server.TOKEN) -> Wired:
    server = SlackServer(limited=False)
    url = await server.start()
    stack.push_async_callback(server.stop)
    client = await stack.enter_async_context(open_client(token, url))
    channel = SlackChannel(client, slack_server.CHANNEL)
    texts = lambda: [message.text for message in server.messages.values()]  # noqa: E731
    return Wired(channel, server, "chat.postMessage", "chat.update", texts)


async def telegram(stack: AsyncExitStack, token: str = telegram_server.TOKEN) -> Wired:
    server = TelegramServer(limited=False)
    url = await server.start()
    stack.push_async_callback(server.stop)
    bot = await stack.enter_async_context(open_bot(token, url))
    channel = TelegramChannel(bot, telegram_server.CHAT)
    texts = lambda: [message.text for message in server.messages.values()]  # noqa: E731
    return Wired(channel, server, "sendMessage", "editMessageText", texts)


async def webhook(stack: AsyncExitStack, secret: str = "shared") -> Wired:
    server = WebhookServer("shared")
    url = await server.start()
    stack.push_async_callback(server.stop)
    session = await stack.enter_async_context(open_session())
    channel = WebhookChannel(session, url, secret, SystemClock())
    return Wired(channel, server, "POST", "POST", lambda: [server.bodies[-1]["text"]] if server.bodies else [])


EVERY = {"slack": slack, "telegram": telegram, "webhook": webhook}
CHATS = {"slack": slack, "telegram": telegram}


@pytest.fixture
async def stack() -> AsyncIterator[AsyncExitStack]:
    async with AsyncExitStack() as stack:
        yield stack


@pytest.fixture(params=EVERY)
async def wired(request: pytest.FixtureRequest, stack: AsyncExitStack) -> Wired:
    return await EVERY[request.param](stack)


@pytest.fixture(params=CHATS)
async def chat(request: pytest.FixtureRequest, stack: AsyncExitStack) -> Wired:
    return await CHATS[request.param](stack)


async def test_a_card_is_one_message_from_its_first_sight_to_its_end(wired: Wired) -> None:
    ref = await wired.channel.show(open_card(), "")
    assert ref
    assert await wired.channel.show(asking_card(), ref) == ref
    assert await wired.channel.show(resolved_card(), ref) == ref
    (text,) = wired.texts()
    assert "resolved" in text
    assert "lasted 12 min" in text


async def test_an_edit_that_changes_nothing_is_no_error(wired: Wired) -> None:
    ref = await wired.channel.show(asking_card(), "")
    assert await wired.channel.show(asking_card(), ref) == ref


@pytest.mark.parametrize("text", NASTY, ids=range(len(NASTY)))
async def test_no_text_is_refused(wired: Wired, text: str) -> None:
    ref = await wired.channel.show(asking_card(text), "")
    await wired.channel.show(asking_card(text, buttons=()), ref)
    assert len(wired.texts()) == 1


@pytest.mark.parametrize("edit", [False, True], ids=["post", "edit"])
async def test_too_fast_is_a_rest_for_as_long_as_asked(wired: Wired, edit: bool) -> None:
    ref = await wired.channel.show(open_card(), "") if edit else ""
    wired.server.faults.add(wired.edit if edit else wired.post, "429")
    with pytest.raises(Throttled) as told:
        await wired.channel.show(asking_card(), ref)
    assert told.value.retry_in == 1.0
    assert await wired.channel.show(asking_card(), ref)


@pytest.mark.parametrize("fault", ["500", "silent", "lost"])
async def test_trouble_is_passing_and_tells_no_secret(wired: Wired, fault: str) -> None:
    wired.server.faults.add(wired.post, fault)
    with pytest.raises(Transient) as told:
        await wired.channel.show(open_card(), "")
    assert not isinstance(told.value, Throttled)
    assert slack_server.TOKEN not in str(told.value)
    assert telegram_server.TOKEN not in str(told.value)
    assert await wired.channel.show(open_card(), "")


@pytest.mark.parametrize(
    ("name", "secret"), [("slack", "xoxb-wrong"), ("telegram", "1:wrong"), ("webhook", "not the shared one")]
)
async def test_a_wrong_secret_is_for_a_person_to_mend(name: str, secret: str, stack: AsyncExitStack) -> None:
    wired = await EVERY[name](stack, secret)
    with pytest.raises(Permanent) as told:
        await wired.channel.show(open_card(), "")
    assert secret not in str(told.value)


async def test_a_message_that_somebody_deleted_is_told(chat: Wired) -> None:
    with pytest.raises(NotFound):
        await chat.channel.show(open_card(), "4711.000001" if chat.channel.name == "slack" else "4711")


async def test_slack_finds_a_post_whose_answer_was_lost(stack: AsyncExitStack) -> None:
    wired = await slack(stack)
    assert isinstance(wired.channel, Searchable)
    since = datetime.now(UTC)
    for number in range(250):
        await wired.channel.show(open_card(incident=f"other-{number:04d}"), "")
    wired.server.faults.add(wired.post, "lost")
    with pytest.raises(Transient):
        await wired.channel.show(open_card(), "")
    found = await wired.channel.find(INCIDENT, since)
    assert found in wired.server.messages  # type: ignore[operator]
    assert await wired.channel.find(INCIDENT, since + timedelta(minutes=5)) == ""


async def test_telegram_cannot_search_and_does_not_pretend_to(stack: AsyncExitStack) -> None:
    assert not isinstance((await telegram(stack)).channel, Searchable)


async def test_a_reply_stands_in_its_thread_and_grows_in_place(chat: Wired) -> None:
    channel, server = chat.channel, chat.server
    root = await channel.show(open_card(), "")
    conversation = slack_server.CHANNEL if channel.name == "slack" else telegram_server.CHAT
    place = Place(channel.name, conversation, root)
    speaker: Channel = channel  # type: ignore[assignment]
    ref = await speaker.say(place, "looking …")
    assert await speaker.say(place, "3 pods:\n```\nweb-1 & <web-2>\n```", ref) == ref
    assert len(server.messages) == 2  # type: ignore[union-attr]
    reply = list(server.messages.values())[-1]  # type: ignore[union-attr]
    assert root in (getattr(reply, "thread", ""), str(getattr(reply, "reply_to", "")))
    assert "web-1" in chat.texts()[-1]
    await speaker.whisper(place, "U1", "not for you")
    assert await speaker.say(Place(channel.name, conversation, "nonsense"), "still said") or channel.name == "slack"


async def test_slacks_thread_holds_the_investigation(stack: AsyncExitStack) -> None:
    wired, store = await slack(stack), MemoryStore()
    assert isinstance(wired.channel, SlackChannel)
    details = SlackDetails(wired.channel, store.cards)
    with pytest.raises(Transient):
        await details.show(asking_card(), "")
    root = await wired.channel.show(asking_card(), "")
    await store.cards.sent(CardRow(incident=INCIDENT, channel="slack", ref=root, seq=1), at=datetime.now(UTC))
    ref = await details.show(asking_card(), "")
    assert await details.show(asking_card(details=("Seen: another",)), ref) == ref
    (thread,) = wired.server.thread(root)  # type: ignore[union-attr]
    assert "Seen: another" in thread.text


async def test_whose_token_it_is_can_be_told(chat: Wired) -> None:
    assert "midwatch" in await chat.channel.check()  # type: ignore[attr-defined]


async def test_a_receiver_can_prove_what_it_gets_and_know_a_repetition(stack: AsyncExitStack) -> None:
    wired = await webhook(stack)
    wired.server.faults.add("POST", "lost")
    with pytest.raises(Transient):
        await wired.channel.show(asking_card(), "")
    await wired.channel.show(asking_card(), "")
    await wired.channel.show(resolved_card(), str(INCIDENT))
    server = wired.server
    assert isinstance(server, WebhookServer)
    lost, again, over = server.bodies
    assert lost["delivery"] == again["delivery"] != over["delivery"]
    assert (over["state"], over["incident"]) == ("resolved", INCIDENT)
    assert "buttons" not in over


def a_digest(text: str = "web crashes", size: int = 300) -> Digest:
    incidents = [Incident(id=IncidentId(f"{number:08}-i"), title=text) for number in range(size)]
    return digest_of("0000000d-0000-7000-8000-000000000001", "chat", incidents, datetime.now(UTC))


async def test_a_digest_of_any_length_is_one_message(chat: Wired) -> None:
    assert isinstance(chat.channel, SlackChannel | TelegramChannel)
    assert await chat.channel.show_digest(a_digest())
    (text,) = chat.texts()
    assert "300 incidents held back until now: 300 still open" in text
    assert "more: ask me for" in text
    assert await chat.channel.show_digest(a_digest(size=1))
    assert "1 incident held back until now" in chat.texts()[1]


@pytest.mark.parametrize("text", NASTY, ids=range(len(NASTY)))
async def test_no_title_breaks_a_digest(chat: Wired, text: str) -> None:
    assert isinstance(chat.channel, SlackChannel | TelegramChannel)
    assert await chat.channel.show_digest(a_digest(text, size=25))


async def test_slack_finds_a_digest_whose_answer_was_lost(stack: AsyncExitStack) -> None:
    wired = await slack(stack)
    assert isinstance(wired.channel, SlackChannel)
    digest, begun = a_digest(size=2), datetime.now(UTC)
    assert await wired.channel.find_digest(digest.id, begun) == ""
    wired.server.faults.add("chat.postMessage", "lost")
    with pytest.raises(Transient):
        await wired.channel.show_digest(digest)
    assert await wired.channel.find_digest(digest.id, begun)
    assert await wired.channel.find_digest("another", begun) == ""
