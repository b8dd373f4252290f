"""What a container does once it is started, and the rules that decide it from the pod and its template."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias

from midwatch.sandbox.objects import Obj, controller_of


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """The process starts. It becomes ready after ``ready_after`` seconds (None: never), and ends with ``exit_code``
    after ``exit_after`` (None: it stays). ``logs`` are its lines, spread over that time; ``beat`` is a line that a
    running process repeats every ten seconds.
    """

    ready_after: float | None = 0.5
    exit_after: float | None = None
    exit_code: int = 0
    reason: str = ""
    message: str = ""
    logs: tuple[str, ...] = ()
    beat: str = ""
    probe: str = ""
    """Why the readiness probe fails, where it does."""

    @property
    def exit_reason(self) -> str:
        return self.reason or ("Completed" if self.exit_code == 0 else "Error")


@dataclass(frozen=True, slots=True)
class CannotPull:
    """The image cannot be pulled; ``message`` is the registry's."""

    message: str


@dataclass(frozen=True, slots=True)
class CannotCreate:
    """The image is there, but the container cannot be created (``CreateContainerConfigError``)."""

    message: str
    reason: str = "CreateContainerConfigError"


Behaviour: TypeAlias = Run | CannotPull | CannotCreate
Rule: TypeAlias = Callable[[Obj, Obj], Behaviour | None]
"""From a pod and one of its containers to what it does, or None where the rule has nothing to say."""


class Rulebook:
    """Scenario rules first (newest first), then what any cluster does."""

    def __init__(self, ordinary: Rule) -> None:
        self._rules: list[Rule] = []
        self._ordinary = ordinary

    def add(self, rule: Rule) -> None:
        self._rules.insert(0, rule)

    def remove(self, rule: Rule) -> None:
        self._rules.remove(rule)

    def decide(self, pod: Obj, container: Obj) -> Behaviour:
        """What this container of this pod does if it is started now."""
        for rule in (*self._rules, bad_tag, job_completes, self._ordinary):
            if (behaviour := rule(pod, container)) is not None:
                return behaviour
        return Run()


def bad_tag(_pod: Obj, container: Obj) -> Behaviour | None:
    """Images tagged ``missing…`` or ``broken…`` are in no registry: for anyone who wants to break something by hand."""
    image = str(container["image"])
    tag = image.rpartition("/")[2].partition(":")[2]
    return no_such_image(image) if tag.startswith(("missing", "broken")) else None


def no_such_image(image: str) -> CannotPull:
    """What containerd says of a tag that is not there."""
    name = image if "/" in image else f"docker.io/library/{image}"
    return CannotPull(
        f'failed to pull and unpack image "{name}": failed to resolve reference "{name}": {name}: not found'
    )


def job_completes(pod: Obj, container: Obj) -> Behaviour | None:
    """Pods of a Job do their work and end."""
    owner = controller_of(pod)
    if owner is None or owner["kind"] != "Job":
        return None
    name = container["name"]
    return Run(exit_after=2.0, logs=(f"{name}: starting", f"{name}: 412 rows written", f"{name}: done in 1.8s"))
