"""One look at a cluster: what the detectors see through, and where they put what they find."""

from collections.abc import Iterable
from datetime import datetime, timedelta

from midwatch.domain.conditions.catalogue import CATALOGUE
from midwatch.domain.diagnosis import Evidence, Finding
from midwatch.domain.objects.cluster import Event
from midwatch.domain.objects.meta import Base
from midwatch.domain.objects.view import ClusterView
from midwatch.domain.refs import ObjectRef, Severity

SKEW = timedelta(minutes=5)
"""How far ahead of ours another clock may be; what lies further in the future tells nothing about age."""


class Look:
    """Collects findings at one instant.

    ``live``: the view follows a cluster, so what is over is over; else it is a snapshot, and what its objects remember
    of the past is part of the story.
    """

    def __init__(self, view: ClusterView, now: datetime, *, live: bool) -> None:
        self.view, self.now, self.live = view, now, live
        self.findings: list[Finding] = []
        self.recheck: datetime | None = None

    def report(
        self,
        id_: str,
        item: Base,
        summary: str,
        *,
        title: str = "",
        since: datetime | None = None,
        evidence: Iterable[Evidence] = (),
        owners: tuple[ObjectRef, ...] | None = None,
        severity: Severity | None = None,
    ) -> None:
        """A condition is seen on an object. Held back, to be looked at again, until it has lasted its ``hold_s``."""
        entry = CATALOGUE[id_]
        if self.live and self.age(since) is None:
            since = None  # clocks differ: whoever follows the cluster counts from when it saw this first
        if since is not None and entry.hold_s and (age := self.age(since)) is not None:
            ripe = timedelta(seconds=entry.hold_s)
            if age < ripe:
                self.again(since + ripe)
                return
        self.findings.append(
            Finding(
                condition=id_,
                family=entry.family,
                severity=severity or entry.severity,
                subject=item.ref,
                title=f"{item.kind} {item.name}: {title or entry.title}",
                summary=summary,
                owners=self.view.owners(item) if owners is None else owners,
                evidence=tuple(evidence),
                since=since,
            )
        )

    def again(self, at: datetime) -> None:
        """The verdict may change at an instant with nothing else changing."""
        self.recheck = at if self.recheck is None else min(self.recheck, at)

    def age(self, at: datetime | None) -> timedelta | None:
        """How long ago; ``None`` where that is unknown, or so far in the future that clocks must differ."""
        if at is None or at - self.now > SKEW:
            return None
        return max(self.now - at, timedelta(0))

    def within(self, at: datetime | None, window: timedelta) -> bool:
        """Whether an instant is no longer ago than ``window``; asks for another look when it will be."""
        age = self.age(at)
        if at is None or (age is None and not self.live) or (age is not None and age >= window):
            return False
        self.again(at + window)
        return True

    def warnings(self, item: Base, *reasons: str, window: timedelta = timedelta(minutes=10)) -> tuple[Event, ...]:
        """Warning events about an object with one of these reasons; only fresh ones while live. Latest last."""
        found = [
            event
            for event in (*self.view.events(item), *(() if self.live else self.view.stray_events(item.namespace)))
            if event.type != "Normal" and event.reason in reasons and (not self.live or self.within(event.at, window))
        ]
        return tuple(sorted(found, key=lambda event: event.at or self.now))


def told(event: Event) -> Evidence:
    """An event as evidence."""
    about = event.about
    source = "/".join(part for part in (about.kind, about.namespace or event.namespace, about.name) if part)
    return Evidence(source=f"event:{source}", text=f"{event.reason}: {event.text}"[:500])


def shown(item: Base, path: str, text: object) -> Evidence:
    """A field of an object as evidence."""
    return Evidence(source=f"object:{item.ref.path}", path=path, text=str(text)[:500])
