"""Changes that a person asks for in words: an incident of their own, planned, judged by policy and approved as any."""

import asyncio
from typing import Final

from midwatch.domain import events as ev
from midwatch.domain.diagnosis import Diagnosis, Evidence
from midwatch.domain.errors import Conflict, MidwatchError, Refused, Transient
from midwatch.domain.ids import IncidentId, IncidentKey, SignalId, short
from midwatch.domain.incidents import REQUEST
from midwatch.domain.intents import Intent, Kind
from midwatch.domain.masking import mask
from midwatch.domain.reasons import Reason
from midwatch.domain.refs import ObjectRef, Severity
from midwatch.domain.signals import Tier
from midwatch.domain.users import Person, Role
from midwatch.services.chat.sight import UNCLEAR, Sights, the_place
from midwatch.services.chat.watch import lacks
from midwatch.services.chat.where import Place
from midwatch.services.ports import Journal
from midwatch.services.runtime import Clock, Ids

CONDITION: Final = "RequestedByPerson"
_WORKLOADS: Final = ("Deployment", "StatefulSet", "DaemonSet")
_SCALED: Final = ("Deployment", "StatefulSet")
_MOST_REPLICAS: Final = 50


class Requesting:
    """Opens the incident. What follows (compile, policy, approval, precheck, verify) is the same as for any other."""

    def __init__(self, journal: Journal, sights: Sights, clock: Clock, ids: Ids, *, clusters: tuple[str, ...]) -> None:
        self._journal, self._sights, self._clock, self._ids, self._clusters = journal, sights, clock, ids, clusters

    async def answer(self, intent: Intent, person: Person, place: Place, *, said: str) -> str:
        """What became of the wish. ``said`` is the message, kept as evidence.

        Where the message does not say which cluster is meant, the name must stand in one of them alone.
        """
        if refusal := lacks(person, Role.OPERATOR):
            return refusal
        if intent.kind is Kind.SCALE and not 1 <= (intent.number or 0) <= _MOST_REPLICAS:
            return f"From the chat I scale to between 1 and {_MOST_REPLICAS} replicas."
        kinds = _kinds(intent)
        if not kinds:
            verb = "scale" if intent.kind is Kind.SCALE else "restart"
            return f"I {verb} workloads, not a {intent.object_kind}: name its Deployment or StatefulSet."
        try:
            cluster, found = await self._cluster_of(intent, kinds, place)
            kind, namespace = the_place(found, intent)
        except Transient as error:
            return f"The cluster does not answer now: {mask(error.message)[:300]}"
        except MidwatchError as error:
            return mask(error.message)
        return await self._opened(intent, person, cluster, ObjectRef(kind, intent.name, namespace), said)

    async def _cluster_of(
        self, intent: Intent, kinds: tuple[str, ...], place: Place
    ) -> tuple[str, tuple[tuple[str, str], ...]]:
        """The cluster that is meant, and where the name stands in it. ``Refused`` where it could be another one."""
        asked = (place.cluster,) if place.certain else self._clusters
        looks = (self._sights.of(cluster).places(intent.name, kinds, intent.namespace) for cluster in asked)
        seen = dict(zip(asked, await asyncio.gather(*looks), strict=True))
        having = [cluster for cluster, found in seen.items() if found]
        if len(having) > 1:
            how = f"say it once more with `in cluster {having[0]}` or another"
            raise Refused(UNCLEAR, f"{intent.name} stands in the clusters {', '.join(having)}: {how}.")
        cluster = having[0] if having else place.cluster
        return cluster, seen[cluster]

    async def _opened(self, intent: Intent, person: Person, cluster: str, ref: ObjectRef, said: str) -> str:
        what, playbook, parameters = _wish(intent, ref)
        if len(self._clusters) > 1:
            what += f" in cluster {cluster}"
        key = IncidentKey(f"{cluster}|{REQUEST}|{ref.path}|{intent.kind}")
        if (known := await self._journal.find_open(key)) is not None:
            return f"That is asked already: incident {short(known.id)}."
        now, incident_id = self._clock.now(), IncidentId(self._ids.new())
        title = f"{person.user} asks: {what}"
        events: list[ev.AnyEvent] = [
            ev.IncidentOpened(
                reason=Reason.REQUESTED_BY_PERSON,
                key=key,
                cluster=cluster,
                condition=CONDITION,
                severity=Severity.INFO,
                title=title,
                subject=ref,
                owner=ref,
                rule=REQUEST,
                tier=Tier.SUPERVISED,
                playbook=playbook,
                began_at=now,
            ),
            ev.SignalAttached(
                reason=Reason.REQUESTED_BY_PERSON,
                signal=SignalId(incident_id),
                identity=key,
                episode=incident_id,
                source="chat",
                condition=CONDITION,
                severity=Severity.INFO,
                subject=ref,
                title=title,
                starts_at=now,
            ),
            ev.ReportMade(
                reason=Reason.REQUESTED_BY_PERSON,
                diagnosis=Diagnosis(
                    root_cause=f"{person.user} asked for it in the chat.",
                    summary=f"Nothing is known to be wrong: {person.user} wants to {what}.",
                    confidence=1.0,
                    condition=CONDITION,
                    subject=ref,
                    evidence=(Evidence(f"chat:{person.user}", mask(said)[:300]),),
                    playbook=playbook,
                    parameters=parameters,
                ),
            ),
        ]
        try:
            await self._journal.open(incident_id, events, at=now, by=person.user)
        except Conflict:
            return "That is asked already."
        return f"Understood: {what}. It is planned now and waits for approval: incident {short(incident_id)}."


def _kinds(intent: Intent) -> tuple[str, ...]:
    possible = _SCALED if intent.kind is Kind.SCALE else _WORKLOADS
    if intent.object_kind:
        return (intent.object_kind,) if intent.object_kind in possible else ()
    return possible


def _wish(intent: Intent, ref: ObjectRef) -> tuple[str, str, dict[str, str]]:
    """What is wanted in words, the playbook, and its parameters."""
    if intent.kind is Kind.SCALE:
        return f"scale {ref} to {intent.number}", "scale-to", {"replicas": str(intent.number)}
    return f"restart {ref}", "restart-workload", {}
