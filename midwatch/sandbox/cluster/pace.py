"""How fast the cluster lives, in seconds of sandbox time."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Pace:
    """Real clusters are slow to watch; the sandbox shortens the waits and keeps their order.

    Restart back-off doubles from ``backoff`` to ``backoff_cap``; ``backoff_scale`` is how many seconds a message
    claims for each second waited.
    """

    schedule: float = 0.05
    pull: float = 0.4
    stop: float = 0.5
    restart: float = 0.1
    backoff: float = 1.0
    backoff_cap: float = 10.0
    backoff_scale: float = 10.0
    backoff_reset: float = 600.0
    reschedule: float = 5.0
    probe: float = 5.0
    node_grace: float = 4.0
    node_eviction: float = 30.0
    heartbeat: float = 10.0
    event_ttl: float = 3600.0

    def delay(self, failures: int) -> float:
        """The wait before the restart after so many failures in a row."""
        return float(min(self.backoff * 2 ** min(failures - 1, 20), self.backoff_cap))

    def claimed(self, failures: int) -> str:
        """The same wait as a message words it: ``40s``, ``5m0s``."""
        seconds = int(min(self.backoff * 2 ** min(failures - 1, 20) * self.backoff_scale, 300))
        return f"{seconds // 60}m{seconds % 60}s" if seconds >= 60 else f"{seconds}s"
