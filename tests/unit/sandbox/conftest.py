"""A small cluster whose time moves by hand, and its API without HTTP."""

import asyncio
from collections.abc import AsyncIterator, Callable
from random import Random
from typing import Any

import pytest

from midwatch.sandbox.api.requests import ApiRequest, Reply, User, parse_path, verb_of
from midwatch.sandbox.api.server import ApiServer
from midwatch.sandbox.clock import ManualClock
from midwatch.sandbox.cluster.assembly import Cluster
from midwatch.sandbox.objects import Obj, decode, encode
from midwatch.sandbox.scenarios.voices import ordinary
from midwatch.sandbox.scenarios.world import populate
from midwatch.sandbox.schema import by_plural
from midwatch.sandbox.store import Key, Record

STRATEGIC = "application/strategic-merge-patch+json"


class Bench:
    """A cluster, its API, and short ways to look at both."""

    def __init__(self) -> None:
        self.cluster = Cluster(ManualClock(), Random(7), ordinary)
        self.store = self.cluster.store
        self.api = ApiServer(self.store, self.cluster.clock, self.cluster.logs)
        populate(self.store, self.cluster.clock.now())
        self.cluster.start()
        self.pass_time(60)

    def pass_time(self, seconds: float) -> None:
        self.cluster.pass_time(seconds)

    def wait(self, condition: Callable[[], bool], limit: float = 120.0) -> None:
        """Let sandbox time pass until it holds."""
        for _ in range(int(limit * 4)):
            if condition():
                return
            self.pass_time(0.25)
        raise AssertionError("it never came to hold")

    def record(self, plural: str, namespace: str, name: str) -> Record:
        resource = by_plural(plural)
        assert resource is not None
        found = self.store.get(Key(resource, namespace, name))
        assert found is not None, f"there is no {plural} {namespace}/{name}"
        return found

    def get(self, plural: str, namespace: str, name: str) -> Obj:
        return self.record(plural, namespace, name).obj()

    def pods(self, namespace: str, app: str) -> list[Obj]:
        resource = by_plural("pods")
        assert resource is not None
        return [r.obj() for r in self.store.scan(resource, namespace) if r.labels.get("app") == app]

    def ready(self, namespace: str, app: str) -> int:
        resource = by_plural("pods")
        assert resource is not None
        return sum(
            1
            for r in self.store.scan(resource, namespace)
            if r.labels.get("app") == app and r.pod is not None and r.pod.ready and r.pod.active
        )

    def events(self, reason: str) -> list[Obj]:
        resource = by_plural("events")
        assert resource is not None
        return [event for r in self.store.scan(resource) if (event := r.obj())["reason"] == reason]

    def call(
        self,
        method: str,
        path: str,
        body: Any = None,
        *,
        kind: str = "application/json",
        read_only: bool = False,
        **query: str,
    ) -> Obj:
        """One request; the decoded answer. ApiError comes through."""
        reply = self.raw(method, path, body, kind=kind, read_only=read_only, **query)
        assert isinstance(reply, Reply)
        document: Obj = decode(reply.body)
        return document

    def raw(
        self, method: str, path: str, body: Any = None, *, kind: str = "", read_only: bool = False, **query: str
    ) -> Reply | AsyncIterator[bytes]:
        target = parse_path(path)
        user = User("watcher", read_only=True) if read_only else User("tester")
        raw = b"" if body is None else body if isinstance(body, bytes) else encode(body)
        request = ApiRequest(verb_of(method, target, query), target, user, query, raw, kind, "", "pytest/1")
        return asyncio.run(self.api.answer(request))


@pytest.fixture
def bench() -> Bench:
    return Bench()
