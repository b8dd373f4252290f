"""The page to submit an alert by hand, and the one that shows what becomes of it."""

from collections.abc import AsyncIterator, Mapping
from http import HTTPStatus
from urllib.parse import quote

import msgspec
from fastapi import APIRouter, Depends, Request, Response
from fastapi.responses import RedirectResponse

from midwatch.domain.errors import Invalid
from midwatch.domain.users import Role
from midwatch.services.ingestion import Intake
from serve.bodies import read_form
from serve.dependencies import TheEdge
from serve.limits import Shedder
from serve.processing import Told, follow, look
from serve.routes.console import ThePages, Visitor
from serve.schemas.generic import read_generic
from serve.schemas.incoming import Reading
from serve.security import check_csrf, check_role, within_rate
from serve.sse import HEARTBEAT, event, stream
from serve.timeline import moment_of

router = APIRouter(default_response_class=Response)

_FIELDS = ("alert_type", "severity", "environment", "cluster", "namespace", "pod", "message", "runbook")
_LONGEST = 4096
_PREFILLED = {
    "alert_type": "KubePodCrashLooping",
    "severity": "warning",
    "environment": "production",
    "namespace": "default",
    "message": "Pod restarts again and again",
}


@router.get("/submit", dependencies=[Depends(within_rate)])
async def submit_page(edge: TheEdge, caller: Visitor, pages: ThePages) -> Response:
    """The form, filled with an example."""
    filled = dict.fromkeys(_FIELDS, "") | _PREFILLED | {"cluster": edge.cluster}
    return pages.page("submit.html", now=edge.clock.now(), csrf=caller.csrf, filled=filled, error="")


@router.post("/submit", dependencies=[Depends(within_rate)])
async def submit(request: Request, edge: TheEdge, caller: Visitor, pages: ThePages) -> Response:
    """Commit the alert as ``POST /alerts`` does, and go to where it is shown; or say what is wrong with it."""
    form = await read_form(request)
    if caller.csrf:
        check_csrf(request, caller, form.get("csrf", ""))
    check_role(caller, Role.OPERATOR)
    filled = {name: form.get(name, "").strip()[:_LONGEST] for name in _FIELDS}
    try:
        alerts = read_generic(
            _body(filled), Reading(edge.clock.now(), edge.ids.new, edge.cluster, edge.meaning, edge.aliases)
        )
    except Invalid as error:
        status = HTTPStatus.UNPROCESSABLE_ENTITY
        now = edge.clock.now()
        return pages.page("submit.html", now=now, status=status, csrf=caller.csrf, filled=filled, error=str(error))
    shedder: Shedder = request.app.state.shedder
    await shedder.admit(len(alerts.signals))
    (receipt,) = await Intake(edge.inbox, edge.bells.signals, edge.heartbeats).accept(alerts.signals)
    return RedirectResponse(f"/submitted/{quote(receipt.signal, safe='')}", HTTPStatus.SEE_OTHER)


def _body(filled: Mapping[str, str]) -> bytes:
    """The fields that are filled in, as the body a program would post."""
    return msgspec.json.encode({name: value for name, value in filled.items() if value})


@router.get("/submitted/{alert_id}", dependencies=[Depends(within_rate)])
async def submitted_page(edge: TheEdge, caller: Visitor, pages: ThePages, alert_id: str) -> Response:
    """How far the alert is."""
    processing, _, entries = await look(edge, alert_id, Told())
    moments = [moment_of(entry) for entry in entries]
    now = edge.clock.now()
    return pages.page("submitted.html", now=now, csrf=caller.csrf, processing=processing, moments=moments)


@router.get("/submitted/{alert_id}/live")
async def submitted_live(edge: TheEdge, _: Visitor, pages: ThePages, alert_id: str) -> Response:
    """The same, sent again with each change until it is over."""
    await look(edge, alert_id, Told())  # an unknown one is a plain 404, not a stream that breaks

    async def events() -> AsyncIterator[bytes]:
        moments = []
        async for change in follow(edge, alert_id):
            if change is None:
                yield HEARTBEAT
                continue
            processing, entries = change
            moments += [moment_of(entry) for entry in entries]
            now = edge.clock.now()
            yield event(pages.text("_processing.html", now=now, processing=processing, moments=moments))
        yield event("{}", name="end")

    return stream(events())
