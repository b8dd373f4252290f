"""Requests of Slack and Telegram at the edge: stored before they are acknowledged, refused with a reason otherwise."""

import json
from dataclasses import replace
from datetime import timedelta
from typing import Any

import httpx2
import pytest

from midwatch.adapters.slack.door import SlackDoor
from midwatch.adapters.telegram.door import TelegramDoor
from midwatch.domain.users import Person, Role
from midwatch.services.answering import ApprovalAnswers
from midwatch.services.limiting import LocalRateLimiter, PersonalRate
from midwatch.services.messaging import KnownPeople, Place
from midwatch.services.ports import CardRow
from midwatch.services.reception import Reception
from tests.fakes import slack_server as slack
from tests.fakes import telegram_server as telegram
from tests.unit.edge import scenes
from tests.unit.edge.conftest import House, Opener

SLACK, TELEGRAM = "/api/webhook/slack", "/api/webhook/telegram"
TOKEN = f"a:{scenes.APPROVAL}:{scenes.DIGEST[:12]}"


PER_MINUTE = 10


class Known:
    """Ann approves, Vic only looks."""

    async def find(self, identity: str) -> Person | None:
        roles = {"slack:U1": Role.APPROVER, "telegram:7": Role.APPROVER, "slack:UVIC": Role.VIEWER}
        return Person(user=f"user:{identity}", role=roles[identity], names=()) if identity in roles else None


class Doors:
    """Both doors over the house's store, and what was told and rung."""

    def __init__(self, house: House) -> None:
        self.house = house
        self.told: list[tuple[str, str]] = []
        self.heard = 0
        self.limiter = LocalRateLimiter()
        house.change(doors={"slack": SlackDoor(slack.SECRET, self._reception(0.0), house.clock),
                            "telegram": TelegramDoor(telegram.SECRET, self._reception(0.2), house.clock)})  # fmt: skip

    def _reception(self, patience_s: float) -> Reception:
        house = self.house
        places = {"slack": frozenset({slack.CHANNEL}), "telegram": frozenset({telegram.CHAT})}

        def answers(patience_s: float) -> ApprovalAnswers:
            edge = house.edge
            return ApprovalAnswers(edge.journal, edge.clicks, KnownPeople(Known()), house.bells, house.clock,
                                   places=places, patience_s=patience_s)  # fmt: skip

        async def tell(place: Place, user: str, text: str) -> None:
            self.told.append((user, text))

        def heard() -> None:
            self.heard += 1

        return Reception(house.store.arrivals, house.store.cards, quick=answers(patience_s), patient=answers(0.3),
                         heard=heard, tell=tell,
                         rate=PersonalRate(self.limiter, house.clock, per_minute=PER_MINUTE))  # fmt: skip

    async def asked(self) -> None:
        await scenes.told(self.house.store.journal, "i-1", scenes.opened(), scenes.diagnosed(), scenes.asked())

    async def clicks(self) -> list[tuple[str, str]]:
        return [(click.user, click.choice) for click in await self.house.store.clicks.pending()]


@pytest.fixture
async def doors(house: House) -> Doors:
    doors = Doors(house)
    await doors.asked()
    return doors


@pytest.fixture
async def client(doors: Doors, opened: Opener) -> httpx2.AsyncClient:
    return await opened(token="")


async def press(client: httpx2.AsyncClient, doors: Doors, payload: dict[str, Any], **headers: str) -> httpx2.Response:
    body = slack.form(payload)
    signed = slack.signed(body, at=doors.house.clock.now().timestamp())
    return await client.post(SLACK, content=body, headers={**signed, **headers})


async def update(client: httpx2.AsyncClient, body: dict[str, Any], secret: str = telegram.SECRET) -> httpx2.Response:
    return await client.post(TELEGRAM, json=body, headers={"X-Telegram-Bot-Api-Secret-Token": secret})


async def test_a_click_in_slack_is_stored_and_acknowledged_empty(client: httpx2.AsyncClient, doors: Doors) -> None:
    answer = await press(client, doors, slack.pressed(TOKEN))
    assert (answer.status_code, answer.content) == (200, b"")
    assert await doors.clicks() == [("slack:U1", "approve")]
    (click,) = await doors.house.store.clicks.pending()
    assert click.digest == scenes.DIGEST
    assert "clicks" in doors.house.bells.rung


