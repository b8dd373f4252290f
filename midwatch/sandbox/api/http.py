"""The HTTP edge: Starlette routes, bearer tokens, and connections that can be cut."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import AsyncIterator, Mapping
from typing import Any

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.routing import BaseRoute, Route
from starlette.types import ASGIApp, Receive, Scope, Send
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from midwatch.sandbox.api import discovery
from midwatch.sandbox.api.requests import ApiRequest, User, may, parse_path, verb_of
from midwatch.sandbox.api.server import ApiServer, ConnectionLost
from midwatch.sandbox.errors import ApiError
from midwatch.sandbox.objects import Obj, decode, dig, encode

_METHODS = ["GET", "POST", "PUT", "PATCH", "DELETE"]
_CUT = "midwatch.sandbox.cut"
MAX_BODY = 3 * 1024 * 1024
"""Bytes; larger requests get 413, as from a real API server."""

__all__ = ["MAX_BODY", "CuttableProtocol", "create_app", "current_user"]


class CuttableProtocol(HttpToolsProtocol):
    """HTTP/1.1 whose application may cut the connection, to act as a server that died."""

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self.scope.setdefault("extensions", {})[_CUT] = {"abort": self.transport.abort}


def create_app(server: ApiServer, users: Mapping[str, User], control: list[BaseRoute]) -> ASGIApp:
    """The ASGI application. ``users`` by bearer token; ``control`` are the routes under ``/sandbox``."""

    async def api(request: Request) -> Response:
        target = parse_path(request.url.path)
        body = await request.body()
        if len(body) > MAX_BODY:
            raise ApiError(413, "RequestEntityTooLarge", f"Request entity too large: limit is {MAX_BODY}")
        query = dict(request.query_params)
        asked = ApiRequest(
            verb_of(request.method, target, query),
            target,
            current_user(request),
            query,
            body,
            request.headers.get("content-type", ""),
            request.headers.get("accept", ""),
            request.headers.get("user-agent", ""),
        )
        try:
            answer = await server.answer(asked)
        except ConnectionLost:
            return _Cut()
        if isinstance(answer, AsyncIterator):
            plain = asked.target.subresource == "log"
            return StreamingResponse(answer, media_type="text/plain" if plain else "application/json")
        return Response(answer.body, answer.code, dict(answer.headers), answer.media_type)

    routes = [
        Route("/version", _fixed(discovery.VERSION)),
        *(Route(path, _text("ok")) for path in ("/healthz", "/livez", "/readyz")),
        Route("/api", _fixed(discovery.core_versions())),
        Route("/apis", _fixed(discovery.groups())),
        Route("/api/v1", _fixed(discovery.resources("v1"))),
        Route("/apis/{group}/{version}", _group),
        Route("/openapi/v3", _fixed(discovery.openapi_index())),
        Route("/openapi/v3/{path:path}", _openapi),
        Route("/apis/authorization.k8s.io/v1/selfsubjectaccessreviews", _review, methods=["POST"]),
        *control,
        Route("/api/{rest:path}", api, methods=_METHODS),
        Route("/apis/{rest:path}", api, methods=_METHODS),
    ]
    app = Starlette(routes=routes, exception_handlers={ApiError: _refuse, 404: _unknown, 405: _unknown})
    return _Guard(app, server, users)


def current_user(request: Request) -> User:
    """Who the bearer token belongs to."""
    user = request.scope["midwatch.user"]
    assert isinstance(user, User)
    return user


class _Guard:
    """Before any route: outages, then tokens."""

    def __init__(self, app: ASGIApp, server: ApiServer, users: Mapping[str, User]) -> None:
        self._app = app
        self._server = server
        self._users = users

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        control = scope["path"].startswith("/sandbox/")
        if not control and asyncio.get_running_loop().time() < self._server.faults.outage_until:
            await _cut(scope)
            return
        user = self._user(scope)
        if user is None and scope["path"] not in ("/healthz", "/livez", "/readyz"):
            error = ApiError(401, "Unauthorized", "Unauthorized")
            await _status(error)(scope, receive, send)
            return
        if control and user is not None and user.read_only:
            error = ApiError(403, "Forbidden", f'forbidden: User "{user.name}" cannot use path "{scope["path"]}"')
            await _status(error)(scope, receive, send)
            return
        scope["midwatch.user"] = user
        await self._app(scope, receive, send)

    def _user(self, scope: Scope) -> User | None:
        header = dict(scope["headers"]).get(b"authorization", b"").decode("latin-1")
        scheme, _, token = header.partition(" ")
        if scheme.lower() != "bearer":
            return None
        return next((user for known, user in self._users.items() if secrets.compare_digest(known, token)), None)


class _Cut(Response):
    """No answer: the connection breaks."""

    async def __call__(self, scope: Scope, _receive: Receive, _send: Send) -> None:
        await _cut(scope)


async def _cut(scope: Scope) -> None:
    cut = scope.get("extensions", {}).get(_CUT)
    if cut is None:
        raise ConnectionLost
    cut["abort"]()
    await asyncio.sleep(0)  # lets uvicorn see that nobody listens any more


def _status(error: ApiError) -> Response:
    return Response(encode(error.status()), error.code, error.headers, "application/json")


async def _refuse(_request: Request, error: Exception) -> Response:
    if not isinstance(error, ApiError):
        raise error
    return _status(error)


async def _unknown(request: Request, error: Exception) -> Response:
    code = getattr(error, "status_code", 404)
    if code == 405:
        return _status(ApiError(405, "MethodNotAllowed", f"{request.method} is not allowed here"))
    return _status(ApiError(404, "NotFound", "the server could not find the requested resource"))


async def _group(request: Request) -> Response:
    group, version = request.path_params["group"], request.path_params["version"]
    return Response(encode(discovery.resources(f"{group}/{version}")), media_type="application/json")


async def _openapi(request: Request) -> Response:
    return Response(encode(discovery.openapi(request.path_params["path"])), media_type="application/json")


async def _review(request: Request) -> Response:
    """May I? Asked by ``kubectl auth can-i`` and by careful clients."""
    try:
        review = decode(await request.body())
    except ValueError as error:
        message = f"the body must be JSON: {error}"
        raise ApiError(415, "UnsupportedMediaType", message) from error
    user = current_user(request)
    attributes = dig(review, "spec.resourceAttributes") or {}
    allowed = may(user, str(attributes.get("verb", "")))
    review["status"] = {"allowed": allowed, **({} if allowed else {"reason": f'"{user.name}" may only read'})}
    return Response(encode(review), 201, media_type="application/json")


def _fixed(document: Obj) -> Any:
    body = encode(document)

    async def endpoint(_request: Request) -> Response:
        return Response(body, media_type="application/json")

    return endpoint


def _text(text: str) -> Any:
    async def endpoint(_request: Request) -> Response:
        return Response(text, media_type="text/plain")

    return endpoint
