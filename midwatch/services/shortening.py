"""What of a card an outlet shows, where it shows it in two places."""

import msgspec

from midwatch.domain.cards import Card
from midwatch.domain.incidents import State
from midwatch.domain.refs import Severity


def compact(card: Card) -> Card:
    """Without the investigation: that stands in the thread, and its growth is no reason to edit the card."""
    return msgspec.structs.replace(card, details=())


def investigation(card: Card) -> Card | None:
    """The investigation alone, ``None`` before there is one. Equal as long as it reads the same."""
    if not card.details:
        return None
    return Card(
        incident=card.incident,
        state=State.INVESTIGATING,
        severity=Severity.INFO,
        headline="",
        details=card.details,
    )
