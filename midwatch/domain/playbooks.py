"""Playbooks as loaded and plans as compiled: values, and the digest that an approval is bound to."""

import hashlib
from datetime import datetime
from enum import StrEnum

import msgspec

from midwatch.domain.ids import PlanDigest
from midwatch.domain.refs import ObjectRef


class Risk(StrEnum):
    """LOW: read-only or idempotent housekeeping. MEDIUM: one approval. HIGH: an approval and a second confirmation."""

    LOW = "LOW"
    MEDIUM = "MEDIUM"
    HIGH = "HIGH"

    @property
    def rank(self) -> int:
        return ("LOW", "MEDIUM", "HIGH").index(self)


class VerdictKind(StrEnum):
    AUTO = "auto"
    ASK = "ask"
    REFUSE = "refuse"


class OnFailure(StrEnum):
    """What becomes of a plan whose step failed: everything done is taken back, or kept for a person to look at."""

    UNDO = "undo"
    KEEP = "keep"


class Check(msgspec.Struct, frozen=True, omit_defaults=True, forbid_unknown_fields=True):
    """What must hold before or after a step: a named check, and for how long.

    ``name`` is one of :data:`CHECKS`. ``hold_s``: it must hold without a break for so many seconds. ``timeout_s``: it
    must have held by then, counted from the act. ``promql`` asks Prometheus for ``query``, in which ``$namespace``,
    ``$name`` and ``$kind`` stand for the target; every value it gives must lie within ``at_least`` and ``at_most``.
    """

    name: str
    hold_s: float = 0.0
    timeout_s: float = 60.0
    query: str = ""
    at_least: float | None = None
    at_most: float | None = None


PROMQL = "promql"

CHECKS = (
    "exists",
    "unchanged",
    "has_previous_revision",
    "has_memory_limit",
    "has_cpu_limit",
    "has_controller",
    "rollout_complete",
    "pods_ready",
    "not_ready",
    "signals_clear",
    "gone",
    "finished",
    "cordoned",
    "drained",
    "scaled",
    "schedulable",
    "resumed",
    "suspended",
    "expandable",
    "expanded",
    "rerun_complete",
    PROMQL,
)


class Target(msgspec.Struct, frozen=True, omit_defaults=True):
    """A live object as it stood when the plan was made.

    ``generation`` counts changes of its spec (status changes do not void a plan), ``resource_version`` is what the
    dry-run saw.
    """

    ref: ObjectRef
    generation: int = 0
    resource_version: str = ""


class PlanStep(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One mutation: what is done to which object, what must hold before and after, and how it is taken back.

    ``params`` are the action's typed parameters. ``undo`` names the action that restores the captured before-state, or
    is empty where the act itself is harmless to leave (a restart). ``diff`` is the server's own dry-run, for people.
    A step that is not ``required`` may fail: it is taken back, and the plan goes on.
    """

    action: str
    target: Target
    risk: Risk
    params: dict[str, str | int | bool] = {}
    precheck: tuple[Check, ...] = ()
    verify: tuple[Check, ...] = ()
    undo: str = ""
    summary: str = ""
    diff: str = ""
    required: bool = True
    on_failure: OnFailure = OnFailure.UNDO


class Evicted(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A pod that a drain evicts. ``owners``: from its controller to the top; without any it never comes back."""

    ref: ObjectRef
    owners: tuple[ObjectRef, ...] = ()


class BlastRadius(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """How much a plan touches: pods that restart, ready pods left meanwhile, PDB headroom, who owns the object.

    ``evicts``: pods that leave a drained node. ``owners``: what the target belongs to, from its controller to the top.
    """

    pods: int = 0
    ready_now: int = 0
    min_available: int | None = None
    pdb_headroom: int | None = None
    endpoints_left: int | None = None
    gitops_owner: str = ""
    human_edit_at: datetime | None = None
    notes: tuple[str, ...] = ()
    evicts: tuple[Evicted, ...] = ()
    owners: tuple[ObjectRef, ...] = ()


class Plan(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A playbook resolved against live objects. Nothing in it is a template any more."""

    playbook: str
    playbook_digest: str
    title: str
    risk: Risk
    steps: tuple[PlanStep, ...]
    blast: BlastRadius = BlastRadius()
    undo_summary: str = ""
    warnings: tuple[str, ...] = ()
    shadow: bool = False

    @property
    def touched(self) -> tuple[ObjectRef, ...]:
        """Everything that a rule may protect: the targets, the pods that are evicted, and what owns each of them."""
        return tuple(dict.fromkeys((*self.changed, *self.evicted)))

    @property
    def changed(self) -> tuple[ObjectRef, ...]:
        """The targets, and what owns each of them."""
        return tuple(dict.fromkeys((*(step.target.ref for step in self.steps), *self.blast.owners)))

    @property
    def evicted(self) -> tuple[ObjectRef, ...]:
        """The pods that are evicted, and what owns each of them."""
        return tuple(dict.fromkeys(ref for pod in self.blast.evicts for ref in (pod.ref, *pod.owners)))


class Verdict(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What policy says of a plan: run it, ask for it, or refuse it; with the rule's name and a sentence.

    ``quorum`` distinct approvers are needed where it asks, ``confirm`` demands a second click by each. ``ladder``:
    who is asked, one rung after another, when nobody answers in time.
    """

    kind: VerdictKind
    rule: str
    sentence: str
    quorum: int = 1
    confirm: bool = False
    approvers: tuple[str, ...] = ()
    ladder: tuple[tuple[str, ...], ...] = ()


def plan_digest(plan: Plan) -> PlanDigest:
    """SHA-256 over everything that will be done, and to what; prose, diffs and resource versions left out.

    Two plans with the same digest do the same to the same spec (uid and generation) in the same way.
    """
    steps = [
        msgspec.structs.replace(
            step, summary="", diff="", target=msgspec.structs.replace(step.target, resource_version="")
        )
        for step in plan.steps
    ]
    essence = (plan.playbook, plan.playbook_digest, plan.risk, steps)
    return PlanDigest(hashlib.sha256(msgspec.json.encode(essence, order="deterministic")).hexdigest())
