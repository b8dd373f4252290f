"""From a model's answer to a diagnosis: code checks what it claims; what does not hold is dropped and noted."""

from collections.abc import Callable, Iterable
from typing import Protocol

import msgspec

from midwatch.domain.compiling import choose
from midwatch.domain.conditions import CATALOGUE
from midwatch.domain.diagnosis import Diagnosis, Evidence
from midwatch.domain.dialogue import ModelReply
from midwatch.domain.errors import Refused
from midwatch.domain.incidents import Incident
from midwatch.domain.reasons import Reason
from midwatch.domain.recipes import Playbook
from midwatch.domain.refs import ObjectRef
from midwatch.services.reasoning.answers import Answer, Named, cut
from midwatch.services.reasoning.memory import Memory
from midwatch.services.reasoning.outputs import found_at

UNKNOWN = "unknown"
_CAPS = (0.3, 0.7, 0.85, 0.95)
"""The most that an answer may be believed with no, one, two, three or more pieces of evidence that hold."""
_QUOTE = 400
_LEAST = 4
"""Quotes of fewer characters prove nothing: they stand everywhere."""


class Playbooks(Protocol):
    """The catalogue, as far as answers are checked against it."""

    @property
    def all(self) -> tuple[Playbook, ...]: ...

    def get(self, playbook_id: str) -> Playbook | None:
        """The playbook of this id."""
        ...


class Verdict(msgspec.Struct, frozen=True):
    """A diagnosis, and why it may not replace the first report (``None``: it may)."""

    diagnosis: Diagnosis
    objection: Reason | None


def judge(
    answer: Answer,
    reply: ModelReply,
    incident: Incident,
    report: Diagnosis,
    memory: Memory,
    playbooks: Playbooks,
    mask: Callable[[str], str],
) -> Verdict:
    """Check an answer. ``report`` is the first report, which stands where the answer brings nothing better."""
    notes: list[str] = []
    evidence = _evidence(answer, memory, notes)
    known = answer.known and answer.root_cause.strip().lower() not in ("", UNKNOWN)
    playbook, parameters = _playbook(answer, playbooks, notes) if known else ("", {})
    condition = answer.condition if answer.condition in CATALOGUE else ""
    confidence = min(answer.confidence, _CAPS[min(len(evidence), len(_CAPS) - 1)])
    if not known:
        confidence = min(confidence, 0.3)
    elif confidence < answer.confidence:
        notes.append(f"The model was {answer.confidence:.0%} sure; its evidence carries {confidence:.0%}.")
    diagnosis = Diagnosis(
        root_cause=mask(answer.root_cause) if known else UNKNOWN,
        summary=mask(answer.summary or answer.root_cause),
        confidence=round(confidence, 3),
        title=mask(answer.title) or report.title,
        condition=condition or report.condition,
        family=CATALOGUE[condition].family if condition else report.family,
        subject=_subject(answer.subject, incident, report, notes),
        evidence=evidence,
        factors=_masked(answer.factors, mask),
        ruled_out=_masked(answer.ruled_out, mask),
        next_checks=_masked(answer.next_checks, mask) or report.next_checks,
        recommended_action=mask(answer.recommended_action),
        prevention=mask(answer.prevention),
        playbook=playbook,
        parameters=parameters,
        author=f"{reply.provider}/{reply.model}",
        notes=tuple(mask(note) for note in notes),
    )
    return Verdict(diagnosis, _objection(diagnosis, report))


def _objection(diagnosis: Diagnosis, report: Diagnosis) -> Reason | None:
    unknown = diagnosis.root_cause == UNKNOWN
    if unknown and (report.root_cause != UNKNOWN or not diagnosis.next_checks):
        return Reason.NOTHING_BETTER
    if not unknown and not diagnosis.evidence:
        return Reason.EVIDENCE_MISSING
    return None


def _evidence(answer: Answer, memory: Memory, notes: list[str]) -> tuple[Evidence, ...]:
    """What was cited and is there: with the line in which it really stands."""
    found: dict[tuple[str, int], Evidence] = {}
    dropped = 0
    for cited in answer.evidence:
        output = memory.origin(cited.call_id.strip("[] "))
        quote = _without_number(cited.quote)
        if output is None or len("".join(quote.split())) < _LEAST:
            dropped += 1
            continue
        line = found_at(output, quote, cited.line)
        if line is None:
            dropped += 1
            continue
        key = (output.call_id, line)
        found.setdefault(
            key, Evidence(source=f"tool:{output.tool}", text=cut(quote, _QUOTE), line=line, call_id=output.call_id)
        )
    if dropped:
        notes.append(f"{dropped} of {len(answer.evidence)} citations were dropped: nothing of the kind was seen.")
    return tuple(found.values())


def _without_number(quote: str) -> str:
    """A quote without the line number that stood in front of what was shown."""
    number, bar, rest = quote.partition("| ")
    return rest if bar and number.strip().isdigit() else quote


def _playbook(answer: Answer, playbooks: Playbooks, notes: list[str]) -> tuple[str, dict[str, str]]:
    """The playbook that was named, if there is one and its parameters are of its types and within its bounds."""
    if not answer.playbook:
        return "", {}
    playbook = playbooks.get(answer.playbook)
    if playbook is None:
        notes.append(f"The model named a playbook that is not in the catalogue: {answer.playbook}")
        return "", {}
    parameters = {item.name: _plain(item.value) for item in answer.parameters if item.name}
    try:
        choose(playbook, parameters)
    except Refused as error:
        notes.append(f"The model's parameters for {playbook.id} were dropped: {error.message}")
        return "", {}
    return playbook.id, parameters


def _plain(value: str | int | float | bool) -> str:
    return value if isinstance(value, str) else str(value).lower() if isinstance(value, bool) else str(value)


def _subject(named: Named | None, incident: Incident, report: Diagnosis, notes: list[str]) -> ObjectRef | None:
    """What the report points at: one of the incident's own objects, else what the first report pointed at."""
    if named is None or not named.name:
        return report.subject
    wanted = ObjectRef(named.kind, named.name, named.namespace).path
    for ref in own_objects(incident, report):
        if ref.path == wanted:
            return ref
    notes.append(f"The model points at {cut(wanted, 200)}, which is not part of this incident.")
    return report.subject


def own_objects(incident: Incident, report: Diagnosis) -> Iterable[ObjectRef]:
    """Every object that the incident's signals and its first report name."""
    if report.subject is not None:
        yield report.subject
    yield from (incident.owner, incident.subject)
    for member in incident.members:
        yield member.subject
        yield from member.related


def _masked(items: tuple[str, ...], mask: Callable[[str], str]) -> tuple[str, ...]:
    return tuple(mask(item) for item in items)