async def test_a_redelivery_is_the_same_click(client: httpx2.AsyncClient, doors: Doors) -> None:
    for number in range(3):
        retry = {"X-Slack-Retry-Num": str(number)} if number else {}
        assert (await press(client, doors, slack.pressed(TOKEN), **retry)).status_code == 200
    assert len(await doors.clicks()) == 1
    assert len(doors.told) == 1, "and whoever clicked is not told again"


async def test_a_click_in_telegram_is_answered_in_the_answer(client: httpx2.AsyncClient, doors: Doors) -> None:
    answer = await update(client, telegram.pressed(TOKEN))
    assert answer.status_code == 200
    assert answer.json()["method"] == "answerCallbackQuery"
    assert answer.json()["callback_query_id"] == "q-1"
    assert await doors.clicks() == [("telegram:7", "approve")]
    await update(client, telegram.pressed(TOKEN))
    assert len(await doors.clicks()) == 1


@pytest.mark.parametrize("fault", ["secret", "old", "ahead", "no time", "no signature", "other body", "nothing"])
async def test_what_slack_did_not_sign_lately_is_refused(fault: str, client: httpx2.AsyncClient, doors: Doors) -> None:
    body, now = slack.form(slack.pressed(TOKEN)), doors.house.clock.now().timestamp()
    headers = slack.signed(body, at=now)
    if fault == "secret":
        headers = slack.signed(body, at=now, secret="guessed")
    elif fault in ("old", "ahead"):
        headers = slack.signed(body, at=now - 301 if fault == "old" else now + 301)
    elif fault == "no time":
        del headers["X-Slack-Request-Timestamp"]
    elif fault == "no signature":
        del headers["X-Slack-Signature"]
    elif fault == "other body":
        body = slack.form(slack.pressed(TOKEN, user="U2"))
    else:
        headers = {"Content-Type": slack.FORM}
    answer = await client.post(SLACK, content=body, headers=headers)
    assert answer.status_code == 401
    assert await doors.clicks() == []


@pytest.mark.parametrize("secret", ["", "guessed", telegram.SECRET + "x", "é"])
async def test_what_does_not_bear_our_secret_is_refused(secret: str, client: httpx2.AsyncClient, doors: Doors) -> None:
    headers = {"X-Telegram-Bot-Api-Secret-Token": secret.encode()}
    answer = await client.post(TELEGRAM, json=telegram.pressed(TOKEN), headers=headers)
    assert answer.status_code == 401
    assert await doors.clicks() == []


@pytest.mark.parametrize("value", ["", "approve", "a:x:y", "a:" + "0" * 36 + ":d", "z" * 5000, "a:0192f0a0:\u202e"])
async def test_unknown_buttons_and_forged_ids_decide_nothing(
    value: str, client: httpx2.AsyncClient, doors: Doors
) -> None:
    assert (await press(client, doors, slack.pressed(value))).status_code in (200, 422)
    assert (await update(client, telegram.pressed(value))).status_code == 200
    assert await doors.clicks() == []


async def test_strangers_and_viewers_approve_nothing_and_are_told(client: httpx2.AsyncClient, doors: Doors) -> None:
    for user in ("U2", "UVIC"):
        assert (await press(client, doors, slack.pressed(TOKEN, user=user))).status_code == 200
    assert await doors.clicks() == []
    assert [user for user, _ in doors.told] == ["U2", "UVIC"]
    assert "do not know you" in doors.told[0][1]


async def test_an_approval_in_another_channel_counts_for_nothing(client: httpx2.AsyncClient, doors: Doors) -> None:
    elsewhere = {**slack.pressed(TOKEN), "channel": {"id": "C0OTHER"}}
    assert (await press(client, doors, elsewhere)).status_code == 200
    await update(client, telegram.pressed(TOKEN, chat="-2002"))
    assert await doors.clicks() == []
    assert "only where Midwatch posts" in doors.told[0][1]


async def test_a_name_proves_nothing_and_breaks_nothing(client: httpx2.AsyncClient, doors: Doors) -> None:
    for name in ("\u202enna", "🔥" * 50, "مرحبا", "user:ann", ""):
        await update(client, telegram.pressed(TOKEN, user=666, name=name))
    assert await doors.clicks() == []


