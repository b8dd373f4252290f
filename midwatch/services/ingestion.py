"""From signals to incidents: accept at the door, then dedupe, match, and place."""

import asyncio
from collections.abc import Sequence
from datetime import timedelta
from typing import Protocol

import msgspec

from midwatch.domain import events as ev
from midwatch.domain.approvals import ApprovalOutcome
from midwatch.domain.errors import ClaimLost, Conflict
from midwatch.domain.grouping import group_of, named_objects
from midwatch.domain.ids import IncidentKey
from midwatch.domain.incidents import REQUEST, Incident, State, Work
from midwatch.domain.reasons import Reason
from midwatch.domain.refs import ObjectRef
from midwatch.domain.rules import RuleSet, ripe_at
from midwatch.domain.signals import Signal, SignalStatus
from midwatch.domain.silences import Silence, Window, hush
from midwatch.services.heartbeats import HeartbeatBook, note_heartbeats
from midwatch.services.placing import Entry, Outcome, Placing
from midwatch.services.ports import Deferral, Inbox, Journal, PendingSignal, Receipt, SilenceBook, WorkQueue
from midwatch.services.runtime import Clock, Ids, Wake

SILENCE_LOOK = timedelta(minutes=1)
"""How often what is silenced is looked at again: a silence may end early, a window may be edited."""


class Rules(Protocol):
    """The rules in force; the object may swap them between two calls."""

    def current(self) -> RuleSet: ...


class Owners(Protocol):
    """Who owns an object, for signals whose sender could not know (an alert names a pod, not its Deployment)."""

    async def top_owner(self, cluster: str, subject: ObjectRef) -> ObjectRef:
        """The top owner as far as it can be found; the subject itself otherwise. Does not raise."""
        ...


class Surroundings(Protocol):
    """What objects stand on, for signals whose sender could not know."""

    async def standing(self, cluster: str, named: Sequence[ObjectRef]) -> tuple[ObjectRef, ...]:
        """The nodes (by their own names) and claims of what an alert names, as far as known. Does not raise."""
        ...


class AsNamed:
    """Surroundings where no API server can be asked: an alert's word for its node, and no more."""

    async def standing(self, cluster: str, named: Sequence[ObjectRef]) -> tuple[ObjectRef, ...]:  # noqa: ARG002
        """The nodes among the objects that are named."""
        return tuple(ref for ref in named if ref.kind == "Node")


