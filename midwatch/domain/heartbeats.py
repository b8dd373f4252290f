"""Heartbeats: alerts that always fire (``Watchdog``), and when their silence is trouble of its own. Pure."""

from collections.abc import Iterable
from datetime import datetime, timedelta

import msgspec

from midwatch.domain.ids import SignalId
from midwatch.domain.refs import ObjectRef, Severity
from midwatch.domain.signals import Signal, SignalStatus

NAMES = frozenset({"Watchdog", "DeadMansSwitch", "DeadMansSnitch"})
"""Alerts that fire as long as their sender lives. Rules drop them; only their silence is told."""
SOURCE = "midwatch"
CONDITION = "WatchdogSilent"
_LEAST = timedelta(minutes=15)
_TIMES = 3
_KNOWN_AFTER = 3


class Heartbeat(msgspec.Struct, frozen=True, kw_only=True):
    """One sender's heartbeat as the store has it.

    ``gap_s`` is the longest pause of late, in seconds: a longer one replaces it at once, shorter ones wear it down by a
    tenth each. ``beats`` counts all that came; none: it is expected, and was so since ``seen_at``.
    """

    cluster: str
    source: str
    name: str
    seen_at: datetime
    gap_s: float = 0.0
    beats: int = 0

    @property
    def key(self) -> str:
        return "|".join((self.cluster, self.source, self.name))


def is_heartbeat(signal: Signal) -> bool:
    """Whether a signal is a sign of life of its sender."""
    return signal.status is SignalStatus.FIRING and signal.labels.get("alertname", signal.condition) in NAMES


def patience(beat: Heartbeat, expected: timedelta) -> timedelta | None:
    """How long this one may be silent; ``None``: not known yet.

    ``expected`` is a person's word for how often it comes. Zero: nobody said, and three times its own longest pause is
    allowed once there were enough beats to tell, because senders repeat themselves every minute or every four hours.
    """
    if expected > timedelta(0):
        return expected
    if beat.beats < _KNOWN_AFTER:
        return None
    return max(_LEAST, _TIMES * timedelta(seconds=beat.gap_s))


def fallen_silent(beats: Iterable[Heartbeat], expected: timedelta, now: datetime) -> tuple[Heartbeat, ...]:
    """Those that should have been heard from by now. What is merely expected is content with any heartbeat at all."""
    known = tuple(beats)
    heard = [beat for beat in known if beat.beats]
    asked = heard or known
    return tuple(beat for beat in asked if (wait := patience(beat, expected)) is not None and now - beat.seen_at > wait)


def silence_signal(beat: Heartbeat, signal_id: SignalId, now: datetime) -> Signal:
    """The silence as a signal. It began with the last beat, so that it is the same episode however often it is told."""
    switch = ObjectRef("Alert", beat.name)
    from_where = f"{beat.source} ({beat.cluster})" if beat.beats else beat.cluster
    last = f"was last heard at {beat.seen_at:%Y-%m-%d %H:%M:%S} UTC" if beat.beats else "was never heard"
    return Signal(
        id=signal_id,
        source=SOURCE,
        cluster=beat.cluster,
        status=SignalStatus.FIRING,
        condition=CONDITION,
        severity=Severity.CRITICAL,
        subject=switch,
        owner=switch,
        title=f"{beat.name} of {from_where} is silent",
        starts_at=beat.seen_at,
        received_at=now,
        failure_class=f"heartbeat:{beat.source}:{beat.name}",
        summary=f"{beat.name} {last}: alerts of {from_where} may not arrive. "
        "Prometheus, Alertmanager or the way from there to here is down.",
        labels={"alertname": CONDITION, "family": "monitoring", "heartbeat": beat.key},
        fingerprint=beat.key,
    )