@pytest.mark.parametrize("path", [SLACK, TELEGRAM])
@pytest.mark.parametrize("body", [b"", b"{", b"[]", b"null", b'"x"', b"\xff\xfe", b'{"update_id": "x"}', b"[" * 5000])
async def test_what_cannot_be_read_is_refused_and_does_not_crash(
    path: str, body: bytes, client: httpx2.AsyncClient, doors: Doors
) -> None:
    now = doors.house.clock.now().timestamp()
    headers = slack.signed(body, at=now, kind="application/json")
    answer = await client.post(
        path, content=body, headers={**headers, "X-Telegram-Bot-Api-Secret-Token": telegram.SECRET}
    )
    assert answer.status_code in (200, 422)


async def test_a_body_of_a_megabyte_is_not_read(client: httpx2.AsyncClient, doors: Doors) -> None:
    answer = await client.post(TELEGRAM, content=b"x" * (1024 * 1024 + 1), headers={"Content-Type": "application/json"})
    assert answer.status_code == 413


async def test_slacks_greeting_is_answered(client: httpx2.AsyncClient, doors: Doors) -> None:
    body = json.dumps({"type": "url_verification", "challenge": "abc", "token": "x"}).encode()
    headers = slack.signed(body, at=doors.house.clock.now().timestamp(), kind="application/json")
    answer = await client.post(SLACK, content=body, headers=headers)
    assert (answer.status_code, answer.text) == (200, "abc")


async def say(client: httpx2.AsyncClient, doors: Doors, payload: dict[str, Any]) -> int:
    body = json.dumps(payload).encode()
    headers = slack.signed(body, at=doors.house.clock.now().timestamp(), kind="application/json")
    return (await client.post(SLACK, content=body, headers=headers)).status_code


async def test_a_message_is_stored_once_and_its_gateway_rung(client: httpx2.AsyncClient, doors: Doors) -> None:
    for _ in range(2):
        assert await say(client, doors, slack.said("<@UBOT> why is &lt;web&gt; down?")) == 200
    (arrival,) = await doors.house.store.arrivals.pending("slack", now=doors.house.clock.now())
    message = arrival.message
    assert (message.text, message.user_id, message.thread) == ("why is <web> down?", "U1", "7.7")
    assert doors.heard == 2


@pytest.mark.parametrize(
    "more",
    [
        {"kind": "message", "subtype": "message_changed"},
        {"kind": "message", "bot_id": "B1", "channel_type": "im"},
        {"kind": "message"},
        {"kind": "message", "thread_ts": "1.0"},
        {"kind": "reaction_added"},
        {"user": ""},
    ],
    ids=["edited", "a bot's", "not to us", "another thread", "a reaction", "nobody's"],
)
async def test_what_is_none_of_our_business_is_left_alone(
    more: dict[str, Any], client: httpx2.AsyncClient, doors: Doors
) -> None:
    assert await say(client, doors, slack.said("hello", **more)) == 200
    assert await doors.house.store.arrivals.pending("slack", now=doors.house.clock.now()) == ()


@pytest.mark.parametrize("channel", ["slack", "telegram"])
async def test_a_question_in_an_incidents_thread_knows_its_incident(
    channel: str, client: httpx2.AsyncClient, doors: Doors
) -> None:
    store, now = doors.house.store, doors.house.clock.now()
    incident = (await store.journal.recent())[0].id
    await store.cards.sent(CardRow(incident=incident, channel=channel, ref="5", seq=1), at=now)
    if channel == "slack":
        await say(client, doors, slack.said("and since when?", kind="message", thread_ts="5"))
    else:
        await update(client, telegram.said("and since when?", reply_to=5))
    (arrival,) = await store.arrivals.pending(channel, now=now)
    assert arrival.message.incident == incident


async def test_40_000_characters_are_cut_at_the_door(client: httpx2.AsyncClient, doors: Doors) -> None:
    assert (await update(client, telegram.said("/why " + "A" * 40_000))).status_code == 200
    (arrival,) = await doors.house.store.arrivals.pending("telegram", now=doors.house.clock.now())
    assert len(arrival.message.text) <= 8000


async def test_edited_messages_and_bots_are_left_alone_in_telegram(client: httpx2.AsyncClient, doors: Doors) -> None:
    for body in (
        telegram.said(f"approve {scenes.APPROVAL}", kind="edited_message"),
        telegram.said(f"approve {scenes.APPROVAL}", author={"is_bot": True}),
        telegram.said("just talking in the group"),
        {"update_id": 9, "my_chat_member": {}},
    ):
        assert (await update(client, body)).status_code == 200
    assert await doors.house.store.arrivals.pending("telegram", now=doors.house.clock.now()) == ()


