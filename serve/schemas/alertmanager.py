"""Alertmanager's webhook (version 4, and templates made after it) and Grafana's unified one, to signals.

Both send the same shape. Unknown fields are passed over; what identifies an alert must be there and well formed. A
body of version 4 comes from Alertmanager itself and is held to its word; other versions come from templates that
people wrote, where a start that cannot be read is forgiven (see :class:`Alerts`).
"""

from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime
from typing import Annotated, Literal

import msgspec

from midwatch.domain.errors import Invalid
from midwatch.domain.ids import SignalId
from midwatch.domain.signals import Signal, SignalStatus
from serve.schemas.meaning import MeaningOfAlert, severity_of

MAX_TEXT = 4096
"""Longest label or annotation value that is kept, in characters."""
_MAX_LABELS = 128
_EARLIEST = datetime(1971, 1, 1, tzinfo=UTC)  # Go's zero time and the epoch both mean "not set"

_Labels = Annotated[dict[str, str], msgspec.Meta(max_length=_MAX_LABELS)]


class _Alert(msgspec.Struct, frozen=True, rename="camel"):
    labels: _Labels
    status: Literal["firing", "resolved", ""] = ""
    annotations: _Labels = {}
    starts_at: str = ""
    ends_at: str = ""
    fingerprint: Annotated[str, msgspec.Meta(max_length=256)] = ""
    generator_url: str = msgspec.field(default="", name="generatorURL")
    silence_url: str | None = msgspec.field(default=None, name="silenceURL")


class _Body(msgspec.Struct, frozen=True, rename="camel"):
    alerts: tuple[_Alert, ...]
    version: str = ""
    status: str = ""
    org_id: int | None = None
    external_url: str = msgspec.field(default="", name="externalURL")


class Alerts(msgspec.Struct, frozen=True):
    """The signals of one body, in order.

    ``undated`` are the places of those whose sender gave no usable start: their ``starts_at`` is when they came, unless
    an episode of the same identity is known already.
    """

    signals: tuple[Signal, ...]
    undated: frozenset[int] = frozenset()


_DECODER = msgspec.json.Decoder(_Body)


def parse_alerts(
    body: bytes, *, now: datetime, new_id: Callable[[], str], cluster: str, meaning: MeaningOfAlert
) -> Alerts:
    """Read a webhook body. Raises :class:`Invalid` saying where it is wrong; then nothing of it is used."""
    parsed = _decode(body)
    source = "grafana" if _from_grafana(parsed) else "alertmanager"
    signals: list[Signal] = []
    undated: set[int] = set()
    for place, alert in enumerate(parsed.alerts):
        starts_at = _start(alert.starts_at, f"$.alerts[{place}].startsAt", strict=parsed.version == "4")
        if starts_at is None:
            undated.add(place)
        status = _status(alert.status or parsed.status, f"$.alerts[{place}].status")
        signals.append(_signal(alert, status, source, starts_at, now, SignalId(new_id()), cluster, meaning))
    return Alerts(tuple(signals), frozenset(undated))


def _decode(body: bytes) -> _Body:
    try:
        try:
            return _DECODER.decode(body)
        except UnicodeDecodeError:
            # One bad byte in one label must not cost the alert.
            return _DECODER.decode(body.decode("utf-8", "replace"))
    except msgspec.ValidationError as error:
        raise Invalid(f"not an alert webhook body: {error}") from error
    except msgspec.DecodeError as error:
        raise Invalid(f"not JSON: {error}") from error
    except RecursionError as error:
        raise Invalid("not an alert webhook body: nested too deeply") from error


def _from_grafana(body: _Body) -> bool:
    return body.org_id is not None or any(alert.silence_url is not None for alert in body.alerts)


def _status(word: str, where: str) -> SignalStatus:
    """The alert's own status; versions of Alertmanager before 0.7 give it for the whole body alone."""
    if word not in tuple(SignalStatus):
        raise Invalid(f"not an alert webhook body: Expected `firing` or `resolved`, got `{word[:40]}` - at `{where}`")
    return SignalStatus(word)