class Intake:
    """The door of the house, for webhooks and watchers alike."""

    def __init__(self, inbox: Inbox, wake_rules: Wake, heartbeats: HeartbeatBook | None = None) -> None:
        """``heartbeats``: where to note the signs of life of those that send alerts."""
        self._inbox, self._wake_rules, self._heartbeats = inbox, wake_rules, heartbeats

    async def accept(self, signals: Sequence[Signal]) -> tuple[Receipt, ...]:
        """Commit signals, then ring the rule engine. What this returns is safe; ``Transient`` means nothing is."""
        if not signals:
            return ()
        receipts = await self._inbox.put(signals)
        if self._heartbeats is not None:
            await note_heartbeats(self._heartbeats, signals)
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
        surroundings: Surroundings | None = None,
        silences: SilenceBook | None = None,
    ) -> None:
        self._inbox, self._journal, self._work, self._rules, self._owners = inbox, journal, work, rules, owners
        self._clock, self._by = clock, by
        self._surroundings, self._silences = surroundings or AsNamed(), silences
        self._placing = Placing(journal, clock, ids, by=by)

    async def drain(self) -> int:
        """Settle all signals that are due. Returns how many were looked at; safe to repeat after a crash anywhere."""
        looked = 0
        while batch := await self._inbox.pending(now=self._clock.now()):
            await self._settle_batch(batch)
            looked += len(batch)
        return looked

    async def _settle_batch(self, batch: Sequence[PendingSignal]) -> None:
        """What fires first, then what is over: of one that is both, the inbox knows already that it is over."""
        await self._placing.refresh()
        firing = [item.signal for item in batch if item.signal.status is SignalStatus.FIRING]
        outcomes, entries = await self._judge(firing)
        outcomes += await self._placing.take(entries)
        await self._inbox.settle(outcomes)
        over = [item.signal for item in batch if item.signal.status is SignalStatus.RESOLVED]
        if over:
            await self._inbox.settle(await self._clear(over))

    async def _judge(self, signals: Sequence[Signal]) -> tuple[list[Outcome], list[Entry]]:
        """Which signals come to nothing, which wait, and which are to be placed."""
        if not signals:
            return [], []
        rules, now = self._rules.current(), self._clock.now()
        held = await self._silences.active(now) if self._silences else ()
        quiet: list[Silence | Window] = [*held, *(window for window in rules.windows if window.until(now) is not None)]
        over = await self._inbox.resolved_among({signal.episode for signal in signals})
        outcomes: list[Outcome] = []
        wanted: list[Entry] = []
        later: list[Deferral] = []
        for signal in signals:
            rule = rules.match(signal).rule
            if rule is None or rule.drop:
                outcomes.append((signal.id, Reason.NO_RULE, None))
            elif signal.episode in over:
                outcomes.append(self._late(signal))
            elif (silence := hush(signal, quiet, now)) is not None and not self._placing.knows(signal):
                later.append((signal.id, min(silence.until, now + SILENCE_LOOK), Reason.SILENCED))
            elif (ripe := ripe_at(rule, signal)) > now:
                later.append((signal.id, ripe, None))
            else:
                wanted.append((signal, rule))
        await self._inbox.defer(later)
        entries = await self._all_surrounded(wanted)
        return await self._enough(outcomes, entries, rules)

    async def _enough(
        self, outcomes: list[Outcome], entries: Sequence[Entry], rules: RuleSet
    ) -> tuple[list[Outcome], list[Entry]]:
        """Hold back what has not come often enough; with what has, take what came before and still fires."""
        taken = {signal.id: (signal, rule) for signal, rule in entries if rule.threshold <= 1}
        counting = {rule.id: rule for _, rule in entries if rule.threshold > 1}
        for rule in counting.values():
            heard = await self._inbox.firing_since(self._clock.now() - rule.window)
            same = [(signal, rule) for signal in heard if (found := rules.match(signal).rule) and found.id == rule.id]
            groups: dict[IncidentKey, list[Entry]] = {}
            for entry in await self._all_surrounded(same):
                groups.setdefault(group_of(*entry), []).append(entry)
            over = await self._inbox.resolved_among({signal.episode for signal, _ in same})
            for entry in [entry for entry in entries if entry[1].id == rule.id]:
                group = groups.get(group_of(*entry), [])
                if self._placing.would_join(entry):
                    taken[entry[0].id] = entry
                elif len({signal.episode for signal, _ in group}) >= rule.threshold:
                    taken |= {each[0].id: each for each in (entry, *group) if each[0].episode not in over}
                else:
                    outcomes.append((entry[0].id, Reason.BELOW_THRESHOLD, None))
        return outcomes, list(taken.values())

    async def _all_surrounded(self, entries: Sequence[Entry]) -> list[Entry]:
        known = await asyncio.gather(*(self._surrounded(signal) for signal, _ in entries))
        return [(signal, rule) for signal, (_, rule) in zip(known, entries, strict=True)]

    def _late(self, signal: Signal) -> Outcome:
        """A firing whose resolve is here already opens nothing any more.

        But a death right after it had been made a member, and before it was settled, leaves a member that its resolve
        must still find.
        """
        holder = self._placing.holder(signal)
        return (signal.id, Reason.JOINED_OPEN_INCIDENT if holder else Reason.RESOLVED_BEFORE, holder)

    async def _surrounded(self, signal: Signal) -> Signal:
        """The signal with what its sender could not know. The watch knows all there is."""
        if signal.source == "watch":
            return signal
        owner = signal.owner
        if owner == signal.subject:
            owner = await self._owners.top_owner(signal.cluster, signal.subject)
        related = await self._surroundings.standing(signal.cluster, named_objects(signal))
        return msgspec.structs.replace(signal, owner=owner, related=tuple(dict.fromkeys((*signal.related, *related))))

    async def _clear(self, signals: Sequence[Signal]) -> list[Outcome]:
        found = await self._placing.clear(signals)
        rest = {signal.episode for signal in signals if signal.id not in found}
        before = await self._inbox.incidents_of(rest)
        return [
            (signal.id, Reason.SIGNAL_CLEARED, found.get(signal.id) or before.get(signal.episode)) for signal in signals
        ]

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


def _ending(incident: Incident, by: str) -> list[ev.AnyEvent]:
    if incident.state is State.ESCALATED:
        if incident.rule == REQUEST:
            return [ev.Closed(reason=incident.reason, by=by, detail=incident.outcome)]
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
