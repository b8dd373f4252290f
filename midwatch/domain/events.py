"""The journal's vocabulary: everything that can happen to an incident.

Each event is a frozen value with a named reason. An :class:`Entry` is an event in its place: which incident, which
number, when, and by whom. Fields are only ever added, with defaults: an old journal must stay readable.
"""

from datetime import datetime
from typing import TypeAlias

import msgspec

from midwatch.domain.approvals import ApprovalOutcome, ApprovalRequest, Vote
from midwatch.domain.diagnosis import Diagnosis
from midwatch.domain.dialogue import ModelReply
from midwatch.domain.ids import ApprovalId, ExecutionId, IncidentId, IncidentKey, PlanDigest, SignalId
from midwatch.domain.playbooks import Plan, Verdict
from midwatch.domain.reasons import Reason
from midwatch.domain.refs import ObjectRef, Severity
from midwatch.domain.regressions import Baseline
from midwatch.domain.signals import Tier


class Event(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, tag_field="type"):
    """Base of all events. ``reason`` is why it happened."""

    reason: Reason


class IncidentOpened(Event, frozen=True, kw_only=True, tag="incident-opened"):
    """A signal matched a rule and no open incident had its key."""

    key: IncidentKey
    cluster: str
    condition: str
    severity: Severity
    title: str
    subject: ObjectRef
    owner: ObjectRef
    rule: str
    tier: Tier = Tier.SUPERVISED
    playbook: str = ""
    notify: tuple[str, ...] = ()
    began_at: datetime | None = None


class SignalAttached(Event, frozen=True, kw_only=True, tag="signal-attached"):
    """A firing signal became (or renewed) a member of this incident. ``related``: its owner, and what it stands on.

    ``tier`` is what its rule and its labels leave of our authority (``None``: it says nothing of it), ``threshold`` how
    sure a diagnosis must be to act alone (0 to 1; 0: as policy says), ``wanted`` the playbook that its sender asks for.
    """

    signal: SignalId
    identity: str
    episode: str
    source: str
    condition: str
    severity: Severity
    subject: ObjectRef
    title: str = ""
    starts_at: datetime | None = None
    related: tuple[ObjectRef, ...] = ()
    tier: Tier | None = None
    threshold: float = 0.0
    wanted: str = ""
    runbook_id: str = ""
    runbook_url: str = ""


class SignalCleared(Event, frozen=True, kw_only=True, tag="signal-cleared"):
    """A member's resolved signal arrived, or its object shows that it is over; ``detail`` tells the latter."""

    signal: SignalId
    identity: str
    episode: str
    detail: str = ""


class InvestigationStarted(Event, frozen=True, kw_only=True, tag="investigation-started"):
    worker: str
    attempt: int = 1


class ToolCalled(Event, frozen=True, kw_only=True, tag="tool-called"):
    """One look at the world: what was asked, what came back (masked, capped), how long it took in milliseconds.

    ``of`` names the earlier call whose answer this is, whole (``output`` is empty then) or in part.
    """

    call_id: str
    tool: str
    input: str
    output: str
    ok: bool = True
    took_ms: float = 0.0
    iteration: int = 0
    hypothesis: str = ""
    of: str = ""


class Briefed(Event, frozen=True, kw_only=True, tag="briefed"):
    """What a model is told at the start of a line of thought: the incident, the first report, what was seen.

    ``nonce`` marks observed text as data in this refinement; ``hypothesis`` is empty for the main line.
    """

    text: str
    nonce: str = ""
    hypothesis: str = ""


class RefinementStarted(Event, frozen=True, kw_only=True, tag="refinement-started"):
    """A model sets out to improve the report, within a budget."""

    worker: str
    attempt: int = 1


class ModelTurned(Event, frozen=True, kw_only=True, tag="model-turned"):
    """One reply of a model, journalled before anything follows from it: a killed investigation goes on behind it.

    ``hypothesis`` is which of several raced lines of thought it belongs to, ``iteration`` counts from 1 within it.
    A summary belongs to the call ``call_id``.
    """

    iteration: int
    reply: ModelReply
    hypothesis: str = ""
    purpose: str = "investigate"
    call_id: str = ""


class ModelBroke(Event, frozen=True, kw_only=True, tag="model-broke"):
    """Models were asked and gave no answer, at a cost that the incident pays for: tokens, and US dollars."""

    detail: str = ""
    tokens: int = 0
    usd: float = 0.0
    hypothesis: str = ""


class IterationEnded(Event, frozen=True, kw_only=True, tag="iteration-ended"):
    """One round of the loop: why which tools were asked, what that showed, and whether it goes on.

    ``decision`` is ``continue`` or ``stop``; ``tools`` are ``name(arguments)`` as people read them.
    """

    iteration: int
    reasoning: str = ""
    tools: tuple[str, ...] = ()
    partial: str = ""
    decision: str = "continue"
    took_ms: float = 0.0
    hypothesis: str = ""


class RefinementEnded(Event, frozen=True, kw_only=True, tag="refinement-ended"):
    """The model is done with this incident: it improved the report, or the reason says why it did not."""

    detail: str = ""


