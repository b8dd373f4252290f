"""The generic door: one alert of any kind in a few fields, or a whole body of Alertmanager's or Grafana's."""

from http import HTTPStatus

import msgspec
from fastapi import APIRouter, Depends, Request, Response

from midwatch.domain.conditions.alerts import ALERTS
from midwatch.domain.conditions.catalogue import CATALOGUE
from midwatch.domain.users import Role
from serve.dependencies import TheEdge
from serve.routes.alerts import answered, take
from serve.schemas.generic import read_any
from serve.security import authorised, needs

router = APIRouter(dependencies=[Depends(authorised)])

_TYPES = msgspec.json.encode(sorted({*ALERTS, *CATALOGUE}))


class Queued(msgspec.Struct, frozen=True, omit_defaults=True):
    """``queued`` alerts are new; ``alert_ids`` in the order of the body, a repeated one with the id it has."""

    status: str
    queued: int
    alert_ids: tuple[str, ...]
    missing: int = 0
    detail: str = ""


@router.post("/alerts", dependencies=[Depends(needs(Role.OPERATOR))])
async def post_alerts(request: Request, edge: TheEdge) -> Response:
    """Any alert: the generic form, or a body of Alertmanager or Grafana."""
    taken = await take(request, edge, read_any)
    return answered(Queued("accepted", taken.new, taken.ids, taken.missing, taken.detail), HTTPStatus.ACCEPTED)


@router.get("/alert-types")
async def alert_types() -> Response:
    """Every alert and condition that is known by name; others are taken as they are."""
    return Response(_TYPES, media_type="application/json")
