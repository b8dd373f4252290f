"""What a person wants, by keyword: each kind from several wordings, and never an exception."""

from datetime import timedelta

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from midwatch.domain.intents import Intent, Kind, clean, intent_of

ID = "0192f0a0-0000-7000"


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        (f"approve {ID}", Intent(kind=Kind.APPROVE, name=ID)),
        (f":white_check_mark: Approve `{ID}`", Intent(kind=Kind.APPROVE, name=ID)),
        ("approve", Intent(kind=Kind.APPROVE)),
        (f"<@U0123> confirm {ID}", Intent(kind=Kind.CONFIRM, name=ID)),
        (f"reject {ID} Not at night", Intent(kind=Kind.REJECT, name=ID, rest="Not at night")),
        ("link k7qf-2mxa", Intent(kind=Kind.LINK, name="K7QF-2MXA")),
        (
            "show me error pods in production",
            Intent(kind=Kind.LIST, object_kind="Pod", namespace="production", word="bad"),
        ),
        (
            "🚨 Any FAILING pods in the shop namespace?!",
            Intent(kind=Kind.LIST, object_kind="Pod", namespace="shop", word="bad"),
        ),
        ("kubectl get po -n kube-system", Intent(kind=Kind.LIST, object_kind="Pod", namespace="kube-system")),
        ("list deployments in shop", Intent(kind=Kind.LIST, object_kind="Deployment", namespace="shop")),
        ("get nodes", Intent(kind=Kind.LIST, object_kind="Node")),
        ("logs of web-1 in shop", Intent(kind=Kind.LOGS, name="web-1", namespace="shop")),
        (
            "show me the last 50 lines of logs from shop/web-1",
            Intent(kind=Kind.LOGS, name="web-1", namespace="shop", number=50),
        ),
        ("previous logs web-1 -n shop", Intent(kind=Kind.LOGS, name="web-1", namespace="shop", previous=True)),
        ("show events of web-1 in shop", Intent(kind=Kind.EVENTS, name="web-1", namespace="shop")),
        ("events in shop", Intent(kind=Kind.EVENTS, namespace="shop")),
        ("cpu usage in shop", Intent(kind=Kind.TOP, word="pods", namespace="shop")),
        ("top nodes", Intent(kind=Kind.TOP, word="nodes")),
        ("describe pod shop/web-1", Intent(kind=Kind.DESCRIBE, object_kind="Pod", name="web-1", namespace="shop")),
        ("please scale web in shop to 4", Intent(kind=Kind.SCALE, name="web", namespace="shop", number=4)),
        (
            "scale deployment shop/web 3 replicas",
            Intent(kind=Kind.SCALE, object_kind="Deployment", name="web", namespace="shop", number=3),
        ),
        (
            "could you restart the checkout deployment in shop?",
            Intent(kind=Kind.RESTART, name="checkout", namespace="shop"),
        ),
        ("check certificate of example.com", Intent(kind=Kind.SCAN, name="example.com", word="certificate")),
        ("scan ports of 10.0.0.1:443", Intent(kind=Kind.SCAN, name="10.0.0.1:443", word="ports")),
        (
            "check the security headers of https://example.com/",
            Intent(kind=Kind.SCAN, name="https://example.com/", word="headers"),
        ),
        ("what's broken?", Intent(kind=Kind.INCIDENTS)),
        ("status", Intent(kind=Kind.INCIDENTS)),
        (f"status of {ID}", Intent(kind=Kind.INCIDENT, name=ID)),
        ("pending approvals", Intent(kind=Kind.APPROVALS)),
        (
            "silence namespace shop for 2h because Deploy",
            Intent(kind=Kind.SILENCE, name="shop", lasts=timedelta(hours=2), rest="Deploy"),
        ),
        ("silence shop for 1 day and 12 hours", Intent(kind=Kind.SILENCE, name="shop", lasts=timedelta(hours=36))),
        ("silences", Intent(kind=Kind.SILENCES)),
        (f"unsilence {ID}", Intent(kind=Kind.UNSILENCE, name=ID)),
        ("freeze shop for 30m", Intent(kind=Kind.FREEZE, namespace="shop", lasts=timedelta(minutes=30))),
        ("freeze", Intent(kind=Kind.FREEZE)),
        ("unfreeze", Intent(kind=Kind.UNFREEZE)),
        ("who's on-call tonight?", Intent(kind=Kind.ON_CALL)),
        ("use model Big-1", Intent(kind=Kind.MODEL, word="Big-1")),
        ("use model Big-1 always", Intent(kind=Kind.MODEL, word="Big-1", rest="always")),
        ("which model are you", Intent(kind=Kind.MODEL)),
        ("forget this conversation", Intent(kind=Kind.CLEAR)),
        ("who am I?", Intent(kind=Kind.WHO_AM_I)),
        ("Hello!", Intent(kind=Kind.HELP)),
        ("", Intent(kind=Kind.HELP)),
        ("🎉", Intent(kind=Kind.HELP)),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_what_is_wanted(text: str, wanted: Intent) -> None:
    assert intent_of(text) == wanted


@pytest.mark.parametrize(
    "text",
    [
        "why did web restart in shop?",
        "should I approve this?",
        "why are the pods of shop crashing",
        "what should I do about the OOM in checkout",
        f"do not approve {ID}",
        f"he said: approve {ID}",
        "tell me whether somebody should restart web",
        "is it safe to scale web to 0?",
    ],
)
def test_what_only_speaks_of_an_order_is_none(text: str) -> None:
    assert intent_of(text) == Intent(kind=Kind.CHAT, rest=text)


def test_what_cannot_be_seen_changes_nothing() -> None:
    assert clean("\u202eapp\u200brove\x00  `x`\n😀") == "approve x"


WORDS = (
    *("approve", "reject", "pods", "in", "for", "the", "logs", "scale", "to", "3", "shop/web"),
    *("of", "silence", "2h", "-", "`", "<@U1>", "?"),
)


@given(st.text(max_size=5000))
@example("İ approve 0192f0a0")
@example("scale " + "a." * 2500)
@example("freeze " + "- " * 1000)
def test_any_text_has_an_intent(text: str) -> None:
    assert intent_of(text).kind in Kind


@given(st.lists(st.sampled_from(WORDS)))
def test_any_words_have_an_intent(words: list[str]) -> None:
    intent = intent_of(" ".join(words))
    if intent.kind is Kind.SCALE:
        assert intent.name
        assert intent.number is not None
