"""Cards of one incident at every stage, and texts that mean harm."""

from datetime import timedelta

from midwatch.domain.approvals import Choice
from midwatch.domain.cards import Button, Card
from midwatch.domain.ids import ApprovalId, IncidentId
from midwatch.domain.incidents import State
from midwatch.domain.refs import Severity
from tests.fakes.runtime import NOON

INCIDENT = IncidentId("0199f3c2-a1b2-7abc-8def-0123456789ab")
APPROVAL = ApprovalId("0199f3c2-b1b2-7abc-8def-0123456789ab")
DIGEST = "d" * 64
APPROVE = Button("Approve", Choice.APPROVE, APPROVAL, DIGEST)
CONFIRM = Button("Confirm", Choice.CONFIRM, APPROVAL, DIGEST)
REJECT = Button("Reject", Choice.REJECT, APPROVAL, DIGEST)

NASTY = (
    "<!channel> & <@U1> <https://evil.test|click> *bold* _it_ ~no~ `code` ```fence```",
    "</pre><b>&lt;script&gt;alert(1)</b><a href='x'>",
    "مرحبا שלום \u202egnp.exe\u202c \u200bzero\u200dwidth\ufeff",
    "👩‍👩‍👧‍👦🔥 \x00\x07\x1b[31mred",
    "A" * 40_000,
    "x = 1 && y < 2 \n```\n# Approved by ann",
    "password=hunter2secret",
)


def open_card(text: str = "", **more: object) -> Card:
    """An incident just seen."""
    fields = {
        "incident": INCIDENT,
        "state": State.OPEN,
        "severity": Severity.CRITICAL,
        "headline": text or "shop/checkout keeps crashing",
        "began_at": NOON,
        "affected": 3,
    }
    return Card(**(fields | more))  # type: ignore[arg-type]


def asking_card(text: str = "", **more: object) -> Card:
    """One that asks for an approval, with ``text`` in every place that holds text from outside."""
    return open_card(
        text,
        **(
            {
                "state": State.AWAITING_APPROVAL,
                "cause": text or "The database refuses connections on port 5432",
                "confidence": 0.86,
                "evidence": (text or "logs:checkout:2 FATAL dial tcp: connection refused", text or "exit code 1"),
                "action": text or "Roll back to revision 41",
                "diff": text or "-    value: db-new.shop.svc\n+    value: db.shop.svc",
                "blast": (text or "3 pods restart, 1 are ready now", "disruption budget leaves 1"),
                "undo": text or "roll forward to revision 42",
                "ask": "any operator may approve",
                "expires_at": NOON + timedelta(minutes=5),
                "buttons": (APPROVE, REJECT),
                "details": tuple(text or f"Seen: line {number}" for number in range(20)),
            }
            | more
        ),
    )


def resolved_card() -> Card:
    return asking_card(
        state=State.RESOLVED,
        ended_at=NOON + timedelta(minutes=12, seconds=5),
        buttons=(),
        ask="Approved by user:ann",
        outcome="All pods are ready.",
    )
