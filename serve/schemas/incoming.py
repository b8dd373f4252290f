"""What readers of foreign alert bodies share: what they are given, what they give, and how text and times are taken."""

from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime
from typing import TypeVar

import msgspec

from midwatch.domain.errors import Invalid
from midwatch.domain.ids import SignalId
from midwatch.domain.signals import Signal, SignalStatus
from serve.schemas.meaning import MeaningOfAlert, severity_of

MAX_TEXT = 4096
"""Longest label or annotation value that is kept, in characters."""
_EARLIEST = datetime(1971, 1, 1, tzinfo=UTC)  # Go's zero time and the epoch both mean "not set"


class Reading(msgspec.Struct, frozen=True):
    """What a reader needs besides the body: ``cluster`` is the one an alert without its own is about."""

    now: datetime
    new_id: Callable[[], str]
    cluster: str
    meaning: MeaningOfAlert
    aliases: Mapping[str, str] = {}
    """Our clusters by the other names that senders have for them."""


class Cut(msgspec.Struct, frozen=True):
    """What a sender left out of a body: how many alerts, and the group they belong to."""

    missing: int
    receiver: str
    group: dict[str, str]


class Alerts(msgspec.Struct, frozen=True):
    """The signals of one body, in order.

    ``undated`` are the places of those whose sender gave no usable start: their ``starts_at`` is when they came, unless
    an episode of the same identity is known already.
    """

    signals: tuple[Signal, ...]
    undated: frozenset[int] = frozenset()
    cut: Cut | None = None


class Observation(msgspec.Struct, frozen=True, kw_only=True):
    """One alert as read, its text clean; ``starts_at`` is ``None`` where the sender gave none."""

    source: str
    status: SignalStatus
    name: str
    labels: dict[str, str]
    annotations: dict[str, str]
    fingerprint: str
    starts_at: datetime | None
    ends_at: datetime | None = None
    title: str = ""
    summary: str = ""


def to_signal(seen: Observation, reading: Reading) -> Signal:
    """The observation in the words of the house."""
    labels = seen.labels
    meant = reading.meaning(seen.name, labels)
    if meant.family or "family" in labels:  # rules match on the family by this label, so a sender may not choose it
        labels = {name: value for name, value in labels.items() if name != "family"}
        if meant.family:
            labels["family"] = meant.family
    named = labels.get("cluster") or labels.get("cluster_name") or reading.cluster
    return Signal(
        id=SignalId(reading.new_id()),
        source=seen.source,
        cluster=reading.aliases.get(named, named),
        status=seen.status,
        condition=meant.condition,
        severity=severity_of(labels),
        subject=meant.subject,
        owner=meant.owner,
        title=seen.title or seen.name,
        starts_at=seen.starts_at or reading.now,
        received_at=reading.now,
        failure_class=meant.failure_class,
        summary=seen.summary,
        labels=labels,
        annotations=seen.annotations,
        ends_at=seen.ends_at if seen.status is SignalStatus.RESOLVED else None,
        fingerprint=seen.fingerprint,
    )


T = TypeVar("T")


def decode(decoder: msgspec.json.Decoder[T], body: bytes, what: str) -> T:
    """A body by its schema, straight from the bytes. Raises :class:`Invalid` that says where ``what`` is wrong."""
    try:
        try:
            return decoder.decode(body)
        except UnicodeDecodeError:
            # One bad byte in one label must not cost the alert.
            return decoder.decode(body.decode("utf-8", "replace"))
    except msgspec.ValidationError as error:
        raise Invalid(f"not {what}: {error}") from error
    except msgspec.DecodeError as error:
        raise Invalid(f"not JSON: {error}") from error
    except RecursionError as error:
        raise Invalid(f"not {what}: nested too deeply") from error


def first_line(*texts: str) -> str:
    """A title: the first line with something on it of the first text that has one."""
    text = next((text for text in texts if text), "")
    return next((line.strip() for line in text.splitlines() if line.strip()), "")[:200]


def clean(values: Mapping[str, str]) -> dict[str, str]:
    """Labels or annotations as they can be kept: no NUL, nothing endless."""
    # Asked of all at once first: nearly always nothing is to be done, and this runs for every alert.
    together = "".join((*values, *values.values()))
    if len(together) <= MAX_TEXT and "\0" not in together:
        return dict(values)
    return {printable(name)[:MAX_TEXT]: printable(value)[:MAX_TEXT] for name, value in values.items()}


def printable(text: str) -> str:
    """PostgreSQL keeps no NUL in text; nobody means one."""
    return text.replace("\0", "\ufffd") if "\0" in text else text


def instant(text: str) -> datetime | None:
    """An aware time in UTC, ``None`` for one that means "not set"; ``ValueError`` for text that is no such time."""
    if not text:
        return None
    try:
        when = msgspec.convert(text, datetime)
    except msgspec.ValidationError as error:
        raise ValueError(f"Expected an RFC 3339 time, got `{text[:40]}`") from error
    if when.tzinfo is None:
        raise ValueError(f"Expected a time with its zone, got `{text[:40]}`")
    return settled_instant(when)


def settled_instant(when: datetime) -> datetime | None:
    """An aware time in UTC; ``None`` for those before 1971, which mean "not set"."""
    if when.year <= 1970:
        return None
    try:
        utc = when.astimezone(UTC)
    except OverflowError:
        return None
    return utc if utc >= _EARLIEST else None


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
