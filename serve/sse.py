"""Server-sent events: framing and the response that streams them."""

from collections.abc import AsyncIterator

from starlette.responses import StreamingResponse

HEARTBEAT = b": still here\n\n"


def event(data: str, *, id_: str = "", name: str = "") -> bytes:
    """One event. ``data`` may have several lines; ``id_`` is what the client sends back to resume."""
    lines = [f"id: {id_}"] if id_ else []
    if name:
        lines.append(f"event: {name}")
    lines += [f"data: {line}" for line in data.splitlines() or [""]]
    return "\n".join([*lines, "", ""]).encode()


def stream(events: AsyncIterator[bytes]) -> StreamingResponse:
    """``text/event-stream`` that no proxy holds back."""
    headers = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}
    return StreamingResponse(events, media_type="text/event-stream", headers=headers)
