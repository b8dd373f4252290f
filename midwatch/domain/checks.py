"""Checks before and after a step: pure looks at an observed object, and the patience that verification needs."""

import math
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from enum import StrEnum

import msgspec

from midwatch.domain.objects.quantities import quantity
from midwatch.domain.observed import Observed
from midwatch.domain.playbooks import PROMQL, Check, Target


class Standing(StrEnum):
    """HOLDING: as it should be. PENDING: not yet, may come. BROKEN: will not come by waiting."""

    HOLDING = "holding"
    PENDING = "pending"
    BROKEN = "broken"


class Result(msgspec.Struct, frozen=True):
    """Where one check stands, in a sentence fit for the timeline."""

    standing: Standing
    sentence: str


class Scene(msgspec.Struct, frozen=True):
    """What checks look at: the target as planned, the object now (``None``: gone), how many signals still fire."""

    target: Target
    seen: Observed | None
    active: int = 0


def evaluate(check: Check, scene: Scene) -> Result:
    """Where ``check`` stands. The names are those of :data:`midwatch.domain.playbooks.CHECKS`."""
    if check.name == "signals_clear":
        if scene.active:
            return Result(Standing.PENDING, f"{scene.active} signals still fire")
        return Result(Standing.HOLDING, "no signal fires any more")
    if check.name == PROMQL:
        return Result(Standing.PENDING, "Prometheus is not asked here")
    ref = scene.target.ref
    seen = scene.seen
    gone = seen is None or bool(ref.uid and seen.ref.uid != ref.uid)
    if check.name == "gone":
        if gone:
            return Result(Standing.HOLDING, f"{ref} is gone")
        return Result(Standing.PENDING, f"{ref} is still there")
    if seen is None:
        return Result(Standing.BROKEN, f"{ref} does not exist any more")
    if gone:
        return Result(Standing.BROKEN, f"{ref} is another object of the same name now")
    return _LOOKS[check.name](scene.target, seen)


def measured(check: Check, values: Sequence[float]) -> Result:
    """Where a PromQL check stands, given what its query gave. No data proves nothing."""
    low, high = check.at_least, check.at_most
    said = " and ".join(
        part
        for part in (f"at least {low:g}" if low is not None else "", f"at most {high:g}" if high is not None else "")
        if part
    )
    if not values or any(math.isnan(value) for value in values):
        return Result(Standing.PENDING, f"Prometheus has no data for {check.query} (wanted {said})")
    outside = [v for v in values if (low is not None and v < low) or (high is not None and v > high)]
    if outside:
        return Result(Standing.PENDING, f"{check.query} is {outside[0]:g}, wanted {said}")
    return Result(Standing.HOLDING, f"{check.query} is {values[0]:g}, {said}")


def unchanged(target: Target, seen: Observed | None) -> Result:
    """Whether the target's spec is still what the plan was made for."""
    return evaluate(Check("unchanged"), Scene(target, seen))


def _exists(_: Target, seen: Observed) -> Result:
    if seen.deleting:
        return Result(Standing.BROKEN, f"{seen.ref} is being deleted")
    return Result(Standing.HOLDING, f"{seen.ref} exists")


def _unchanged(target: Target, seen: Observed) -> Result:
    if seen.deleting:
        return Result(Standing.BROKEN, f"{seen.ref} is being deleted")
    if seen.generation != target.generation:
        return Result(
            Standing.BROKEN,
            f"{seen.ref} was changed since the plan was made (generation {target.generation} → {seen.generation})",
        )
    return Result(Standing.HOLDING, f"{seen.ref} is as it was when the plan was made")


def _previous(_: Target, seen: Observed) -> Result:
    if seen.previous_revision is None:
        return Result(Standing.BROKEN, f"{seen.ref} has no earlier revision to go back to")
    return Result(Standing.HOLDING, f"revision {seen.previous_revision} is there to go back to")


def _memory_limit(_: Target, seen: Observed) -> Result:
    if any(container.memory_limit for container in seen.containers):
        return Result(Standing.HOLDING, f"{seen.ref} has a memory limit")
    return Result(Standing.BROKEN, f"{seen.ref} has no memory limit: it was not its limit that killed it")


