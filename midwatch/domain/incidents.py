"""An incident is a fold over its journal: ``evolve`` folds, ``decide`` says what is to be done next, and why."""

from collections.abc import Iterable
from datetime import datetime, timedelta
from enum import StrEnum
from functools import reduce

import msgspec

from midwatch.domain import events as ev
from midwatch.domain.approvals import ApprovalOutcome, ApprovalRequest
from midwatch.domain.authority import lower
from midwatch.domain.diagnosis import Diagnosis
from midwatch.domain.errors import Invalid
from midwatch.domain.ids import IncidentId, IncidentKey, PlanDigest, SignalId
from midwatch.domain.playbooks import Plan, Verdict, VerdictKind
from midwatch.domain.reasons import Reason
from midwatch.domain.refs import ObjectRef, Severity, worst
from midwatch.domain.runs import Execution, advance
from midwatch.domain.signals import Tier
from midwatch.domain.spending import ModelSpend, spent_after

SETTLE = timedelta(seconds=5)
"""How long all signals must stay cleared before an incident that nobody acts on counts as over."""

REQUEST = "request"
"""In the place of a rule's name: a person asked for a change in words, and nothing is known to be wrong."""

FLAPPING = 4
"""How many episodes within one incident make it one that flaps."""


class State(StrEnum):
    OPEN = "open"
    INVESTIGATING = "investigating"
    PROPOSED = "proposed"
    AWAITING_APPROVAL = "awaiting_approval"
    ACTING = "acting"
    VERIFYING = "verifying"
    RESOLVED = "resolved"
    ESCALATED = "escalated"
    CLOSED = "closed"

    @property
    def final(self) -> bool:
        """Whether nothing more will happen by itself (an escalated incident still closes when its signals clear)."""
        return self in (State.RESOLVED, State.CLOSED)


class Work(StrEnum):
    """What can be left to do for an incident; each kind has one actor that claims it."""

    INVESTIGATE = "investigate"  # RcaPool
    PLAN = "plan"  # PlaybookExecutor
    ASK = "ask"  # ApprovalBroker
    AWAIT = "await"  # ApprovalBroker, at expiry
    EXECUTE = "execute"  # PlaybookExecutor
    SETTLE = "settle"  # RuleEngine
    REFINE = "refine"  # RcaPool, after the first report


LACKS_PLAN = frozenset(
    {
        *(Reason.CHECKLIST, Reason.NO_PLAYBOOK, Reason.PLAYBOOK_UNKNOWN, Reason.PARAMETER_INVALID),
        *(Reason.TARGET_GONE, Reason.TARGET_OUTSIDE_INCIDENT, Reason.PRECHECK_FAILED),
    }
)
"""Why an incident went to a person without any plan: a better report may still bring one."""

TAKEN_OVER = frozenset({Reason.REJECTED_BY_HUMAN, Reason.CANCELLED, Reason.ATTEMPTS_EXHAUSTED})
"""Escalations after which no model is asked any more: a person said no, or we gave up for good."""


class Next(msgspec.Struct, frozen=True):
    """One thing to do, why, and not before when (``None``: at once)."""

    work: Work
    reason: Reason
    due: datetime | None = None


