"""Who may ask, and what: bearer tokens, roles, sessions, CSRF, rate limits and the headers of every answer."""

import hashlib
import hmac
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated
from urllib.parse import urlsplit

from fastapi import Depends, Request
from starlette.datastructures import MutableHeaders
from starlette.requests import HTTPConnection
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from midwatch.domain.users import OPERATOR, Person, Role
from serve.dependencies import Edge, edge_of
from serve.problems import Forbidden, TooManyRequests, Unauthorized

COOKIE = "midwatch_session"
CSRF_HEADER = "x-csrf-token"

_SAFE_METHODS = ("GET", "HEAD", "OPTIONS")

CONTENT_SECURITY_POLICY = "; ".join(
    (
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self'",
        "img-src 'self' data:",
        "connect-src 'self'",
        "form-action 'self'",
        "base-uri 'none'",
        "frame-ancestors 'none'",
    )
)
_HEADERS = (
    ("Content-Security-Policy", CONTENT_SECURITY_POLICY),
    ("X-Content-Type-Options", "nosniff"),
    ("X-Frame-Options", "DENY"),
    ("Referrer-Policy", "no-referrer"),
    ("Cross-Origin-Opener-Policy", "same-origin"),
    ("Cross-Origin-Resource-Policy", "same-origin"),
    ("Permissions-Policy", "camera=(), microphone=(), geolocation=()"),
)


@dataclass(frozen=True)
class Caller:
    """Who is asking. ``csrf`` is empty for a bearer token: a browser cannot be made to send one."""

    user: str
    role: Role
    csrf: str = ""

    def may(self, needed: Role) -> bool:
        """Whether their role has the rights of ``needed``."""
        return self.role.may(needed)

    @property
    def name(self) -> str:
        """As shown on a page."""
        return self.user.partition(":")[2]


class Sessions:
    """The console's sessions: signed, so that any replica can check one and none has to be kept.

    The key is derived from the API token: a new token ends every session. A session begun with a personal token names
    that token, and ends with it.
    """

    def __init__(self, token: str) -> None:
        self._key = hashlib.sha256(b"midwatch session key\0" + token.encode()).digest()

    def begin(self, nonce: str, *, expires: datetime, token_id: str = "") -> str:
        """The cookie's value. ``nonce`` makes every login its own session."""
        body = f"{int(expires.timestamp())}.{hashlib.sha256(nonce.encode()).hexdigest()[:32]}.{token_id}"
        return f"{body}.{self._sign('session', body)}"

    def valid(self, cookie: str, *, now: datetime) -> bool:
        body, _, signature = cookie.rpartition(".")
        if not same(signature, self._sign("session", body)):
            return False
        expires = body.partition(".")[0]
        return expires.isdecimal() and now.timestamp() < int(expires)

    @staticmethod
    def token_id(cookie: str) -> str:
        """The personal token that a valid session was begun with, empty for the house's own."""
        return cookie.split(".")[2]

    def csrf(self, cookie: str) -> str:
        """The token that a form of this session must carry."""
        return self._sign("csrf", cookie)

    def _sign(self, purpose: str, text: str) -> str:
        return hmac.new(self._key, f"{purpose}\0{text}".encode(), hashlib.sha256).hexdigest()


def same(given: str, wanted: str) -> bool:
    """Equal, in a time that does not tell where they differ."""
    return hmac.compare_digest(given.encode("utf-8", "replace"), wanted.encode("utf-8", "replace"))


async def caller_of(request: HTTPConnection, edge: Edge) -> Caller | None:
    """Who is asking, ``None`` when that is not proven. ``Transient`` while a personal token cannot be looked up."""
    scheme, _, given = request.headers.get("authorization", "").partition(" ")
    if scheme:
        known = await bearer_of(given.strip(), edge) if scheme.lower() == "bearer" else None
        return Caller(known[1].user, known[1].role) if known else None
    cookie = request.cookies.get(COOKIE, "")
    sessions = Sessions(edge.token)
    if not cookie or not sessions.valid(cookie, now=edge.clock.now()):
        return None
    token_id = sessions.token_id(cookie)
    person = await edge.users.session(token_id) if token_id else OPERATOR
    return Caller(person.user, person.role, csrf=sessions.csrf(cookie)) if person else None


async def bearer_of(secret: str, edge: Edge) -> tuple[str, Person] | None:
    """The personal token's id (empty for the house's own token) and whose it is."""
    return ("", OPERATOR) if same(secret, edge.token) else await edge.users.bearer(secret)


async def within_rate(request: Request, edge: Annotated[Edge, Depends(edge_of)]) -> None:
    """Count this request against its client's rate."""
    client = request.client.host if request.client else "unknown"
    rate = edge.limits.requests_per_minute
    if not await edge.rate.allow(f"edge:{client}", rate, edge.clock.now()):
        raise TooManyRequests(f"more than {rate} requests a minute from {client}; slow down", 60 / rate)


async def authorised(request: Request, edge: Annotated[Edge, Depends(edge_of)]) -> Caller:
    """The caller, by token or session; a session's writing request must carry its CSRF token in the header."""
    caller = await caller_of(request, edge)
    if caller is None:
        raise Unauthorized("send the API token as `Authorization: Bearer …` (it is in the state directory: api-token)")
    if caller.csrf and request.method not in _SAFE_METHODS:
        check_csrf(request, caller, request.headers.get(CSRF_HEADER, ""))
    return caller


def check_csrf(request: Request, caller: Caller, given: str) -> None:
    """Raises ``Forbidden`` unless the request was made by a page of this session."""
    foreign = "origin" in request.headers and not from_our_pages(request)
    if foreign or not same(given, caller.csrf):
        raise Forbidden("this form is not of the present session: reload the page and try again")


def from_our_pages(connection: HTTPConnection) -> bool:
    """Whether a browser says that a page of this very host asks."""
    host = connection.headers.get("host", "")
    return bool(host) and urlsplit(connection.headers.get("origin", "")).netloc == host


TheCaller = Annotated[Caller, Depends(authorised)]


def needs(role: Role) -> Callable[[Caller], Awaitable[Caller]]:
    """A dependency: the caller, who must have the rights of ``role``. Raises ``Forbidden``."""

    async def caller_with_role(caller: TheCaller) -> Caller:
        check_role(caller, role)
        return caller

    return caller_with_role


def check_role(caller: Caller, role: Role) -> None:
    """Raises ``Forbidden`` unless the caller has the rights of ``role``."""
    if not caller.may(role):
        raise Forbidden(f"this needs the role {role}; {caller.user} is {caller.role}")


AnOperator = Annotated[Caller, Depends(needs(Role.OPERATOR))]
AnApprover = Annotated[Caller, Depends(needs(Role.APPROVER))]
AnAdmin = Annotated[Caller, Depends(needs(Role.ADMIN))]


class SecurityHeaders:
    """Adds the headers that keep browsers from doing more than they should. Plain ASGI: streams pass untouched."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return

        async def guarded(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in _HEADERS:
                    headers[name] = value
                headers.setdefault("Cache-Control", "no-store")
            await send(message)

        await self._app(scope, receive, guarded)
