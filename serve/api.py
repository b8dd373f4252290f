"""The FastAPI app, free of Ray: the same under Ray Serve, under plain uvicorn and in tests."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

from fastapi import FastAPI
from fastapi.middleware.cors import CORSMiddleware
from fastapi.staticfiles import StaticFiles

from serve.boards import Boards
from serve.dependencies import OpenEdge
from serve.limits import Shedder
from serve.pages import STATIC, Pages
from serve.problems import install_problems
from serve.routes import (
    alerts,
    approvals,
    audit,
    channels,
    chat,
    console,
    generic,
    health,
    incidents,
    people,
    processing,
    silences,
    stopping,
    submit,
    usage,
    users,
)
from serve.security import SecurityHeaders


def build_api(open_edge: OpenEdge, origins: Sequence[str] = ()) -> FastAPI:
    """The app; its lifespan opens the edge and closes it. Pages of ``origins`` may call it, with a token alone: no
    cookie is taken from there.
    """

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        async with open_edge() as edge:
            app.state.edge = edge
            app.state.shedder = Shedder(edge.inbox, edge.clock, edge.limits.inbox_depth)
            app.state.boards = Boards(edge)
            app.state.pages = Pages()
            yield

    # Interactive docs load scripts from elsewhere, which the content policy forbids; docs/api.md says it in words.
    app = FastAPI(title="Midwatch", lifespan=lifespan, docs_url=None, redoc_url=None, openapi_url=None)
    app.add_middleware(SecurityHeaders)
    if origins:
        app.add_middleware(
            CORSMiddleware,
            allow_origins=origins,
            allow_methods=("GET", "POST", "PUT", "PATCH", "DELETE"),
            allow_headers=("Authorization", "Content-Type"),
            expose_headers=("Retry-After",),
        )
    install_problems(app)
    app.add_exception_handler(console.LoginNeeded, console.to_login)
    for routes in (
        health,
        alerts,
        generic,
        processing,
        incidents,
        approvals,
        silences,
        stopping,
        audit,
        submit,
        users,
        usage,
        people,
        chat,
        channels,
        console,
    ):
        app.include_router(routes.router)
    app.mount("/static", StaticFiles(directory=STATIC), name="static")
    return app
