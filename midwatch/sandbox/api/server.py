"""One request in, one reply or stream out: authorisation, faults, and who answers what."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Protocol

from midwatch.sandbox.api.audit import Audit
from midwatch.sandbox.api.faults import Fault, Faults
from midwatch.sandbox.api.reads import Reads
from midwatch.sandbox.api.requests import READS, ApiRequest, Reply, may
from midwatch.sandbox.api.watches import Watches
from midwatch.sandbox.api.writes import Writes
from midwatch.sandbox.clock import Clock
from midwatch.sandbox.errors import ApiError, bad_request
from midwatch.sandbox.objects import Obj, dig, micro_stamp
from midwatch.sandbox.store import Record, Store


class Logs(Protocol):
    """Where pods' logs come from."""

    def read(self, pod: Record, container: str, *, previous: bool) -> list[tuple[float, str]] | None:
        """Lines with their times (seconds since the epoch), or None where there is no such container run."""


class ConnectionLost(Exception):
    """The answer is not to arrive: the connection breaks instead."""


class ApiServer:
    """Answers requests to the Kubernetes API."""

    def __init__(self, store: Store, clock: Clock, logs: Logs) -> None:
        self.audit = Audit()
        self.faults = Faults()
        self.watches = Watches(store, clock)
        self.reads = Reads(store, clock)
        self.writes = Writes(store, clock, self.reads, self.audit)
        self._store = store
        self._clock = clock
        self._logs = logs

    async def answer(self, request: ApiRequest) -> Reply | AsyncIterator[bytes]:
        """A reply, or the body of a stream. Raises ApiError, or ConnectionLost by an injected fault."""
        fault = self.faults.pick(request)
        try:
            if fault is not None:
                await self._before(fault)
            self._authorise(request)
            reply = self._dispatch(request)
        except ApiError as error:
            if request.verb not in READS:
                self.audit.refuse(request, self._clock.now(), error)
            raise
        if fault is not None and fault.lost:
            await asyncio.sleep(fault.hang)
            raise ConnectionLost
        return reply

    async def _before(self, fault: Fault) -> None:
        if fault.delay:
            await asyncio.sleep(fault.delay)
        if (refusal := fault.refusal()) is not None:
            raise refusal

    def _authorise(self, request: ApiRequest) -> None:
        if may(request.user, request.verb):
            return
        target = request.target
        resource = target.resource
        what = f"{resource.plural}/{target.subresource}" if target.subresource else resource.plural
        name = f' "{target.name}"' if target.name else ""
        where = f' in the namespace "{target.namespace}"' if target.namespace else " at the cluster scope"
        message = (
            f"{resource.qualified}{name} is forbidden: "
            f'User "{request.user.name}" cannot {request.verb} resource "{what}" in API group "{resource.group}"{where}'
        )
        details = {"name": target.name, "group": resource.group, "kind": resource.plural}
        raise ApiError(403, "Forbidden", message, details=details)

    def _dispatch(self, request: ApiRequest) -> Reply | AsyncIterator[bytes]:
        target = request.target
        match target.subresource, request.verb:
            case "log", "get":
                return self._log(request)
            case "eviction", "create":
                return self.writes.evict(request)
            case "scale", "get" | "update" | "patch":
                return self.writes.scale(request)
            case "" | "status", "get":
                return self.reads.get(request)
            case "", "list":
                return self.reads.list(request)
            case "", "watch":
                return self.watches.open(request).lines()
            case "", "create" if not target.name:
                return self.writes.create(request)
            case "" | "status", "update" if target.name:
                return self.writes.update(request)
            case "" | "status", "patch" if target.name:
                return self.writes.patch(request)
            case "", "delete":
                return self.writes.delete(request)
            case "", "deletecollection":
                return self.writes.delete_collection(request)
        raise ApiError(405, "MethodNotAllowed", "the server does not allow this method on the requested resource")

    # logs

    def _log(self, request: ApiRequest) -> Reply | AsyncIterator[bytes]:
        record = self.reads.find(request)
        container = _container(record.obj(), request.query.get("container", ""))
        previous = request.flag("previous")
        lines = self._logs.read(record, container, previous=previous)
        if lines is None:
            name = record.key.name
            if previous:
                raise bad_request(f'previous terminated container "{container}" in pod "{name}" not found')
            raise bad_request(f'container "{container}" in pod "{name}" is waiting to start: {_waiting(record.obj())}')
        if (tail := request.number("tailLines")) is not None:
            lines = lines[-tail:] if tail else []
        if (since := request.number("sinceSeconds")) is not None:
            lines = [line for line in lines if line[0] >= self._clock.now() - since]
        body = _log_text(lines, stamped=request.flag("timestamps"))
        if (limit := request.number("limitBytes")) is not None:
            body = body[:limit]
        if request.flag("follow"):
            return self._follow(record, container, lines, body, stamped=request.flag("timestamps"))
        return Reply(body, media_type="text/plain")

    async def _follow(
        self, record: Record, container: str, sent: list[tuple[float, str]], body: bytes, *, stamped: bool
    ) -> AsyncIterator[bytes]:
        """New lines as they come, until this run of the container is over."""
        yield body
        first = sent[0] if sent else None
        last = sent[-1][0] if sent else 0.0
        while (current := self._store.get(record.key)) is not None and current.uid == record.uid:
            lines = self._logs.read(current, container, previous=False)
            if lines is None or (first is not None and lines and lines[0][0] > last):
                return
            fresh = [line for line in lines if line[0] > last]
            if fresh:
                last = fresh[-1][0]
                yield _log_text(fresh, stamped=stamped)
            await asyncio.sleep(0.2)


def _container(pod: Obj, asked: str) -> str:
    names = [item["name"] for group in ("containers", "initContainers") for item in dig(pod, f"spec.{group}") or []]
    pod_name = pod["metadata"]["name"]
    if asked:
        if asked not in names:
            raise bad_request(f"container {asked} is not valid for pod {pod_name}")
        return asked
    main = [item["name"] for item in dig(pod, "spec.containers") or []]
    if len(main) > 1:
        raise bad_request(f"a container name must be specified for pod {pod_name}, choose one of: [{' '.join(names)}]")
    return str(main[0])


def _waiting(pod: Obj) -> str:
    for status in dig(pod, "status.containerStatuses") or []:
        if reason := dig(status, "state.waiting.reason"):
            return str(reason)
    return "ContainerCreating"


def _log_text(lines: list[tuple[float, str]], *, stamped: bool) -> bytes:
    if stamped:
        return "".join(f"{micro_stamp(when)} {text}\n" for when, text in lines).encode()
    return "".join(f"{text}\n" for _, text in lines).encode()
