"""Stopping: pause all actions, let them go on, cancel one incident's plan; by the API and by the console's button.

Whoever may ask for an action may stop all of them; to let them go on takes one who may approve.
"""

from datetime import datetime
from http import HTTPStatus
from typing import Annotated

import msgspec
from fastapi import APIRouter, Depends, Query, Request, Response
from fastapi.responses import RedirectResponse

from midwatch.domain.brakes import Pause
from midwatch.domain.errors import Conflict, Invalid
from midwatch.domain.ids import IncidentId
from midwatch.domain.users import Role
from midwatch.services.stopping import Stopping
from serve.bodies import FORM_LIMIT, JSON, read_answer, read_body, read_form
from serve.dependencies import Edge, TheEdge
from serve.routes.console import Visitor
from serve.schemas.plain import JsonValue, json_response, plain
from serve.security import AnApprover, AnOperator, Caller, authorised, check_csrf, check_role, within_rate

router = APIRouter(dependencies=[Depends(within_rate)])


class Wish(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A pause as it is asked for. ``ends_at`` left out: until it is lifted; ``namespaces`` left out: everything."""

    namespaces: Annotated[tuple[str, ...], msgspec.Meta(max_length=100)] = ("*",)
    ends_at: Annotated[datetime, msgspec.Meta(tz=True)] | None = None
    reason: Annotated[str, msgspec.Meta(max_length=500)] = ""


_WISH = msgspec.json.Decoder(Wish)


@router.get("/api/freeze", dependencies=[Depends(authorised)])
async def pauses(
    edge: TheEdge,
    everything: Annotated[bool, Query(alias="all")] = False,
    limit: Annotated[int, Query(ge=1, le=1000)] = 100,
) -> Response:
    """The pauses that hold now; with ``all=1`` those that are over too, the last called first."""
    now = edge.clock.now()
    found = await edge.pauses.recent(limit=limit) if everything else await edge.pauses.active(now)
    return json_response({"pauses": [_shown(pause, now) for pause in found]})


@router.post("/api/freeze")
async def freeze(request: Request, edge: TheEdge, caller: AnOperator) -> Response:
    """Pause all actions, or those in some namespaces; 201 with the pause. It holds from this answer on."""
    wish = _read(await read_body(request, kinds=JSON, limit=FORM_LIMIT))
    made = await stopping_of(edge).freeze(
        by=caller.user, namespaces=wish.namespaces, ends_at=wish.ends_at, reason=wish.reason.replace("\0", "")
    )
    return json_response(_shown(made, edge.clock.now()), HTTPStatus.CREATED)


@router.delete("/api/freeze")
async def unfreeze(
    edge: TheEdge, caller: AnApprover, namespace: Annotated[list[str] | None, Query(max_length=100)] = None
) -> Response:
    """End the pauses of exactly these namespaces, or every pause; which ones ended."""
    ended = await stopping_of(edge).unfreeze(by=caller.user, namespaces=tuple(namespace or ()))
    return json_response({"pauses": [_shown(pause, edge.clock.now()) for pause in ended]})


@router.post("/api/incidents/{incident_id}/cancel")
async def cancel(request: Request, edge: TheEdge, caller: AnOperator, incident_id: str) -> Response:
    """Give the incident to a person: the step that runs ends as it would, no other begins. 409: nothing to cancel."""
    given = await read_answer(request)
    incident = await stopping_of(edge).cancel(IncidentId(incident_id), by=caller.user, comment=given.reason)
    edge.bells.changed()
    return json_response(incident)


@router.post("/freeze")
async def freeze_by_button(request: Request, edge: TheEdge, caller: Visitor) -> Response:
    """The console's one button: everything stops, until somebody lets it go on."""
    form = await _form(request, caller)
    check_role(caller, Role.OPERATOR)
    await stopping_of(edge).freeze(by=caller.user, reason=form.get("reason", "")[:500].replace("\0", ""))
    return RedirectResponse("/", HTTPStatus.SEE_OTHER)


@router.post("/unfreeze")
async def unfreeze_by_button(request: Request, edge: TheEdge, caller: Visitor) -> Response:
    """The button that takes its place meanwhile."""
    await _form(request, caller)
    check_role(caller, Role.APPROVER)
    await stopping_of(edge).unfreeze(by=caller.user)
    return RedirectResponse("/", HTTPStatus.SEE_OTHER)


@router.post("/incidents/{incident_id}/cancel")
async def cancel_by_button(request: Request, edge: TheEdge, caller: Visitor, incident_id: str) -> Response:
    """On an incident's page: Midwatch leaves it to a person."""
    form = await _form(request, caller)
    check_role(caller, Role.OPERATOR)
    try:
        comment = form.get("reason", "")[:2000].replace("\0", "")
        await stopping_of(edge).cancel(IncidentId(incident_id), by=caller.user, comment=comment)
    except Conflict:
        pass  # it is over: the page shows how
    edge.bells.changed()
    return RedirectResponse(f"/incidents/{incident_id}", HTTPStatus.SEE_OTHER)


def stopping_of(edge: Edge) -> Stopping:
    """The service over this edge's stores."""
    return Stopping(edge.journal, edge.pauses, edge.clock, edge.ids)


async def _form(request: Request, caller: Caller) -> dict[str, str]:
    form = await read_form(request)
    if caller.csrf:
        check_csrf(request, caller, form.get("csrf", ""))
    return form


def _read(body: bytes) -> Wish:
    try:
        return _WISH.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise Invalid(f"not a pause: {error}") from error


def _shown(pause: Pause, now: datetime) -> dict[str, JsonValue]:
    value = plain(pause)
    assert isinstance(value, dict)
    return {**value, "active": pause.holds(now), "sentence": pause.sentence}