def _cpu_limit(_: Target, seen: Observed) -> Result:
    if any(container.cpu_limit for container in seen.containers):
        return Result(Standing.HOLDING, f"{seen.ref} has a CPU limit")
    return Result(Standing.BROKEN, f"{seen.ref} has no CPU limit: nothing holds it back")


def _controller(_: Target, seen: Observed) -> Result:
    if seen.owners:
        return Result(Standing.HOLDING, f"{seen.owners[0]} will make another")
    return Result(Standing.BROKEN, f"{seen.ref} has no controller: it would not come back")


def _drained(_: Target, seen: Observed) -> Result:
    if not seen.unschedulable:
        return Result(Standing.BROKEN, f"{seen.ref} takes new pods again")
    if seen.pods:
        names = ", ".join(pod.name for pod in seen.pods[:5])
        return Result(Standing.PENDING, f"{len(seen.pods)} pods are still on {seen.ref}: {names}")
    return Result(Standing.HOLDING, f"{seen.ref} is cordoned and empty")


def _scaled(_: Target, seen: Observed) -> Result:
    if seen.total == seen.desired and seen.observed_generation >= seen.generation:
        return Result(Standing.HOLDING, f"{seen.ref} has {seen.desired} replicas")
    return Result(Standing.PENDING, f"{seen.total} of {seen.desired} replicas are there")


def _rollout(_: Target, seen: Observed) -> Result:
    if seen.observed_generation < seen.generation:
        return Result(Standing.PENDING, "the controller has not looked at the change yet")
    if seen.stuck and seen.updated < seen.desired:
        return Result(Standing.BROKEN, f"the rollout is stuck: {seen.stuck}")
    if seen.updated < seen.desired:
        return Result(Standing.PENDING, f"{seen.updated} of {seen.desired} pods are updated")
    if seen.total > seen.updated:
        return Result(Standing.PENDING, f"{seen.total - seen.updated} old pods are still there")
    if seen.available < seen.desired:
        if seen.stuck:
            return Result(Standing.BROKEN, f"the rollout is stuck: {seen.stuck}")
        return Result(Standing.PENDING, f"{seen.available} of {seen.desired} pods are available")
    return Result(Standing.HOLDING, f"the rollout is complete: {seen.available} of {seen.desired} pods available")


def _pods_ready(_: Target, seen: Observed) -> Result:
    if seen.ref.kind == "Pod":
        if seen.ready:
            return Result(Standing.HOLDING, f"{seen.ref} is ready")
        return Result(Standing.PENDING, f"{seen.ref} is not ready ({seen.waiting or seen.state})")
    ready = sum(pod.ready for pod in seen.living_pods)
    waiting = sorted({pod.waiting for pod in seen.living_pods if pod.waiting and not pod.ready})
    if waiting:
        return Result(Standing.PENDING, f"{ready} of {seen.desired} pods are ready; others: {', '.join(waiting)}")
    if ready < seen.desired:
        return Result(Standing.PENDING, f"{ready} of {seen.desired} pods are ready")
    return Result(Standing.HOLDING, f"{ready} of {seen.desired} pods are ready")


def _not_ready(_: Target, seen: Observed) -> Result:
    ready = bool(seen.ready) if seen.ref.kind == "Pod" else seen.desired > 0 and seen.ready >= seen.desired
    if ready:
        return Result(Standing.BROKEN, f"{seen.ref} is ready: there is nothing to mend")
    return Result(Standing.HOLDING, f"{seen.ref} is not ready")


def _finished(_: Target, seen: Observed) -> Result:
    if seen.state in ("Failed", "Succeeded", "Complete"):
        return Result(Standing.HOLDING, f"{seen.ref} has ended: {seen.state}")
    return Result(Standing.BROKEN, f"{seen.ref} has not ended ({seen.state or 'running'})")


def _expandable(_: Target, seen: Observed) -> Result:
    if seen.expandable:
        return Result(Standing.HOLDING, f"the StorageClass of {seen.ref} lets it grow")
    return Result(Standing.BROKEN, f"the StorageClass of {seen.ref} does not let it grow, or may not be read")


