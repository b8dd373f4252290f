"""Which cluster a message is about: its incident's, the one that it names, the one spoken of before, or the first."""

import re
from collections.abc import Mapping
from typing import Final

import msgspec

from midwatch.domain.errors import NotFound
from midwatch.domain.ids import IncidentId
from midwatch.services.conversations import Conversation, Session
from midwatch.services.ports import Journal

_NAME: Final = r"[A-Za-z0-9][\w.@:/-]{0,252}"
_UNKNOWN: Final = re.compile(
    rf"\s*\b(?:in|on|at|from|of)\s+cluster[ :=]+(?P<after>{_NAME})|\s*--cluster[ =](?P<option>{_NAME})", re.IGNORECASE
)
_NO_NAMES: Final = frozenset(("is", "are", "now", "please", "right", "today", "in", "at", "for", "with", "and", "or"))


class Place(msgspec.Struct, frozen=True, kw_only=True):
    """Where to look. ``text`` is the message without the words that named the cluster; ``certain``: nobody has to
    guess, because the message or its thread says so. ``refusal`` says why nothing is looked at.
    """

    cluster: str
    text: str
    certain: bool = False
    refusal: str = ""


class Where:
    """Finds the cluster. ``names`` are those that are watched, the first is meant where nothing says which.

    Within an incident's thread it is the incident's cluster and no other, whatever is said there.
    """

    def __init__(self, names: tuple[str, ...], aliases: Mapping[str, str], journal: Journal) -> None:
        self._names, self._journal = names, journal
        self._known = {**{other.lower(): name for other, name in aliases.items()}, **{n.lower(): n for n in names}}
        written = "|".join(re.escape(name) for name in sorted(self._known, key=len, reverse=True))
        self._by_name = re.compile(
            rf"\s*(?:\b(?:in|on|at|from|of)\s+)?(?:(?:\bcluster[ :=]+|--cluster[ =])(?P<after>{written})(?![\w.@:/-])"
            rf"|\b(?:the\s+)?(?<![\w.@:/-])(?P<before>{written})\s+cluster\b)",
            re.IGNORECASE,
        )

    @property
    def many(self) -> bool:
        """Whether there is more than one cluster, so that answers must say which one they are about."""
        return len(self._names) > 1

    @property
    def names(self) -> tuple[str, ...]:
        return self._names

    async def of(self, text: str, conversation: Conversation, session: Session) -> Place:
        """Where a message looks. Raises ``Transient`` while the incident of its thread cannot be read."""
        named, rest = self._named(text)
        if conversation.incident and (home := await self._home(conversation.incident)):
            other = named if named not in ("", home) else ""
            said = f"This thread is about an incident in cluster {home}: ask about {other} outside of it."
            return Place(cluster=home, text=rest, certain=True, refusal=said if other else "")
        if named and named not in self._names:
            said = f"I watch no cluster {named[:100]}; I watch {', '.join(self._names)}."
            return Place(cluster=self._names[0], text=text, refusal=said)
        if named:
            return Place(cluster=named, text=rest, certain=True)
        before = session.cluster if session.cluster in self._names else ""
        return Place(cluster=before or self._names[0], text=text, certain=not self.many)

    def _named(self, text: str) -> tuple[str, str]:
        """The cluster that a text names, as we call it where we know it, and the text without it."""
        if found := self._by_name.search(text):
            name = self._known[(found["after"] or found["before"]).lower()]
            return name, f"{text[: found.start()]}{text[found.end() :]}".strip()
        found = _UNKNOWN.search(text)
        name = (found["after"] or found["option"]).rstrip(".:/@-") if found else ""
        return ("", text) if name.lower() in _NO_NAMES else (name, text)

    async def _home(self, incident_id: str) -> str:
        try:
            incident = await self._journal.read(IncidentId(incident_id))
        except NotFound:
            return ""
        return incident.cluster
