"""Watching: follow one cluster's objects, and say what breaks and what recovers, each once."""

import asyncio
import heapq
import logging
from collections import OrderedDict
from collections.abc import Iterable
from datetime import datetime, timedelta

import msgspec

from midwatch.domain.conditions import CATALOGUE, detect_object, failure_class
from midwatch.domain.diagnosis import Finding
from midwatch.domain.errors import Transient
from midwatch.domain.ids import SignalId
from midwatch.domain.objects.cluster import Event, Node, PersistentVolumeClaim
from midwatch.domain.objects.meta import Base, condition
from midwatch.domain.objects.network import EndpointSlice
from midwatch.domain.objects.standing import standing
from midwatch.domain.objects.view import ClusterView, Key
from midwatch.domain.refs import ObjectRef
from midwatch.domain.signals import Signal, SignalStatus
from midwatch.services.runtime import Clock, Ids
from midwatch.services.watch_ports import Accepts, Episodes, KindHealth, KindState, ObjectSource, WatchHealth

log = logging.getLogger(__name__)

SOURCE = "watch"
BATCH = 500
"""Objects looked at between two breaths, and signals handed over at once."""
PATIENCE = timedelta(seconds=15)
"""How long the first look waits for kinds that are slow to be listed."""
LISTING_LOOK = timedelta(seconds=0.5)
"""How often to see, while listing, whether patience has run out."""
EVENT_MEMORY = timedelta(hours=1)
ENDED_KEPT = 10_000


