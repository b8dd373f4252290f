"""A journal in words that a person understands at three in the morning."""

from datetime import datetime

import msgspec

from midwatch.domain import events as ev
from midwatch.domain.approvals import ApprovalOutcome, Choice
from midwatch.domain.cards import who_may
from midwatch.domain.playbooks import VerdictKind
from midwatch.domain.reasons import Reason
from midwatch.domain.runs import touched


class Moment(msgspec.Struct, frozen=True, kw_only=True):
    """One entry for people.

    ``tone`` is ``info``, ``work``, ``good``, ``bad`` or ``ask``; ``why`` is the reason in words; ``more`` is long text
    that is shown on demand; ``call`` is the id of a look at the world, by which evidence names it.
    """

    seq: int
    at: datetime
    by: str
    type: str
    reason: str
    title: str
    detail: str = ""
    why: str = ""
    more: str = ""
    tone: str = "info"
    call: str = ""


_LONGEST = 8000

_WHY = {
    Reason.RULE_MATCHED: "a rule asks for it",
    Reason.JOINED_OPEN_INCIDENT: "it belongs to an incident that is open",
    Reason.FIRED_AGAIN: "it fired again",
    Reason.CAUSE_IS_OPEN: "its cause is this incident's",
    Reason.ADOPTED_BY_CAUSE: "one cause, one incident",
    Reason.REOPENED_IN_COOLDOWN: "it was over for a short while only",
    Reason.NO_REPORT_YET: "there was no report yet",
    Reason.EVIDENCE_UNAVAILABLE: "some evidence could not be had",
    Reason.BUILT_IN_ANALYSIS: "found without a model",
    Reason.MODEL_REFINED: "refined by a model",
    Reason.MODEL_MISSING: "no model is configured here",
    Reason.MODEL_AWAY: "no model could be reached",
    Reason.MODEL_REFUSED: "the model would not answer",
    Reason.ANSWER_INVALID: "the model's answer could not be read",
    Reason.EVIDENCE_MISSING: "the model's answer cited nothing that was seen",
    Reason.NOTHING_BETTER: "the first report says more",
    Reason.ASKED_FOR_MORE: "it wants to see more",
    Reason.KNOWS_ENOUGH: "it has seen enough",
    Reason.LOOP_DETECTED: "it asked the same again and again",
    Reason.ROUNDS_SPENT: "its rounds are spent",
    Reason.DATA_SPENT: "it has read as much as allowed",
    Reason.ASKED_BEFORE: "it was asked before",
    Reason.LIMIT_REACHED: "a limit was reached",
    Reason.RACE_LOST: "another explanation held first",
    Reason.PLAN_UNCHANGED: "nothing about the plan changed",
    Reason.PLAN_SUPERSEDED: "a better plan replaced it",
    Reason.TIER_HUMAN_ONLY: "the rule leaves this to people",
    Reason.RISK_NEEDS_APPROVAL: "its risk needs a person's word",
    Reason.LOW_RISK_ALLOWED: "policy lets low risk run alone",
    Reason.ABOVE_RISK_CEILING: "its risk is above what policy allows here",
    Reason.NOBODY_MAY_APPROVE: "nobody may approve all that it touches",
    Reason.PROTECTED_NAMESPACE: "the namespace is protected",
    Reason.FROZEN: "changes are frozen",
    Reason.CONFIDENCE_TOO_LOW: "the cause is not certain enough",
    Reason.RATE_EXCEEDED: "too many actions in this hour",
    Reason.CIRCUIT_OPEN: "earlier actions failed; it waits",
    Reason.GITOPS_OWNED: "GitOps owns the object and would undo it",
    Reason.HUMAN_EDIT_RECENT: "a person edited it minutes ago",
    Reason.TARGET_GONE: "the object is gone",
    Reason.TARGET_CHANGED: "the object changed meanwhile",
    Reason.TARGET_RECOVERED: "the object recovered, others still fire",
    Reason.PLAYBOOK_CHANGED: "its playbook was edited meanwhile",
    Reason.TARGET_OUTSIDE_INCIDENT: "the object is outside this incident",
    Reason.NO_PLAYBOOK: "no playbook fits",
    Reason.APPROVAL_EXPIRED: "nobody answered in time",
    Reason.REJECTED_BY_HUMAN: "a person said no",
    Reason.QUORUM_REACHED: "enough people agreed",
    Reason.CONFIRMATION_NEEDED: "high risk is confirmed twice",
    Reason.CLOCK_TURNED_BACK: "the clock was turned back",
    Reason.SIGNALS_CLEARED: "every signal cleared",
    Reason.RESUMED: "taken up again after an interruption",
    Reason.FOUND_APPLIED: "it was found done already",
    Reason.RIGHT_MISSING: "a right is missing",
    Reason.OUTCOME_UNKNOWN: "its effect could not be observed",
    Reason.RESOURCE_BUSY: "another action holds the object",
    Reason.ALL_STEPS_VERIFIED: "every step was verified",
    Reason.STILL_FIRING: "what was done held, but more is wrong",
    Reason.ATTEMPTS_EXHAUSTED: "it was tried as often as allowed",
}


