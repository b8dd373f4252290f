"""The incidents that are open, as the rule engine looks for them: by key, by member, by what they are about."""

from collections.abc import Iterable, Iterator
from datetime import datetime

import msgspec

from midwatch.domain.causes import DEPTHS, Depth, Trouble, base_of, cause_key, depth_of
from midwatch.domain.ids import IncidentId, IncidentKey
from midwatch.domain.incidents import Incident
from midwatch.domain.signals import Signal

Word = tuple[str, str]
"""A kind of word and the word: what an incident is found by."""
MEMBER, SUBJECT, ABOUT = _KINDS_OF_WORDS = ("member", "subject", "about")


class Cause(msgspec.Struct, frozen=True):
    """An open incident as a possible cause: since when each condition fires in it, and on which objects.

    ``bereft`` are the workloads that its pods belong to: those miss what they have lost. ``words`` are what it is
    found by.
    """

    incident: Incident
    depth: Depth
    since: dict[str, datetime]
    subjects: frozenset[str]
    bereft: frozenset[str]
    words: frozenset[Word]


class Board:
    """The incidents that are open, found by key, by member and by what their members are about."""

    def __init__(self, incidents: Iterable[Incident] = ()) -> None:
        self._causes: dict[IncidentId, Cause] = {}
        self._keys: dict[IncidentKey, IncidentId] = {}
        self._found: dict[str, dict[tuple[str, str], dict[IncidentId, None]]] = {kind: {} for kind in _KINDS_OF_WORDS}
        for incident in incidents:
            self.put(incident)

    def __iter__(self) -> Iterator[Incident]:
        return iter([cause.incident for cause in self._causes.values()])

    def get(self, incident_id: IncidentId) -> Incident | None:
        cause = self._causes.get(incident_id)
        return cause.incident if cause else None

    def cause(self, incident_id: IncidentId) -> Cause | None:
        return self._causes.get(incident_id)

    def put(self, incident: Incident) -> None:
        """An incident as it stands now; one that is over leaves the board."""
        if incident.state.final:
            self.drop(incident.id)
            return
        before, now = self._causes.get(incident.id), cause_of(incident)
        self._causes[incident.id] = now
        self._keys[incident.key] = incident.id
        self._index(incident, before.words if before else frozenset(), now.words)

    def drop(self, incident_id: IncidentId) -> None:
        """Forget an incident."""
        cause = self._causes.pop(incident_id, None)
        if cause is None:
            return
        if self._keys.get(cause.incident.key) == incident_id:
            del self._keys[cause.incident.key]
        self._index(cause.incident, cause.words, frozenset())

    def _index(self, incident: Incident, before: frozenset[Word], now: frozenset[Word]) -> None:
        """Move an incident from the words it was found by to those it is found by now."""
        for kind, word in before - now:
            held = self._found[kind].get((incident.cluster, word), {})
            held.pop(incident.id, None)
            if not held:
                self._found[kind].pop((incident.cluster, word), None)
        for kind, word in now - before:
            self._found[kind].setdefault((incident.cluster, word), {})[incident.id] = None

    def _by(self, kind: str, cluster: str, word: str) -> Iterable[IncidentId]:
        return self._found[kind].get((cluster, word), ())

    def of_key(self, key: IncidentKey) -> Incident | None:
        return self.get(self._keys[key]) if key in self._keys else None

    def holding(self, cluster: str, identity: str) -> tuple[Incident, ...]:
        """The incidents of which this is an active member."""
        return tuple(self._causes[id_].incident for id_ in self._by(MEMBER, cluster, identity))

    def holding_episode(self, signal: Signal) -> tuple[Incident, ...]:
        """The incidents of which this episode is an active member."""
        return tuple(
            incident
            for incident in self.holding(signal.cluster, signal.identity)
            if (member := incident.member(signal.identity)) is not None and member.episode == signal.episode
        )

    def standing_on(self, cause: Cause) -> tuple[Incident, ...]:
        """Incidents with a member that stands on what the cause is about, or that shares an object with it."""
        cluster = cause.incident.cluster
        found = dict.fromkeys(self._by(ABOUT, cluster, cause.incident.owner.path))
        for path in cause.subjects | cause.bereft:
            found |= dict.fromkeys(self._by(SUBJECT, cluster, path))
        found.pop(cause.incident.id, None)
        return tuple(self._causes[id_].incident for id_ in found)

    def near(self, trouble: Trouble) -> tuple[Cause, ...]:
        """Incidents about something the trouble stands on, or that know its subject already; the deepest first."""
        keys = (cause_key(trouble.cluster, ref) for ref in trouble.about if ref.kind in DEPTHS)
        about = [self._keys[key] for key in keys if key in self._keys]
        known = self._by(ABOUT, trouble.cluster, trouble.subject.path)
        return tuple(sorted((self._causes[id_] for id_ in {*about, *known}), key=lambda cause: cause.depth))


def cause_of(incident: Incident) -> Cause:
    """What an open incident may explain others by, and what it is found by."""
    since: dict[str, datetime] = {}
    subjects: set[str] = set()
    bereft: set[str] = set()
    words: set[Word] = set()
    for member in incident.active:
        base = base_of(member.condition)
        since[base] = min(since.get(base, member.first_at), member.first_at)
        path = member.subject.path
        subjects.add(path)
        words |= {(MEMBER, member.identity), (SUBJECT, path), (ABOUT, path)}
        for ref in member.related:
            words.add((ABOUT, ref.path))
            if member.subject.kind == "Pod" and DEPTHS.get(ref.kind) is Depth.WORKLOAD:
                bereft.add(ref.path)
    return Cause(incident, depth_of(incident), since, frozenset(subjects), frozenset(bereft), frozenset(words))
