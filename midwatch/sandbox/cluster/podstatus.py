"""A pod's phase and conditions, from its containers' states."""

from __future__ import annotations

from typing import Any

from midwatch.sandbox.objects import Obj, dig, set_condition


def summarise(pod: Obj, now: float) -> None:
    """Set ``status.phase`` and the conditions, in place."""
    status = pod["status"]
    statuses: list[Obj] = status.get("containerStatuses") or []
    if not statuses:
        return
    status["phase"] = phase_of(pod)
    initialised = all(dig(item, "state.terminated.exitCode") == 0 for item in status.get("initContainerStatuses") or [])
    over = status["phase"] in ("Succeeded", "Failed")
    set_condition(pod, "PodReadyToStartContainers", "False" if over else "True", now)
    if initialised:
        done = {"reason": "PodCompleted"} if status["phase"] == "Succeeded" else {}
        set_condition(pod, "Initialized", "True", now, **done)
    else:
        names = " ".join(item["name"] for item in status["initContainerStatuses"])
        message = f"containers with incomplete status: [{names}]"
        set_condition(pod, "Initialized", "False", now, reason="ContainersNotInitialized", message=message)
    unready = [item["name"] for item in statuses if not item.get("ready")]
    for kind in ("Ready", "ContainersReady"):
        if status["phase"] == "Succeeded":
            set_condition(pod, kind, "False", now, reason="PodCompleted")
        elif unready or status["phase"] == "Failed":
            message = f"containers with unready status: [{' '.join(unready)}]"
            set_condition(pod, kind, "False", now, reason="ContainersNotReady", message=message)
        else:
            set_condition(pod, kind, "True", now)


def phase_of(pod: Obj) -> str:
    """Pending, Running, Succeeded or Failed."""
    statuses: list[Obj] = dig(pod, "status.containerStatuses") or []
    policy = dig(pod, "spec.restartPolicy") or "Always"
    codes = [dig(item, "state.terminated.exitCode") for item in statuses]
    if policy != "Always" and all(code is not None for code in codes):
        if not any(codes):
            return "Succeeded"
        if policy == "Never":
            return "Failed"
    started = any(_started(item) for item in statuses)
    return "Running" if started else "Pending"


def _started(item: Obj) -> bool:
    state: Any = item.get("state") or {}
    return "running" in state or "terminated" in state or "terminated" in (item.get("lastState") or {})
