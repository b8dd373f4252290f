"""A card in words: the same in every channel, cleaned and cut to what a phone shows. Channels only add their markup."""

from typing import Final

import msgspec

from midwatch.domain.approvals import Choice
from midwatch.domain.cards import Card
from midwatch.domain.ids import short
from midwatch.domain.incidents import State
from midwatch.domain.masking import mask
from midwatch.domain.refs import Severity
from midwatch.domain.texts import clean, cut, one_line, span

TITLE, LINE, CAUSE, DIFF, ASK = 140, 200, 500, 700, 300
"""Characters kept of a title, a line, a cause, a diff, a question."""
_DIFF_LINES: Final = 14
_DETAILS, _DETAIL = 20, 300

_STATE: Final = {
    State.OPEN: "seen, looking into it",
    State.INVESTIGATING: "looking into it",
    State.PROPOSED: "a fix is planned",
    State.AWAITING_APPROVAL: "waits for your answer",
    State.ACTING: "acting",
    State.VERIFYING: "checking that it helped",
    State.RESOLVED: "resolved",
    State.ESCALATED: "needs a person",
    State.CLOSED: "closed",
}
_ICON: Final = {
    State.RESOLVED: "✅",
    State.CLOSED: "⚪",
    State.ESCALATED: "🚨",
    State.AWAITING_APPROVAL: "❓",
    State.ACTING: "🔧",
    State.VERIFYING: "🔧",
}
_TONE: Final = {
    State.RESOLVED: "good",
    State.CLOSED: "quiet",
    State.ESCALATED: "bad",
    State.AWAITING_APPROVAL: "ask",
    State.ACTING: "work",
    State.VERIFYING: "work",
}


class Words(msgspec.Struct, frozen=True, kw_only=True):
    """What to show, in this order; what is empty is left out. ``tone`` is good, bad, ask, work or quiet.

    ``evidence`` and ``diff`` are to be shown as code; ``hint`` is the answer as it may be typed.
    """

    icon: str
    tone: str
    title: str
    facts: tuple[str, ...]
    cause: str = ""
    evidence: tuple[str, ...] = ()
    action: str = ""
    diff: str = ""
    effects: tuple[str, ...] = ()
    ask: str = ""
    hint: str = ""
    outcome: str = ""
    details: tuple[str, ...] = ()


def words_of(card: Card) -> Words:
    """The card's words. Whatever text they are made of, none is longer than its limit or holds hidden characters."""
    alarmed = card.severity in (Severity.CRITICAL, Severity.ERROR)
    confidence = f" ({card.confidence:.0%} sure)" if card.confidence is not None and card.cause else ""
    over = card.state.final
    return Words(
        icon=_ICON.get(card.state, "🔴" if alarmed else "🟡"),
        tone=_TONE.get(card.state, "bad" if alarmed else "ask"),
        title=cut(_line(card.headline) or "Something broke", TITLE),
        facts=_facts(card),
        cause=cut(_line(card.cause), CAUSE) + confidence if card.cause else "",
        evidence=tuple(cut(_line(text), LINE) for text in card.evidence[:2]),
        action=cut(_line(card.action), LINE),
        diff="" if over else _diff(card.diff),
        effects=() if over else _effects(card),
        ask=cut(_line(card.ask), ASK),
        hint=_hint(card),
        outcome=cut(_line(card.outcome), ASK),
        details=tuple(cut(_line(text), _DETAIL) for text in card.details[:_DETAILS]),
    )


def plain_card(card: Card) -> str:
    """The card as text without any markup: for logs, mail-like receivers and terminals."""
    words = words_of(card)
    blocks = [
        f"{words.icon} {words.title}",
        " · ".join(words.facts),
        f"Cause: {words.cause}" if words.cause else "",
        *(f"  > {line}" for line in words.evidence),
        f"Fix: {words.action}" if words.action else "",
        "\n".join(f"  {line}" for line in words.diff.splitlines()),
        *(f"  - {line}" for line in words.effects),
        words.ask,
        words.hint,
        words.outcome,
    ]
    return "\n".join(block for block in blocks if block)


def _line(text: str) -> str:
    # Cut before it is cleaned: 40,000 characters of log must not cost more than what is shown of them.
    return one_line(mask(cut(text, 4 * CAUSE)))


def _facts(card: Card) -> tuple[str, ...]:
    facts = [card.severity.value, _STATE[card.state]]
    if card.began_at is not None:
        facts.append(f"since {card.began_at:%d %b %H:%M} UTC")
    if card.ended_at is not None and card.began_at is not None:
        facts.append(f"lasted {span(card.ended_at - card.began_at)}")
    elif card.affected:
        facts.append(f"{card.affected} affected" if card.affected > 1 else "1 affected")
    return tuple(facts)


def _diff(diff: str) -> str:
    lines = clean(mask(cut(diff, 4 * DIFF))).strip("\n").splitlines()
    shown = [cut(line, 120) for line in lines[:_DIFF_LINES]]
    shown += [f"… {len(lines) - _DIFF_LINES} more lines"] if len(lines) > _DIFF_LINES else []
    return cut("\n".join(shown), DIFF)


def _effects(card: Card) -> tuple[str, ...]:
    lines = [*card.blast[:5], *([f"Undo: {card.undo}"] if card.undo else [])]
    return tuple(cut(_line(line), LINE) for line in lines)


def _hint(card: Card) -> str:
    if not card.buttons:
        return ""
    deciding = next((button for button in card.buttons if button.choice is not Choice.REJECT), card.buttons[0])
    until = f", until {card.expires_at:%H:%M:%S} UTC" if card.expires_at else ""
    return f"or write: {deciding.choice} {short(deciding.approval)}{until}"
