"""Refusals in the words of the API server: a code, a reason and a message, sent as a ``Status`` object."""

from __future__ import annotations

from midwatch.sandbox.objects import Obj


class ApiError(Exception):
    """An answer other than success. ``headers`` go out with it (``Retry-After``)."""

    def __init__(
        self, code: int, reason: str, message: str, *, details: Obj | None = None, headers: dict[str, str] | None = None
    ) -> None:
        super().__init__(message)
        self.code = code
        self.reason = reason
        self.message = message
        self.details = details
        self.headers = headers or {}

    def status(self) -> Obj:
        """The ``Status`` document."""
        body: Obj = {
            "kind": "Status",
            "apiVersion": "v1",
            "metadata": {},
            "status": "Failure",
            "message": self.message,
            "reason": self.reason,
        }
        if self.details:
            body["details"] = self.details
        body["code"] = self.code
        return body


def no_such_path() -> ApiError:
    """404 for a path or kind the server does not serve."""
    return ApiError(404, "NotFound", "the server could not find the requested resource")


def not_found(resource: str, group: str, name: str) -> ApiError:
    """404 for one object; ``resource`` is its plural."""
    qualified = f"{resource}.{group}" if group else resource
    details = {"name": name, **({"group": group} if group else {}), "kind": resource}
    return ApiError(404, "NotFound", f'{qualified} "{name}" not found', details=details)


def already_exists(qualified: str, name: str) -> ApiError:
    """409 on create."""
    return ApiError(409, "AlreadyExists", f'{qualified} "{name}" already exists', details={"name": name})


def conflict(qualified: str, name: str, why: str = "") -> ApiError:
    """409 when a precondition does not hold."""
    why = why or "the object has been modified; please apply your changes to the latest version and try again"
    message = f'Operation cannot be fulfilled on {qualified} "{name}": {why}'
    return ApiError(409, "Conflict", message, details={"name": name, "kind": qualified})


def invalid(kind: str, group: str, name: str, field: str, why: str) -> ApiError:
    """422 for one bad field."""
    qualified = f"{kind}.{group}" if group else kind
    causes = [{"reason": "FieldValueInvalid", "message": why, "field": field}]
    details = {"name": name, "kind": kind, "causes": causes, **({"group": group} if group else {})}
    return ApiError(422, "Invalid", f'{qualified} "{name}" is invalid: {field}: {why}', details=details)


def bad_request(message: str) -> ApiError:
    """400."""
    return ApiError(400, "BadRequest", message)


def expired(message: str) -> ApiError:
    """410: the resource version or continue token is older than the history kept."""
    return ApiError(410, "Expired", message)
