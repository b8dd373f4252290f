"""The garbage collector: what a deleted object controlled goes with it; a deleted namespace takes all in it."""

from __future__ import annotations

from collections.abc import Iterable

from midwatch.sandbox.cluster.loop import Simulation
from midwatch.sandbox.cluster.replicas import stop_pod
from midwatch.sandbox.schema import NAMESPACES, RESOURCES
from midwatch.sandbox.store import DELETED, Change, Key


class Garbage:
    """Removes children of what is gone."""

    def __init__(self, simulation: Simulation) -> None:
        self._sim = simulation
        self._gone: dict[Key, set[str]] = {}

    def concerns(self, change: Change) -> Iterable[Key]:
        record = change.record
        if change.kind != DELETED:
            return ()
        if record.key.resource is NAMESPACES or self._sim.store.owned(record.uid):
            self._gone.setdefault(record.key, set()).add(record.uid)
            return (record.key,)
        return ()

    def sync(self, key: Key) -> None:
        for uid in self._gone.pop(key, set()):
            for child in self._sim.store.owned(uid):
                if child.pod is not None:
                    stop_pod(self._sim, child)
                else:
                    self._sim.store.delete(child)
        if key.resource is NAMESPACES:
            for resource in RESOURCES:
                for record in list(self._sim.store.scan(resource, key.name)) if resource.namespaced else []:
                    self._sim.store.delete(record)
