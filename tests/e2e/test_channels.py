"""A house with Slack, Telegram and a webhook at once: one card each, one click, and every card shows it."""

import json
import time
from collections.abc import Callable, Iterator

import pytest

from tests.fakes import slack_server as slack
from tests.fixtures.channels import ChannelHouse, opened
from tests.fixtures.houses import eventually


@pytest.fixture(scope="module")
def night() -> Iterator[ChannelHouse]:
    with opened() as made:
        made.link("ann", "U1")
        made.link_in_telegram("bob", 7)
        yield made


def decided(night: ChannelHouse, incident: str) -> list[dict[str, object]]:
    return [entry for entry in night.house.entries(incident) if entry["type"] == "approval-closed"]


def told(night: ChannelHouse, user: str) -> str:
    """What one person alone was told last in Slack."""
    return next((str(each["text"]) for each in reversed(night.slack.ephemerals) if each["user"] == user), "")


def logged(night: ChannelHouse, *words: str) -> Callable[[], bool]:
    """Whether some line of the house's logs has all these words."""
    folder = night.house.state / "logs"
    return lambda: any(
        all(word in line for word in words)
        for file in folder.glob("*")
        if file.is_file()
        for line in file.read_text("utf-8", "replace").splitlines()
    )


@pytest.mark.timeout(400)
def test_one_click_in_slack_decides_and_every_channel_shows_it(night: ChannelHouse) -> None:
    house = night.house
    house.cluster.breaks("crashloop", "payments/payment-api")
    incident = house.wait_for_state("awaiting_approval", about="payment-api", within_s=120)["id"]
    here, there = eventually(lambda: night.cards(incident), within_s=60, what="cards with buttons in both")
    assert "Approve" in here.buttons
    assert "Approve" in there.buttons

    # a stranger
    assert night.press(here, "Approve", "USTRANGER").status_code == 200
    eventually(lambda: "do not know you" in told(night, "USTRANGER"), within_s=30, what="word to the stranger")
    eventually(logged(night, "answer refused", "unknown-user", "USTRANGER"), within_s=30, what="line of the refusal")
    # forged, replayed after its window, of a question that does not exist, and from another place
    click = night.pressed(here, "Approve", "U1")
    assert night.send(click, secret="another").status_code == 401
    assert night.send(click, at=time.time() - 301).status_code == 401
    eventually(logged(night, "request refused", "wrong-signature"), within_s=30, what="line of the forgery")
    eventually(logged(night, "request refused", "stale-request"), within_s=30, what="line of the replay")
    value = here.buttons["Approve"]["value"]
    choice, _, rest = value.partition(":")
    unknown = f"{choice}:{'0' * len(rest.partition(':')[0])}:{rest.partition(':')[2]}"
    assert night.press(here, "Approve", "U1", value=unknown).status_code == 200
    eventually(lambda: "no such question" in told(night, "U1"), within_s=30, what="word on the unknown question")
    assert night.press(here, "Approve", "U1", channel="C0ELSEWHERE").status_code == 200
    eventually(lambda: "count only where" in told(night, "U1"), within_s=30, what="word on the wrong place")
    assert house.incident(incident)["state"] == "awaiting_approval"
    assert house.cluster.mutations(name="payment-api") == []

    began = time.monotonic()
    click = night.pressed(here, "Approve", "U1")
    answer = night.send(click)
    acknowledged = time.monotonic() - began
    assert answer.status_code == 200
    eventually(lambda: not here.buttons and not there.buttons, within_s=60, what="cards without buttons", every_s=0.02)
    print(json.dumps({"acknowledged_s": round(acknowledged, 3), "edited_s": round(time.monotonic() - began, 3)}))
    assert night.send(click).status_code == 200, "a redelivery is acknowledged, too"

    done = house.wait_for_state("resolved", about="payment-api", within_s=180)
    assert done["approval"]["decided_by"] == "user:ann"
    eventually(lambda: "lasted" in here.text and "lasted" in there.text, within_s=60, what="cards with a duration")
    assert here.colour == "#2eb67d"
    assert all("Approved by user:ann" in text for text in (here.text, there.text))
    console = house.request("GET", f"/incidents/{incident}").text
    assert "user:ann" in console
    assert "Resolved" in console
    bodies = [body for body in night.webhook.bodies if body["incident"] == incident]
    assert bodies[-1]["state"] == "resolved"
    assert night.slack.thread(here.ts), "the investigation is in the thread"
    assert len(night.slack.cards[incident]) == len(night.in_telegram(incident)) == 1
    assert len(decided(night, incident)) == 1
    assert night.violations == []


@pytest.mark.timeout(400)
def test_an_answer_in_telegram_is_the_first_and_slack_shows_it(night: ChannelHouse) -> None:
    house = night.house
    house.cluster.breaks("crashloop", "shop/cart")
    incident = house.wait_for_state("awaiting_approval", about="cart", within_s=120)["id"]
    here, there = eventually(lambda: night.cards(incident), within_s=90, what="cards with buttons in both")
    late = night.pressed(here, "Approve", "U1")

    night.press_in_telegram(there, "Reject", 7)
    eventually(lambda: not here.buttons and not there.buttons, within_s=60, what="cards without buttons")
    assert all("Rejected by user:bob" in text for text in (here.text, there.text))
    assert night.send(late).status_code == 200
    eventually(lambda: "user:bob" in told(night, "U1"), within_s=30, what="word to the second")
    (closed,) = decided(night, incident)
    assert "user:bob" in json.dumps(closed)
    assert house.cluster.mutations(name="cart") == []
    assert night.violations == []


@pytest.mark.timeout(200)
def test_a_question_in_a_cards_thread_is_answered_there(night: ChannelHouse) -> None:
    card = next(iter(night.slack.cards.values()))[0]
    assert night.write("incidents", "U1", kind="message", thread_ts=card.ts).status_code == 200
    eventually(
        lambda: [reply for reply in night.slack.thread(card.ts) if "payment-api" in reply.text or "cart" in reply.text],
        within_s=60,
        what="answer in the thread",
    )
    before = len(night.slack.messages)
    assert night.write("<@UBOT> approvals", "U1").status_code == 200
    eventually(lambda: len(night.slack.messages) > before, within_s=60, what="answer in the channel")
    assert slack.CHANNEL in {message.channel for message in night.slack.messages.values()}
    assert night.violations == []
