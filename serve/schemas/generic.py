"""The generic alert: what a script, a pipeline or a person posts, to a signal."""

from datetime import UTC, datetime
from typing import Annotated

import msgspec

from midwatch.domain.errors import Invalid
from midwatch.domain.signals import SignalStatus
from serve.schemas.alertmanager import read_webhook
from serve.schemas.grafana import read_legacy
from serve.schemas.incoming import (
    Alerts,
    Observation,
    Reading,
    clean,
    decode,
    first_line,
    label_fingerprint,
    printable,
    settled_instant,
    to_signal,
)

_WHAT = "an alert"
_SEVERITIES = ("critical", "warning", "info")
_YEAR_5000_S = 95_617_584_000
"""An instant given as a number is in seconds up to here, beyond in milliseconds, beyond a thousand times that in µs."""

_Name = Annotated[str, msgspec.Meta(max_length=253)]


class _Generic(msgspec.Struct, frozen=True):
    alert_type: Annotated[str, msgspec.Meta(min_length=1, max_length=253)]
    severity: str | None = None
    status: str | None = None
    environment: _Name | None = None
    cluster: _Name | None = None
    namespace: _Name | None = None
    pod: _Name | None = None
    message: str | None = None
    runbook_reference: str | None = None
    runbook: str | None = None
    timestamp: str | int | float | None = None


_GENERIC = msgspec.json.Decoder(_Generic)


class _Shape(msgspec.Struct, frozen=True, rename="camel"):
    """Which fields a body has, their values left unread."""

    alerts: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET
    rule_name: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET


_SHAPE = msgspec.json.Decoder(_Shape)


def read_any(body: bytes, reading: Reading) -> Alerts:
    """A generic alert, or a body of Alertmanager's or Grafana's. Raises :class:`Invalid` saying where it is wrong."""
    shape = decode(_SHAPE, body, _WHAT)
    if shape.alerts is not msgspec.UNSET:
        return read_webhook(body, reading)
    return read_legacy(body, reading) if shape.rule_name is not msgspec.UNSET else read_generic(body, reading)


def read_alerts(body: bytes, reading: Reading) -> Alerts:
    """A body of Alertmanager's or Grafana's, unified or legacy. Raises :class:`Invalid` saying where it is wrong."""
    try:
        return read_webhook(body, reading)
    except Invalid:
        # The usual body is decoded once; only one that is refused is looked at again.
        shape = decode(_SHAPE, body, "an alert webhook body")
        if shape.alerts is not msgspec.UNSET or shape.rule_name is msgspec.UNSET:
            raise
    return read_legacy(body, reading)


def read_generic(body: bytes, reading: Reading) -> Alerts:
    """A generic alert. Raises :class:`Invalid` saying where it is wrong."""
    told = decode(_GENERIC, body, _WHAT)
    severity = (told.severity or "warning").lower()
    if severity not in _SEVERITIES:
        raise _wrong(f"Expected one of {', '.join(_SEVERITIES)}, got `{severity[:40]}`", "severity")
    word = (told.status or "firing").lower()
    if word not in tuple(SignalStatus):
        raise _wrong(f"Expected `firing` or `resolved`, got `{word[:40]}`", "status")
    status, starts_at = SignalStatus(word), _when(told.timestamp)
    place = {
        "alertname": told.alert_type,
        "environment": told.environment,
        "cluster": told.cluster,
        "namespace": told.namespace,
        "pod": told.pod,
    }
    labels = clean({name: value for name, value in place.items() if value})
    message = printable(told.message or "")[:4096]
    runbook = told.runbook_reference or told.runbook or ""
    seen = Observation(
        source="post",
        status=status,
        name=labels["alertname"],
        labels={**labels, "severity": severity},
        annotations=clean({"runbook_url": runbook}) if runbook else {},
        fingerprint=label_fingerprint(labels),  # what and where; how it is worded may change
        starts_at=starts_at,
        title=first_line(message) or labels["alertname"],
        summary=message,
    )
    # A resolved one ends what is firing. One that fires is new trouble: nobody promised to say when it is over.
    undated = starts_at is None and status is SignalStatus.RESOLVED
    return Alerts((to_signal(seen, reading),), frozenset({0} if undated else ()))


def _when(given: str | float | None) -> datetime | None:
    """RFC 3339 text (UTC where it names no zone), or a number since 1970 in seconds, milliseconds or microseconds."""
    if given is None or given == "":
        return None
    if isinstance(given, str):
        try:
            when = msgspec.convert(given, datetime)
        except msgspec.ValidationError as error:
            raise _wrong(f"Expected an RFC 3339 time, got `{given[:40]}`", "timestamp") from error
        return settled_instant(when if when.tzinfo else when.replace(tzinfo=UTC))
    seconds = float(given)
    for _ in range(2):
        seconds = seconds / 1000 if seconds > _YEAR_5000_S else seconds
    if not 0 <= seconds <= _YEAR_5000_S:
        raise _wrong("Expected a time since 1970", "timestamp")
    return settled_instant(datetime.fromtimestamp(seconds, UTC))


def _wrong(what: str, field: str) -> Invalid:
    return Invalid(f"not {_WHAT}: {what} - at `$.{field}`")
