"""Alertmanager's webhook (versions 3 and 4, and templates made after it) and Grafana's unified one, to signals.

They send the same shape. Unknown fields are passed over; what identifies an alert must be there and well formed. A
body of version 4 comes from Alertmanager itself and is held to its word; other versions come from templates that
people wrote, where a start that cannot be read is forgiven (see :class:`Alerts`).
"""

from collections.abc import Callable, Collection
from datetime import datetime
from typing import Annotated, Literal

import msgspec

from midwatch.domain.errors import Invalid
from midwatch.domain.signals import Signal, SignalStatus
from serve.schemas.incoming import (
    Alerts,
    Cut,
    Observation,
    Reading,
    clean,
    decode,
    first_line,
    instant,
    label_fingerprint,
    printable,
    to_signal,
)
from serve.schemas.meaning import MeaningOfAlert

_MAX_LABELS = 128
_WHAT = "an alert webhook body"

_Labels = Annotated[dict[str, str], msgspec.Meta(max_length=_MAX_LABELS)]


class _Alert(msgspec.Struct, frozen=True, rename="camel"):
    labels: _Labels
    status: Literal["firing", "resolved", ""] = ""
    annotations: _Labels | None = None
    starts_at: str = ""
    ends_at: str | None = ""
    fingerprint: Annotated[str, msgspec.Meta(max_length=256)] = ""
    silence_url: str | None = msgspec.field(default=None, name="silenceURL")


class _Body(msgspec.Struct, frozen=True, rename="camel"):
    alerts: tuple[_Alert, ...]
    version: str = ""
    status: str = ""
    org_id: int | None = None
    receiver: str | None = ""
    group_labels: _Labels | None = None
    truncated_alerts: int | None = 0


_DECODER = msgspec.json.Decoder(_Body)
_STATUSES = {str(status): status for status in SignalStatus}


def parse_alerts(
    body: bytes, *, now: datetime, new_id: Callable[[], str], cluster: str, meaning: MeaningOfAlert
) -> Alerts:
    """Read a webhook body. Raises :class:`Invalid` saying where it is wrong; then nothing of it is used."""
    return read_webhook(body, Reading(now, new_id, cluster, meaning))


def read_webhook(body: bytes, reading: Reading) -> Alerts:
    """Read a webhook body. Raises :class:`Invalid` saying where it is wrong; then nothing of it is used."""
    parsed = decode(_DECODER, body, _WHAT)
    source = "grafana" if _from_grafana(parsed) else "alertmanager"
    signals: list[Signal] = []
    undated: set[int] = set()
    for place, alert in enumerate(parsed.alerts):
        starts_at = _start(alert.starts_at, place, strict=parsed.version == "4")
        if starts_at is None:
            undated.add(place)
        status = _status(alert.status or parsed.status, place)
        signals.append(_signal(alert, status, source, starts_at, reading))
    return Alerts(tuple(signals), frozenset(undated), _cut(parsed, source))


def _from_grafana(body: _Body) -> bool:
    return body.org_id is not None or any(alert.silence_url is not None for alert in body.alerts)


def _cut(body: _Body, source: str) -> Cut | None:
    """What ``max_alerts`` of Alertmanager's receiver left out; of Grafana nothing could be asked."""
    missing = body.truncated_alerts or 0
    if missing <= 0 or source != "alertmanager":
        return None
    return Cut(missing, body.receiver or "", body.group_labels or {})


def _status(word: str, place: int) -> SignalStatus:
    """The alert's own status; versions of Alertmanager before 0.7 give it for the whole body alone."""
    status = _STATUSES.get(word)
    if status is None:
        where = f"$.alerts[{place}].status"
        raise Invalid(f"not {_WHAT}: Expected `firing` or `resolved`, got `{word[:40]}` - at `{where}`")
    return status


def _start(text: str, place: int, *, strict: bool) -> datetime | None:
    try:
        when = instant(text)
    except ValueError as error:
        if strict:
            raise Invalid(f"not {_WHAT}: {error} - at `$.alerts[{place}].startsAt`") from error
        return None
    if when is None and strict:
        raise Invalid(f"not {_WHAT}: a start is missing - at `$.alerts[{place}].startsAt`")
    return when


def _end(text: str | None) -> datetime | None:
    try:
        return instant(text or "")
    except ValueError:
        return None  # when it ended is only shown; that it ended is the status' word


def _signal(alert: _Alert, status: SignalStatus, source: str, starts_at: datetime | None, reading: Reading) -> Signal:
    labels, notes = clean(alert.labels), clean(alert.annotations or {})
    name = labels.get("alertname") or labels.get("rulename") or "UnnamedAlert"
    seen = Observation(
        source=source,
        status=status,
        name=name,
        labels=labels,
        annotations=notes,
        fingerprint=printable(alert.fingerprint) or label_fingerprint(alert.labels),
        starts_at=starts_at,
        ends_at=_end(alert.ends_at) if status is SignalStatus.RESOLVED else None,
        title=first_line(notes.get("summary", ""), notes.get("message", ""), notes.get("description", "")),
        summary=notes.get("description") or notes.get("message") or "",
    )
    return to_signal(seen, reading)


class _Standing(msgspec.Struct, frozen=True, rename="camel"):
    """An alert as Alertmanager's API shows it: there it fires, or it is not shown."""

    labels: _Labels
    starts_at: str
    fingerprint: Annotated[str, msgspec.Meta(max_length=256)]
    annotations: _Labels = {}


class _Receiver(msgspec.Struct, frozen=True):
    name: str = ""


class _Group(msgspec.Struct, frozen=True):
    alerts: tuple[_Standing, ...]
    labels: _Labels = {}
    receiver: _Receiver = _Receiver()


_GROUPS = msgspec.json.Decoder(tuple[_Group, ...])


def read_group(answer: bytes, cut: Cut, known: Collection[Signal], reading: Reading) -> tuple[Signal, ...]:
    """The alerts of ``cut``'s group that fire by Alertmanager's API (``/api/v2/alerts/groups``) and are not ``known``.

    Raises :class:`Invalid` when the answer is not of that shape.
    """
    told = {signal.fingerprint for signal in known}
    found: dict[str, Signal] = {}
    for group in decode(_GROUPS, answer, "an answer of Alertmanager's API"):
        if group.labels != cut.group or group.receiver.name != cut.receiver:
            continue
        for place, standing in enumerate(group.alerts):
            if standing.fingerprint in told:
                continue
            alert = _Alert(standing.labels, "firing", standing.annotations, fingerprint=standing.fingerprint)
            starts_at = _start(standing.starts_at, place, strict=True)
            found[standing.fingerprint] = _signal(alert, SignalStatus.FIRING, "alertmanager", starts_at, reading)
    return tuple(found.values())
