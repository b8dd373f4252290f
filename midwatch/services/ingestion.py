"""From signals to incidents: accept at the door, then dedupe, match, and open or attach."""

import logging
from collections.abc import Sequence
from datetime import timedelta
from typing import Protocol

import msgspec

from midwatch.domain import events as ev
from midwatch.domain.approvals import ApprovalOutcome
from midwatch.domain.errors import ClaimLost, Conflict, NotFound
from midwatch.domain.ids import IncidentId, IncidentKey, SignalId
from midwatch.domain.incidents import Incident, State, Work
from midwatch.domain.reasons import Reason
from midwatch.domain.refs import ObjectRef
from midwatch.domain.rules import Rule, RuleSet, ripe_at
from midwatch.domain.signals import Signal, SignalStatus
from midwatch.services.ports import Inbox, Journal, PendingSignal, Receipt, WorkQueue
from midwatch.services.runtime import Clock, Ids, Wake

log = logging.getLogger(__name__)

Outcome = tuple[SignalId, Reason, IncidentId | None]


class Rules(Protocol):
    """The rules in force; the object may swap them between two calls."""

    def current(self) -> RuleSet: ...


class Owners(Protocol):
    """Who owns an object, for signals whose sender could not know (an alert names a pod, not its Deployment)."""

    async def top_owner(self, cluster: str, subject: ObjectRef) -> ObjectRef:
        """The top owner as far as it can be found; the subject itself otherwise. Does not raise."""
        ...


class Intake:
    """The door of the house, for webhooks and watchers alike."""

    def __init__(self, inbox: Inbox, wake_rules: Wake) -> None:
        self._inbox, self._wake_rules = inbox, wake_rules

    async def accept(self, signals: Sequence[Signal]) -> tuple[Receipt, ...]:
        """Commit signals, then ring the rule engine. What this returns is safe; ``Transient`` means nothing is."""
        if not signals:
            return ()
        receipts = await self._inbox.put(signals)
        if any(receipt.new for receipt in receipts):
            self._wake_rules()
        return receipts


