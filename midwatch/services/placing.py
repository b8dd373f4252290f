"""Placing signals: which incident each one opens, joins, reopens or leaves, written with few appends."""

import logging
from collections.abc import Iterable, Sequence
from datetime import timedelta
from itertools import groupby

from midwatch.domain import events as ev
from midwatch.domain.authority import authority
from midwatch.domain.board import Board
from midwatch.domain.errors import Conflict, NotFound
from midwatch.domain.grouping import (
    Place,
    adoptees,
    depth_of_signal,
    may_be_adopted,
    may_reopen,
    place,
    related_of,
)
from midwatch.domain.ids import IncidentId, IncidentKey, SignalId
from midwatch.domain.incidents import Incident, Member
from midwatch.domain.reasons import Reason
from midwatch.domain.rules import Rule, group_key, severity_under
from midwatch.domain.signals import Signal
from midwatch.services.ports import Journal
from midwatch.services.runtime import Clock, Ids

log = logging.getLogger(__name__)

Outcome = tuple[SignalId, Reason, IncidentId | None]
Entry = tuple[Signal, Rule]

_MOST_OPEN = 10_000


class Placing:
    """Knows the open incidents, and writes what follows from signals into them: one append an incident and batch.

    The board is a cache: the journal refuses what was decided on an old look, and then it is looked and decided again.
    """

    def __init__(self, journal: Journal, clock: Clock, ids: Ids, *, by: str) -> None:
        self._journal, self._clock, self._ids, self._by = journal, clock, ids, by
        self._board = Board()

    async def refresh(self) -> None:
        """Learn which incidents are open now; only those that moved on are read."""
        rows = {row.id: row for row in await self._journal.recent(open_only=True, limit=_MOST_OPEN)}
        for incident in self._board:
            if incident.id not in rows:
                self._board.drop(incident.id)
        for row in rows.values():
            known = self._board.get(row.id)
            if known is None or known.seq < row.seq:
                self._board.put(await self._journal.read(row.id))

    def holder(self, signal: Signal) -> IncidentId | None:
        """The open incident that counts this very episode as firing, if any."""
        held = self._board.holding_episode(signal)
        return held[0].id if held else None

    def knows(self, signal: Signal) -> bool:
        """Whether an open incident has this as a firing member, in whatever episode."""
        return bool(self._board.holding(signal.cluster, signal.identity))

    def would_join(self, entry: Entry) -> bool:
        """Whether there is an open incident that a signal belongs to."""
        signal, rule = entry
        return place(signal, self._board, group_key(rule, signal)).incident is not None

    # -- firing

    async def take(self, entries: Iterable[Entry]) -> list[Outcome]:
        """Open, join or reopen for every signal. What lies deeper goes first, so that its effects find it."""
        outcomes: list[Outcome] = []
        ordered = sorted(entries, key=lambda entry: depth_of_signal(entry[0]))
        for _, same in groupby(ordered, key=lambda entry: depth_of_signal(entry[0])):
            waiting = list(same)
            while waiting:
                overtaken: list[Entry] = []
                for target, members in _by_target(waiting, self._board):
                    try:
                        outcomes += await self._carry_out(target, members)
                    except Conflict:
                        await self._look_again(target)
                        overtaken += [entry for _, entry in members]
                waiting = overtaken
        return outcomes

    async def _carry_out(self, target: Place, members: Sequence[tuple[Place, Entry]]) -> list[Outcome]:
        now, incident = self._clock.now(), target.incident
        entries = [entry for _, entry in members]
        if incident is None:
            incident, reason = await self._open(target.key, entries)
            outcomes: list[Outcome] = [(signal.id, reason, incident.id) for signal, _ in entries]
        else:
            fresh = [
                _attached(signal, rule, where.reason)
                for where, (signal, rule) in members
                if not _is_member(incident, signal)
            ]
            if fresh:
                incident = await self._journal.append(incident, fresh, at=now, by=self._by)
            outcomes = [(signal.id, where.reason, incident.id) for where, (signal, _) in members]
        self._board.put(incident)
        await self._adopt(incident)
        return outcomes

    async def _open(self, key: IncidentKey, entries: Sequence[Entry]) -> tuple[Incident, Reason]:
        now = self._clock.now()
        attached = [_attached(signal, rule, Reason.RULE_MATCHED) for signal, rule in entries]
        cooldown = max(rule.cooldown for _, rule in entries)
        ended = await self._journal.find_ended(key, since=now - cooldown) if cooldown > timedelta(0) else None
        if ended is not None and may_reopen(ended, (signal for signal, _ in entries)):
            again = ev.Reopened(reason=Reason.REOPENED_IN_COOLDOWN)
            incident = await self._journal.append(ended, [again, *attached], at=now, by=self._by)
            log.info("incident reopened", extra={"incident": incident.id, "episodes": incident.episodes})
            return incident, Reason.REOPENED_IN_COOLDOWN
        first, rule = max(entries, key=lambda entry: severity_under(entry[1], entry[0]).rank)
        events: list[ev.AnyEvent] = [_opened(key, first, rule), *attached]
        incident = await self._journal.open(IncidentId(self._ids.new()), events, at=now, by=self._by)
        log.info("incident opened", extra={"incident": incident.id, "rule": rule.id, "title": first.title})
        return incident, Reason.RULE_MATCHED

    async def _look_again(self, target: Place) -> None:
        """Somebody wrote meanwhile: learn how the incident stands, or which one holds the key."""
        if target.incident is not None:
            await self._read(target.incident.id)
        elif (found := await self._journal.find_open(target.key)) is not None:
            self._board.put(found)

    async def _read(self, incident_id: IncidentId) -> Incident | None:
        try:
            incident = await self._journal.read(incident_id)
        except NotFound:
            self._board.drop(incident_id)
            return None
        self._board.put(incident)
        return incident

    # -- late causes

    async def _adopt(self, cause: Incident) -> None:
        """Take over the incidents that this one explains.

        Their members are counted here before they end there, so that a death in between loses none; whoever is counted
        twice then is cleared in both.
        """
        children = adoptees(cause.id, self._board)
        moved = [
            _moved(child, member)
            for child in children
            for member in child.active
            if (known := cause.member(member.identity)) is None
            or not known.active
            or known.episode != member.episode
        ]  # fmt: skip
        if moved:
            cause = await self._journal.append(cause, moved, at=self._clock.now(), by=self._by)
            self._board.put(cause)
        for child in children:
            await self._end_adopted(child, cause)

    async def _end_adopted(self, child: Incident, cause: Incident) -> None:
        told = ev.Adopted(reason=Reason.ADOPTED_BY_CAUSE, into=cause.id, detail=f"It follows from: {cause.title}"[:300])
        known: Incident | None = child
        while known is not None and not known.state.final and may_be_adopted(known):
            try:
                ended = await self._journal.append(known, [told], at=self._clock.now(), by=self._by)
            except Conflict:
                known = await self._read(child.id)
                if known is not None and known.id not in {each.id for each in adoptees(cause.id, self._board)}:
                    return  # something else is wrong with it by now, or somebody acts: it goes on
                continue
            self._board.put(ended)
            log.info("incident adopted", extra={"incident": child.id, "into": cause.id})
            return

    # -- resolved

    async def clear(self, signals: Sequence[Signal]) -> dict[SignalId, IncidentId]:
        """Clear the members whose episodes are over. Which incident each signal was found in."""
        found: dict[SignalId, IncidentId] = {}
        told: dict[IncidentId, list[Signal]] = {}
        for signal in signals:
            for incident in self._board.holding_episode(signal):
                told.setdefault(incident.id, []).append(signal)
                found.setdefault(signal.id, incident.id)
        for incident_id, over in told.items():
            await self._clear_in(incident_id, over)
        return found

    async def _clear_in(self, incident_id: IncidentId, signals: Sequence[Signal]) -> None:
        incident = self._board.get(incident_id)
        while incident is not None and not incident.state.final:
            events = [
                ev.SignalCleared(
                    reason=Reason.SIGNAL_CLEARED, signal=signal.id, identity=signal.identity, episode=signal.episode
                )
                for signal in {signal.episode: signal for signal in signals}.values()
                if _is_member(incident, signal)
            ]
            if not events:
                return
            try:
                self._board.put(await self._journal.append(incident, events, at=self._clock.now(), by=self._by))
            except Conflict:
                incident = await self._read(incident_id)
                continue
            return


