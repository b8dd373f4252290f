"""Requests of chat platforms: proven by their own signature or secret, stored, answered; the rest happens after."""

import logging

from fastapi import APIRouter, Request, Response
from starlette.background import BackgroundTask

from midwatch.domain.errors import NotFound, Refused
from serve.bodies import FORM, JSON, read_body
from serve.dependencies import TheEdge
from serve.problems import Unauthorized

log = logging.getLogger(__name__)

router = APIRouter()

_LIMIT = 1024 * 1024


@router.post("/api/webhook/{channel}")
async def receive(request: Request, edge: TheEdge, channel: str) -> Response:
    """A click, a message or a greeting of Slack or Telegram. 2xx means stored; for all else they deliver it again.

    No rate is kept here: all their users come from few addresses, and a wrong signature costs next to nothing.
    """
    door = edge.doors.get(channel)
    if door is None:
        raise NotFound("no such channel takes requests here; see docs/slack.md and docs/telegram.md")
    body = await read_body(request, kinds=(*JSON, *FORM), limit=_LIMIT)
    try:
        answered = await door.receive(request.headers, body)
    except Refused as error:
        client = request.client.host if request.client else "unknown"
        log.warning("request refused", extra={"channel": channel, "reason": error.reason, "client": client})
        edge.metrics.errors.labels(error.reason).inc()
        raise Unauthorized(error.message) from error
    after = BackgroundTask(answered.after) if answered.after is not None else None
    return Response(answered.body, media_type=answered.kind, background=after)
