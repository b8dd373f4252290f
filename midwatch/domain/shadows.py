"""Shadow mode: what a playbook would have done, and afterwards whether a person did the same."""

from collections.abc import Iterable, Sequence
from datetime import datetime
from enum import StrEnum

import msgspec

from midwatch.domain.actions import ACTIONS
from midwatch.domain.ids import IncidentId
from midwatch.domain.observed import Observed
from midwatch.domain.playbooks import Plan, PlanStep


class Score(StrEnum):
    """SAME: a person did just that. OTHER: a person did something else. NOT_NEEDED: it got well untouched."""

    SAME = "same"
    OTHER = "other"
    NOT_NEEDED = "not-needed"


class Shadow(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One plan that was only said, and how its target stood then. ``score`` comes when the incident is over."""

    incident: IncidentId
    playbook: str
    at: datetime
    plan: Plan
    before: Observed
    cluster: str = ""
    score: Score | None = None
    scored_at: datetime | None = None
    detail: str = ""

    @property
    def key(self) -> str:
        """An incident has one shadow of each playbook: the first."""
        return f"{self.incident}:{self.playbook}"


class Tally(msgspec.Struct, frozen=True, kw_only=True):
    """How a playbook did in shadow mode. ``streak``: good ones since the last that was not, or since it was edited."""

    playbook: str
    said: int = 0
    same: int = 0
    other: int = 0
    not_needed: int = 0
    streak: int = 0


def tallies(shadows: Iterable[Shadow]) -> tuple[Tally, ...]:
    """One tally a playbook, by name."""
    by_playbook: dict[str, list[Shadow]] = {}
    for shadow in sorted(shadows, key=lambda shadow: shadow.at):
        by_playbook.setdefault(shadow.playbook, []).append(shadow)
    return tuple(_tally(name, found) for name, found in sorted(by_playbook.items()))


def _tally(playbook: str, shadows: Sequence[Shadow]) -> Tally:
    scores = [shadow.score for shadow in shadows if shadow.score is not None]
    return Tally(
        playbook=playbook,
        said=len(shadows),
        same=scores.count(Score.SAME),
        other=scores.count(Score.OTHER),
        not_needed=scores.count(Score.NOT_NEEDED),
        streak=streak(shadows, shadows[-1].plan.playbook_digest),
    )


def streak(shadows: Iterable[Shadow], digest: str) -> int:
    """How many good ones in a row, to the last, the playbook had as it is now. ``digest`` says which that is."""
    mine = sorted((shadow for shadow in shadows if shadow.plan.playbook_digest == digest), key=lambda shadow: shadow.at)
    scores = [shadow.score for shadow in mine if shadow.score is not None]
    return next((n for n, score in enumerate(reversed(scores)) if score is not Score.SAME), len(scores))


def judge(plan: Plan, before: Observed, after: Observed | None) -> tuple[Score, str]:
    """What became of the target without us, and a sentence."""
    if all(_done(step, before, after) for step in plan.steps):
        return Score.SAME, "a person did the same"
    if after is None or after.ref.uid != before.ref.uid:
        return Score.OTHER, f"{before.ref} was deleted or replaced"
    if after.generation != before.generation and not any(ACTIONS[step.action].followed for step in plan.steps):
        return Score.OTHER, f"{before.ref} was changed in another way"
    return Score.NOT_NEEDED, "it got well without a change"


def _done(step: PlanStep, before: Observed, after: Observed | None) -> bool:
    """Whether the target stands as if the step had been done to it."""
    if ACTIONS[step.action].by_uid:
        return after is None or after.ref.uid != before.ref.uid
    if after is None or after.ref.uid != before.ref.uid:
        return False
    match step.action:
        case "patch_resources":
            container = next((item for item in after.containers if item.name == step.params["container"]), None)
            wanted = {name: value for name, value in step.params.items() if name != "container"}
            return container is not None and all(getattr(container, name) == value for name, value in wanted.items())
        case "scale":
            return after.desired == step.params["replicas"]
        case "rollout_undo":
            images = {item.number: item.images for item in before.revisions}.get(int(step.params["revision"]), ())
            return bool(images) and tuple(item.image for item in after.containers) == images
        case "rollout_restart":
            old = {pod.uid for pod in before.pods if pod.uid}
            fresh = bool(old) and bool(after.living_pods) and not old & {pod.uid for pod in after.living_pods}
            return fresh and after.containers == before.containers
        case "suspend" | "resume":
            return after.suspended is (step.action == "suspend")
        case "cordon" | "drain" | "uncordon":
            return after.unschedulable is (step.action != "uncordon")
        case _:
            return False
