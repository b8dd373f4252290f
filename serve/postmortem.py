"""The draft of a post-mortem: what the journal knows, in the order of a review, with a link for each claim.

It blames nobody and guesses nothing: what only people know is left as questions.
"""

from collections.abc import Sequence
from datetime import datetime, timedelta

from midwatch.domain import events as ev
from midwatch.domain import markdown
from midwatch.domain.ids import IncidentId
from midwatch.domain.incidents import Incident, Member
from midwatch.domain.markdown import code, plain
from midwatch.domain.runs import Phase, StepRecord
from midwatch.domain.spans import in_words
from serve.dependencies import Edge
from serve.views import happenings

_MOST_MEMBERS = 30
_MOST_HAPPENINGS = 400
_PAGE = 500

_PHASES = {
    Phase.STARTED: "begun",
    Phase.ACTED: "carried out, not verified yet",
    Phase.VERIFIED: "carried out and verified",
    Phase.FAILED: "failed",
    Phase.UNDOING: "being taken back",
    Phase.UNDONE: "taken back",
    Phase.UNDO_FAILED: "could not be taken back",
}

_QUESTIONS = (
    "Who was affected, and how did they notice?",
    "What would have shown it earlier?",
    "What went well, and what was luck?",
    "What of the cause is still there?",
)


async def whole_draft(edge: Edge, incident_id: IncidentId, base: str) -> str:
    """The draft from the journal as it stands. Raises ``NotFound``."""
    incident = await edge.journal.read(incident_id)
    entries: list[ev.Entry] = []
    while page := await edge.journal.entries(incident.id, after=len(entries), limit=_PAGE):
        entries += page
    return draft(incident, entries, base=base.rstrip("/"), now=edge.clock.now())


