"""The state of the watch for a person: incidents, approvals, silences, who is on call."""

from datetime import timedelta
from typing import Final

import msgspec

from midwatch.domain.cards import Card, card_of, who_may
from midwatch.domain.errors import MidwatchError
from midwatch.domain.ids import IncidentId, short
from midwatch.domain.incidents import Incident
from midwatch.domain.intents import Intent
from midwatch.domain.masking import mask
from midwatch.domain.matching import Matcher
from midwatch.domain.silences import Silence
from midwatch.domain.spans import in_words
from midwatch.domain.users import Person, Role
from midwatch.services.ports import Journal, SilenceBook
from midwatch.services.runtime import Clock, Ids

_SHOWN: Final = 12
LONGEST_SILENCE: Final = timedelta(days=14)
_USUAL_SILENCE: Final = timedelta(hours=1)


class Watchkeeping:
    """Answers about what Midwatch knows and asks, and the silences it keeps."""

    def __init__(self, journal: Journal, silences: SilenceBook, clock: Clock, ids: Ids) -> None:
        self._journal, self._silences, self._clock, self._ids = journal, silences, clock, ids

    async def incidents(self) -> str:
        """What is open now, the most severe first."""
        rows = await self._journal.recent(open_only=True, limit=500)
        if not rows:
            return "Nothing is open. All quiet."
        rows = tuple(sorted(rows, key=lambda row: (-row.severity.rank, row.opened_at)))
        now = self._clock.now()
        lines = [
            f"• {row.severity.upper()} {mask(row.title)[:160]} ({row.owner}), {row.state.replace('_', ' ')}, "
            f"for {in_words(now - row.opened_at)} [{short(row.id)}]"
            for row in rows[:_SHOWN]
        ]
        more = f"\nand {len(rows) - _SHOWN} more" if len(rows) > _SHOWN else ""
        return f"{len(rows)} open incident{'s' if len(rows) > 1 else ''}:\n" + "\n".join(lines) + more

    async def incident(self, name: str) -> str:
        """One incident as its card says it."""
        return story(await self._journal.read(IncidentId(name)))

    async def approvals(self) -> str:
        """What waits for an answer."""
        found = await self._journal.approvals(open_only=True, limit=_SHOWN)
        if not found:
            return "Nothing waits for approval."
        now = self._clock.now()
        lines = [
            f"• {mask(incident.plan.title if incident.plan else incident.title)[:160]}: {who_may(request)}, "
            f"{in_words(request.expires_at - now)} left. `approve {short(request.id)}` or "
            f"`reject {short(request.id)} why`"
            for incident, request in found
        ]
        return "\n".join(lines)

    async def silence(self, intent: Intent, person: Person) -> str:
        """Silence a namespace or a condition for a while."""
        if refusal := lacks(person, Role.OPERATOR):
            return refusal
        if not intent.name or intent.name in ("everything", "all", "it", "this", "that"):
            return "Silence what? Say: silence NAMESPACE for 2h because of the deploy. Everything cannot be silenced."
        lasts = intent.lasts or _USUAL_SILENCE
        if not timedelta(minutes=1) <= lasts <= LONGEST_SILENCE:
            return f"A silence from the chat lasts from a minute to {LONGEST_SILENCE.days} days."
        if not all(character.isalnum() or character in "-.*" for character in intent.name) or intent.name == "*":
            return f"{intent.name[:80]!r} is no namespace. Say: silence NAMESPACE for 2h."
        now = self._clock.now()
        silence = Silence(
            id=self._ids.new(),
            match=Matcher(namespaces=(intent.name,)),
            starts_at=now,
            ends_at=now + lasts,
            by=person.user,
            comment=intent.rest,
        )
        await self._silences.put(silence, by=person.user, at=now)
        return (
            f"Namespace {intent.name} is silenced for {in_words(lasts)}: nothing new opens an incident there. "
            f"End it with `unsilence {short(silence.id)}`."
        )

    async def silences(self) -> str:
        """Those that hold."""
        now = self._clock.now()
        active = await self._silences.active(now)
        if not active:
            return "Nothing is silenced."
        lines = [
            f"• {_matched(each.match)} for {in_words(each.ends_at - now)} more, by {each.by}"
            f"{': ' + mask(each.comment)[:120] if each.comment else ''} [{short(each.id)}]"
            for each in active[:_SHOWN]
        ]
        return "\n".join(lines)

    async def unsilence(self, name: str, person: Person) -> str:
        """End one now."""
        if refusal := lacks(person, Role.OPERATOR):
            return refusal
        try:
            silence = await self._silences.find(name)
        except MidwatchError as error:
            return error.message
        now = self._clock.now()
        if silence.ends_at > now:
            await self._silences.put(msgspec.structs.replace(silence, ends_at=now), by=person.user, at=now)
        return f"Silence {short(silence.id)} is over. What still fires opens its incident within a minute."


def lacks(person: Person, role: Role) -> str:
    """Why a person may not, empty when they may."""
    return "" if person.may(role) else f"That needs the role {role}; you are {person.role}."


def story(incident: Incident) -> str:
    """An incident in a few lines."""
    card: Card = card_of(incident)
    sure = f" ({card.confidence:.0%} sure)" if card.confidence is not None else ""
    lines = [
        f"{card.severity.upper()} {card.headline}: {card.state.replace('_', ' ')}",
        f"On {incident.owner} since {card.began_at:%Y-%m-%d %H:%M} UTC" if card.began_at else "",
        f"Cause: {card.cause}{sure}" if card.cause else "The cause is still looked for.",
        *(f"  - {line}" for line in card.evidence),
        f"Plan: {card.action}" if card.action else "",
        f"Approval: {card.ask}" if card.ask else "",
        f"Answer with `approve {short(incident.approval.id)}` or `reject {short(incident.approval.id)} why`"
        if card.buttons and incident.approval
        else "",
        f"Outcome: {card.outcome}" if card.outcome else "",
    ]
    return mask("\n".join(line for line in lines if line))[:3000]


def _matched(match: Matcher) -> str:
    parts = (("namespace", match.namespaces), ("condition", match.conditions), ("kind", match.kinds))
    return "; ".join(f"{name} {', '.join(values)}" for name, values in parts if values) or "what its rule says"
