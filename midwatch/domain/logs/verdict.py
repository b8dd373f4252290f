"""From reports on logs to one diagnosis, for cases where logs are all there is."""

from collections.abc import Sequence

from midwatch.domain.diagnosis import Diagnosis, Evidence
from midwatch.domain.logs.report import Hit, LogReport
from midwatch.domain.refs import Severity

_SURE = {Severity.CRITICAL: 0.85, Severity.ERROR: 0.75, Severity.WARNING: 0.5, Severity.INFO: 0.2}
_CITED = 4


def diagnose_logs(reports: Sequence[LogReport]) -> Diagnosis | None:
    """The likeliest root cause over all logs, or nothing where nothing rose above severity info."""
    hits = sorted(
        (hit for report in reports for hit in report.hits if hit.finding.severity is not Severity.INFO),
        key=lambda hit: -hit.weight,
    )
    if not hits:
        return None
    best, others = hits[0], hits[1:]
    return Diagnosis(
        root_cause=f"{best.finding.title}: {best.explanation}",
        summary=best.finding.summary,
        confidence=_confidence(best, others),
        condition=best.finding.condition,
        family=best.finding.family,
        subject=best.finding.subject,
        evidence=_evidence(hits),
        factors=tuple(dict.fromkeys(hit.finding.title for hit in others if hit.finding.title != best.finding.title)),
        next_checks=tuple(dict.fromkeys(check for hit in hits[:2] for check in hit.checks)),
        recommended_action=best.remedy,
    )


def _confidence(best: Hit, others: Sequence[Hit]) -> float:
    """Less where the failure was overcome, or where another of equal weight speaks for a different family."""
    sure = _SURE[best.finding.severity]
    rivals = any(hit.weight == best.weight and hit.finding.family != best.finding.family for hit in others)
    return round(sure * (0.6 if best.recovered else 1.0) * (0.8 if rivals else 1.0), 2)


def _evidence(hits: Sequence[Hit]) -> tuple[Evidence, ...]:
    cited = (evidence for hit in hits for evidence in hit.finding.evidence[:2])
    return tuple(dict.fromkeys(cited))[:_CITED]
