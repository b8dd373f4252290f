"""Investigation: gather what can be seen, analyse it at once, and put the report into the journal."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping
from typing import Protocol

import msgspec

from midwatch.domain import events as ev
from midwatch.domain.analysis.recent import RECENT, recent_changes
from midwatch.domain.diagnosis import Diagnosis, Evidence
from midwatch.domain.errors import Conflict, MidwatchError
from midwatch.domain.incidents import Incident
from midwatch.domain.masking import mask
from midwatch.domain.reasons import Reason
from midwatch.services.ports import Claim, Journal
from midwatch.services.runtime import Clock

log = logging.getLogger(__name__)


class Look(msgspec.Struct, frozen=True, kw_only=True):
    """One look at the cluster: what was asked and what came back (masked and capped), for the journal."""

    tool: str
    input: str
    output: str
    ok: bool = True
    took_ms: float = 0.0
    claim: str = ""
    """A sentence out of it that is evidence for the report by itself; empty where it takes a reader."""


class Sight(msgspec.Struct, frozen=True, kw_only=True):
    """Everything gathered for one incident: objects as (kind, JSON), logs by name, and the looks that brought them.

    A log's name is ``POD/CONTAINER``, with ``/previous`` behind it for the container's last life.
    """

    objects: tuple[tuple[str, bytes], ...] = ()
    logs: dict[str, str] = {}
    looks: tuple[Look, ...] = ()


class Gatherer(Protocol):
    """Reads the cluster around an incident. What cannot be read is a failed look, not an exception."""

    async def gather(self, incident: Incident) -> Sight: ...


class Enricher(Protocol):
    """Looks beside the cluster's objects: metrics and collected logs. What cannot be read, or not within the time it
    gives itself, is a failed look, not an exception.
    """

    async def enrich(self, incident: Incident) -> tuple[Look, ...]: ...


Analyse = Callable[[Incident, Sight], Diagnosis]
"""The built-in analyser: pure, no model, well under a second for one incident's objects."""


ModelThere = Callable[[], Awaitable[bool]]
"""Whether a model could improve the report; must be quick, and never raises."""


async def no_model() -> bool:
    """There is none."""
    return False


class Investigation:
    """One claimed investigation, from the first look to the first report."""

    def __init__(
        self,
        journal: Journal,
        gatherer: Gatherer,
        analyse: Analyse,
        clock: Clock,
        *,
        by: str,
        model_there: ModelThere = no_model,
        enricher: Enricher | None = None,
    ) -> None:
        self._journal, self._gatherer, self._analyse = journal, gatherer, analyse
        self._clock, self._by, self._model_there, self._enricher = clock, by, model_there, enricher

    async def run(self, claim: Claim) -> None:
        """Work on ``claim`` until a report stands. ``ClaimLost`` passes: another process took over."""
        incident = await self._journal.read(claim.incident)
        started = ev.InvestigationStarted(reason=Reason.CLAIMED, worker=self._by, attempt=incident.attempts + 1)
        incident = await self._append(incident, claim, [started])
        sight, beside = await asyncio.gather(self._gatherer.gather(incident), self._enriched(incident))
        looks = {
            f"{incident.seq}.{number}": look
            for number, look in enumerate((*sight.looks, *self._changes(incident, sight), *beside), 1)
        }
        found: list[ev.AnyEvent] = [
            ev.ToolCalled(
                reason=Reason.EVIDENCE_GATHERED if look.ok else Reason.EVIDENCE_UNAVAILABLE,
                call_id=call_id,
                tool=look.tool,
                input=look.input,
                output=look.output,
                ok=look.ok,
                took_ms=look.took_ms,
            )
            for call_id, look in looks.items()
        ]
        diagnosis = _cited(self._report(incident, sight), looks)
        refine = await self._model_there()
        found.append(ev.ReportMade(reason=Reason.BUILT_IN_ANALYSIS, diagnosis=diagnosis, refine=refine))
        await self._append(incident, claim, found)

    async def _enriched(self, incident: Incident) -> tuple[Look, ...]:
        return () if self._enricher is None else await self._enricher.enrich(incident)

    def _changes(self, incident: Incident, sight: Sight) -> tuple[Look, ...]:
        """What was touched within the hour before it began, out of the objects that were read anyway."""
        if not sight.objects:
            return ()
        now = self._clock.now()
        since = min(incident.began_at or now, now) - RECENT
        lines = recent_changes(sight.objects, since, now)
        output = mask("\n".join(lines)) or "nothing was touched"
        return (Look(tool="changes", input=f"touched since {since:%Y-%m-%d %H:%M} UTC", output=output),)

    def _report(self, incident: Incident, sight: Sight) -> Diagnosis:
        try:
            return self._analyse(incident, sight)
        except (MidwatchError, ValueError, LookupError, TypeError, AttributeError) as error:
            # An analyser that trips over odd data must not leave people without a report: say so, and escalate on it.
            log.exception("built-in analysis failed", extra={"incident": incident.id})
            return inconclusive(incident, f"the built-in analysis failed on this data ({type(error).__name__})")

    async def _append(self, incident: Incident, claim: Claim, events: list[ev.AnyEvent]) -> Incident:
        while True:
            try:
                return await self._journal.append(incident, events, at=self._clock.now(), by=self._by, claim=claim)
            except Conflict as error:
                if type(error) is not Conflict:
                    raise
                incident = await self._journal.read(incident.id)  # a signal joined meanwhile: write after it


def _cited(diagnosis: Diagnosis, looks: Mapping[str, Look]) -> Diagnosis:
    """The report with the numbers that speak for themselves among its evidence."""
    claims = tuple(
        Evidence(source=f"tool:{look.tool}", text=look.claim, call_id=call_id)
        for call_id, look in looks.items()
        if look.ok and look.claim
    )
    return msgspec.structs.replace(diagnosis, evidence=(*diagnosis.evidence, *claims)) if claims else diagnosis


def inconclusive(incident: Incident, why: str) -> Diagnosis:
    """A legal answer when nothing better is known: what is observed, and what to look at next."""
    return Diagnosis(
        root_cause="unknown",
        summary=f"{incident.title}: the cause is not known, {why}.",
        confidence=0.1,
        condition=incident.condition,
        subject=incident.subject,
        next_checks=(f"kubectl describe {incident.subject.kind.lower()} {incident.subject.name}",),
        recommended_action="Look at the object and its events by hand.",
    )
