"""Ports to the live cluster: looking at objects, rehearsing an action, and carrying it out."""

from enum import StrEnum
from typing import Protocol

import msgspec

from midwatch.domain.observed import Observed
from midwatch.domain.playbooks import PlanStep
from midwatch.domain.refs import ObjectRef


class Effect(StrEnum):
    """What came of an action. ``already-applied``: the object bears this action's key, nothing was sent twice."""

    APPLIED = "applied"
    ALREADY_APPLIED = "already-applied"
    DRY_RUN = "dry-run"


class ActionCall(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One action on one object. ``ref`` carries the uid it must have.

    ``key`` is written into the object in the same request. ``generation`` is the one the object must have (``None``:
    not asked). ``before`` is the captured state that ``restore`` puts back.
    """

    action: str
    ref: ObjectRef
    key: str
    params: dict[str, str | int | bool] = {}
    generation: int | None = None
    before: str = ""

    @classmethod
    def of(cls, step: PlanStep, key: str, generation: int | None) -> "ActionCall":
        """The call that carries out a step of a plan on its target as it is at this generation."""
        return cls(action=step.action, ref=step.target.ref, key=key, params=step.params, generation=generation)


class Outcome(msgspec.Struct, frozen=True, kw_only=True):
    """The answer to an action: the touched fields before and after (JSON), the generation after, a YAML diff."""

    effect: Effect
    before: str = "{}"
    after: str = "{}"
    generation: int = 0
    diff: str = ""


class Rehearsal(Protocol):
    """Server-side dry runs: the API server checks rights, admission and preconditions, and changes nothing."""

    async def rehearse(self, call: ActionCall) -> Outcome:
        """Raises what :meth:`ActionRunner.act` raises."""
        ...


class ActionRunner(Rehearsal, Protocol):
    """Carries actions out, each at most once per key."""

    async def act(self, call: ActionCall) -> Outcome:
        """Send it.

        Raises ``Refused`` (``right-missing``) naming the right that is missing, ``Conflict`` when the object is not
        the one expected, ``NotFound`` when it is gone, ``Permanent`` when the API server rejects it, ``Transient``
        when nothing is known: it may or may not have taken effect.
        """
        ...


class LiveObjects(Protocol):
    """Looks at objects, always at the API server itself."""

    def of(self, cluster: str) -> "LiveObjects":
        """The live objects of one cluster; what sees a single one returns itself."""
        ...

    async def observe(self, ref: ObjectRef) -> Observed | None:
        """The object of that kind and name now (its uid may differ from ``ref.uid``); ``None`` when there is none.

        Raises ``Refused`` (``right-missing``) and ``Transient``.
        """
        ...