def _start(text: str, where: str, *, strict: bool) -> datetime | None:
    try:
        when = _instant(text)
    except ValueError as error:
        if strict:
            raise Invalid(f"not an alert webhook body: {error} - at `{where}`") from error
        return None
    if when is None and strict:
        raise Invalid(f"not an alert webhook body: a start is missing - at `{where}`")
    return when


def _instant(text: str) -> datetime | None:
    """An aware time in UTC, ``None`` for one that means "not set"; ``ValueError`` for text that is no such time."""
    if not text:
        return None
    try:
        when = msgspec.convert(text, datetime)
    except msgspec.ValidationError as error:
        raise ValueError(f"Expected an RFC 3339 time, got `{text[:40]}`") from error
    if when.tzinfo is None:
        raise ValueError(f"Expected a time with its zone, got `{text[:40]}`")
    if when.year <= 1970:
        return None
    try:
        utc = when.astimezone(UTC)
    except OverflowError:
        return None
    return utc if utc >= _EARLIEST else None


def _end(text: str) -> datetime | None:
    try:
        return _instant(text)
    except ValueError:
        return None  # when it ended is only shown; that it ended is the status' word


def _signal(
    alert: _Alert,
    status: SignalStatus,
    source: str,
    starts_at: datetime | None,
    now: datetime,
    signal_id: SignalId,
    cluster: str,
    meaning: MeaningOfAlert,
) -> Signal:
    labels, annotations = _clean(alert.labels), _clean(alert.annotations)
    alertname = labels.get("alertname") or labels.get("rulename") or "UnnamedAlert"
    meant = meaning(alertname, labels)
    return Signal(
        id=signal_id,
        source=source,
        cluster=labels.get("cluster") or labels.get("cluster_name") or cluster,
        status=status,
        condition=meant.condition,
        severity=severity_of(labels),
        subject=meant.subject,
        owner=meant.owner,
        title=_title(annotations, alertname),
        starts_at=starts_at or now,
        received_at=now,
        failure_class=meant.failure_class,
        summary=annotations.get("description") or annotations.get("message") or "",
        labels=_with_family(labels, meant.family),
        annotations=annotations,
        ends_at=_end(alert.ends_at) if status is SignalStatus.RESOLVED else None,
        fingerprint=_printable(alert.fingerprint) or label_fingerprint(alert.labels),
    )


def _with_family(labels: dict[str, str], family: str) -> dict[str, str]:
    """Rules match on the family by this label, so a sender may not choose it."""
    rest = {name: value for name, value in labels.items() if name != "family"}
    return {**rest, "family": family} if family else rest


def _title(annotations: Mapping[str, str], alertname: str) -> str:
    text = annotations.get("summary") or annotations.get("message") or annotations.get("description") or ""
    first = next((line.strip() for line in text.splitlines() if line.strip()), "")
    return (first or alertname)[:200]


def _clean(values: Mapping[str, str]) -> dict[str, str]:
    return {_printable(name)[:MAX_TEXT]: _printable(value)[:MAX_TEXT] for name, value in values.items()}


def _printable(text: str) -> str:
    """PostgreSQL keeps no NUL in text; nobody means one."""
    return text.replace("\0", "�") if "\0" in text else text


def label_fingerprint(labels: Mapping[str, str]) -> str:
    """Alertmanager's own fingerprint of a label set (64-bit FNV-1a), for senders that leave it out."""
    return f"{_fnv1a(byte for name in sorted(labels) for byte in _framed(name, labels[name])):016x}"


def _framed(name: str, value: str) -> bytes:
    return b"\xff".join((name.encode("utf-8", "replace"), value.encode("utf-8", "replace"), b""))


def _fnv1a(data: Iterable[int]) -> int:
    digest = 14695981039346656037
    for byte in data:
        digest = ((digest ^ byte) * 1099511628211) & 0xFFFFFFFFFFFFFFFF
    return digest
