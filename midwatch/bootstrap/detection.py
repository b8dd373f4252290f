"""The parts that detect: a watcher's watch, and the rule engine's way from signals to incidents."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import timedelta

from midwatch.adapters.catalog.rules import FolderRules
from midwatch.adapters.kubernetes.client import ApiConnection
from midwatch.adapters.kubernetes.owners import KubernetesOwners
from midwatch.adapters.kubernetes.sight import KubernetesSight
from midwatch.adapters.kubernetes.source import KubernetesSource
from midwatch.bootstrap import Resources
from midwatch.services.clusters import ClusterLooks, ClusterOwners
from midwatch.services.heartbeats import DeadMan
from midwatch.services.ingestion import Ingestion, Intake
from midwatch.services.lost import LostResolves
from midwatch.services.runtime import Bells
from midwatch.services.watching import Watching
from midwatch.settings import Settings


@asynccontextmanager
async def open_cluster(settings: Settings, cluster: str = "") -> AsyncIterator[ApiConnection]:
    """A read-only connection to a watched cluster; the first one where none is named."""
    target = settings.target(cluster)
    connection = await ApiConnection.open(
        kubeconfig=target.kubeconfig, context=target.context, in_cluster=target.in_cluster
    )
    try:
        yield connection
    finally:
        await connection.close()


@asynccontextmanager
async def open_clusters(settings: Settings) -> AsyncIterator[dict[str, ApiConnection]]:
    """A read-only connection to each watched cluster, by its name."""
    async with AsyncExitStack() as stack:
        yield {name: await stack.enter_async_context(open_cluster(settings, name)) for name in settings.clusters}


@asynccontextmanager
async def open_watch(resources: Resources, cluster: str, bells: Bells) -> AsyncIterator[Watching]:
    """The cluster's objects, and the door that signals go through."""
    settings = resources.settings
    async with open_cluster(settings, cluster) as connection:
        yield Watching(
            cluster,
            KubernetesSource(connection, namespaces=settings.watch_namespaces),
            Intake(resources.stores.inbox, bells.signals),
            resources.stores.inbox,
            resources.clock,
            resources.ids,
            resync_s=settings.resync_s,
        )


@asynccontextmanager
async def open_lost_resolves(resources: Resources, bells: Bells) -> AsyncIterator[LostResolves]:
    """The look after alerts that nobody repeats, each at its own cluster."""
    clock = resources.clock
    async with open_clusters(resources.settings) as connections:
        yield LostResolves(
            resources.stores.inbox,
            resources.journal(bells),
            ClusterLooks({name: KubernetesSight(each, name, clock) for name, each in connections.items()}),
            clock,
            by=resources.owner,
            after=timedelta(seconds=resources.settings.lost_after_s),
        )


@asynccontextmanager
async def open_ingestion(resources: Resources, bells: Bells) -> AsyncIterator[Ingestion]:
    """The way of a signal, owners looked up at the API server of its cluster."""
    async with open_clusters(resources.settings) as connections:
        owners = ClusterOwners({name: KubernetesOwners(each, name) for name, each in connections.items()})
        yield Ingestion(
            resources.stores.inbox,
            resources.journal(bells),
            resources.stores.work,
            FolderRules(resources.settings.rules_dir),
            owners,
            resources.clock,
            resources.ids,
            by=resources.owner,
            surroundings=owners,
            silences=resources.stores.silences,
        )


def dead_man(resources: Resources, bells: Bells) -> DeadMan:
    """The watch over heartbeats."""
    settings, stores = resources.settings, resources.stores
    return DeadMan(
        stores.heartbeats,
        stores.inbox,
        Intake(stores.inbox, bells.signals),
        resources.clock,
        resources.ids,
        cluster=settings.clusters[0],
        expected=timedelta(seconds=settings.watchdog_s),
    )
