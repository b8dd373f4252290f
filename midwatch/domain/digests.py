"""A digest: what a channel was not told of at once, in one message. Pure, and the same words in every channel."""

from collections.abc import Iterable
from datetime import datetime
from typing import Final

import msgspec

from midwatch.domain.card_words import words_of
from midwatch.domain.cards import card_of
from midwatch.domain.ids import IncidentId
from midwatch.domain.incidents import Incident
from midwatch.domain.texts import cut

SHOWN: Final = 20
"""Lines that a phone still shows; of the rest only the number is told."""
_TITLE: Final = 100


class DigestLine(msgspec.Struct, frozen=True, omit_defaults=True):
    """One incident as it stood when the digest was made."""

    incident: IncidentId
    state: str
    icon: str
    title: str
    facts: tuple[str, ...] = ()


class Digest(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One message about several incidents: those that are open first, the most severe first."""

    id: str
    channel: str
    at: datetime
    heading: str
    lines: tuple[DigestLine, ...]

    @property
    def shown(self) -> tuple[DigestLine, ...]:
        """The lines there is room for."""
        return self.lines[:SHOWN]

    @property
    def more(self) -> str:
        """What there was no room for, in words; empty where there is nothing."""
        return more_words(len(self.lines) - SHOWN)


def more_words(left: int) -> str:
    """That there are so many more; empty where there are none."""
    return f"and {left} more: ask me for `incidents`, or look at the console" if left > 0 else ""


def digest_of(digest_id: str, channel: str, incidents: Iterable[Incident], now: datetime) -> Digest:
    """The digest of incidents as they stand now."""
    ordered = sorted(incidents, key=lambda each: (each.state.final, -each.severity.rank, each.id))
    open_now = sum(not incident.state.final for incident in ordered)
    over = len(ordered) - open_now
    parts = [f"{open_now} still open"] if open_now else []
    parts += [f"{over} over"] if over else []
    heading = f"{len(ordered)} incident{'s' if len(ordered) != 1 else ''} held back until now: {', '.join(parts)}"
    return Digest(id=digest_id, channel=channel, at=now, heading=heading, lines=tuple(map(_line, ordered)))


def _line(incident: Incident) -> DigestLine:
    words = words_of(card_of(incident))
    return DigestLine(incident.id, incident.state, words.icon, cut(words.title, _TITLE), words.facts)
