"""What controllers ask of a pod all the time, kept beside its bytes so that nobody decodes for it."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from midwatch.sandbox.objects import Obj, condition, dig, seconds_of
from midwatch.sandbox.quantities import bytes_of, millicores


@dataclass(frozen=True, slots=True)
class PodFacts:
    """``cpu`` in millicores and ``memory`` in bytes are the requests; ``ready_since`` is 0 while not ready."""

    phase: str
    node: str
    ready_since: float
    deleting: bool
    cpu: int
    memory: int

    @property
    def ready(self) -> bool:
        return self.ready_since > 0

    @property
    def active(self) -> bool:
        """Counts towards its owner's replicas."""
        return not self.deleting and self.phase not in ("Succeeded", "Failed")


def pod_facts(obj: Obj) -> PodFacts:
    """Read them from the document."""
    ready = condition(obj, "Ready")
    cpu, memory = pod_requests(obj.get("spec") or {})
    return PodFacts(
        dig(obj, "status.phase") or "Pending",
        dig(obj, "spec.nodeName") or "",
        (seconds_of(ready.get("lastTransitionTime")) or 1.0) if ready and ready.get("status") == "True" else 0.0,
        bool(obj["metadata"].get("deletionTimestamp")),
        cpu,
        memory,
    )


def pod_requests(spec: Obj) -> tuple[int, int]:
    """Millicores and bytes a pod spec asks for; a limit without a request counts as one."""
    cpu = memory = 0
    for container in spec.get("containers") or []:
        cpu += _millicores(_asked(container, "cpu"))
        memory += _bytes(_asked(container, "memory"))
    return cpu, memory


def _asked(container: Obj, name: str) -> Any:
    value = dig(container, f"resources.requests.{name}")
    return dig(container, f"resources.limits.{name}") if value is None else value


_millicores = lru_cache(maxsize=1024)(millicores)
_bytes = lru_cache(maxsize=1024)(bytes_of)