def moment_of(entry: ev.Entry) -> Moment:
    """What one entry tells."""
    title, detail, tone = _told(entry.event)
    return Moment(
        seq=entry.seq,
        at=entry.at,
        by=entry.by,
        type=type_of(entry.event),
        reason=entry.event.reason,
        title=title,
        detail=detail,
        why=_WHY.get(entry.event.reason, ""),
        more=_more(entry.event)[:_LONGEST],
        tone=tone,
        call=entry.event.call_id if isinstance(entry.event, ev.ToolCalled) else "",
    )


def _more(event: ev.AnyEvent) -> str:
    match event:
        case ev.ToolCalled():
            return event.output
        case ev.Briefed():
            return event.text
        case ev.ModelTurned():
            return event.reply.turn.text
        case _:
            return ""


def type_of(event: ev.AnyEvent) -> str:
    """The event's stable name in the journal."""
    return str(event.__struct_config__.tag)


def _told(event: ev.AnyEvent) -> tuple[str, str, str]:
    match event:
        case ev.IncidentOpened():
            return f"Incident opened: {event.title}", f"{event.condition} on {event.owner}", "bad"
        case ev.SignalAttached():
            return f"{event.condition} on {event.subject}", event.title, "bad"
        case ev.SignalCleared():
            return "A signal cleared", event.detail or event.identity.rpartition("|")[2], "good"
        case ev.InvestigationStarted():
            again = f" (attempt {event.attempt})" if event.attempt > 1 else ""
            return f"Investigation started{again}", "", "work"
        case ev.ToolCalled():
            outcome = "" if event.ok else " — it failed"
            return f"Looked: {event.tool}{outcome}", _short(event.input), "work" if event.ok else "bad"
        case ev.ReportMade():
            sure = f"{event.diagnosis.confidence:.0%} sure, {event.diagnosis.author}"
            return f"Cause found: {event.diagnosis.root_cause}", sure, "info"
        case ev.PlanProposed():
            verdict = {
                VerdictKind.AUTO: "may run alone",
                VerdictKind.ASK: "needs a person",
                VerdictKind.REFUSE: "refused",
            }
            tone = "bad" if event.verdict.kind is VerdictKind.REFUSE else "info"
            detail = f"{event.plan.risk} risk, {verdict[event.verdict.kind]}: {event.verdict.sentence}"
            return f"Plan: {event.plan.title}", detail, tone
        case ev.PlanMissing():
            return "No plan could be made", event.detail, "bad"
        case ev.PlanKept():
            return "The better report leads to the same plan", "", "info"
        case ev.RefinementStarted() | ev.Briefed() | ev.ModelTurned() | ev.IterationEnded() | ev.RefinementEnded():
            return _told_of_model(event)
        case ev.ModelBroke():
            return "The model broke off", f"{event.tokens:,} tokens, ${event.usd:.2f}: {event.detail}", "bad"
        case _:
            return _told_of_approval(event)


