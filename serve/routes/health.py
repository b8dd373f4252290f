"""Probes, open to all, and the metrics of the whole house, for those with the token."""

from http import HTTPStatus

import msgspec
from fastapi import APIRouter, Depends, Response
from prometheus_client import CONTENT_TYPE_LATEST

from serve.dependencies import Subsystem, TheEdge
from serve.problems import scrub
from serve.schemas.plain import json_response
from serve.security import authorised

router = APIRouter()


class Part(msgspec.Struct, frozen=True):
    ok: bool
    detail: str
    required: bool


class Health(msgspec.Struct, frozen=True):
    """``status`` is ``ok``, ``degraded`` (something is away, requests are taken) or ``down``."""

    status: str
    subsystems: dict[str, Part]


@router.get("/health")
async def health(edge: TheEdge) -> Response:
    """Every subsystem. 200 while requests are taken, 503 when a required part is away."""
    parts = await edge.health()
    answer = Health(
        status_of(parts), {part.name: Part(part.ok, scrub(part.detail)[:300], part.required) for part in parts}
    )
    return json_response(answer, _code(parts))


@router.get("/ready")
async def ready(edge: TheEdge) -> Response:
    """Whether this replica should be sent requests."""
    parts = await edge.needed()
    missing = [part.name for part in parts if not part.ok]
    return json_response({"ready": not missing, "missing": missing}, _code(parts))


@router.get("/metrics", dependencies=[Depends(authorised)])
async def metrics(edge: TheEdge) -> Response:
    """All actors' metrics at once, in Prometheus' text format."""
    return Response(await edge.scrape(), media_type=CONTENT_TYPE_LATEST)


def status_of(parts: tuple[Subsystem, ...]) -> str:
    """``ok``, ``degraded`` or ``down``."""
    if all(part.ok for part in parts):
        return "ok"
    return "down" if any(part.required and not part.ok for part in parts) else "degraded"


def _code(parts: tuple[Subsystem, ...]) -> HTTPStatus:
    return HTTPStatus.SERVICE_UNAVAILABLE if status_of(parts) == "down" else HTTPStatus.OK