def _expanded(_: Target, seen: Observed) -> Result:
    wanted, has = quantity(seen.storage), quantity(seen.capacity)
    if wanted is not None and has is not None and has >= wanted:
        return Result(Standing.HOLDING, f"{seen.ref} has {seen.capacity}")
    return Result(Standing.PENDING, f"{seen.ref} has {seen.capacity or 'no size yet'}, {seen.storage} are asked for")


def _rerun(_: Target, seen: Observed) -> Result:
    match seen.rerun:
        case "Complete":
            return Result(Standing.HOLDING, f"the rerun of {seen.ref} is complete")
        case "Failed":
            return Result(Standing.BROKEN, f"the rerun of {seen.ref} failed too")
        case "":
            return Result(Standing.PENDING, f"{seen.ref} has no rerun yet")
        case _:
            return Result(Standing.PENDING, f"the rerun of {seen.ref} is running")


def _flag(name: str, wanted: bool, yes: str, no: str) -> Callable[[Target, Observed], Result]:
    def look(_: Target, seen: Observed) -> Result:
        if getattr(seen, name) is wanted:
            return Result(Standing.HOLDING, f"{seen.ref} {yes}")
        return Result(Standing.PENDING, f"{seen.ref} {no}")

    return look


_LOOKS: dict[str, Callable[[Target, Observed], Result]] = {
    "exists": _exists,
    "unchanged": _unchanged,
    "has_previous_revision": _previous,
    "has_memory_limit": _memory_limit,
    "has_cpu_limit": _cpu_limit,
    "has_controller": _controller,
    "drained": _drained,
    "scaled": _scaled,
    "rollout_complete": _rollout,
    "pods_ready": _pods_ready,
    "not_ready": _not_ready,
    "finished": _finished,
    "expandable": _expandable,
    "expanded": _expanded,
    "rerun_complete": _rerun,
    "cordoned": _flag("unschedulable", True, "is cordoned", "is not cordoned"),
    "schedulable": _flag("unschedulable", False, "takes new pods", "is cordoned"),
    "suspended": _flag("suspended", True, "is suspended", "is not suspended"),
    "resumed": _flag("suspended", False, "is not suspended", "is suspended"),
}


class Patience(msgspec.Struct, frozen=True):
    """Since when each check has held without a break (``None``: it does not hold)."""

    since: tuple[datetime | None, ...] = ()


class Verification(msgspec.Struct, frozen=True):
    """PENDING: look again, with this patience. HOLDING: verified. BROKEN: failed."""

    standing: Standing
    sentence: str
    patience: Patience


def verify(
    checks: Sequence[Check], results: Sequence[Result], patience: Patience, *, acted_at: datetime, now: datetime
) -> Verification:
    """One look of a verification.

    A check passes when it has held for ``hold_s`` without a break. It fails when it is broken, or is not holding once
    ``timeout_s`` has passed since the act. A check that holds at its deadline gets the rest of its hold: a late look
    (the process was away) must not undo what works.
    """
    before = patience.since or (None,) * len(checks)
    since: list[datetime | None] = []
    waiting: list[str] = []
    for check, result, began in zip(checks, results, before, strict=True):
        if result.standing is Standing.BROKEN:
            return Verification(Standing.BROKEN, result.sentence, patience)
        if result.standing is Standing.PENDING:
            if now >= acted_at + timedelta(seconds=check.timeout_s):
                said = f"{result.sentence}, {check.timeout_s:g} s after the act"
                return Verification(Standing.BROKEN, said, patience)
            since.append(None)
            waiting.append(result.sentence)
            continue
        held_since = min(began or now, now)  # the clock may have been turned back meanwhile
        since.append(held_since)
        if now - held_since < timedelta(seconds=check.hold_s):
            waiting.append(f"{result.sentence}, to hold for {check.hold_s:g} s")
    kept = Patience(tuple(since))
    if waiting:
        return Verification(Standing.PENDING, "; ".join(waiting), kept)
    return Verification(Standing.HOLDING, "; ".join(result.sentence for result in results), kept)
