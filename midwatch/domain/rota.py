"""Who is on call, which channels hear of an incident, and when: as written in ``people.yaml``. Pure."""

from collections.abc import Iterator
from datetime import date, datetime, time, timedelta
from enum import StrEnum
from fnmatch import fnmatchcase
from zoneinfo import ZoneInfo

import msgspec

from midwatch.domain.incidents import Incident
from midwatch.domain.reasons import Reason
from midwatch.domain.refs import Severity


class Quiet(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Hours in which only what is severe enough is told; the rest waits for their end.

    Wall-clock times in ``timezone``; an end at or before the begin is on the next day. ``days`` (0 is Monday) are those
    on which they begin.
    """

    begins: time
    ends: time
    days: tuple[int, ...] = (0, 1, 2, 3, 4, 5, 6)
    timezone: str = "UTC"
    unless: Severity = Severity.CRITICAL

    def until(self, now: datetime) -> datetime | None:
        """When they end, if they hold now."""
        zone = ZoneInfo(self.timezone)
        today = now.astimezone(zone).date()
        for day in (today, today - timedelta(days=1)):
            begins, ends = self._span(day, zone)
            if day.weekday() in self.days and begins <= now < ends:
                return ends
        return None

    def _span(self, day: date, zone: ZoneInfo) -> tuple[datetime, datetime]:
        last = day + timedelta(days=1) if self.ends <= self.begins else day
        return datetime.combine(day, self.begins, zone), datetime.combine(last, self.ends, zone)


class Override(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Somebody else is on call for a while."""

    person: str
    starts: datetime
    ends: datetime


class Rota(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """People who take turns of ``turn_hours``, the first one's beginning at ``starts``, then round and round."""

    people: tuple[str, ...]
    starts: datetime
    turn_hours: int = 168
    overrides: tuple[Override, ...] = ()

    def on_call(self, now: datetime) -> str:
        """Who has the watch; empty before it begins. Of overrides that overlap the last one written counts."""
        for override in reversed(self.overrides):
            if override.starts <= now < override.ends:
                return override.person
        if now < self.starts or not self.people:
            return ""
        return self.people[(now - self.starts) // timedelta(hours=self.turn_hours) % len(self.people)]

    def next_change(self, now: datetime) -> datetime | None:
        """When somebody else takes over by turn, if anybody does."""
        if len(self.people) < 2:
            return None
        if now < self.starts:
            return self.starts
        turn = timedelta(hours=self.turn_hours)
        return self.starts + ((now - self.starts) // turn + 1) * turn


class Team(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Who answers for some namespaces (shell patterns). ``rota`` names theirs, ``channels`` hear beside the route's."""

    namespaces: tuple[str, ...]
    channels: tuple[str, ...] = ()
    rota: str = ""


class Route(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which channels hear of what. Empty lists match everything; the first route that fits counts.

    ``digest``: told together once a day, not one by one.
    """

    channels: tuple[str, ...]
    severities: tuple[Severity, ...] = ()
    namespaces: tuple[str, ...] = ()
    teams: tuple[str, ...] = ()
    digest: bool = False


class People(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """``people.yaml``. Without routes every channel hears of everything at once."""

    rotas: dict[str, Rota] = {}
    teams: dict[str, Team] = {}
    routes: tuple[Route, ...] = ()
    quiet: dict[str, Quiet] = {}
    digest_at: time = time(9, 0)
    digest_timezone: str = "UTC"


class How(StrEnum):
    """What becomes of an incident in one channel."""

    NOW = "now"
    LATER = "later"
    DIGEST = "digest"
    NOT = "not"


class Routing(msgspec.Struct, frozen=True, kw_only=True):
    """The channels that hear of an incident, whose it is, and who has the watch for it. ``reason`` is why these."""

    reason: Reason
    channels: tuple[str, ...] = ()
    everywhere: bool = False
    digest: bool = False
    team: str = ""
    on_call: str = ""


class Delivery(msgspec.Struct, frozen=True):
    """How one channel is told now, why, and until when it waits."""

    how: How
    reason: Reason
    until: datetime | None = None


def faults(people: People) -> Iterator[tuple[str, str]]:
    """What contradicts itself, as (path, sentence)."""
    for name, rota in people.rotas.items():
        path = f"$.rotas.{name}"
        times = [rota.starts, *(time for each in rota.overrides for time in (each.starts, each.ends))]
        if any(each.tzinfo is None for each in times):
            yield path, "times need a time zone (2026-01-05T08:00:00Z)"
        elif any(each.ends <= each.starts for each in rota.overrides):
            yield path, "an override ends before it starts"
        if not rota.people or rota.turn_hours < 1:
            yield path, "a rota has people, and turns of at least an hour"
    for name, team in people.teams.items():
        if team.rota and team.rota not in people.rotas:
            yield f"$.teams.{name}", f"there is no rota {team.rota!r}"
    for number, route in enumerate(people.routes):
        unknown = [team for team in route.teams if team not in people.teams]
        if unknown:
            yield f"$.routes[{number}]", f"there is no team {unknown[0]!r}"
    zones = [(f"$.quiet.{name}", quiet.timezone) for name, quiet in people.quiet.items()]
    for path, zone in (*zones, ("$.digest_timezone", people.digest_timezone)):
        try:
            ZoneInfo(zone)
        except (KeyError, ValueError, OSError):
            yield path, f"{zone!r} is no time zone"
    for name, quiet in people.quiet.items():
        if any(not 0 <= day <= 6 for day in quiet.days):
            yield f"$.quiet.{name}", "days are numbers from 0 (Monday) to 6"


def route(incident: Incident, people: People, now: datetime) -> Routing:
    """Who hears of an incident. What nobody routed goes everywhere: silence must be asked for."""
    namespace = incident.owner.namespace or incident.subject.namespace
    team = next((name for name, team in people.teams.items() if _fits(namespace, team.namespaces)), "")
    rota = people.rotas.get(people.teams[team].rota) if team else None
    rota = rota or next(iter(people.rotas.values()), None)
    on_call = rota.on_call(now) if rota else ""
    own = people.teams[team].channels if team else ()
    for each in people.routes:
        severe = not each.severities or incident.severity in each.severities
        placed = not each.namespaces or _fits(namespace, each.namespaces)
        if severe and placed and (not each.teams or team in each.teams):
            channels = tuple(dict.fromkeys((*each.channels, *own, *incident.notify)))
            return Routing(
                reason=Reason.ROUTE_MATCHED, channels=channels, digest=each.digest, team=team, on_call=on_call
            )
    return Routing(reason=Reason.NO_ROUTE, everywhere=True, team=team, on_call=on_call)


def deliver(incident: Incident, channel: str, people: People, now: datetime) -> Delivery:
    """How one channel is told of an incident now. A question to people is never held back."""
    routing = route(incident, people, now)
    if not routing.everywhere and channel not in routing.channels:
        return Delivery(How.NOT, Reason.NOT_ROUTED_HERE)
    asking = incident.approval is not None and incident.approval.outcome is None
    if asking:
        return Delivery(How.NOW, Reason.WAITING_FOR_PEOPLE)
    if routing.digest:
        return Delivery(How.DIGEST, Reason.IN_DIGEST, next_digest(people, now))
    quiet = people.quiet.get(channel)
    until = quiet.until(now) if quiet is not None else None
    if quiet is not None and until is not None and incident.severity.rank < quiet.unless.rank:
        return Delivery(How.LATER, Reason.QUIET_HOURS, until)
    return Delivery(How.NOW, routing.reason)


def next_digest(people: People, now: datetime) -> datetime:
    """When the next digest is told."""
    zone = ZoneInfo(people.digest_timezone)
    today = now.astimezone(zone).date()
    at = datetime.combine(today, people.digest_at, zone)
    return at if at > now else datetime.combine(today + timedelta(days=1), people.digest_at, zone)


def watch(people: People, now: datetime) -> tuple[tuple[str, str, datetime | None], ...]:
    """``(rota, who, until)`` for each rota; ``who`` is empty where nobody has the watch yet."""
    return tuple((name, rota.on_call(now), rota.next_change(now)) for name, rota in people.rotas.items())


def _fits(name: str, patterns: tuple[str, ...]) -> bool:
    return any(fnmatchcase(name, pattern) for pattern in patterns)
