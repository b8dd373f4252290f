"""What is believed to be wrong, and what was seen that says so."""

from datetime import datetime

import msgspec

from midwatch.domain.refs import ObjectRef, Severity


class Evidence(msgspec.Struct, frozen=True, omit_defaults=True):
    """One thing that was seen. A claim without evidence is an opinion.

    ``source`` says where: ``object:Pod/shop/web-1`` with ``path`` (``status.containerStatuses[0].state``), ``event:…``,
    ``logs:NAME`` with ``line`` (1-based) and the line's ``text``, or ``tool:NAME`` with ``call_id``.
    """

    source: str
    text: str
    line: int | None = None
    path: str = ""
    call_id: str = ""


class Finding(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One condition seen on one object at one instant.

    ``condition`` and ``family`` come from the catalogue (:mod:`midwatch.domain.conditions`); ``owners`` runs from the
    direct controller to the top; ``since`` is when the object says it began, the same at every look at one episode.
    """

    condition: str
    family: str
    severity: Severity
    subject: ObjectRef
    title: str
    summary: str = ""
    owners: tuple[ObjectRef, ...] = ()
    evidence: tuple[Evidence, ...] = ()
    since: datetime | None = None

    @property
    def top_owner(self) -> ObjectRef:
        """The workload, node or volume that a person would name: the last owner, or the subject itself."""
        return self.owners[-1] if self.owners else self.subject


class Diagnosis(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A root cause with its evidence, and what may be done about it.

    ``title`` is a headline: the object a person would name, and what is wrong with it. ``confidence`` lies between 0
    and 1. ``playbook`` and ``parameters`` are a proposal only: code resolves them against
    live objects and policy decides. ``author`` is ``built-in`` or ``provider/model``;
    ``notes`` say what of its answer did not hold and was dropped.
    """

    root_cause: str
    summary: str
    confidence: float
    title: str = ""
    condition: str = ""
    family: str = ""
    subject: ObjectRef | None = None
    evidence: tuple[Evidence, ...] = ()
    factors: tuple[str, ...] = ()
    ruled_out: tuple[str, ...] = ()
    next_checks: tuple[str, ...] = ()
    recommended_action: str = ""
    prevention: str = ""
    playbook: str = ""
    parameters: dict[str, str] = {}
    author: str = "built-in"
    notes: tuple[str, ...] = ()
