"""One card, four channels: the same content, within each one's limits, whatever text it is made of."""

import json
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from midwatch.adapters.slack.blocks import card_message, details_message, text_message
from midwatch.adapters.telegram.markup import card_html, keyboard, text_html, units
from midwatch.adapters.webhook.channel import delivery_of
from midwatch.domain.answers import read_token
from midwatch.domain.card_words import plain_card, words_of
from midwatch.domain.cards import Card
from midwatch.domain.incidents import State
from midwatch.domain.texts import clean
from tests.fakes import slack_server, telegram_server
from tests.unit.channels.cards import APPROVAL, APPROVE, CONFIRM, INCIDENT, NASTY, REJECT, asking_card, open_card
from tests.unit.channels.cards import resolved_card as resolved

anything = st.one_of(
    st.text(max_size=300), st.sampled_from(NASTY), st.text(alphabet="<>&*_`~|!@#\n\\\"'", max_size=400)
)


def in_slack(card: Card) -> slack_server.Message:
    """The card as Slack would show it; an assertion where Slack would not take it."""
    body = card_message(card)
    json.dumps(body).encode()
    assert slack_server._wrong(body) == ""
    return slack_server.Message("1.1", "C", body)


def in_telegram(card: Card) -> str:
    text = telegram_server.parsed(card_html(card))
    assert 0 < units(text) <= 4096
    return text


@pytest.mark.parametrize("show", [lambda card: in_slack(card).text, in_telegram, plain_card])
def test_the_card_tells_all_that_is_needed_to_decide(show) -> None:
    text = show(asking_card())
    for part in (
        "shop/checkout keeps crashing",
        "since 01 Jan 12:00 UTC",
        "3 affected",
        "The database refuses connections on port 5432 (86% sure)",
        "connection refused",
        "exit code 1",
        "Roll back to revision 41",
        "db.shop.svc",
        "3 pods restart, 1 are ready now",
        "Undo: roll forward to revision 42",
        "any operator may approve",
        "approve 0199f3c2-b1b2-7abc",
        "until 12:05:00 UTC",
    ):
        assert part in text, part


@pytest.mark.parametrize("show", [lambda card: in_slack(card).text, in_telegram, plain_card])
def test_when_it_is_over_it_says_how_long_it_took_and_asks_nothing(show) -> None:
    text = show(resolved())
    assert "✅" in text
    assert "lasted 12 min" in text
    assert "Approved by user:ann" in text
    assert "or write" not in text
    assert "db.shop.svc" not in text, "nothing is going to change any more"


def test_a_resolved_card_is_green_in_slack() -> None:
    assert in_slack(resolved()).colour == "#2eb67d"
    assert in_slack(open_card()).colour == "#e01e5a"


def test_buttons_carry_the_answer_and_fit() -> None:
    high = asking_card(buttons=(CONFIRM, REJECT))
    assert list(in_slack(high).buttons) == ["Confirm", "Reject"]
    for card in (asking_card(), high):
        for (label, data), button in zip(keyboard(card), card.buttons, strict=True):
            assert len(data.encode()) <= 64
            answer = read_token(data)
            assert answer is not None
            assert (answer.choice, answer.approval, label) == (button.choice, APPROVAL, button.label)
            assert button.digest.startswith(answer.digest) != (answer.digest == "")
    assert in_slack(asking_card()).buttons["Approve"]["style"] == "primary"
    assert APPROVE.choice in in_slack(asking_card()).buttons["Approve"]["action_id"]


@pytest.mark.parametrize("text", NASTY)
def test_harmful_text_is_shown_and_does_nothing(text: str) -> None:
    card = asking_card(text)
    shown = in_slack(card)
    assert "<!channel>" not in shown.text
    assert "hunter2" not in shown.text + in_telegram(card) + plain_card(card)
    assert "\u202e" not in shown.text + in_telegram(card) + plain_card(card)
    assert shown.text.count("```") == 4, "evidence and diff are each within their own fence"
    assert slack_server._wrong(details_message(card)) == ""


def test_right_to_left_names_and_emoji_stay_readable() -> None:
    for name in ("مرحبا", "שלום", "日本語", "🔥"):
        assert name in in_slack(open_card(name)).text
        assert name in in_telegram(open_card(name))


@settings(max_examples=40)
@given(anything, anything, st.sampled_from(State))
def test_no_text_makes_a_card_that_a_channel_refuses(one: str, other: str, state: State) -> None:
    card = asking_card(one, state=state, outcome=other, ask=other, details=(one, other) * 10)
    in_slack(card)
    in_telegram(card)
    delivery_of(card)
    for line in (words_of(card).title, *words_of(card).facts):
        assert "\n" not in line


@given(anything)
def test_no_reply_is_refused(text: str) -> None:
    assert slack_server._wrong(text_message(text)) == ""
    assert 0 < units(telegram_server.parsed(text_html(text))) <= 4096


def test_what_no_channel_can_encode_is_left_out() -> None:
    assert clean("a\ud800b\x00c\u202ed\u200be") == "abcde"
    assert clean("line\r\nnext\ttab") == "line\nnext\ttab"


def test_a_long_word_costs_no_more_than_its_length() -> None:
    began = time.process_time()
    in_slack(asking_card("A" * 40_000))
    in_slack(asking_card("secret" * 7_000))
    assert time.process_time() - began < 2


def test_details_are_in_slacks_thread_and_in_telegrams_fold() -> None:
    card = asking_card()
    assert "Seen: line 3" in details_message(card)["blocks"][0]["text"]["text"]  # type: ignore[index,call-overload]
    assert "Seen: line 3" not in in_slack(card).text
    assert "<blockquote expandable>Seen: line 0" in card_html(card)


def test_what_matters_least_gives_way_on_a_phone() -> None:
    text = card_html(asking_card("界" * 500, details=("界" * 300,) * 20))
    assert units(telegram_server.parsed(text)) <= 4096
    assert "approve 0199f3c2-b1b2-7abc" in text


def test_the_card_links_to_the_console_where_it_is_reachable() -> None:
    link = f"https://night.example/incidents/{INCIDENT}"
    assert f"<{link}|console>" in json.dumps(card_message(open_card(), link=link))
    assert f'href="{link}"' in card_html(open_card(), link=link)
    assert "console" not in json.dumps(card_message(open_card()))


def test_the_confidence_stands_beside_a_link_to_the_evidence() -> None:
    link = f"https://night.example/incidents/{INCIDENT}"
    assert f"(86% sure) · <{link}#evidence|evidence>" in json.dumps(
        card_message(asking_card(), link=link), ensure_ascii=False
    )
    assert f'(86% sure) · <a href="{link}#evidence">evidence</a>' in card_html(asking_card(), link=link)
    assert "#evidence" not in json.dumps(card_message(asking_card())) + card_html(asking_card())
