"""The built-in analyser: from what was gathered around one trouble to findings and one diagnosis."""

from collections.abc import Iterable, Sequence
from datetime import datetime

import msgspec

from midwatch.domain.analysis import advice, causes, logs
from midwatch.domain.analysis.changes import Change, latest_change
from midwatch.domain.analysis.hints import hints
from midwatch.domain.conditions import CATALOGUE, detect
from midwatch.domain.diagnosis import Diagnosis, Evidence, Finding
from midwatch.domain.logs.report import LogReport
from midwatch.domain.objects.meta import Base
from midwatch.domain.objects.view import ClusterView
from midwatch.domain.refs import ObjectRef, Severity

GUILTY = 0.8
"""How sure it is at least that a rollout is the cause when only its pods fail."""
CITED = 8
"""Pieces of evidence a diagnosis carries at most."""


class Analysis(msgspec.Struct, frozen=True):
    """Everything found, and the root cause; no diagnosis where nothing is wrong."""

    findings: tuple[Finding, ...]
    diagnosis: Diagnosis | None


def analyse(
    objects: Iterable[Base], reports: Sequence[LogReport], now: datetime, *, focus: ObjectRef | None = None
) -> Analysis:
    """Look at a snapshot and its logs as of ``now``.

    ``focus`` is what an incident is about: then only what belongs to it is explained, although all is reported.
    """
    view = ClusterView.of(objects)
    found = detect(view, now)
    attached = logs.attach(view, found, reports)
    findings = (*found, *attached.findings)
    if not any(finding.severity is not Severity.INFO for finding in findings):
        findings = (*findings, *hints(view))
    cause = causes.find(view, findings, attached, focus)
    if cause is None:
        return Analysis(findings, _by_logs_alone(attached, findings))
    change = latest_change(view, cause.finding, now)
    return Analysis(findings, _diagnosis(view, cause, change))


def _diagnosis(view: ClusterView, cause: causes.Cause, change: Change | None) -> Diagnosis:
    root, log = cause.finding, cause.log
    proposal = advice.proposal(view, root, change)
    evidence: list[Evidence] = [*root.evidence]
    if log is not None:
        evidence += log.finding.evidence[:3]
    for effect in (*cause.chain, *cause.effects):
        evidence += effect.evidence[:1]
    factors = [effect.title for effect in cause.effects]
    if change is not None:
        evidence.append(change.evidence)
        factors.insert(0, change.sentence)
    return Diagnosis(
        root_cause=_with_change(cause.sentence, change),
        summary=_summary(cause, change),
        confidence=max(cause.confidence, GUILTY) if change is not None and change.guilty else cause.confidence,
        title=_headline(root),
        condition=root.condition,
        family=root.family,
        subject=proposal.subject,
        evidence=tuple(dict.fromkeys(evidence))[:CITED],
        factors=tuple(dict.fromkeys(factors))[:6],
        ruled_out=advice.ruled_out(view, root, cause.related, change),
        next_checks=advice.next_checks(root, log),
        recommended_action=proposal.action,
        prevention=advice.prevention(root),
        playbook=proposal.playbook,
        parameters=proposal.parameters,
    )


def _headline(root: Finding) -> str:
    entry = CATALOGUE.get(root.condition)
    owner = root.top_owner
    return f"{owner.kind} {owner.name}: {entry.title}" if entry else root.title


def _with_change(sentence: str, change: Change | None) -> str:
    """The recent change belongs to the cause where all that fails came with it."""
    if change is None or not change.guilty:
        return sentence
    return f"{sentence} Only pods of the newest revision fail: the rollout of revision {change.revision} began it."


def _summary(cause: causes.Cause, change: Change | None) -> str:
    parts = [cause.finding.title + ".", cause.finding.summary]
    if cause.log is not None:
        parts.append(f"Its log shows: {cause.log.finding.title}. {cause.log.finding.summary}")
    if cause.chain:
        parts.append("This follows from: " + "; ".join(link.title for link in cause.chain) + ".")
    if cause.effects:
        parts.append(f"Consequences seen: {'; '.join(effect.title for effect in cause.effects[:4])}.")
    if change is not None:
        parts.append(change.sentence + ".")
    return " ".join(part for part in parts if part)


def _by_logs_alone(attached: logs.Attached, findings: Sequence[Finding]) -> Diagnosis | None:
    """No object explains anything. A log that complains is worth a word, a careful one where the objects are well."""
    hit = attached.best
    if hit is None:
        return None
    well = all(finding.severity is Severity.INFO for finding in findings)
    return Diagnosis(
        root_cause=f"{hit.finding.title}: {hit.explanation}",
        summary=hit.finding.summary + (" The objects themselves look well." if well else ""),
        confidence=0.3 if well else 0.6,
        condition=hit.finding.condition,
        family=hit.finding.family,
        evidence=hit.finding.evidence[:3],
        next_checks=hit.checks,
        recommended_action=hit.remedy,
    )
