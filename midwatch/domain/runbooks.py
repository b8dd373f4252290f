"""Runbooks: what people wrote down for such a case, and which of them fits an incident. They are data, never orders."""

import re
from collections.abc import Iterable

import msgspec

from midwatch.domain.diagnosis import Diagnosis
from midwatch.domain.ids import IncidentId
from midwatch.domain.incidents import Incident

MAX_BYTES = 64 * 1024
"""Of one runbook; a larger one is refused."""

_LOOKED_AT = 4_000
_HTML = re.compile(r"\s*<(?:!doctype|html|head|body)\b", re.IGNORECASE)
_CONTROL = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]")


class RunbookPage(msgspec.Struct, frozen=True, kw_only=True):
    """One runbook of the folder. ``id`` is its file's name without the ending; an alert may ask for it by that.

    ``conditions`` are ids of the catalogue (one with children covers them), ``labels`` must all equal the incident's
    (``cluster``, ``namespace``, ``kind``, ``name``, ``rule``, ``severity``), ``patterns`` are sought in the cause.
    """

    id: str
    title: str
    text: str
    source: str
    conditions: tuple[str, ...] = ()
    labels: dict[str, str] = {}
    patterns: tuple[str, ...] = ()


def labels_of(incident: Incident) -> dict[str, str]:
    """What a runbook's ``labels`` are compared with."""
    owner = incident.owner
    return {
        "cluster": incident.cluster,
        "namespace": owner.namespace,
        "kind": owner.kind,
        "name": owner.name,
        "rule": incident.rule,
        "severity": str(incident.severity),
    }


LABELS = frozenset(labels_of(Incident(id=IncidentId(""))))


def fitting(pages: Iterable[RunbookPage], incident: Incident, report: Diagnosis) -> tuple[tuple[RunbookPage, str], ...]:
    """The runbooks that fit, each with why, best first: asked for by id, by labels, by condition, by the cause."""
    asked = {member.runbook_id for member in incident.members if member.runbook_id}
    conditions = [report.condition, incident.condition, *(member.condition for member in incident.members)]
    labels = labels_of(incident)
    cause = " ".join((report.root_cause, report.title, report.summary, *report.factors))[:_LOOKED_AT]
    ranked: list[tuple[int, RunbookPage, str]] = []
    for page in pages:
        if page.id in asked:
            ranked.append((0, page, "an alert asks for it"))
        elif any(labels.get(name) != value for name, value in page.labels.items()):
            continue
        elif page.labels and not page.conditions and not page.patterns:
            ranked.append((1, page, "its labels are the incident's"))
        elif (rank := _covered(page, conditions)) is not None:
            ranked.append((2 + rank, page, f"it is for {conditions[rank]}"))
        elif pattern := _found(page, cause):
            ranked.append((1000, page, f"the cause matches {pattern!r}"))
    ranked.sort(key=lambda item: (item[0], not item[1].labels, item[1].id))
    return tuple((page, why) for _, page, why in ranked)


def _covered(page: RunbookPage, conditions: list[str]) -> int | None:
    """Where in ``conditions`` the first one stands that the page covers."""
    for rank, condition in enumerate(conditions):
        if condition and any(condition == own or condition.startswith(f"{own}/") for own in page.conditions):
            return rank
    return None


def _found(page: RunbookPage, cause: str) -> str:
    return next((pattern for pattern in page.patterns if re.search(pattern, cause, re.IGNORECASE)), "")


def unfit(data: bytes) -> str:
    """Why ``data`` is no runbook; empty when it is one: readable text of bearable size, and no web page."""
    if len(data) > MAX_BYTES:
        return f"larger than {MAX_BYTES} bytes"
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError:
        return "not UTF-8 text"
    if not text.strip():
        return "empty"
    if _CONTROL.search(text):
        return "holds control characters"
    return "a web page, not its text" if _HTML.match(text) else ""
