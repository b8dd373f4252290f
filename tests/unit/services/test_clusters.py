"""What is in one cluster never goes to another, whatever the objects are called."""

from datetime import timedelta

import msgspec
import pytest

from midwatch.domain.errors import Refused
from midwatch.domain.ids import IncidentId
from midwatch.domain.incidents import Incident, Work
from midwatch.domain.reasons import Reason
from midwatch.domain.refs import ObjectRef
from midwatch.services.clusters import (
    ClusterEnricher,
    ClusterOwners,
    ClusterSights,
    ClusterTools,
    Foreign,
    LiveClusters,
    OutOfSight,
    Routed,
    not_watched,
)
from midwatch.services.investigation import Look, Sight
from midwatch.services.ports import Claim
from tests.fakes.cluster import FakeCluster
from tests.fakes.runtime import NOON
from tests.fakes.samples import DEPLOYMENT, POD, attached, opened
from tests.fakes.stores import MemoryStore


class Hands:
    """Does nothing but say which incidents it was given."""

    def __init__(self) -> None:
        self.given: list[IncidentId] = []
        self.journal = MemoryStore().journal

    async def __call__(self, claim: Claim) -> Incident:
        self.given.append(claim.incident)
        return Incident(id=claim.incident)


class Eyes:
    def __init__(self, name: str) -> None:
        self.name = name

    async def gather(self, incident: Incident) -> Sight:
        return Sight(logs={"of": self.name})

    async def top_owner(self, cluster: str, subject: ObjectRef) -> ObjectRef:
        return ObjectRef("Deployment", f"{self.name}-{cluster}", subject.namespace)

    async def standing(self, cluster: str, named: object) -> tuple[ObjectRef, ...]:
        return (ObjectRef("Node", f"{self.name}-{cluster}"),)


async def test_equal_names_in_two_clusters_are_two_incidents_each_done_in_its_own() -> None:
    store = MemoryStore()
    hands = {"alpha": Hands(), "beta": Hands()}
    foreign = Hands()
    routed = Routed(store.journal, hands, foreign)
    for number, cluster in enumerate(("alpha", "beta", "gamma")):
        begun = msgspec.structs.replace(opened(f"{cluster}|workload|Deployment/shop/web"), cluster=cluster)  # type: ignore[arg-type]
        incident = IncidentId(f"{number:08x}-0000-7000-8000-000000000000")
        await store.journal.open(incident, [begun, attached()], at=NOON, by="test")
        (claim,) = await store.work.claim([Work.INVESTIGATE], owner="me", now=NOON, ttl=timedelta(seconds=5))
        await routed(claim)
    given = [hands["alpha"].given, hands["beta"].given, foreign.given]
    assert [[each[:8] for each in one] for one in given] == [["00000000"], ["00000001"], ["00000002"]]


async def test_each_cluster_is_seen_by_its_own_eyes() -> None:
    eyes = {"alpha": Eyes("a"), "beta": Eyes("b")}
    sights, owners = ClusterSights(eyes), ClusterOwners(eyes)
    for cluster, name in (("alpha", "a"), ("beta", "b")):
        seen = await sights.gather(Incident(id=IncidentId("x"), cluster=cluster))
        assert seen.logs == {"of": name}
        assert (await owners.top_owner(cluster, POD)).name == f"{name}-{cluster}"
        assert (await owners.standing(cluster, [POD]))[0].name == f"{name}-{cluster}"


async def test_of_a_cluster_nobody_watches_nothing_is_seen_and_that_is_said() -> None:
    seen = await ClusterSights({}).gather(Incident(id=IncidentId("x"), cluster="gamma"))
    assert not seen.objects
    assert not seen.looks[0].ok
    assert "'gamma' is not watched" in seen.looks[0].output
    owners = ClusterOwners({"alpha": Eyes("a")})
    node = ObjectRef("Node", "n1")
    assert await owners.top_owner("gamma", POD) == POD
    assert await owners.standing("gamma", [POD, node]) == (node,)


async def test_a_model_has_no_tools_for_a_cluster_that_they_do_not_look_at() -> None:
    tools = OutOfSight("gamma")
    assert await tools.offer() == ()
    answer = await tools.call("list_pods", "{}")
    assert (answer.ok, "'gamma'" in answer.text) == (False, True)


async def test_tools_are_handed_out_by_cluster_and_never_the_first_ones_for_want_of_better() -> None:
    alpha, beta = OutOfSight("a"), OutOfSight("b")
    tools = ClusterTools({"alpha": alpha, "beta": beta})
    assert tools.of("alpha") is alpha
    assert tools.of("beta") is beta
    assert await tools.of("gamma").offer() == ()
    assert await tools.of("").offer() == ()


async def test_metrics_and_logs_are_asked_for_the_clusters_that_they_are_of() -> None:
    class Told:
        async def enrich(self, incident: Incident) -> tuple[Look, ...]:
            return (Look(tool="prometheus.range", input="up", output=incident.cluster, ok=True),)

    enricher = ClusterEnricher({"alpha": Told()})
    (look,) = await enricher.enrich(Incident(id=IncidentId("x"), cluster="alpha"))
    assert look.output == "alpha"
    assert await enricher.enrich(Incident(id=IncidentId("y"), cluster="beta")) == ()


@pytest.mark.parametrize(
    ("named", "watched", "says"),
    [
        ("prod-eu", ("admin@k8s",), "set MIDWATCH_CLUSTER_ALIASES=prod-eu=admin@k8s"),
        ("prod-eu", ("east", "west"), "If it is one of east, west, set MIDWATCH_CLUSTER_ALIASES=prod-eu=NAME"),
        ("x. Now obey", ("east",), "that cluster is not watched"),
        ("", ("east",), "that cluster is not watched"),
    ],
)
def test_who_meets_an_unknown_cluster_is_told_which_setting_to_change(
    named: str, watched: tuple[str, ...], says: str
) -> None:
    said = not_watched(named, watched)
    assert says in said
    assert "obey" not in said
    assert "MIDWATCH_CONTEXTS" in said


async def test_live_objects_are_asked_of_the_named_cluster_alone() -> None:
    live = LiveClusters({"alpha": FakeCluster()})
    assert await live.of("alpha").observe(DEPLOYMENT) is not None
    for asked in (live.of("beta").observe(DEPLOYMENT), live.observe(DEPLOYMENT), Foreign().of("x").observe(POD)):
        with pytest.raises(Refused) as refused:
            await asked
        assert refused.value.reason == Reason.CLUSTER_NOT_WATCHED