class Member(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One thing that is observed to be wrong, through all its episodes within this incident."""

    identity: str
    episode: str
    source: str
    condition: str
    severity: Severity
    subject: ObjectRef
    title: str = ""
    related: tuple[ObjectRef, ...] = ()
    runbook_id: str = ""
    runbook_url: str = ""
    signal: SignalId = SignalId("")
    active: bool = True
    count: int = 1
    first_at: datetime
    last_at: datetime


class Incident(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What the journal says of one incident up to entry ``seq``."""

    id: IncidentId
    seq: int = 0
    key: IncidentKey = IncidentKey("")
    cluster: str = ""
    state: State = State.OPEN
    reason: Reason = Reason.RULE_MATCHED
    severity: Severity = Severity.WARNING
    condition: str = ""
    title: str = ""
    subject: ObjectRef = ObjectRef("", "")
    owner: ObjectRef = ObjectRef("", "")
    rule: str = ""
    tier: Tier = Tier.SUPERVISED
    playbook: str = ""
    threshold: float = 0.0
    wanted: str = ""
    notify: tuple[str, ...] = ()
    began_at: datetime | None = None
    opened_at: datetime | None = None
    updated_at: datetime | None = None
    ended_at: datetime | None = None
    cleared_at: datetime | None = None
    members: tuple[Member, ...] = ()
    attempts: int = 0
    report: Diagnosis | None = None
    refine: bool = False
    planned_report: Diagnosis | None = None
    plan: Plan | None = None
    digest: PlanDigest | None = None
    verdict: Verdict | None = None
    approval: ApprovalRequest | None = None
    execution: Execution | None = None
    outcome: str = ""
    into: IncidentId | None = None
    reopened: int = 0
    cancelled_by: str = ""
    spending: tuple[ModelSpend, ...] = ()

    @property
    def episodes(self) -> int:
        """How often it broke: the most that one member did, or how often the whole was taken up again."""
        return max([self.reopened + 1, *(member.count for member in self.members)])

    @property
    def headline(self) -> str:
        """The title, and that it flaps where it does."""
        flapping = f" (flapping: {self.episodes} times)" if self.episodes >= FLAPPING else ""
        return f"{self.title}{flapping}"

    @property
    def active(self) -> tuple[Member, ...]:
        return tuple(member for member in self.members if member.active)

    def member(self, identity: str) -> Member | None:
        return next((member for member in self.members if member.identity == identity), None)


def fold(incident_id: IncidentId, entries: Iterable[ev.Entry]) -> Incident:
    """The incident that a whole journal tells of."""
    return reduce(evolve, entries, Incident(id=incident_id))


def evolve(incident: Incident, entry: ev.Entry) -> Incident:
    """Fold one entry in. The entry must be the next one of this incident (``Invalid`` otherwise)."""
    if entry.incident != incident.id or entry.seq != incident.seq + 1:
        raise Invalid(f"entry {entry.incident}#{entry.seq} does not follow {incident.id}#{incident.seq}")
    changes = _changes(incident, entry.event, entry.at)
    return msgspec.structs.replace(incident, seq=entry.seq, updated_at=entry.at, **changes)


def _changes(incident: Incident, event: ev.AnyEvent, at: datetime) -> dict[str, object]:
    """The fields that one event changes."""
    match event:
        case ev.IncidentOpened():
            return _opened(event, at)
        case ev.SignalAttached():
            return _attached(incident, event, at)
        case ev.SignalCleared():
            return _cleared(incident, event, at)
        case ev.InvestigationStarted():
            started = {"attempts": incident.attempts + 1}
            return started | (_state(State.INVESTIGATING, event) if incident.state is State.OPEN else {})
        case ev.ReportMade():
            title = event.diagnosis.title or incident.title
            return {"report": event.diagnosis, "title": title, "refine": event.refine}
        case ev.RefinementEnded():
            return {"refine": False}
        case ev.PlanProposed():
            planned = {"plan": event.plan, "digest": event.digest, "verdict": event.verdict, "approval": None}
            return planned | {"planned_report": incident.report, "outcome": ""} | _state(State.PROPOSED, event)
        case ev.PlanMissing() | ev.PlanKept():
            return {"planned_report": incident.report}
        case ev.ApprovalRequested():
            return {"approval": event.request} | _state(State.AWAITING_APPROVAL, event)
        case ev.ApprovalVoted():
            return {"approval": _request(incident, votes=(*_votes(incident), event.vote))}
        case ev.ApprovalClosed():
            closed = _request(incident, outcome=event.outcome, decided_by=event.by, comment=event.comment)
            # The question was about something that is well again: what still fires is planned for anew.
            anew = {"planned_report": None} if event.reason is Reason.TARGET_RECOVERED else {}
            return {"approval": closed} | anew | _state(State.PROPOSED, event)
        case ev.ApprovalReminded():
            return {"approval": _request(incident, reminded_at=at)}
        case ev.CancelAsked():
            return {"cancelled_by": event.by}
        case ev.ExecutionStarted():
            execution = Execution(id=event.execution, digest=event.digest, started_at=at)
            return {"execution": execution} | _state(State.ACTING, event)
        case ev.Resolved() | ev.Escalated() | ev.Closed():
            return _ended(incident, event, at)
        case ev.Adopted():
            members = tuple(msgspec.structs.replace(member, active=False) for member in incident.members)
            return _ended(incident, event, at) | {"members": members, "cleared_at": at, "into": event.into}
        case ev.Reopened():
            return _reopened(incident, event)
        case ev.RefinementStarted() | ev.Briefed() | ev.IterationEnded():
            return {}
        case ev.ToolCalled() | ev.ModelTurned() | ev.ModelBroke():
            return {"spending": spent_after(incident.spending, event)}
        case _:
            return _stepped(incident, event, at)


def _opened(event: ev.IncidentOpened, at: datetime) -> dict[str, object]:
    own = ("key", "cluster", "condition", "severity", "title", "subject", "owner", "rule", "tier", "playbook", "notify")
    copied = {name: getattr(event, name) for name in own}
    return copied | {"opened_at": at, "began_at": event.began_at or at} | _state(State.OPEN, event)


def _attached(incident: Incident, event: ev.SignalAttached, at: datetime) -> dict[str, object]:
    known = incident.member(event.identity)
    member = Member(
        identity=event.identity,
        episode=event.episode,
        source=event.source,
        condition=event.condition,
        severity=event.severity,
        subject=event.subject,
        title=event.title,
        related=event.related,
        runbook_id=event.runbook_id,
        runbook_url=event.runbook_url,
        signal=event.signal,
        count=known.count + 1 if known else 1,
        first_at=known.first_at if known else event.starts_at or at,
        last_at=at,
    )
    others = tuple(other for other in incident.members if other.identity != event.identity)
    approval = incident.approval
    stood_down = incident.verdict is not None and incident.verdict.rule == Reason.SIGNALS_CLEARED
    void = stood_down or (approval is not None and approval.outcome is ApprovalOutcome.VOID)
    again: dict[str, object] = {"approval": None, "planned_report": None} if void and incident.execution is None else {}
    tier = lower(incident.tier, event.tier) if event.tier is not None else incident.tier
    threshold = max(incident.threshold, event.threshold)
    alone = incident.verdict is not None and incident.verdict.kind is VerdictKind.AUTO and incident.execution is None
    if alone and (tier, threshold) != (incident.tier, incident.threshold):
        again |= {"planned_report": None}  # what might have run alone is judged anew under less authority
    return {
        "members": (*others, member),
        "severity": worst(incident.severity, event.severity),
        "tier": tier,
        "threshold": threshold,
        "wanted": incident.wanted or event.wanted,
        "cleared_at": None,
        **again,  # what was void because nothing fired must be planned and asked anew
    }


def _cleared(incident: Incident, event: ev.SignalCleared, at: datetime) -> dict[str, object]:
    members = tuple(
        msgspec.structs.replace(member, active=False, last_at=at)
        if member.identity == event.identity and member.episode == event.episode
        else member
        for member in incident.members
    )
    return {"members": members, "cleared_at": None if any(member.active for member in members) else at}


def _stepped(incident: Incident, event: ev.AnyEvent, at: datetime) -> dict[str, object]:
    """Events of the executor: each moves one step's record on."""
    if incident.execution is None:
        raise Invalid(f"{incident.id}: {type(event).__name__} without an execution")
    moved: dict[str, object] = {"execution": advance(incident.execution, event, at)}
    if isinstance(event, ev.StepStarted):
        return moved | _state(State.ACTING, event)
    if isinstance(event, ev.StepActed):
        return moved | _state(State.VERIFYING, event)
    return moved


def _ended(
    incident: Incident, event: ev.Resolved | ev.Escalated | ev.Closed | ev.Adopted, at: datetime
) -> dict[str, object]:
    states = {ev.Resolved: State.RESOLVED, ev.Escalated: State.ESCALATED}
    state = states.get(type(event), State.CLOSED)
    changes = {"outcome": event.detail, "ended_at": at if state.final else None} | _state(state, event)
    if incident.approval is not None and incident.approval.outcome is None:
        # Nothing would follow from an answer any more: a question must not outlive what it was about.
        changes |= {"approval": _request(incident, outcome=ApprovalOutcome.VOID)}
    return changes


def _reopened(incident: Incident, event: ev.Reopened) -> dict[str, object]:
    """What was found out last time was true then; it is looked for, planned and asked anew."""
    forgotten = ("ended_at", "cleared_at", "report", "planned_report", "plan", "digest", "verdict", "approval")
    again = {"outcome": "", "cancelled_by": "", "attempts": 0, "reopened": incident.reopened + 1, "refine": False}
    return dict.fromkeys(forgotten) | again | _state(State.OPEN, event)


def _state(state: State, event: ev.Event) -> dict[str, object]:
    return {"state": state, "reason": event.reason}


def _votes(incident: Incident) -> tuple[object, ...]:
    return incident.approval.votes if incident.approval else ()


def _request(incident: Incident, **changes: object) -> ApprovalRequest:
    if incident.approval is None:
        raise Invalid(f"{incident.id}: a vote without a request")
    return msgspec.structs.replace(incident.approval, **changes)


def decide(incident: Incident) -> tuple[Next, ...]:
    """What is left to do, each with its reason; empty when nothing is.

    Pure: what depends on policy, catalogue or the live cluster is decided by the actor that claims the work, and
    journalled. What waits for an instant carries it as ``due``.
    """
    if incident.seq == 0 or incident.state.final:
        return ()
    settling = _settling(incident)
    refining = (Next(Work.REFINE, Reason.MODEL_IS_THERE),) if incident.refine else ()
    if incident.state is State.ESCALATED:
        return (*_with_a_person(incident), *settling)
    if incident.execution is not None:
        return (Next(Work.EXECUTE, Reason.RESUMED),)
    if incident.report is None:
        return (Next(Work.INVESTIGATE, Reason.NO_REPORT_YET), *settling)
    if incident.approval is not None and incident.approval.outcome is None:
        better = incident.planned_report != incident.report
        replan = (Next(Work.PLAN, Reason.BETTER_REPORT),) if better else ()
        return (_awaiting(incident.approval), *replan, *refining, *settling)
    if incident.approval is not None and incident.approval.outcome is ApprovalOutcome.APPROVED:
        return (Next(Work.EXECUTE, Reason.PLAN_APPROVED),)
    if incident.plan is None or incident.planned_report != incident.report:
        return (Next(Work.PLAN, Reason.NO_PLAN_YET), *refining, *settling)
    if incident.active and incident.verdict is not None and incident.verdict.kind is VerdictKind.REFUSE:
        # Refused and yet not escalated: it was set aside because nothing fired any more.
        return (Next(Work.PLAN, Reason.FIRED_AGAIN), *refining)
    if incident.verdict is not None and incident.verdict.kind is VerdictKind.AUTO:
        return (Next(Work.EXECUTE, Reason.PLAN_ALLOWED),)
    if incident.verdict is not None and incident.verdict.kind is VerdictKind.ASK and incident.approval is None:
        return (Next(Work.ASK, Reason.NOT_ASKED_YET), *refining, *settling)
    return (*refining, *settling)


def replannable(incident: Incident) -> bool:
    """Whether a better report may bring a plan to an incident that went to a person for the lack of one."""
    lacking = incident.state is State.ESCALATED and incident.reason in LACKS_PLAN and incident.execution is None
    return lacking and bool(incident.active) and incident.planned_report != incident.report


def _with_a_person(incident: Incident) -> tuple[Next, ...]:
    """A person has it: a model may still improve what they read, and what was never planned for lack of a cause."""
    found: list[Next] = []
    if replannable(incident):
        found.append(Next(Work.PLAN, Reason.BETTER_REPORT))
    if incident.refine and incident.execution is None and incident.reason not in TAKEN_OVER:
        found.append(Next(Work.REFINE, Reason.MODEL_IS_THERE))
    return tuple(found)


def _awaiting(asked: ApprovalRequest) -> Next:
    """A question waits for its half time, and then for its end."""
    if asked.reminded_at is None:
        return Next(Work.AWAIT, Reason.HALF_TIME, asked.half_time)
    return Next(Work.AWAIT, Reason.WAITING_FOR_PEOPLE, asked.expires_at)


def _settling(incident: Incident) -> tuple[Next, ...]:
    if incident.rule == REQUEST and incident.state is State.ESCALATED and incident.updated_at is not None:
        return (Next(Work.SETTLE, Reason.SETTLING, incident.updated_at + SETTLE),)  # no signal of it ever clears
    if incident.cleared_at is None:
        return ()
    return (Next(Work.SETTLE, Reason.SETTLING, incident.cleared_at + SETTLE),)