def _told_of_model(
    event: ev.RefinementStarted | ev.Briefed | ev.ModelTurned | ev.IterationEnded | ev.RefinementEnded,
) -> tuple[str, str, str]:
    match event:
        case ev.RefinementStarted():
            again = f" (attempt {event.attempt})" if event.attempt > 1 else ""
            return f"A model looks deeper{again}", "", "work"
        case ev.Briefed():
            return "A model is told what is known", event.hypothesis, "work"
        case ev.ModelTurned():
            return f"{event.reply.provider}/{event.reply.model} thought", _short(event.reply.turn.text), "work"
        case ev.IterationEnded():
            return (
                f"Round {event.iteration}: {_short(event.partial or event.reasoning)}",
                ", ".join(event.tools),
                "work",
            )
        case ev.RefinementEnded():
            return "The model is done", event.detail, "info"


def _told_of_approval(event: ev.AnyEvent) -> tuple[str, str, str]:
    match event:
        case ev.ApprovalRequested():
            return "Waiting for a person's word", who_may(event.request), "ask"
        case ev.ApprovalReminded():
            return "Half of the time is gone: asked once more", "", "ask"
        case ev.CancelAsked():
            return f"{event.by} wants it to stop", event.comment, "bad"
        case ev.ApprovalVoted():
            word = {Choice.APPROVE: "approved", Choice.CONFIRM: "confirmed", Choice.REJECT: "rejected"}
            return f"{event.vote.user} {word[event.vote.choice]}", "", "ask"
        case ev.ApprovalClosed():
            titles = {
                ApprovalOutcome.APPROVED: ("Approved", "good"),
                ApprovalOutcome.REJECTED: ("Rejected", "bad"),
                ApprovalOutcome.EXPIRED: ("Nobody answered in time", "bad"),
                ApprovalOutcome.VOID: ("The question was withdrawn", "info"),
            }
            title, tone = titles[event.outcome]
            by = (
                f" by {event.by}"
                if event.by and event.outcome in (ApprovalOutcome.APPROVED, ApprovalOutcome.REJECTED)
                else ""
            )
            return title + by, event.comment, tone
        case _:
            return _told_of_execution(event)


def _told_of_execution(event: ev.AnyEvent) -> tuple[str, str, str]:
    match event:
        case ev.ExecutionStarted():
            return "Carrying out the plan", "", "work"
        case ev.StepStarted():
            return f"Step {event.index + 1}: checked, acting now", "", "work"
        case ev.StepActed():
            return f"Step {event.index + 1}: done, watching whether it helps", touched(event.detail), "work"
        case ev.StepVerified():
            return f"Step {event.index + 1}: verified", event.detail, "good"
        case ev.StepFailed():
            return f"Step {event.index + 1}: did not work", event.detail, "bad"
        case ev.UndoStarted():
            return f"Step {event.index + 1}: taking it back", "", "work"
        case ev.StepUndone():
            return f"Step {event.index + 1}: taken back", event.detail, "info"
        case ev.UndoFailed():
            return f"Step {event.index + 1}: could not be taken back", event.detail, "bad"
        case ev.Resolved():
            return "Resolved", event.detail, "good"
        case ev.Escalated():
            return "A person must take over", event.detail, "bad"
        case ev.Closed():
            return "Closed", event.detail, "good"
        case ev.Adopted():
            return f"Became part of incident {event.into[:18]}", event.detail, "info"
        case ev.Reopened():
            return "Fired again, taken up anew", "", "bad"
        case _:
            return type_of(event).replace("-", " ").capitalize(), "", "info"


def _short(text: str) -> str:
    return text if len(text) <= 240 else f"{text[:240]}…"
