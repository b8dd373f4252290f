"""The incidents API: lists, one incident, and its timeline as a live stream."""

from collections.abc import AsyncIterator
from http import HTTPStatus
from typing import Annotated

import msgspec
from fastapi import APIRouter, Depends, Header, Query, Request, Response

from midwatch.domain.ids import IncidentId
from midwatch.domain.shadows import tallies
from serve.dependencies import Edge, TheEdge
from serve.following import follow, resume_point
from serve.postmortem import whole_draft
from serve.schemas.plain import json_response, plain
from serve.security import authorised, within_rate
from serve.sse import HEARTBEAT, event, stream
from serve.timeline import moment_of

router = APIRouter(prefix="/api", dependencies=[Depends(within_rate), Depends(authorised)])

Limit = Annotated[int, Query(ge=1, le=1000)]


@router.get("/incidents")
async def incidents(
    edge: TheEdge,
    open_only: Annotated[bool, Query(alias="open")] = False,
    namespace: Annotated[str, Query(max_length=253)] = "",
    limit: Limit = 100,
) -> Response:
    """Incidents, newest change first."""
    rows = await edge.journal.recent(open_only=open_only, namespace=namespace, limit=limit)
    return json_response({"incidents": rows})


@router.get("/incidents/{incident_id}")
async def incident(edge: TheEdge, incident_id: str) -> Response:
    """One incident as it stands; a unique beginning of its id will do."""
    return json_response(await edge.journal.read(IncidentId(incident_id)))


@router.get("/incidents/{incident_id}/timeline")
async def timeline(
    edge: TheEdge,
    incident_id: str,
    after: Annotated[int, Query(ge=0)] = 0,
    follow_on: Annotated[bool, Query(alias="follow")] = True,
    last_event_id: Annotated[str, Header()] = "",
) -> Response:
    """Every entry of the journal as server-sent events, then each new one, until the incident is over.

    An event's id is the entry's number: a client that reconnects with ``Last-Event-ID`` misses nothing and sees nothing
    twice. The last event is named ``end``; a client that comes back after it is answered 204, which tells it to stay
    away. ``follow=false`` answers the entries so far as one JSON document.
    """
    found = await edge.journal.read(IncidentId(incident_id))
    start = resume_point(last_event_id, after)
    if not follow_on:
        entries = await edge.journal.entries(found.id, after=start)
        return json_response({"incident": found.id, "entries": [_entry(moment_of(e), e.event) for e in entries]})
    if last_event_id and found.state.final and start >= found.seq:
        return Response(status_code=HTTPStatus.NO_CONTENT)
    return stream(_events(edge, found.id, start))


@router.get("/incidents/{incident_id}/postmortem")
async def postmortem(request: Request, edge: TheEdge, incident_id: str) -> Response:
    """The draft of a post-mortem, as Markdown: times, cause, what was done, the story with a link for each entry."""
    text = await whole_draft(edge, IncidentId(incident_id), str(request.base_url))
    return Response(text, media_type="text/markdown; charset=utf-8")


@router.get("/shadows")
async def shadows(edge: TheEdge, limit: Limit = 100) -> Response:
    """How playbooks in shadow mode did, and what each would have done, newest first."""
    found = await edge.shadows.recent()
    return json_response({"tallies": tallies(found), "shadows": found[:limit]})


@router.get("/signals")
async def signals(edge: TheEdge, limit: Limit = 100) -> Response:
    """Signals with what became of each, newest first."""
    return json_response({"signals": await edge.inbox.recent(limit=limit)})


async def _events(edge: Edge, incident_id: IncidentId, after: int) -> AsyncIterator[bytes]:
    last = after
    async for batch in follow(edge, incident_id, after):
        if not batch:
            yield HEARTBEAT
        for entry in batch:
            last = entry.seq
            yield event(msgspec.json.encode(_entry(moment_of(entry), entry.event)).decode(), id_=str(entry.seq))
    yield event("{}", id_=str(last), name="end")


def _entry(moment: msgspec.Struct, fact: msgspec.Struct) -> dict[str, object]:
    """An entry in words, and the event itself beside them."""
    told = plain(moment)
    assert isinstance(told, dict)
    return {**told, "event": plain(fact)}