class ReportMade(Event, frozen=True, kw_only=True, tag="report-made"):
    """A diagnosis; a later one replaces an earlier one. ``refine``: a model is there that may improve it."""

    diagnosis: Diagnosis
    refine: bool = False


class PlanProposed(Event, frozen=True, kw_only=True, tag="plan-proposed"):
    """A plan was compiled and policy said what may become of it. Replaces an undecided plan."""

    plan: Plan
    digest: PlanDigest
    verdict: Verdict


class PlanMissing(Event, frozen=True, kw_only=True, tag="plan-missing"):
    """No plan can be made from the report; ``detail`` says what a person may do."""

    detail: str = ""


class PlanKept(Event, frozen=True, kw_only=True, tag="plan-kept"):
    """A better report leads to the very plan that people are asked about: their card stands."""


class ApprovalRequested(Event, frozen=True, kw_only=True, tag="approval-requested"):
    request: ApprovalRequest


class ApprovalVoted(Event, frozen=True, kw_only=True, tag="approval-voted"):
    """A valid click that did not yet decide."""

    approval: ApprovalId
    vote: Vote


class ApprovalClosed(Event, frozen=True, kw_only=True, tag="approval-closed"):
    """The question is answered, expired or void. ``by`` is the deciding user, or the actor that closed it."""

    approval: ApprovalId
    outcome: ApprovalOutcome
    by: str = ""
    comment: str = ""


class ApprovalReminded(Event, frozen=True, kw_only=True, tag="approval-reminded"):
    """Half of the time is gone, and nobody has answered."""

    approval: ApprovalId


class CancelAsked(Event, frozen=True, kw_only=True, tag="cancel-asked"):
    """A person wants the running plan to stop: the step under way ends as it would, no other begins."""

    by: str
    comment: str = ""


class ExecutionStarted(Event, frozen=True, kw_only=True, tag="execution-started"):
    execution: ExecutionId
    digest: PlanDigest


class StepStarted(Event, frozen=True, kw_only=True, tag="step-started"):
    """Precheck passed; the act is about to be sent. From here on the step is in doubt until observed.

    ``key`` is the idempotency key written into the object, ``before`` the captured state (JSON) that undo restores,
    ``baseline`` what was well and must stay so.
    """

    index: int
    key: str
    before: str = ""
    generation: int = 0
    baseline: Baseline | None = None


class StepActed(Event, frozen=True, kw_only=True, tag="step-acted"):
    """The act took effect: answered by the API (``applied``) or found done after a crash (``found-applied``).

    ``generation`` is the object's after the act; undo works only while nobody has changed it further.
    """

    index: int
    detail: str = ""
    generation: int = 0


class StepVerified(Event, frozen=True, kw_only=True, tag="step-verified"):
    index: int
    detail: str = ""


class StepFailed(Event, frozen=True, kw_only=True, tag="step-failed"):
    """The step did not do what it should; ``acted`` says whether there is something to undo."""

    index: int
    detail: str = ""
    acted: bool = False


class UndoStarted(Event, frozen=True, kw_only=True, tag="undo-started"):
    index: int
    key: str


class StepUndone(Event, frozen=True, kw_only=True, tag="step-undone"):
    """The fields are back as they were; ``generation`` is the object's after that."""

    index: int
    detail: str = ""
    generation: int = 0


class UndoFailed(Event, frozen=True, kw_only=True, tag="undo-failed"):
    index: int
    detail: str = ""


class Resolved(Event, frozen=True, kw_only=True, tag="resolved"):
    """The trouble is over."""

    detail: str = ""


class Escalated(Event, frozen=True, kw_only=True, tag="escalated"):
    """A person must take over; ``detail`` says what is known and what was tried."""

    detail: str = ""


class Closed(Event, frozen=True, kw_only=True, tag="closed"):
    """An escalated incident came to its end."""

    by: str = ""
    detail: str = ""


class Adopted(Event, frozen=True, kw_only=True, tag="adopted"):
    """What this incident is about turned out to follow from another one's cause: its members are counted there now."""

    into: IncidentId
    detail: str = ""


class Reopened(Event, frozen=True, kw_only=True, tag="reopened"):
    """What had recovered by itself fired again soon after: the same trouble, looked at anew."""


AnyEvent: TypeAlias = (
    IncidentOpened
    | SignalAttached
    | SignalCleared
    | InvestigationStarted
    | ToolCalled
    | RefinementStarted
    | Briefed
    | ModelTurned
    | ModelBroke
    | IterationEnded
    | RefinementEnded
    | ReportMade
    | PlanProposed
    | PlanMissing
    | PlanKept
    | ApprovalRequested
    | ApprovalVoted
    | ApprovalClosed
    | ApprovalReminded
    | CancelAsked
    | ExecutionStarted
    | StepStarted
    | StepActed
    | StepVerified
    | StepFailed
    | UndoStarted
    | StepUndone
    | UndoFailed
    | Resolved
    | Escalated
    | Closed
    | Adopted
    | Reopened
)


class Entry(msgspec.Struct, frozen=True, kw_only=True):
    """An event in its place. ``seq`` counts from 1 within the incident; ``by`` is the actor that wrote it."""

    incident: IncidentId
    seq: int
    at: datetime
    by: str
    event: AnyEvent
