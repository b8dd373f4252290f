"""Faults of the API server itself, injected on request: refusals, delays, lost answers, outages."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from midwatch.sandbox.api.requests import ApiRequest
from midwatch.sandbox.errors import ApiError, bad_request
from midwatch.sandbox.objects import Obj

_REASONS = {
    401: "Unauthorized",
    403: "Forbidden",
    404: "NotFound",
    409: "Conflict",
    410: "Expired",
    422: "Invalid",
    429: "TooManyRequests",
    500: "InternalError",
    503: "ServiceUnavailable",
    504: "Timeout",
}


@dataclass(slots=True, kw_only=True)
class Fault:
    """One rule. Empty fields match everything; ``times`` counts down, None never does.

    ``delay`` seconds pass first; then ``status`` (if any) is answered instead of doing what was asked; with ``lost``
    the request takes effect but the connection breaks before the answer, ``hang`` seconds after it took effect.
    """

    verb: str = ""
    resource: str = ""
    namespace: str = ""
    name: str = ""
    subresource: str | None = None
    user: str = ""
    status: int = 0
    message: str = ""
    retry_after: int | None = None
    delay: float = 0.0
    lost: bool = False
    hang: float = 0.0
    times: int | None = None

    def matches(self, request: ApiRequest) -> bool:
        target = request.target
        return (
            (not self.verb or request.verb in self.verb.split(","))
            and (not self.resource or target.resource.plural in self.resource.split(","))
            and (not self.namespace or target.namespace == self.namespace)
            and (not self.name or target.name == self.name)
            and (self.subresource is None or target.subresource == self.subresource)
            and (not self.user or request.user.name == self.user)
        )

    def refusal(self) -> ApiError | None:
        """The error to answer with, or None."""
        if not self.status:
            return None
        headers = {} if self.retry_after is None else {"Retry-After": str(self.retry_after)}
        details = {} if self.retry_after is None else {"retryAfterSeconds": self.retry_after}
        message = self.message or f"injected fault: {_REASONS.get(self.status, 'error')}"
        reason = _REASONS.get(self.status, "InternalError")
        return ApiError(self.status, reason, message, details=details, headers=headers)


def parse_fault(body: Obj) -> Fault:
    """A fault from the control API; 400 names an unknown or ill-typed field."""
    kinds: dict[str, tuple[type, ...]] = {
        **dict.fromkeys(("verb", "resource", "namespace", "name", "subresource", "user", "message"), (str,)),
        **dict.fromkeys(("status", "retry_after", "times"), (int,)),
        **dict.fromkeys(("delay", "hang"), (int, float)),
        "lost": (bool,),
    }
    values: dict[str, Any] = {}
    for name, value in body.items():
        if name not in kinds:
            raise bad_request(f"unknown field {name!r}; known: {', '.join(sorted(kinds))}")
        if not isinstance(value, kinds[name]):
            raise bad_request(f"field {name!r} must be {' or '.join(kind.__name__ for kind in kinds[name])}")
        values[name] = value
    return Fault(**values)


class Faults:
    """The rules in force, first match first, and the end of an outage."""

    def __init__(self) -> None:
        self.rules: list[Fault] = []
        self.outage_until = 0.0
        """Until this time (seconds of the event loop's clock) every connection is cut."""

    def pick(self, request: ApiRequest) -> Fault | None:
        """The rule for this request; uses up one of its times."""
        for fault in self.rules:
            if fault.matches(request):
                if fault.times is not None:
                    fault.times -= 1
                    if fault.times <= 0:
                        self.rules.remove(fault)
                return fault
        return None

    def clear(self) -> None:
        self.rules.clear()
        self.outage_until = 0.0
