"""Drafting: from a report to a plan that is resolved against live objects and rehearsed. Changes and keeps nothing."""

from collections.abc import Sequence
from contextlib import suppress
from fnmatch import fnmatchcase
from typing import Protocol

import msgspec

from midwatch.domain.checks import Scene, Standing
from midwatch.domain.compiling import compile_plan, together
from midwatch.domain.errors import Conflict, NotFound, Permanent, Refused
from midwatch.domain.incidents import Incident
from midwatch.domain.observed import Observed
from midwatch.domain.playbooks import PROMQL, Plan, PlanStep
from midwatch.domain.reasons import Reason
from midwatch.domain.recipes import Mode, Playbook
from midwatch.domain.recovery import recovered
from midwatch.domain.refs import ObjectRef
from midwatch.services.checking import Checking
from midwatch.services.effects import ActionCall, LiveObjects, Rehearsal
from midwatch.services.runtime import Clock

_LOOKS = 10
"""How many of an incident's own objects are looked at for the target of a plan: a storm has hundreds."""
_EACH = 50
"""For how many objects one plan has steps: more would be no plan that a person can read."""


class Catalogue(Protocol):
    """The playbooks in force."""

    def get(self, playbook_id: str) -> Playbook | None: ...

    def for_condition(self, condition: str) -> Playbook | None:
        """The first playbook that applies to the condition (an exact id before a family such as ``Image*``)."""
        ...


