"""Alerts in: parse, commit, ring, answer. What is answered 2xx is safe; everything else the sender repeats."""

from http import HTTPStatus

import msgspec
from fastapi import APIRouter, Depends, Request, Response

from midwatch.domain.signals import Signal
from midwatch.services.ingestion import Intake
from serve.bodies import JSON, read_body
from serve.dependencies import Edge, TheEdge
from serve.limits import Shedder
from serve.schemas.alertmanager import Alerts, parse_alerts
from serve.schemas.plain import json_response
from serve.security import authorised

router = APIRouter(dependencies=[Depends(authorised)])


class Accepted(msgspec.Struct, frozen=True):
    """``accepted`` new signals, ``repeated`` known ones; ``ids`` in the order of the body."""

    accepted: int
    repeated: int
    ids: tuple[str, ...]


@router.post("/api/alert/webhook")
async def receive_alerts(request: Request, edge: TheEdge) -> Response:
    """A webhook body of Alertmanager or Grafana."""
    body = await read_body(request, kinds=JSON, limit=edge.limits.max_body_bytes)
    alerts = parse_alerts(body, now=edge.clock.now(), new_id=edge.ids.new, cluster=edge.cluster, meaning=edge.meaning)
    shedder: Shedder = request.app.state.shedder
    await shedder.admit(len(alerts.signals))
    return await accept(await _dated(alerts, edge), edge)


async def accept(signals: tuple[Signal, ...], edge: Edge) -> Response:
    """Commit, then ring the rule engine."""
    receipts = await Intake(edge.inbox, edge.bells.signals).accept(signals)
    new = sum(receipt.new for receipt in receipts)
    for signal in signals:
        edge.metrics.signals.labels(signal.source, signal.status).inc()
    answer = Accepted(new, len(receipts) - new, tuple(receipt.signal for receipt in receipts))
    return json_response(answer, HTTPStatus.ACCEPTED if new else HTTPStatus.OK)


async def _dated(alerts: Alerts, edge: Edge) -> tuple[Signal, ...]:
    """Give signals without a start that of the firing episode they belong to, so that a repeat stays one."""
    if not alerts.undated:
        return alerts.signals
    places = {(signal.source, signal.cluster) for place, signal in enumerate(alerts.signals) if place in alerts.undated}
    known = {
        signal.identity: signal.starts_at
        for source, cluster in places
        for signal in await edge.inbox.active(source=source, cluster=cluster)
    }
    return tuple(
        msgspec.structs.replace(signal, starts_at=known.get(signal.identity, signal.starts_at))
        if place in alerts.undated
        else signal
        for place, signal in enumerate(alerts.signals)
    )
