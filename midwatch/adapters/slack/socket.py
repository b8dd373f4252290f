"""Socket Mode: Slack's requests over a connection that we open, for a machine that nobody can reach."""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any, Final

import msgspec

from midwatch.adapters.slack.requests import Incoming, read_event, read_interaction
from midwatch.domain.errors import Invalid, Transient
from midwatch.services.runtime import Clock

if TYPE_CHECKING:
    from slack_sdk.socket_mode.async_client import AsyncBaseSocketModeClient
    from slack_sdk.socket_mode.request import SocketModeRequest
    from slack_sdk.web.async_client import AsyncWebClient

log = logging.getLogger(__name__)

_FIRST_WAIT_S: Final = 1.0
_LONGEST_WAIT_S: Final = 60.0

Take = Callable[[Incoming], Awaitable[object]]
"""Stores what came in. What it raises leaves the request unacknowledged: Slack delivers it again."""


async def listen(client: "AsyncWebClient", app_token: str, take: Take, clock: Clock) -> None:
    """Take requests for ever; a connection that cannot be had is tried again with patience."""
    from slack_sdk.socket_mode.aiohttp import SocketModeClient
    from slack_sdk.socket_mode.response import SocketModeResponse

    async def heard(socket: "AsyncBaseSocketModeClient", request: "SocketModeRequest") -> None:
        await take(read_socket(request.payload, clock))
        await socket.send_socket_mode_response(SocketModeResponse(envelope_id=request.envelope_id))

    wait = _FIRST_WAIT_S
    while True:
        socket = SocketModeClient(app_token, web_client=client)
        socket.socket_mode_request_listeners.append(heard)
        try:
            await socket.connect()  # type: ignore[no-untyped-call]
            log.info("Socket Mode is connected")
            while True:  # from here on it reconnects by itself
                await clock.sleep(_LONGEST_WAIT_S)
        except asyncio.CancelledError:
            raise
        except Exception as error:  # noqa: BLE001  whatever the SDK raises, a channel outlives it
            log.warning("Socket Mode is away", extra={"error": type(error).__name__})
        finally:
            await socket.close()  # type: ignore[no-untyped-call]
        await clock.sleep(wait)
        wait = min(2 * wait, _LONGEST_WAIT_S)


def read_socket(body: dict[str, Any], clock: Clock) -> Incoming:
    """A request as Socket Mode carries it; ``None`` for what is not one of ours."""
    read = read_interaction if body.get("type") == "block_actions" else read_event
    try:
        return read(msgspec.json.encode(body), clock.now())
    except Invalid as error:
        log.warning("request from Slack refused", extra={"error": error.message})
        return None
    except (msgspec.MsgspecError, UnicodeError, TypeError) as error:
        raise Transient("Slack sent what cannot be read") from error