def _by_target(entries: Iterable[Entry], board: Board) -> list[tuple[Place, list[tuple[Place, Entry]]]]:
    """Entries by where they belong, each with its own reason."""
    groups: dict[str, list[tuple[Place, Entry]]] = {}
    for entry in entries:
        signal, rule = entry
        where = place(signal, board, group_key(rule, signal))
        groups.setdefault(where.incident.id if where.incident else where.key, []).append((where, entry))
    return [(members[0][0], members) for members in groups.values()]


def _is_member(incident: Incident, signal: Signal) -> bool:
    """Whether this very episode is counted already: then the signal is a repeat, or a crash came before ``settle``."""
    member = incident.member(signal.identity)
    return member is not None and member.episode == signal.episode and member.active


def _opened(key: IncidentKey, signal: Signal, rule: Rule) -> ev.IncidentOpened:
    return ev.IncidentOpened(
        reason=Reason.RULE_MATCHED,
        key=key,
        cluster=signal.cluster,
        condition=signal.condition,
        severity=severity_under(rule, signal),
        title=signal.title,
        subject=signal.subject,
        owner=signal.owner,
        rule=rule.id,
        tier=rule.tier,
        playbook=rule.playbook,
        notify=rule.notify,
        began_at=signal.starts_at,
    )


def _attached(signal: Signal, rule: Rule, reason: Reason) -> ev.SignalAttached:
    left = authority(rule.tier, signal.labels)
    return ev.SignalAttached(
        reason=reason,
        signal=signal.id,
        identity=signal.identity,
        episode=signal.episode,
        source=signal.source,
        condition=signal.condition,
        severity=severity_under(rule, signal),
        subject=signal.subject,
        title=signal.title,
        starts_at=signal.starts_at,
        related=related_of(signal),
        tier=left.tier,
        threshold=left.threshold,
        wanted=left.playbook,
        runbook_id=signal.runbook_id,
        runbook_url=signal.runbook_url,
    )


def _moved(child: Incident, member: Member) -> ev.SignalAttached:
    """A member of an incident that is adopted, as one of its cause's: with what it takes away from our authority."""
    return ev.SignalAttached(
        reason=Reason.ADOPTED_BY_CAUSE,
        signal=member.signal,
        identity=member.identity,
        episode=member.episode,
        source=member.source,
        condition=member.condition,
        severity=member.severity,
        subject=member.subject,
        title=member.title,
        starts_at=member.first_at,
        related=member.related,
        tier=child.tier,
        threshold=child.threshold,
        wanted=child.wanted,
        runbook_id=member.runbook_id,
        runbook_url=member.runbook_url,
    )