class Watching:
    """Keeps a :class:`ClusterView` up to date, looks at what changed, and reports each episode's begin and end.

    Nothing is concluded about a kind that cannot be seen right now: an episode ends only when its object is seen well
    or seen to be gone.
    """

    def __init__(
        self,
        cluster: str,
        source: ObjectSource,
        ingestion: Accepts,
        episodes: Episodes,
        clock: Clock,
        ids: Ids,
        *,
        resync_s: float = 30.0,
    ) -> None:
        self._cluster, self._source, self._ingestion, self._episodes = cluster, source, ingestion, episodes
        self._clock, self._ids, self._resync = clock, ids, timedelta(seconds=resync_s)
        self.view = ClusterView()
        self._states: dict[tuple[str, str], tuple[KindState, str]] = dict.fromkeys(
            source.scopes, (KindState.LISTING, "")
        )
        self._dirty: OrderedDict[Key, datetime] = OrderedDict()
        self._parked: dict[str, dict[Key, datetime]] = {}  # changes of kinds that are not seen right now
        self._seen: set[str] = set()
        self._rechecks: list[tuple[datetime, Key]] = []
        self._active: dict[str, Signal] = {}
        self._of_object: dict[Key, set[str]] = {}
        self._unripe: dict[str, datetime] = {}
        self._ended: OrderedDict[str, datetime] = OrderedDict()
        self._unsent: list[Signal] = []
        self._stir = asyncio.Event()
        self._started = clock.now()
        self.listed = asyncio.Event()
        """Set once the cluster is listed, or patience with what cannot be listed has run out."""
        self._changes = self._looks = 0
        self._last_change: datetime | None = None
        self._errors: OrderedDict[str, None] = OrderedDict()

    # -- what the source says

    def put(self, item: Base) -> None:
        """An object is new or changed."""
        before = self.view.put(item)
        self._changed(item)
        if isinstance(item, Node) and (not isinstance(before, Node) or _readiness(before) != _readiness(item)):
            self._touch(_key(pod) for pod in self.view.pods_on(item.name))

    def remove(self, kind: str, namespace: str, name: str) -> None:
        """An object is gone."""
        gone = self.view.remove(kind, namespace, name)
        if gone is not None:
            self._changed(gone)

    def state(self, kind: str, scope: str, state: KindState, detail: str = "") -> None:
        """A kind is seen, or no longer."""
        self._states[kind, scope] = (state, detail)
        if detail and state is not KindState.ABSENT:
            self._errors[f"{kind}: {detail}"] = None
            while len(self._errors) > 20:
                self._errors.popitem(last=False)
        states = [stands for (name, _), (stands, _) in self._states.items() if name == kind]
        if all(stands is KindState.SYNCED for stands in states):
            self._seen.add(kind)
            for key, since in self._parked.pop(kind, {}).items():
                self._dirty.setdefault(key, since)
            if scope == "":  # of some namespaces alone, absence elsewhere would not be a fact
                self.view.complete.add(kind)
        else:
            self._seen.discard(kind)
            self.view.complete.discard(kind)
        self._stir.set()

    def _changed(self, item: Base) -> None:
        self._changes += 1
        self._last_change = self._clock.now()
        self._touch((_key(item),))
        if isinstance(item, Event):
            about = item.about
            self._touch(((about.kind, "" if about.kind == "Node" else about.namespace or item.namespace, about.name),))
        elif isinstance(item, EndpointSlice):
            self._touch((("Service", item.namespace, item.service),))
        elif isinstance(item, PersistentVolumeClaim):
            self._touch(_key(pod) for pod in self.view.pods_using(item))

    def _touch(self, keys: Iterable[Key]) -> None:
        now = self._last_change or self._started
        for key in keys:
            self._dirty.setdefault(key, now)
        self._stir.set()

    # -- the loop

    async def run(self) -> None:
        """Watch until cancelled."""
        for signal in await self._known():
            self._remember(signal)
        async with asyncio.TaskGroup() as group:
            group.create_task(self._source.run(self))
            group.create_task(self._follow())

    async def _known(self) -> tuple[Signal, ...]:
        while True:
            try:
                return await self._episodes.active(source=SOURCE, cluster=self._cluster)
            except Transient as error:
                log.warning("store away; the watch waits", extra={"cluster": self._cluster, "error": str(error)})
                await self._clock.sleep(error.retry_in)

    async def _follow(self) -> None:
        sweep_at = self._started
        while True:
            now = self._clock.now()
            if not self.listed.is_set() and (self._settled() or now - self._started > PATIENCE):
                self.listed.set()
                sweep_at = now
            if self.listed.is_set():
                if now >= sweep_at:
                    self._sweep(now)
                    sweep_at = now + self._resync
                await self._look_around()
            until = min(sweep_at, self._rechecks[0][0]) if self._rechecks else sweep_at
            await self._rest(until if self.listed.is_set() else now + LISTING_LOOK)

    def _settled(self) -> bool:
        return all(state is not KindState.LISTING for state, _ in self._states.values())

    def _sweep(self, now: datetime) -> None:
        """Look at everything again: what depends on others, on the clock, or was said before this process started."""
        self.view.forget_events(now - EVENT_MEMORY)
        self._last_change = self._last_change or now
        self._touch(_key(item) for item in self.view.everything())
        self._touch(tuple(self._of_object))

    async def _look_around(self) -> None:
        """Look at all that changed or fell due, in slices, and hand over what follows from it."""
        while True:
            now = self._clock.now()
            while self._rechecks and self._rechecks[0][0] <= now:
                self._dirty.setdefault(heapq.heappop(self._rechecks)[1], now)
            for _ in range(min(BATCH, len(self._dirty))):
                key, since = self._dirty.popitem(last=False)
                if key[0] in self._seen:
                    self._unsent += await self._look(key, now)
                elif key in self._of_object or self.view.get(*key) is not None:
                    self._parked.setdefault(key[0], {}).setdefault(key, since)
            if self._unsent and not await self._send():
                return
            if not self._dirty:
                return
            await asyncio.sleep(0)

    async def _look(self, key: Key, now: datetime) -> list[Signal]:
        """One object: what is newly wrong with it, then what is not any more."""
        self._looks += 1
        item = self.view.get(*key)
        held = self._of_object.get(key, set())
        if item is None and not held:
            return []
        detection = detect_object(self.view, item, now) if item is not None else None
        if detection is not None and detection.recheck is not None:
            heapq.heappush(self._rechecks, (detection.recheck, key))
        current = {self._identity(finding): finding for finding in (detection.findings if detection else ())}
        signals = []
        for identity, finding in current.items():
            if identity not in held and self._ripe(identity, finding, key, now):
                signals.append(await self._fire(finding, now))
        signals += [self._resolve(identity, key, now) for identity in sorted(held - current.keys())]
        if self._unripe:
            for identity in [each for each in self._unripe if each not in current and _of(each, key)]:
                del self._unripe[identity]
        return signals

    def _ripe(self, identity: str, finding: Finding, key: Key, now: datetime) -> bool:
        """Whether a finding that cannot say since when has been there for long enough."""
        hold = CATALOGUE[finding.condition].hold_s
        if finding.since is not None or not hold:
            return True
        first = self._unripe.setdefault(identity, now)
        if now - first >= timedelta(seconds=hold):
            del self._unripe[identity]
            return True
        heapq.heappush(self._rechecks, (first + timedelta(seconds=hold), key))
        return False

    async def _fire(self, finding: Finding, now: datetime) -> Signal:
        signal = self._signal(finding, min(finding.since or now, now), now)
        ended = self._ended.get(signal.identity)
        over = ended is not None and signal.starts_at <= ended
        if not over and signal.starts_at < self._started:
            over = await self._was_resolved(signal.episode)
        if over:  # the object dates its trouble back to an episode that is over: this is a new one
            signal = msgspec.structs.replace(signal, starts_at=now)
        self._remember(signal)
        return signal

    async def _was_resolved(self, episode: str) -> bool:
        while True:
            try:
                return await self._episodes.resolved_since(episode)
            except Transient as error:
                await self._clock.sleep(error.retry_in)

    def _resolve(self, identity: str, key: Key, now: datetime) -> Signal:
        fired = self._active.pop(identity)
        held = self._of_object[key]
        held.discard(identity)
        if not held:
            del self._of_object[key]
        self._ended[identity] = now
        self._ended.move_to_end(identity)
        if len(self._ended) > ENDED_KEPT:
            self._ended.popitem(last=False)
        return msgspec.structs.replace(
            fired, id=SignalId(self._ids.new()), status=SignalStatus.RESOLVED, received_at=now, ends_at=now
        )

    def _remember(self, signal: Signal) -> None:
        self._active[signal.identity] = signal
        subject = signal.subject
        self._of_object.setdefault((subject.kind, subject.namespace, subject.name), set()).add(signal.identity)

    def _identity(self, finding: Finding) -> str:
        return "|".join((SOURCE, self._cluster, finding.condition, finding.subject.path))

    def _signal(self, finding: Finding, starts_at: datetime, now: datetime) -> Signal:
        return Signal(
            id=SignalId(self._ids.new()),
            source=SOURCE,
            cluster=self._cluster,
            status=SignalStatus.FIRING,
            condition=finding.condition,
            severity=finding.severity,
            subject=finding.subject,
            owner=finding.top_owner,
            title=finding.title,
            starts_at=starts_at,
            received_at=now,
            failure_class=failure_class(finding),
            summary=finding.summary,
            labels=_labels(finding),
            related=standing(self.view, finding.subject, finding.top_owner),
        )

    async def _send(self) -> bool:
        """Hand over what is to be said, in order. Kept when the store is away; whether all is out."""
        while self._unsent:
            batch = self._unsent[:BATCH]
            try:
                await self._ingestion.accept(batch)
            except Transient as error:
                log.warning("signals wait for the store", extra={"count": len(self._unsent), "error": str(error)})
                await self._clock.sleep(error.retry_in)
                return False
            del self._unsent[: len(batch)]
        return True

    async def _rest(self, until: datetime) -> None:
        """Sleep until something stirs or an instant comes."""
        if self._unsent:
            return
        seconds = max(0.0, min((until - self._clock.now()).total_seconds(), 1.0))
        try:
            async with asyncio.timeout(seconds):
                await self._stir.wait()
        except TimeoutError:
            pass  # nothing stirred: the clock is the reason to go on
        self._stir.clear()

    # -- how it stands

    def health(self) -> WatchHealth:
        """A snapshot for people and probes."""
        kinds: dict[str, KindHealth] = {}
        for (kind, scope), (state, detail) in self._states.items():
            if kind not in kinds or state is not KindState.SYNCED:
                kinds[kind] = KindHealth(
                    state, self.view.count(kind), f"{scope}: {detail}" if scope and detail else detail
                )
        now = self._clock.now()
        oldest = next(iter(self._dirty.values()), now)
        return WatchHealth(
            cluster=self._cluster,
            ready=self.listed.is_set()
            and not any(kind.state in (KindState.LOST, KindState.LISTING) for kind in kinds.values()),
            kinds=kinds,
            objects=self.view.count(),
            active=len(self._active),
            changes=self._changes,
            looks=self._looks,
            lag_ms=max(0.0, (now - oldest).total_seconds() * 1000),
            unsent=len(self._unsent),
            last_change_at=self._last_change,
            missing_rights=tuple(kind.detail for kind in kinds.values() if kind.state is KindState.BARRED),
            errors=tuple(self._errors)[-5:],
        )


def _labels(finding: Finding) -> dict[str, str]:
    labels = {"family": finding.family, "kind": finding.subject.kind}
    return labels | ({"namespace": finding.subject.namespace} if finding.subject.namespace else {})


def _key(item: Base) -> Key:
    return (item.kind, item.namespace, item.name)


def _of(identity: str, key: Key) -> bool:
    return identity.endswith("|" + ObjectRef(key[0], key[2], key[1]).path)


def _readiness(node: Node) -> str:
    ready = condition(node.status.conditions, "Ready")
    return ready.status if ready else ""
