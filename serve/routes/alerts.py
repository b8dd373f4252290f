"""Alerts in: parse, commit, ring, answer. What is answered 2xx is safe; everything else the sender repeats."""

from collections import Counter
from collections.abc import Callable, Sequence
from http import HTTPStatus

import msgspec
from fastapi import APIRouter, Depends, Request, Response

from midwatch.domain.errors import Invalid, Transient
from midwatch.domain.signals import Signal
from midwatch.domain.users import Role
from midwatch.services.ingestion import Intake
from midwatch.services.ports import Receipt
from serve.bodies import JSON, read_body
from serve.dependencies import Edge, TheEdge
from serve.limits import Shedder
from serve.schemas.alertmanager import read_group
from serve.schemas.generic import read_alerts
from serve.schemas.incoming import Alerts, Cut, Reading
from serve.security import needs

router = APIRouter(dependencies=[Depends(needs(Role.OPERATOR))])


class Accepted(msgspec.Struct, frozen=True, omit_defaults=True):
    """``accepted`` new signals, ``repeated`` known ones; ``ids`` in the order of the body, then what was fetched.

    ``missing``: alerts that the sender left out of the body and that could not be had; ``detail`` says why.
    """

    accepted: int
    repeated: int
    ids: tuple[str, ...]
    missing: int = 0
    detail: str = ""


class Taken(msgspec.Struct, frozen=True):
    """What became of a body: a receipt a signal, and what of it is missing."""

    receipts: tuple[Receipt, ...]
    missing: int = 0
    detail: str = ""

    @property
    def new(self) -> int:
        return sum(receipt.new for receipt in self.receipts)

    @property
    def ids(self) -> tuple[str, ...]:
        return tuple(receipt.signal for receipt in self.receipts)


@router.post("/api/alert/webhook")
async def receive_alerts(request: Request, edge: TheEdge) -> Response:
    """A webhook body of Alertmanager or Grafana."""
    taken = await take(request, edge, read_alerts)
    answer = Accepted(taken.new, len(taken.receipts) - taken.new, taken.ids, taken.missing, taken.detail)
    return answered(answer, HTTPStatus.ACCEPTED if taken.new else HTTPStatus.OK)


async def take(request: Request, edge: Edge, read: Callable[[bytes, Reading], Alerts]) -> Taken:
    """Read the body, commit its signals and what the sender left out, ring the rule engine."""
    body = await read_body(request, kinds=JSON, limit=edge.limits.max_body_bytes)
    reading = Reading(edge.clock.now(), edge.ids.new, edge.cluster, edge.meaning, edge.aliases)
    alerts = read(body, reading)
    shedder: Shedder = request.app.state.shedder
    await shedder.admit(len(alerts.signals))
    signals = await _dated(alerts, edge)
    missing, detail = 0, ""
    if alerts.cut is not None:
        rest, detail = await _rest(alerts.cut, signals, edge, reading)
        signals, missing = (*signals, *rest), max(0, alerts.cut.missing - len(rest))
    receipts = await Intake(edge.inbox, edge.bells.signals, edge.heartbeats).accept(signals)
    for (source, status), count in Counter((signal.source, signal.status) for signal in signals).items():
        edge.metrics.signals.labels(source, status).inc(count)
    return Taken(receipts, missing, detail)


def answered(answer: msgspec.Struct, status: HTTPStatus) -> Response:
    """An answer made of plain fields; those at their default are left out where its type says so."""
    return Response(msgspec.json.encode(answer), status, media_type="application/json")


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


async def _rest(cut: Cut, came: Sequence[Signal], edge: Edge, reading: Reading) -> tuple[tuple[Signal, ...], str]:
    """What fires of the group besides what came, and what to tell the sender. What came is kept whatever happens."""
    if edge.alertmanager is None:
        return (), f"{cut.missing} alerts were left out; set MIDWATCH_ALERTMANAGER_URL to have them fetched"
    try:
        rest = read_group(await edge.alertmanager.group(cut.receiver, cut.group), cut, came, reading)
    except (Transient, Invalid) as error:
        edge.metrics.errors.labels("alertmanager").inc()
        return (), f"{cut.missing} alerts were left out and could not be fetched: {error}"
    return rest, f"{cut.missing} alerts were left out, {len(rest)} that fire were fetched"