class Drafting:
    """Finds the playbook, its target within the incident, and what the API server says to each step."""

    def __init__(
        self,
        catalogue: Catalogue,
        live: LiveObjects,
        rehearsal: Rehearsal,
        clock: Clock,
        *,
        checking: Checking | None = None,
    ) -> None:
        self._catalogue, self._live, self._rehearsal, self._clock = catalogue, live, rehearsal, clock
        self._checking = checking or Checking()

    async def draft(self, incident: Incident) -> Plan:
        """The plan for an incident, rehearsed, without journalling anything. Raises ``Refused`` with the reason."""
        report = incident.report
        if report is None:
            raise Refused(Reason.NO_REPORT_YET, "There is no report to plan from yet.")
        playbook = self._choose(incident)
        if playbook.mode is Mode.CHECKLIST:
            points = " ".join(f"({number}) {point}" for number, point in enumerate(playbook.checklist, 1))
            raise Refused(Reason.CHECKLIST, f"{playbook.title}: {points}")
        parameters = report.parameters if report.playbook == playbook.id else {}
        first = await self._resolve(incident, playbook)
        plans = [await self._for_one(incident, playbook, first, parameters)]
        for ref in _alike(incident, playbook, first.ref) if playbook.each else ():
            with suppress(Refused, NotFound):  # it needs something else, or is gone: the others do not wait for it
                if (seen := await self._live.observe(ref)) is not None:
                    plans.append(await self._for_one(incident, playbook, seen, parameters))
        return together(plans)

    async def _for_one(
        self, incident: Incident, playbook: Playbook, seen: Observed, parameters: dict[str, str]
    ) -> Plan:
        """The plan for this object, rehearsed. Raises ``Refused`` where it does not fit."""
        plan = compile_plan(playbook, seen, parameters)
        for step in plan.steps:
            if not self._checking.measures and any(check.name == PROMQL for check in (*step.precheck, *step.verify)):
                said = f"{playbook.title} is proven by PromQL, and no Prometheus is configured."
                raise Refused(Reason.PRECHECK_FAILED, said)
            scene = Scene(step.target, seen, len(incident.active))
            for result in await self._checking.results(step.precheck, scene, self._clock.now()):
                if result.standing is not Standing.HOLDING:
                    raise Refused(Reason.PRECHECK_FAILED, f"{playbook.title} does not fit: {result.sentence}.")
        steps = [await self._rehearsed(incident, number, step) for number, step in enumerate(plan.steps)]
        return msgspec.structs.replace(plan, steps=tuple(steps))

    def _choose(self, incident: Incident) -> Playbook:
        """The report's playbook, else the rule's, else one that fits and an alert asks for, else any that fits."""
        report = incident.report
        named = (report.playbook if report else "") or incident.playbook
        if named:
            playbook = self._catalogue.get(named)
            if playbook is None:
                raise Refused(Reason.PLAYBOOK_UNKNOWN, f"There is no playbook {named!r} in the catalogue.")
            return playbook
        conditions = [report.condition if report else "", incident.condition]
        wanted = self._catalogue.get(incident.wanted) if incident.wanted else None
        if wanted is not None and any(fnmatchcase(each, to) for each in conditions for to in wanted.applies_to):
            return wanted
        for condition in filter(None, conditions):
            if (found := self._catalogue.for_condition(condition)) is not None:
                return found
        advice = report.recommended_action if report else ""
        raise Refused(Reason.NO_PLAYBOOK, advice or f"No playbook helps against {incident.condition}.")

    async def _resolve(self, incident: Incident, playbook: Playbook) -> Observed:
        """The live object that the playbook is for, within what this incident is about and nowhere else."""
        known: dict[str, Observed | None] = {}
        named = incident.report.subject if incident.report else None
        own = list(dict.fromkeys((incident.owner, incident.subject, *(member.subject for member in incident.members))))
        own.sort(key=lambda ref: named is None or ref.path != named.path)  # what the report points at comes first
        if named is not None and named.kind in playbook.kinds and named.path not in {ref.path for ref in own}:
            return await self._related(named, own, known)
        own = [ref for ref in own if not recovered(incident, ref)]
        for ref in own[:_LOOKS]:
            if ref.kind in playbook.kinds and (seen := await self._look(ref, known)) is not None:
                return seen
        for owner in [owner for ref in own[:_LOOKS] for owner in await self._owners(ref, known)]:
            well = recovered(incident, owner)
            if owner.kind in playbook.kinds and not well and (found := await self._look(owner, known)) is not None:
                return found
        kinds = ", ".join(playbook.kinds)
        raise Refused(
            Reason.TARGET_GONE, f"{playbook.title} needs a {kinds}; this incident has none that exists and still fires."
        )

    async def _related(self, named: ObjectRef, own: Sequence[ObjectRef], known: dict[str, Observed | None]) -> Observed:
        """The object that a report points at, where it belongs to one of the incident's own or one of them to it."""
        paths = {ref.path for ref in own}
        seen = await self._look(named, known)
        if seen is not None:
            if any(owner.path in paths for owner in seen.owners):
                return seen
            for ref in own[:_LOOKS]:
                if any(owner.path == named.path for owner in await self._owners(ref, known)):
                    return seen
        said = f"The report points at {named}, which is not part of this incident: a person decides."
        raise Refused(Reason.TARGET_OUTSIDE_INCIDENT, said)

    async def _owners(self, ref: ObjectRef, known: dict[str, Observed | None]) -> tuple[ObjectRef, ...]:
        seen = await self._look(ref, known)
        return seen.owners if seen is not None else ()

    async def _look(self, ref: ObjectRef, known: dict[str, Observed | None]) -> Observed | None:
        if ref.path not in known:
            known[ref.path] = await self._live.observe(ref) if ref.name else None
        return known[ref.path]

    async def _rehearsed(self, incident: Incident, number: int, step: PlanStep) -> PlanStep:
        """The step with the server's own diff. A step that the server would not accept is no plan."""
        call = ActionCall.of(step, f"{incident.id}:rehearsal:{number}", step.target.generation)
        try:
            outcome = await self._rehearsal.rehearse(call)
        except Conflict as error:
            raise Refused(Reason.TARGET_CHANGED, f"{error}.") from error
        except Permanent as error:
            raise Refused(Reason.PRECHECK_FAILED, f"The API server would not accept it: {error}.") from error
        return msgspec.structs.replace(step, diff=outcome.diff)


def _alike(incident: Incident, playbook: Playbook, first: ObjectRef) -> list[ObjectRef]:
    """The incident's other objects of that kind that still fire for what the playbook is for."""
    others = {
        member.subject.path: member.subject
        for member in incident.active
        if member.subject.kind == first.kind
        and member.subject.path != first.path
        and any(fnmatchcase(member.condition, wanted) for wanted in playbook.applies_to)
    }
    return [ref for _, ref in sorted(others.items())[: _EACH - 1]]
