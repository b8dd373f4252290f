"""From errors to HTTP: one table, RFC 9457 bodies, and no text that could carry a secret."""

import logging
import math
from http import HTTPStatus

import msgspec
from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException

from midwatch.domain.errors import Conflict, Invalid, MidwatchError, NotFound, Permanent, Refused, Transient
from midwatch.domain.masking import mask

log = logging.getLogger(__name__)


class Problem(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The body of every answer that is not a success (``application/problem+json``)."""

    type: str
    title: str
    status: int
    detail: str = ""
    errors: tuple[str, ...] = ()


class Unauthorized(MidwatchError):
    """No token or session, or a wrong one."""


class Forbidden(MidwatchError):
    """The caller is known and may not do this (a missing or wrong CSRF token)."""


class BodyTooLarge(MidwatchError):
    """The body exceeds the limit; it was not read further."""


class UnsupportedBody(MidwatchError):
    """The body's content type or encoding is not one the route reads."""


class TooManyRequests(Transient):
    """This client asks too often."""


_STATUS: tuple[tuple[type[MidwatchError], HTTPStatus], ...] = (
    # The first match counts: subclasses stand before their bases.
    (Unauthorized, HTTPStatus.UNAUTHORIZED),
    (Forbidden, HTTPStatus.FORBIDDEN),
    (BodyTooLarge, HTTPStatus.REQUEST_ENTITY_TOO_LARGE),
    (UnsupportedBody, HTTPStatus.UNSUPPORTED_MEDIA_TYPE),
    (TooManyRequests, HTTPStatus.TOO_MANY_REQUESTS),
    (Transient, HTTPStatus.SERVICE_UNAVAILABLE),
    (Invalid, HTTPStatus.UNPROCESSABLE_ENTITY),
    (Refused, HTTPStatus.CONFLICT),
    (NotFound, HTTPStatus.NOT_FOUND),
    (Conflict, HTTPStatus.CONFLICT),
    (Permanent, HTTPStatus.INTERNAL_SERVER_ERROR),
    (MidwatchError, HTTPStatus.INTERNAL_SERVER_ERROR),
)


def scrub(text: str) -> str:
    """Blank what looks like a credential: the last line of defence, for messages should not hold any."""
    return mask(text)[:2000]


def problem_of(error: MidwatchError) -> Problem:
    """What the caller is told."""
    status = next(status for kind, status in _STATUS if isinstance(error, kind))
    if status is HTTPStatus.INTERNAL_SERVER_ERROR:
        return _problem(status, "The request failed inside Midwatch; the log of the edge says why.")
    return _problem(status, scrub(error.message))


def problem_response(problem: Problem, *, retry_in: float | None = None) -> Response:
    """The problem as an answer; ``retry_in`` seconds becomes ``Retry-After``."""
    headers = {}
    if retry_in is not None:
        headers["Retry-After"] = str(max(1, math.ceil(retry_in)))
    if problem.status == HTTPStatus.UNAUTHORIZED:
        headers["WWW-Authenticate"] = 'Bearer realm="midwatch"'
    return Response(msgspec.json.encode(problem), problem.status, headers, "application/problem+json")


def install_problems(app: FastAPI) -> None:
    """Answer every error with a problem body."""
    app.add_exception_handler(MidwatchError, _on_known)
    app.add_exception_handler(RequestValidationError, _on_bad_request)
    app.add_exception_handler(HTTPException, _on_http)
    app.add_exception_handler(Exception, _on_unknown)


async def _on_known(request: Request, error: Exception) -> Response:
    assert isinstance(error, MidwatchError)  # registered for it
    problem = problem_of(error)
    if problem.status >= HTTPStatus.INTERNAL_SERVER_ERROR:
        log.warning("request failed", extra={"path": request.url.path, "status": problem.status, "error": str(error)})
    return problem_response(problem, retry_in=error.retry_in if isinstance(error, Transient) else None)


async def _on_bad_request(_: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)  # registered for it
    # Where and what, never the value that was sent.
    faults = tuple(f"{'.'.join(str(part) for part in item['loc'])}: {item['msg']}" for item in error.errors())
    return problem_response(_problem(HTTPStatus.UNPROCESSABLE_ENTITY, "; ".join(faults)[:2000], faults[:50]))


async def _on_http(_: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)  # registered for it
    response = problem_response(_problem(HTTPStatus(error.status_code), ""))
    for name, value in (error.headers or {}).items():
        response.headers[name] = value
    return response


async def _on_unknown(request: Request, error: Exception) -> Response:
    log.error("request crashed", extra={"path": request.url.path}, exc_info=error)
    status = HTTPStatus.INTERNAL_SERVER_ERROR
    return problem_response(_problem(status, "The request failed inside Midwatch; the log of the edge says why."))


def _problem(status: HTTPStatus, detail: str, errors: tuple[str, ...] = ()) -> Problem:
    kind = status.phrase.lower().replace(" ", "-").replace("'", "")
    return Problem(
        type=f"urn:midwatch:problem:{kind}", title=status.phrase, status=status, detail=detail, errors=errors
    )
