"""What the one who takes over is told: everything learned, in the order in which a person would ask."""

from collections.abc import Sequence

from midwatch.domain.execution import told
from midwatch.domain.incidents import Incident
from midwatch.domain.runs import Phase

_EVIDENCE, _CHECKS = 5, 6
_LONGEST = 400


def handover(incident: Incident) -> tuple[str, ...]:
    """Lines of plain text: why it stopped, cause, evidence, what was tried, what was taken back, what to look at."""
    return (
        *_part("Why a person", [incident.outcome or str(incident.reason)]),
        *_cause(incident),
        *_tried(incident),
        *_part("Taken back", [undo_state(incident)]),
        *_part("Look next", incident.report.next_checks[:_CHECKS] if incident.report else ()),
        *_part("Still firing", [f"{len(incident.active)} of {len(incident.members)} signals"]),
    )


def undo_state(incident: Incident) -> str:
    """Whether anything that Midwatch changed is still changed; empty where nothing was changed."""
    if incident.plan is None or incident.execution is None:
        return ""
    done = [record for record in incident.execution.steps if record.acted]
    if not done:
        return "nothing was changed"
    words = {Phase.UNDONE: "put back as it was", Phase.UNDO_FAILED: "STILL CHANGED, putting it back failed"}
    plan = incident.plan
    return "; ".join(
        f"{plan.steps[record.index].summary}: "
        + words.get(record.phase, "stays" if not plan.steps[record.index].undo else "still changed")
        for record in done
    )


def _cause(incident: Incident) -> tuple[str, ...]:
    report = incident.report
    if report is None:
        return _part("Cause", ["not found yet"])
    sure = f"{report.root_cause} ({report.confidence:.0%} sure, {report.author})"
    evidence = [f"{item.source}{f':{item.line}' if item.line else ''} {item.text}" for item in report.evidence]
    advice = [report.recommended_action] if report.recommended_action else []
    return (*_part("Cause", [sure]), *_part("Evidence", evidence[:_EVIDENCE]), *_part("Advice", advice))


def _tried(incident: Incident) -> tuple[str, ...]:
    if incident.plan is None:
        return ()
    if incident.execution is None:
        return _part("Planned, not done", [incident.plan.title])
    return _part("Tried", told(incident).split(". "))


def _part(name: str, lines: Sequence[str]) -> tuple[str, ...]:
    return tuple(f"{name}: {line[:_LONGEST]}" for line in lines if line)
