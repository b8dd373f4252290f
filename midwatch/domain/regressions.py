"""What was well before an act must not be worse after it, even where the check of the act itself holds."""

import msgspec

from midwatch.domain.observed import Observed


class Baseline(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """How the target stood just before the act. ``restarts`` counts those of each pod that was ready, by uid."""

    ready: int = 0
    endpoints: int | None = None
    restarts: dict[str, int] = {}


def baseline_of(seen: Observed) -> Baseline:
    """What is well now and must stay so."""
    well = [pod for pod in seen.living_pods if pod.ready and pod.uid]
    ready = sum(pod.ready for pod in seen.living_pods) if seen.pods else seen.ready
    return Baseline(ready=ready, endpoints=seen.endpoints_ready, restarts={pod.uid: pod.restarts for pod in well})


def regressions(before: Baseline, seen: Observed | None, newly_broken: tuple[str, ...] = ()) -> tuple[str, ...]:
    """What got worse, each as a clause; empty when nothing did.

    ``newly_broken`` are titles of incidents on the same owner that opened since the act. Fewer pods are no regression
    where fewer are wanted; a deleted target has nothing left to compare.
    """
    worse = [f"it is in new trouble: {title}" for title in newly_broken]
    if seen is not None:
        ready = sum(pod.ready for pod in seen.living_pods) if seen.pods else seen.ready
        if ready < (wanted := min(before.ready, seen.desired)):
            worse.append(f"{ready} pods are ready, {wanted} were before")
        endpoints = seen.endpoints_ready or 0
        if before.endpoints is not None and endpoints < min(before.endpoints, seen.desired):
            worse.append(f"{endpoints} endpoints are ready, {before.endpoints} were before")
        worse += [
            f"pod {pod.name}, which was well, restarted"
            for pod in seen.living_pods
            if pod.restarts > before.restarts.get(pod.uid, pod.restarts)
        ]
    return tuple(worse)
