"""The control API under ``/sandbox/``: scenarios, faults, the clock, logs, and the audit record. Admin token only."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from midwatch.sandbox.api.faults import parse_fault
from midwatch.sandbox.errors import bad_request, not_found
from midwatch.sandbox.objects import Obj, decode, encode, stamp
from midwatch.sandbox.schema import PODS, RESOURCES
from midwatch.sandbox.store import Key

if TYPE_CHECKING:
    from midwatch.sandbox.runtime import Sandbox

Handler = Callable[[Request], Awaitable[Response]]


class Control:
    """The routes, bound to one sandbox."""

    def __init__(self, sandbox: Sandbox) -> None:
        self._sandbox = sandbox

    def routes(self) -> list[BaseRoute]:
        """For the application to mount."""
        table: list[tuple[str, str, Handler]] = [
            ("GET", "/sandbox/mutations", self._mutations),
            ("GET", "/sandbox/state", self._state),
            ("GET", "/sandbox/scenarios", self._scenarios),
            ("POST", "/sandbox/scenarios/{name}", self._start),
            ("DELETE", "/sandbox/scenarios/{name}", self._heal),
            ("GET", "/sandbox/faults", self._faults),
            ("POST", "/sandbox/faults", self._inject),
            ("DELETE", "/sandbox/faults", self._clear_faults),
            ("POST", "/sandbox/clock", self._clock),
            ("POST", "/sandbox/churn", self._churn),
            ("PUT", "/sandbox/logs/{namespace}/{pod}", self._set_logs),
        ]
        return [Route(path, handler, methods=[method]) for method, path, handler in table]

    async def _mutations(self, _request: Request) -> Response:
        return Response(self._sandbox.api.audit.document(), media_type="application/json")

    async def _state(self, _request: Request) -> Response:
        sandbox = self._sandbox
        store = sandbox.cluster.store
        counts = {item.plural: count for item in RESOURCES if (count := store.count(item))}
        return _json(
            {
                "time": stamp(sandbox.cluster.clock.now()),
                "speed": sandbox.clock.speed,
                "resourceVersion": store.version,
                "oldestWatchable": store.oldest,
                "objects": counts,
                "watches": len(sandbox.api.watches),
                "mutations": len(sandbox.api.audit.mutations),
                "churnPerSecond": sandbox.churn.rate,
                "churned": sandbox.churn.done,
                "kubeletsDown": sorted(sandbox.cluster.kubelets.down),
                **sandbox.stage.document(),
            }
        )

    async def _scenarios(self, _request: Request) -> Response:
        return _json(self._sandbox.stage.document())

    async def _start(self, request: Request) -> Response:
        body = await _body(request)
        scenario = self._sandbox.stage.start(request.path_params["name"], _text(body, "target"))
        return _json({"name": scenario.name, "target": scenario.target}, 201)

    async def _heal(self, request: Request) -> Response:
        name = request.path_params["name"]
        targets = self._sandbox.stage.heal(name, request.query_params.get("target", ""))
        return _json({"name": name, "targets": targets})

    async def _faults(self, _request: Request) -> Response:
        faults = self._sandbox.api.faults
        left = max(0.0, faults.outage_until - asyncio.get_running_loop().time())
        return _json({"faults": [str(fault) for fault in faults.rules], "outage": left})

    async def _inject(self, request: Request) -> Response:
        """``{"watches": "disconnect"}``, ``{"outage": seconds}``, ``{"compact": true}`` or a fault rule."""
        body = await _body(request)
        api = self._sandbox.api
        if body.get("watches") == "disconnect":
            return _json({"disconnected": api.watches.disconnect()})
        if "compact" in body:
            self._sandbox.cluster.store.compact()
            return _json({"oldestWatchable": self._sandbox.cluster.store.oldest})
        if "outage" in body:
            api.faults.outage_until = asyncio.get_running_loop().time() + _seconds(body, "outage")
            return _json({"outage": body["outage"], "disconnected": api.watches.disconnect()})
        api.faults.rules.append(parse_fault(body))
        return _json({"faults": len(api.faults.rules)}, 201)

    async def _clear_faults(self, _request: Request) -> Response:
        self._sandbox.api.faults.clear()
        return _json({"faults": 0})

    async def _clock(self, request: Request) -> Response:
        """``{"speed": 10}`` and ``{"advance": 600}``."""
        body = await _body(request)
        if not body or set(body) - {"speed", "advance"}:
            raise bad_request('the clock takes {"speed": factor} and {"advance": seconds}')
        if "speed" in body:
            self._sandbox.set_speed(_seconds(body, "speed"))
        if "advance" in body:
            self._sandbox.cluster.pass_time(_seconds(body, "advance"))
        clock = self._sandbox.clock
        return _json({"time": stamp(clock.now()), "speed": clock.speed})

    async def _churn(self, request: Request) -> Response:
        """``{"rate": 2000}``: so many pod status changes a second; 0 stops."""
        body = await _body(request)
        self._sandbox.churn.set_rate(_seconds(body, "rate"))
        return _json({"rate": self._sandbox.churn.rate})

    async def _set_logs(self, request: Request) -> Response:
        key = Key(PODS, request.path_params["namespace"], request.path_params["pod"])
        record = self._sandbox.cluster.store.get(key)
        if record is None:
            raise not_found("pods", "", key.name)
        query = request.query_params
        container = query.get("container") or record.obj()["spec"]["containers"][0]["name"]
        text = (await request.body()).decode(errors="replace")
        self._sandbox.cluster.logs.set(record, container, text, previous=query.get("previous") == "true")
        return _json({"pod": key.name, "container": container, "lines": len(text.splitlines())})


def _json(document: Any, code: int = 200) -> Response:
    return Response(encode(document), code, media_type="application/json")


async def _body(request: Request) -> Obj:
    raw = await request.body()
    if not raw:
        return {}
    try:
        body = decode(raw)
    except ValueError as error:
        raise bad_request(f"the body is not JSON: {error}") from error
    if not isinstance(body, dict):
        raise bad_request("the body must be a JSON object")
    return body


def _text(body: Obj, name: str) -> str:
    value = body.get(name, "")
    if not isinstance(value, str):
        raise bad_request(f"{name} must be text")
    return value


def _seconds(body: Obj, name: str) -> float:
    value = body.get(name)
    if isinstance(value, bool) or not isinstance(value, int | float) or value < 0:
        raise bad_request(f"{name} must be a number, not negative")
    return float(value)
