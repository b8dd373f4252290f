"""One incident's message, the same for every channel: what broke, why, what may be done, and who was asked."""

import hashlib
from datetime import datetime

import msgspec

from midwatch.domain.approvals import ApprovalOutcome, ApprovalRequest, Choice
from midwatch.domain.handover import handover
from midwatch.domain.ids import ApprovalId, IncidentId
from midwatch.domain.incidents import Incident, State
from midwatch.domain.playbooks import BlastRadius
from midwatch.domain.refs import Severity


class Button(msgspec.Struct, frozen=True):
    """An answer that can be given to an open approval."""

    label: str
    choice: Choice
    approval: ApprovalId
    digest: str


class Card(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Channel-neutral content; each channel renders it in its own markup and escapes it there.

    ``reminded``: half of the time to answer is gone. ``rung`` and ``called``: how often the question was passed on, and
    to whom. ``handover``: everything learned, line by line, for the one who takes over.
    """

    incident: IncidentId
    state: State
    severity: Severity
    headline: str
    began_at: datetime | None = None
    ended_at: datetime | None = None
    affected: int = 0
    cause: str = ""
    confidence: float | None = None
    evidence: tuple[str, ...] = ()
    action: str = ""
    diff: str = ""
    blast: tuple[str, ...] = ()
    undo: str = ""
    ask: str = ""
    expires_at: datetime | None = None
    buttons: tuple[Button, ...] = ()
    outcome: str = ""
    reminded: bool = False
    rung: int = 0
    called: tuple[str, ...] = ()
    handover: tuple[str, ...] = ()
    details: tuple[str, ...] = ()
    """The investigation in lines, for a thread or a fold: more than a phone shows at once."""


def card_of(incident: Incident) -> Card:
    """What people should see of an incident now."""
    report, plan, approval = incident.report, incident.plan, incident.approval
    asking = approval is not None and approval.outcome is None and not incident.state.final
    return Card(
        incident=incident.id,
        state=incident.state,
        severity=incident.severity,
        headline=incident.headline,
        began_at=incident.began_at,
        ended_at=incident.ended_at,
        affected=len(incident.active),
        cause=report.root_cause if report else "",
        confidence=report.confidence if report else None,
        evidence=tuple(_evidence_line(item.source, item.line, item.text) for item in report.evidence[:2])
        if report
        else (),
        action=plan.title if plan else "",
        diff="\n".join(step.diff for step in plan.steps if step.diff) if plan else "",
        blast=_blast(incident),
        undo=plan.undo_summary if plan else "",
        ask=_ask(incident),
        expires_at=approval.expires_at if approval and asking else None,
        buttons=_buttons(incident) if asking else (),
        outcome=incident.outcome,
        reminded=asking and approval is not None and approval.reminded_at is not None,
        rung=approval.rung if approval and asking else 0,
        called=approval.called if approval and asking else (),
        handover=handover(incident) if incident.state is State.ESCALATED else (),
        details=_details(incident),
    )


def card_digest(card: Card) -> str:
    """Equal for cards that look the same: then there is nothing to edit."""
    return hashlib.sha256(msgspec.json.encode(card, order="deterministic")).hexdigest()[:32]


def who_may(request: ApprovalRequest) -> str:
    """Whose word is asked for, as a clause."""
    named = ", ".join(request.approvers)
    if request.quorum > 1:
        return f"{request.quorum} of {named} must approve" if named else f"{request.quorum} approvers must approve"
    return f"{named} may approve" if named else "any approver may approve"


def _evidence_line(source: str, line: int | None, text: str) -> str:
    return f"{source}{f':{line}' if line else ''} {text[:200]}"


def _blast(incident: Incident) -> tuple[str, ...]:
    if incident.plan is None:
        return ()
    return (*touches(incident.plan.blast), *incident.plan.blast.notes)


def touches(blast: BlastRadius) -> list[str]:
    """How much a plan touches, in words; its notes aside."""
    lines = [f"{blast.pods} pods restart, {blast.ready_now} are ready now"] if blast.pods and not blast.evicts else []
    if blast.pdb_headroom is not None:
        lines.append(f"disruption budget leaves {blast.pdb_headroom}")
    if blast.endpoints_left is not None:
        lines.append(f"{blast.endpoints_left} endpoints stay")
    return lines


def _ask(incident: Incident) -> str:
    approval, verdict = incident.approval, incident.verdict
    if approval is None:
        return verdict.sentence if verdict else ""
    if approval.outcome is None:
        given = len({vote.user for vote in approval.votes if vote.choice is not Choice.REJECT})
        return f"{who_may(approval)} ({given} so far)" if approval.quorum > 1 else who_may(approval)
    how = {
        ApprovalOutcome.APPROVED: "Approved",
        ApprovalOutcome.REJECTED: "Rejected",
        ApprovalOutcome.EXPIRED: "Nobody answered in time",
        ApprovalOutcome.VOID: "No longer needed",
    }[approval.outcome]
    return f"{how}{f' by {approval.decided_by}' if approval.decided_by else ''}"


def _buttons(incident: Incident) -> tuple[Button, ...]:
    """What may be answered now. Where several approve in two steps each, some are at the first, some at the second."""
    approval = incident.approval
    if approval is None:
        return ()
    confirming = approval.confirm and any(vote.choice is Choice.APPROVE for vote in approval.votes)
    choices = [(Choice.APPROVE, "Approve")] if not confirming or approval.quorum > 1 else []
    choices += [(Choice.CONFIRM, "Confirm")] if confirming else []
    choices += [(Choice.REJECT, "Reject")]
    return tuple(Button(label, choice, approval.id, approval.digest) for choice, label in choices)


def _details(incident: Incident) -> tuple[str, ...]:
    report, plan = incident.report, incident.plan
    lines = []
    if report is not None:
        lines += [f"By {report.author}: {report.summary}"] if report.summary else []
        lines += [f"Seen: {_evidence_line(item.source, item.line, item.text)}" for item in report.evidence[:8]]
        lines += [f"Factor: {text}" for text in report.factors[:4]]
        lines += [f"Ruled out: {text}" for text in report.ruled_out[:4]]
        lines += [f"Look next: {text}" for text in report.next_checks[:4]]
        lines += [f"Prevent: {report.prevention}"] if report.prevention else []
    if plan is not None:
        lines += [f"Step {number}: {step.summary or step.action}" for number, step in enumerate(plan.steps[:6], 1)]
        lines += [f"Mind: {text}" for text in plan.warnings[:4]]
    return tuple(line[:400] for line in lines)
