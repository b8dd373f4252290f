"""Several clusters in one house: what concerns an incident goes to the cluster it is in, and never to another.

Objects of equal names live in many clusters, so nothing is looked at, planned for or changed by a name alone: each
cluster has its own connections and its own services over them, and an incident is handed to those of its cluster.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Protocol

from midwatch.domain.dialogue import ToolSpec
from midwatch.domain.errors import Refused
from midwatch.domain.incidents import Incident
from midwatch.domain.lost import Standing
from midwatch.domain.observed import Observed
from midwatch.domain.reasons import Reason
from midwatch.domain.refs import ObjectRef
from midwatch.domain.servers import ServerRecord
from midwatch.services.effects import ActionCall, LiveObjects, Outcome
from midwatch.services.ingestion import Owners, Surroundings
from midwatch.services.investigation import Enricher, Gatherer, Look, Sight
from midwatch.services.lost import LooksAtObjects
from midwatch.services.model_ports import ToolAnswer, Toolbox
from midwatch.services.ports import Claim, Journal

_A_NAME = re.compile(r"[A-Za-z0-9][\w.@:/-]{0,199}")


class DoesWork(Protocol):
    """Something that does one claimed piece of work on one incident, and returns the incident after it."""

    async def __call__(self, claim: Claim) -> Incident: ...


class OwnersOfAll(Owners, Surroundings, Protocol):
    """Owners and surroundings in one cluster."""


class Routed:
    """Work by cluster: ``foreign`` takes what is in a cluster that this house does not know."""

    def __init__(self, journal: Journal, by_cluster: Mapping[str, DoesWork], foreign: DoesWork) -> None:
        self._journal, self._by_cluster, self._foreign = journal, dict(by_cluster), foreign

    async def __call__(self, claim: Claim) -> Incident:
        """Do it where the journal says that the incident is."""
        incident = await self._journal.read(claim.incident)
        return await self._by_cluster.get(incident.cluster, self._foreign)(claim)


class ClusterSights:
    """A gatherer that looks at the incident's own cluster."""

    def __init__(self, by_cluster: Mapping[str, Gatherer]) -> None:
        self._by_cluster = dict(by_cluster)

    async def gather(self, incident: Incident) -> Sight:
        """What is seen there; of a cluster nobody here can look at, that it is so."""
        mine = self._by_cluster.get(incident.cluster)
        if mine is not None:
            return await mine.gather(incident)
        said = not_watched(incident.cluster, tuple(self._by_cluster))
        return Sight(looks=(Look(tool="kubernetes", input=incident.cluster, output=said, ok=False),))


class ClusterEnricher:
    """Looks beside the cluster's objects, for incidents of the clusters whose metrics and logs can be asked for."""

    def __init__(self, by_cluster: Mapping[str, Enricher]) -> None:
        self._by_cluster = dict(by_cluster)

    async def enrich(self, incident: Incident) -> tuple[Look, ...]:
        """None for the others: what is found there would be about something else of the same name."""
        mine = self._by_cluster.get(incident.cluster)
        return await mine.enrich(incident) if mine else ()


class ClusterOwners:
    """Owners and surroundings, asked of the cluster that the object is in."""

    def __init__(self, by_cluster: Mapping[str, OwnersOfAll]) -> None:
        self._by_cluster = dict(by_cluster)

    async def top_owner(self, cluster: str, subject: ObjectRef) -> ObjectRef:
        mine = self._by_cluster.get(cluster)
        return await mine.top_owner(cluster, subject) if mine else subject

    async def standing(self, cluster: str, named: Sequence[ObjectRef]) -> tuple[ObjectRef, ...]:
        mine = self._by_cluster.get(cluster)
        if mine is None:
            return tuple(ref for ref in named if ref.kind == "Node")
        return await mine.standing(cluster, named)


class ClusterLooks:
    """How an object stands, asked of the cluster that it is in."""

    def __init__(self, by_cluster: Mapping[str, LooksAtObjects]) -> None:
        self._by_cluster = dict(by_cluster)

    async def standing_of(self, cluster: str, ref: ObjectRef) -> Standing:
        mine = self._by_cluster.get(cluster)
        return await mine.standing_of(cluster, ref) if mine else Standing.UNSEEN


class LiveClusters:
    """The live objects of each cluster."""

    def __init__(self, by_cluster: Mapping[str, LiveObjects]) -> None:
        self._by_cluster = dict(by_cluster)

    def of(self, cluster: str) -> LiveObjects:
        """Those of one cluster; of one that is not watched, a refusal at every look."""
        return self._by_cluster.get(cluster) or Foreign(cluster, tuple(self._by_cluster))

    async def observe(self, ref: ObjectRef) -> Observed | None:
        """Refused: a name alone does not say which cluster is meant."""
        raise Refused(Reason.CLUSTER_NOT_WATCHED, f"In which cluster {ref} is to be looked at was not said.")


class ClusterTools:
    """The tools of each cluster, so that what is said of one incident never reaches another cluster."""

    def __init__(
        self, by_cluster: Mapping[str, Toolbox], records: Callable[[], tuple[ServerRecord, ...]] = tuple
    ) -> None:
        self._by_cluster, self._records = dict(by_cluster), records

    def of(self, cluster: str) -> Toolbox:
        """See :class:`~midwatch.services.model_ports.Toolboxes`."""
        return self._by_cluster.get(cluster) or OutOfSight(cluster)

    def records(self) -> tuple[ServerRecord, ...]:
        """How every server that was started stands."""
        return self._records()


class OutOfSight:
    """The tools for a cluster that nobody here looks at: none."""

    def __init__(self, cluster: str) -> None:
        self._cluster = cluster

    async def offer(self) -> tuple[ToolSpec, ...]:
        return ()

    async def call(self, name: str, arguments: str) -> ToolAnswer:  # noqa: ARG002
        return ToolAnswer(text=f"{name} does not look at cluster {self._cluster!r}", ok=False)


class Foreign:
    """A cluster that this house does not watch: it is neither looked at nor changed."""

    def __init__(self, name: str = "", watched: Sequence[str] = ()) -> None:
        self._said, self._watched = not_watched(name, watched), watched

    def of(self, cluster: str) -> "Foreign":
        return Foreign(cluster, self._watched)

    async def observe(self, ref: ObjectRef) -> Observed | None:
        raise Refused(Reason.CLUSTER_NOT_WATCHED, f"{ref} cannot be looked at: {self._said}")

    async def rehearse(self, call: ActionCall) -> Outcome:
        raise Refused(Reason.CLUSTER_NOT_WATCHED, f"{call.ref} cannot be changed: {self._said}")

    async def act(self, call: ActionCall) -> Outcome:
        raise Refused(Reason.CLUSTER_NOT_WATCHED, f"{call.ref} cannot be changed: {self._said}")


def not_watched(cluster: str, watched: Sequence[str] = ()) -> str:
    """Why nothing is done there, and which setting to change; ``watched`` are the clusters that we know."""
    if not _A_NAME.fullmatch(cluster):  # a sender's label: it is not repeated where it reads like anything but a name
        return "that cluster is not watched by this house (see MIDWATCH_CONTEXTS and MIDWATCH_CLUSTER_ALIASES)."
    alias = f"MIDWATCH_CLUSTER_ALIASES={cluster}={watched[0] if len(watched) == 1 else 'NAME'}"
    same = f"{watched[0]} under another name" if len(watched) == 1 else f"one of {', '.join(watched) or 'ours'}"
    return (
        f"cluster {cluster!r} is not watched by this house. If it is {same}, set {alias}; if it is another one, watch "
        "it with MIDWATCH_CONTEXTS."
    )