def draft(incident: Incident, entries: Sequence[ev.Entry], *, base: str, now: datetime) -> str:
    """The draft as Markdown. ``base`` is the console's address, without a slash at its end; empty: links are relative.

    Whatever was observed is escaped or stands in code spans, so that no log line can format or link anything.
    """
    page = f"{base}/incidents/{incident.id}"
    parts = [
        f"# Post-mortem: {plain(incident.headline or incident.condition)}",
        f"Draft of {_moment(now)}, from the journal of [incident {incident.id}]({page}). Times are UTC.",
        "\n".join(("| | |", "|---|---|", *(f"| {name} | {text} |" for name, text in _facts(incident)))),
        *_section("What broke", _members(incident)),
        *_section("How long each part took", _spans(incident, entries)),
        *_cause(incident),
        *_section("What was done", _steps(incident)),
        *_section("What happened", _told(entries, page)),
        *_section("For people to answer", list(_QUESTIONS)),
        *_section("To do", _to_do(incident)),
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def _facts(incident: Incident) -> list[tuple[str, str]]:
    ended = incident.ended_at or incident.cleared_at
    began = incident.began_at or incident.opened_at
    facts = [
        ("Severity", str(incident.severity)),
        ("State", f"{incident.state}: {plain(incident.outcome)}" if incident.outcome else str(incident.state)),
        ("Where", f"{code(str(incident.owner))} in cluster {code(incident.cluster)}"),
        ("Began", _moment(began) if began else "not known"),
        ("Ended", _moment(ended) if ended else "it has not"),
    ]
    if began and ended:
        facts.append(("Duration", in_words(ended - began)))
    if incident.episodes > 1:
        facts.append(("Times it broke", str(incident.episodes)))
    return facts


def _members(incident: Incident) -> list[str]:
    worst = sorted(incident.members, key=lambda member: (-member.severity.rank, member.first_at))
    lines = [_member(member) for member in worst[:_MOST_MEMBERS]]
    left = len(worst) - len(lines)
    return [*lines, f"and {left} more"] if left else lines


def _member(member: Member) -> str:
    often = f", {member.count} times" if member.count > 1 else ""
    return (
        f"{plain(member.title or member.condition)}: {code(str(member.subject))}, from {_clock(member.first_at)}{often}"
    )


def _spans(incident: Incident, entries: Sequence[ev.Entry]) -> list[str]:
    """From one turn of the story to the next, where both are known."""
    first: dict[type[ev.AnyEvent], datetime] = {}
    for entry in entries:
        first.setdefault(type(entry.event), entry.at)
    turns = (
        ("beginning to noticed", incident.began_at, first.get(ev.IncidentOpened)),
        ("noticed to first report", first.get(ev.IncidentOpened), first.get(ev.ReportMade)),
        ("first report to plan", first.get(ev.ReportMade), first.get(ev.PlanProposed)),
        ("question to answer", first.get(ev.ApprovalRequested), first.get(ev.ApprovalClosed)),
        ("act to verified", first.get(ev.StepActed), first.get(ev.StepVerified)),
        ("noticed to over", first.get(ev.IncidentOpened), incident.ended_at),
    )
    return [f"{name}: {_exact(end - begin)}" for name, begin, end in turns if begin and end and end >= begin]


def _cause(incident: Incident) -> list[str]:
    if incident.report is None:
        return ["## Cause", "No report was made."]
    return [
        "## Cause",
        markdown.report(incident.report).rstrip().replace("\n### ", "\n#### ").replace("## ", "### ", 1),
    ]


def _steps(incident: Incident) -> list[str]:
    if incident.plan is None:
        return [plain(incident.outcome)] if incident.outcome else []
    done = {step.index: step for step in incident.execution.steps} if incident.execution else {}
    lines = [f"Plan: {plain(incident.plan.title)} ({code(incident.plan.playbook)}, {incident.plan.risk} risk)"]
    request = incident.approval
    if request is not None and request.outcome is not None:
        by = f" by {plain(request.decided_by)}" if request.decided_by else ""
        said = f": “{plain(request.comment)}”" if request.comment else ""
        lines.append(f"Question to people: {request.outcome}{by}{said}")
    for index, step in enumerate(incident.plan.steps):
        lines.append(f"{code(step.action)} on {code(str(step.target.ref))}: {_became(done.get(index))}")
    return lines


def _became(record: StepRecord | None) -> str:
    if record is None:
        return "not begun"
    why = record.why or record.detail
    return _PHASES[record.phase] + (f" ({plain(why)})" if why else "")


def _told(entries: Sequence[ev.Entry], page: str) -> list[str]:
    """Oldest first; looks in a row are told together, as on the page."""
    told = happenings(entries)[::-1]
    lines = []
    for happening in told[:_MOST_HAPPENINGS]:
        moment, looks = happening.moments[-1], len(happening.moments)
        detail = f": {plain(moment.detail)}" if moment.detail and looks == 1 else ""
        title = f"Looked at {looks} things" if looks > 1 else plain(moment.title)
        lines.append(f"[{_clock(moment.at)}]({page}#entry-{moment.seq}) {title}{detail} ({plain(moment.by)})")
    left = len(told) - len(lines)
    return [*lines, f"and {left} more"] if left else lines


def _to_do(incident: Incident) -> list[str]:
    report = incident.report
    tasks = [plain(report.prevention)] if report and report.prevention else []
    tasks += [code(check) for check in report.next_checks] if report else []
    return [f"[ ] {task}" for task in (*tasks, "Agree on who does what by when")]


def _section(title: str, items: list[str]) -> list[str]:
    return [f"## {title}", "\n".join(f"- {item}" for item in items)] if items else []


def _moment(when: datetime) -> str:
    return f"{when:%Y-%m-%d %H:%M:%S}"


def _clock(when: datetime) -> str:
    return f"{when:%H:%M:%S}"


def _exact(span: timedelta) -> str:
    """Seconds to a tenth below a minute: that is where detection and diagnosis live."""
    return f"{span.total_seconds():.1f} s" if span < timedelta(minutes=1) else in_words(span)
