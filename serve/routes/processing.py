"""How far an alert is: asked for once, or followed over a WebSocket by as many as like to."""

import asyncio
from collections.abc import Coroutine
from contextlib import suppress

import msgspec
from fastapi import APIRouter, Depends, Response, WebSocket, WebSocketDisconnect

from midwatch.domain.errors import NotFound
from serve.dependencies import Edge, TheEdge
from serve.processing import Told, follow, look
from serve.schemas.plain import json_response, plain
from serve.security import authorised, caller_of, from_our_pages, within_rate
from serve.timeline import moment_of

router = APIRouter()

_POLICY, _DONE = 1008, 1000


@router.get("/processing-status/{alert_id}", dependencies=[Depends(within_rate), Depends(authorised)])
async def processing_status(edge: TheEdge, alert_id: str) -> Response:
    """One alert (or incident): queued, processing, completed or error, and the report as far as it is."""
    processing, _, _ = await look(edge, alert_id, Told())
    return json_response(processing)


@router.websocket("/ws/{alert_id}")
async def follow_alert(socket: WebSocket, alert_id: str) -> None:
    """Every change of an alert's processing as JSON text, then a close with 1000.

    ``{"type": "entry", "entry": …}`` is an entry of the incident's journal, all of them from the first, and
    ``{"type": "status", "processing": …}`` what ``/processing-status`` answers. The token comes as ``Authorization:
    Bearer``, or as the console's cookie from a page of its own.
    """
    edge: Edge = socket.app.state.edge
    client = socket.client.host if socket.client else "unknown"
    if not await _may(socket, edge) or not await edge.rate.allow(
        f"edge:{client}", edge.limits.requests_per_minute, edge.clock.now()
    ):
        await socket.close(_POLICY)
        return
    await socket.accept()
    await _first_of(_heard(socket), _tell(socket, edge, alert_id))


async def _may(socket: WebSocket, edge: Edge) -> bool:
    """A known caller; a browser's cookie counts only from our own pages, or any site could listen in."""
    caller = await caller_of(socket, edge)
    return caller is not None and (not caller.csrf or from_our_pages(socket))


async def _first_of(*parts: Coroutine[object, object, None]) -> None:
    """Until one of them ends; the others are ended with it."""
    tasks = [asyncio.ensure_future(part) for part in parts]
    try:
        done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
    for task in done:
        task.result()


async def _heard(socket: WebSocket) -> None:
    """What the viewer says is not asked for; that it went away is."""
    with suppress(WebSocketDisconnect):
        while True:
            await socket.receive_text()


async def _tell(socket: WebSocket, edge: Edge, alert_id: str) -> None:
    with suppress(WebSocketDisconnect, RuntimeError):  # gone while we spoke: the library has two words for that
        try:
            async for change in follow(edge, alert_id):
                if change is None:
                    await socket.send_text(_message("heartbeat"))
                    continue
                processing, entries = change
                for entry in entries:
                    await socket.send_text(_message("entry", entry=moment_of(entry)))
                await socket.send_text(_message("status", processing=processing))
        except NotFound as error:
            await socket.send_text(_message("error", detail=str(error)))
            await socket.close(_POLICY, "unknown id")
            return
        await socket.close(_DONE)


def _message(kind: str, **fields: object) -> str:
    return msgspec.json.encode({"type": kind, **{name: plain(value) for name, value in fields.items()}}).decode()