async def test_while_the_store_is_away_nothing_is_acknowledged(client: httpx2.AsyncClient, doors: Doors) -> None:
    doors.house.store.away = True
    assert (await press(client, doors, slack.pressed(TOKEN))).status_code == 503
    assert (await update(client, telegram.pressed(TOKEN))).status_code == 503
    doors.house.store.away = False
    doors.house.clock.at += timedelta(seconds=1)
    assert (await press(client, doors, slack.pressed(TOKEN))).status_code == 200
    assert len(await doors.clicks()) == 1


async def test_one_person_cannot_flood_us_and_is_told_so_once(client: httpx2.AsyncClient, doors: Doors) -> None:
    for number in range(PER_MINUTE + 20):
        assert await say(client, doors, slack.said("<@UBOT> why?", ts=f"{number}.0")) == 200
    now = doors.house.clock.now()
    assert len(await doors.house.store.arrivals.pending("slack", now=now)) == PER_MINUTE
    assert doors.heard == PER_MINUTE
    ((user, sentence),) = doors.told
    assert (user, f"more than {PER_MINUTE}" in sentence) == ("U1", True)
    await say(client, doors, slack.said("<@UBOT> why?", user="U2"))
    assert len(await doors.house.store.arrivals.pending("slack", now=now)) == PER_MINUTE + 1, "others are heard"
    doors.house.clock.at += timedelta(minutes=1)
    await say(client, doors, slack.said("<@UBOT> why?", ts="99.0"))
    assert len(await doors.house.store.arrivals.pending("slack", now=now)) == PER_MINUTE + 2


async def test_a_flood_of_clicks_is_refused_and_none_of_it_counts(
    client: httpx2.AsyncClient, doors: Doors, caplog: pytest.LogCaptureFixture
) -> None:
    for number in range(PER_MINUTE):
        await update(client, telegram.pressed("a:unknown", number=number))
        await update(client, telegram.said("/status", number=number))
    answer = await update(client, telegram.pressed(TOKEN))
    assert answer.status_code == 200
    assert "wait a moment" in answer.json()["text"]
    for number in range(PER_MINUTE):
        await press(client, doors, slack.pressed(TOKEN, user="U2", at=f"{number}.1"))
    told = len(doors.told)
    for number in range(3):
        await press(client, doors, slack.pressed(TOKEN, user="U2", at=f"{number}.2"))
    assert [sentence for _, sentence in doors.told[told:]] == [
        f"That is more than {PER_MINUTE} messages and clicks a minute: wait a moment, then try again."
    ]
    assert await doors.clicks() == []
    assert {record.reason for record in caplog.records if record.message == "refused for its speed"} == {"too-many"}


async def test_every_refusal_is_logged_with_its_reason_and_without_a_secret(
    client: httpx2.AsyncClient, doors: Doors, caplog: pytest.LogCaptureFixture
) -> None:
    body, now = slack.form(slack.pressed(TOKEN)), doors.house.clock.now().timestamp()
    await client.post(SLACK, content=body, headers=slack.signed(body, at=now, secret="guessed"))
    await client.post(SLACK, content=body, headers=slack.signed(body, at=now - 301))
    await update(client, telegram.pressed(TOKEN), secret="guessed")
    await press(client, doors, slack.pressed(TOKEN, user="U2"))
    await press(client, doors, {**slack.pressed(TOKEN), "channel": {"id": "C0OTHER"}})
    await press(client, doors, slack.pressed(f"a:{'0' * 36}:dddddddddddd"))
    reasons = {getattr(record, "reason", "") or getattr(record, "outcome", "") for record in caplog.records}
    assert {"wrong-signature", "stale-request", "wrong-secret", "unknown-user", "wrong-place", "stale"} <= reasons
    told = " ".join(str(record.__dict__) for record in caplog.records)
    assert all(secret not in told for secret in (slack.SECRET, telegram.SECRET, "guessed"))
    assert await doors.clicks() == []


async def test_a_channel_without_a_door_takes_nothing(house: House, opened: Opener) -> None:
    house.edge = replace(house.edge, doors={})
    answer = await (await opened(token="")).post(SLACK, json={})
    assert answer.status_code == 404
