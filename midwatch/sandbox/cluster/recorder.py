"""Kubernetes Events: repeated ones count up instead of piling up, and old ones go."""

from __future__ import annotations

from midwatch.sandbox.cluster.loop import Simulation
from midwatch.sandbox.objects import Obj, digest_name, seconds_of, stamp
from midwatch.sandbox.schema import EVENTS
from midwatch.sandbox.store import Key


class Recorder:
    """Writes events about objects."""

    def __init__(self, simulation: Simulation) -> None:
        self._sim = simulation

    def normal(self, about: Obj, reason: str, message: str, *, source: str, host: str = "", field: str = "") -> None:
        """Something happened as it should."""
        self._record("Normal", about, reason, message, source, host, field)

    def warning(self, about: Obj, reason: str, message: str, *, source: str, host: str = "", field: str = "") -> None:
        """Something is wrong."""
        self._record("Warning", about, reason, message, source, host, field)

    def _record(self, kind: str, about: Obj, reason: str, message: str, source: str, host: str, field: str) -> None:
        metadata = about["metadata"]
        now = stamp(self._sim.clock.now())
        # Events of nodes and other cluster-wide objects live in "default".
        namespace = metadata.get("namespace") or "default"
        digest = digest_name([metadata.get("uid"), reason, message, source, field], 16)
        key = Key(EVENTS, namespace, f"{metadata['name']}.{digest}")
        found = self._sim.store.get(key)
        if found is not None:
            event = found.obj()
            event["count"] += 1
            event["lastTimestamp"] = now
            self._sim.store.replace(found, event)
            return
        involved = {
            "kind": about["kind"],
            "namespace": metadata.get("namespace", ""),
            "name": metadata["name"],
            "uid": metadata.get("uid", ""),
            "apiVersion": about["apiVersion"],
            "resourceVersion": metadata.get("resourceVersion", ""),
        }
        if field:
            involved["fieldPath"] = field
        event = {
            "metadata": {"name": key.name, "namespace": namespace},
            "involvedObject": {name: value for name, value in involved.items() if value},
            "reason": reason,
            "message": message,
            "source": {"component": source, **({"host": host} if host else {})},
            "firstTimestamp": now,
            "lastTimestamp": now,
            "count": 1,
            "type": kind,
            "eventTime": None,
            "reportingComponent": source,
            "reportingInstance": host,
        }
        self._sim.store.create(EVENTS, event)
        self._sim.after(self._sim.pace.event_ttl, lambda: self._expire(key))

    def _expire(self, key: Key) -> None:
        found = self._sim.store.get(key)
        if found is None:
            return
        left = seconds_of(found.obj()["lastTimestamp"]) + self._sim.pace.event_ttl - self._sim.clock.now()
        if left > 0:
            self._sim.after(left, lambda: self._expire(key))
        else:
            self._sim.store.delete(found)
