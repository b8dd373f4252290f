"""Which scenarios there are, and which are running."""

from __future__ import annotations

from midwatch.sandbox.cluster.assembly import Cluster
from midwatch.sandbox.errors import ApiError, bad_request
from midwatch.sandbox.objects import Obj, stamp
from midwatch.sandbox.scenarios.base import Scenario
from midwatch.sandbox.scenarios.conditions import HealthyNoise, NotReadyNode
from midwatch.sandbox.scenarios.failures import BadRollout, CrashLoop, ImagePull, OutOfMemory, Pending

CATALOGUE: dict[str, type[Scenario]] = {
    scenario.name: scenario
    for scenario in (CrashLoop, OutOfMemory, ImagePull, Pending, NotReadyNode, BadRollout, HealthyNoise)
}


class Stage:
    """Starts and heals scenarios; the same one may run on several targets."""

    def __init__(self, cluster: Cluster) -> None:
        self._cluster = cluster
        self._running: dict[tuple[str, str], tuple[Scenario, float]] = {}

    def start(self, name: str, target: str = "") -> Scenario:
        """Break something; 404 for an unknown name, 409 when it runs already."""
        kind = CATALOGUE.get(name)
        if kind is None:
            known = ", ".join(CATALOGUE)
            raise ApiError(404, "NotFound", f"there is no scenario {name!r}; known: {known}")
        scenario = kind(self._cluster, target)
        place = (name, scenario.target)
        if place in self._running:
            raise ApiError(409, "Conflict", f"scenario {name} already runs on {scenario.target}")
        scenario.start()
        self._running[place] = (scenario, self._cluster.clock.now())
        return scenario

    def heal(self, name: str, target: str = "") -> list[str]:
        """Take the cause away; all targets of that name, or one. Returns the targets."""
        places = [place for place in self._running if place[0] == name and target in ("", place[1])]
        if not places:
            raise bad_request(f"scenario {name!r} is not running{f' on {target}' if target else ''}")
        for place in places:
            self._running.pop(place)[0].heal()
        return [place[1] for place in places]

    def document(self) -> Obj:
        """What there is and what runs."""
        return {
            "known": [
                {"name": kind.name, "summary": kind.summary, "target": kind.default_target}
                for kind in CATALOGUE.values()
            ],
            "running": [
                {"name": name, "target": target, "since": stamp(since)}
                for (name, target), (_, since) in self._running.items()
            ],
        }
