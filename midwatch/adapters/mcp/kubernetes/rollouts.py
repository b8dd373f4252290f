"""How many pods a workload's update strategy lets be away at once."""

import math

from midwatch.adapters.mcp.kubernetes.api import Json


def most_away(kind: str, spec: Json, desired: int) -> int:
    """Pods that a rollout may take away at once, of ``desired``; rounded as the workload's controller does it."""
    strategy = spec.get("strategy" if kind == "Deployment" else "updateStrategy") or {}
    match strategy.get("type"):
        case "Recreate":
            return desired
        case "OnDelete":
            return 0
    rolling = strategy.get("rollingUpdate") or {}
    usual = ("25%", "25%") if kind == "Deployment" else (1, 0)
    away = _scaled(rolling.get("maxUnavailable", usual[0]), desired, up=kind == "DaemonSet")
    surge = _scaled(rolling.get("maxSurge", usual[1]), desired, up=True)
    return min(desired, away if away or surge else 1)


def _scaled(value: str | int, whole: int, *, up: bool) -> int:
    said = str(value)
    if not said.endswith("%"):
        return int(said)
    share = whole * int(said[:-1]) / 100
    return math.ceil(share) if up else math.floor(share)
