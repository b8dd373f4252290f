"""What a vendor's error means for the chain. Both SDKs name and shape their errors alike."""

from collections.abc import Mapping
from email.utils import parsedate_to_datetime
from typing import Protocol

from midwatch.domain.errors import MidwatchError, Permanent, Transient
from midwatch.domain.masking import mask
from midwatch.services.models.ports import RequestRejected

_PASSING_TYPES = {"overloaded_error", "api_error", "rate_limit_error", "timeout_error", "server_error"}
_NO_MONEY = {"insufficient_quota", "billing_error", "billing_hard_limit_reached"}
_PASSING = {408, 409, 425, 429}
_SETUP = {401, 402, 403, 404}
_LONGEST = 200


class Refusal(Protocol):
    """An ``APIStatusError`` of either SDK."""

    @property
    def status_code(self) -> int: ...
    @property
    def body(self) -> object: ...


def by_status(provider: str, error: Refusal, headers: Mapping[str, str], key: str) -> MidwatchError:
    """``Transient`` with the wait the vendor asks for, ``RequestRejected``, or ``Permanent`` for a person to mend."""
    status, (kind, message) = error.status_code, _body(error.body)
    told = f"{provider} answered {status}" + (f" ({kind})" if kind else "")
    if kind in _NO_MONEY:
        return Permanent(f"{told}: the account has no credit left")
    if status in _PASSING or status >= 500 or kind in _PASSING_TYPES:
        return Transient(told, retry_after(headers))
    if status in {401, 403}:
        return Permanent(f"{told}: check the key it is configured with")  # the body may repeat parts of the key
    said = _safe(message, key)
    if status in _SETUP:
        return Permanent(f"{told}: {said or 'check base_url and the names of its models'}")
    return RequestRejected(f"{told}: {said}" if said else told)


def unreachable(provider: str, error: Exception) -> Transient:
    """No connection, or one that broke."""
    cause = error.__cause__ or error
    return Transient(f"{provider} cannot be reached ({type(cause).__name__})")


def silent(provider: str, seconds: float) -> Transient:
    """Nothing came for so long."""
    return Transient(f"{provider} said nothing for {seconds:g} s")


def broken_off(provider: str) -> Transient:
    """The stream ended before the answer did."""
    return Transient(f"{provider} broke off in the middle of an answer")


def in_stream(provider: str, kind: str) -> MidwatchError:
    """An error told in the middle of an answer that began well."""
    told = f"{provider} broke off an answer" + (f" ({kind})" if kind else "")
    return RequestRejected(told) if kind == "invalid_request_error" else Transient(told)


def retry_after(headers: Mapping[str, str]) -> float:
    """Seconds to wait, from ``retry-after-ms`` or ``retry-after`` (seconds, or a date set against ``date``)."""
    for name, unit in (("retry-after-ms", 1000.0), ("retry-after", 1.0)):
        try:
            seconds = float(headers.get(name, "")) / unit
        except ValueError:
            continue
        return min(max(seconds, 0.0), 3600.0)
    try:
        wait = parsedate_to_datetime(headers["retry-after"]) - parsedate_to_datetime(headers["date"])
    except (KeyError, ValueError, TypeError):
        return 1.0
    return min(max(wait.total_seconds(), 0.0), 3600.0)


def _body(body: object) -> tuple[str, str]:
    """(type or code, message) of the error as the vendor wrote it."""
    inner = body.get("error", body) if isinstance(body, dict) else None
    if not isinstance(inner, dict):
        return "", inner if isinstance(inner, str) else ""
    code, kind = inner.get("code"), inner.get("type")
    named = code if isinstance(code, str) and code in _NO_MONEY else kind
    message = inner.get("message")
    return named if isinstance(named, str) else "", message if isinstance(message, str) else ""


def _safe(message: str, key: str) -> str:
    text = message.replace(key, "***") if key else message
    return mask(" ".join(text.split()))[:_LONGEST]