class Ingestion:
    """Makes incidents of what was committed, and ends those whose signals stayed cleared."""

    def __init__(
        self,
        inbox: Inbox,
        journal: Journal,
        work: WorkQueue,
        rules: Rules,
        owners: Owners,
        clock: Clock,
        ids: Ids,
        *,
        by: str,
    ) -> None:
        self._inbox, self._journal, self._work, self._rules, self._owners = inbox, journal, work, rules, owners
        self._clock, self._ids, self._by = clock, ids, by

    async def drain(self) -> int:
        """Settle all signals that are due. Returns how many were looked at; safe to repeat after a crash anywhere."""
        looked = 0
        while batch := await self._inbox.pending(now=self._clock.now()):
            await self._settle_batch(batch)
            looked += len(batch)
        return looked

    async def _settle_batch(self, batch: Sequence[PendingSignal]) -> None:
        rules = self._rules.current()
        groups: dict[IncidentKey, list[tuple[Signal, Rule]]] = {}
        outcomes: list[Outcome] = []
        cleared: list[Outcome] = []
        for item in batch:
            signal = item.signal
            if signal.status is SignalStatus.RESOLVED:
                # It may follow its own firing in the same batch, which must be known as an incident's member first.
                outcomes += await self._open_groups(groups)
                groups = {}
                if any(incident for _, _, incident in outcomes):
                    await self._inbox.settle(outcomes)
                    outcomes = []
                cleared.append(await self._clear(signal))
                continue
            match = rules.match(signal)
            if match.rule is None or match.rule.drop:
                outcomes.append((signal.id, Reason.NO_RULE, None))
            elif await self._inbox.resolved_since(signal.episode):
                outcomes.append(await self._late(signal))
            elif (ripe := ripe_at(match.rule, signal)) > self._clock.now():
                await self._inbox.defer(signal.id, ripe)
            else:
                owned = await self._with_owner(signal)
                groups.setdefault(owned.incident_key, []).append((owned, match.rule))
        outcomes += await self._open_groups(groups)
        await self._inbox.settle([*outcomes, *cleared])

    async def _late(self, signal: Signal) -> Outcome:
        """A firing whose resolve is here already opens nothing.

        Unless it is a member already: a death came between its append and its settling, and its resolve must find it.
        """
        owned = await self._with_owner(signal)
        incident = await self._journal.find_open(owned.incident_key)
        if incident is not None and _is_member(incident, owned):
            return (signal.id, Reason.JOINED_OPEN_INCIDENT, incident.id)
        return (signal.id, Reason.RESOLVED_BEFORE, None)

    async def _with_owner(self, signal: Signal) -> Signal:
        if signal.source == "watch" or signal.owner != signal.subject:
            return signal
        owner = await self._owners.top_owner(signal.cluster, signal.subject)
        return signal if owner == signal.owner else msgspec.structs.replace(signal, owner=owner)

    async def _open_groups(self, groups: dict[IncidentKey, list[tuple[Signal, Rule]]]) -> list[Outcome]:
        outcomes: list[Outcome] = []
        for key, members in groups.items():
            outcomes += await self._open_or_attach(key, members)
        return outcomes

    async def _open_or_attach(self, key: IncidentKey, members: Sequence[tuple[Signal, Rule]]) -> list[Outcome]:
        while True:
            incident = await self._journal.find_open(key)
            now = self._clock.now()
            try:
                if incident is None:
                    first, rule = max(members, key=lambda pair: (pair[1].severity or pair[0].severity).rank)
                    opened: list[ev.AnyEvent] = [_opened(key, first, rule)]
                    opened += [_attached(signal, rule) for signal, rule in members]
                    incident = await self._journal.open(IncidentId(self._ids.new()), opened, at=now, by=self._by)
                    log.info("incident opened", extra={"incident": incident.id, "rule": rule.id, "title": first.title})
                    return [(signal.id, Reason.RULE_MATCHED, incident.id) for signal, _ in members]
                fresh = [_attached(signal, rule) for signal, rule in members if not _is_member(incident, signal)]
                if fresh:
                    await self._journal.append(incident, fresh, at=now, by=self._by)
                return [(signal.id, Reason.JOINED_OPEN_INCIDENT, incident.id) for signal, _ in members]
            except Conflict:
                continue  # somebody opened or wrote meanwhile: look again

    async def _clear(self, signal: Signal) -> Outcome:
        incident_id = await self._inbox.incident_of(signal.episode)
        if incident_id is None:
            return (signal.id, Reason.SIGNAL_CLEARED, None)
        while True:
            try:
                incident = await self._journal.read(incident_id)
            except NotFound:
                return (signal.id, Reason.SIGNAL_CLEARED, None)
            member = incident.member(signal.identity)
            if member is None or not member.active or member.episode != signal.episode or incident.state.final:
                return (signal.id, Reason.SIGNAL_CLEARED, incident_id)
            event = ev.SignalCleared(
                reason=Reason.SIGNAL_CLEARED, signal=signal.id, identity=signal.identity, episode=signal.episode
            )
            try:
                await self._journal.append(incident, [event], at=self._clock.now(), by=self._by)
            except Conflict:
                continue  # written meanwhile: read again
            return (signal.id, Reason.SIGNAL_CLEARED, incident_id)

    async def settle_incidents(self, *, owner: str, ttl: timedelta) -> int:
        """End the incidents whose signals have stayed cleared. Returns how many ended."""
        ended = 0
        while claims := await self._work.claim([Work.SETTLE], owner=owner, now=self._clock.now(), ttl=ttl, limit=20):
            for claim in claims:
                incident = await self._journal.read(claim.incident)
                try:
                    await self._journal.append(
                        incident, _ending(incident, self._by), at=self._clock.now(), by=self._by, claim=claim
                    )
                    ended += 1
                except ClaimLost:
                    continue  # fired again, or another process ended it: nothing to settle here any more
                except Conflict:
                    await self._work.release(claim)
        return ended


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
        severity=rule.severity or signal.severity,
        title=signal.title,
        subject=signal.subject,
        owner=signal.owner,
        rule=rule.id,
        tier=rule.tier,
        playbook=rule.playbook,
        began_at=signal.starts_at,
    )


def _attached(signal: Signal, rule: Rule) -> ev.SignalAttached:
    return ev.SignalAttached(
        reason=Reason.RULE_MATCHED,
        signal=signal.id,
        identity=signal.identity,
        episode=signal.episode,
        source=signal.source,
        condition=signal.condition,
        severity=rule.severity or signal.severity,
        subject=signal.subject,
        title=signal.title,
        starts_at=signal.starts_at,
    )


def _ending(incident: Incident, by: str) -> list[ev.AnyEvent]:
    if incident.state is State.ESCALATED:
        return [ev.Closed(reason=Reason.SIGNALS_CLEARED, by=by, detail="Every signal cleared.")]
    ending: list[ev.AnyEvent] = [
        ev.Resolved(reason=Reason.SIGNALS_CLEARED, detail="It recovered before anything was done.")
    ]
    if incident.approval is not None and incident.approval.outcome is None:
        void = ev.ApprovalClosed(
            reason=Reason.SIGNALS_CLEARED, approval=incident.approval.id, outcome=ApprovalOutcome.VOID, by=by
        )
        return [void, *ending]
    return ending
