"""Planning as the house does it, for a look from the command line: nothing is changed or journalled."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import msgspec
from pydantic import SecretStr

from midwatch.adapters.catalog.playbooks import FolderPlaybooks
from midwatch.adapters.catalog.policy import FilePolicy
from midwatch.adapters.embedded.postgres import EmbeddedPostgres
from midwatch.adapters.mcp.kubernetes.actions import ClusterActions
from midwatch.adapters.mcp.kubernetes.api import open_kube
from midwatch.adapters.mcp.kubernetes.observe import LiveCluster
from midwatch.bootstrap import open_resources
from midwatch.bootstrap.metrics import open_prometheus
from midwatch.domain.errors import Invalid, Permanent
from midwatch.services.brakes import Brakes
from midwatch.services.checking import Checking
from midwatch.services.effects import LiveObjects
from midwatch.services.planning import Planning
from midwatch.services.shadowing import Shadowing
from midwatch.settings import ClusterTarget, Settings


class Preview(msgspec.Struct, frozen=True):
    """Planning in one cluster, and a look at its objects."""

    planning: Planning
    live: LiveObjects


@asynccontextmanager
async def open_preview(settings: Settings, target: ClusterTarget) -> AsyncIterator[Preview]:
    """Planning for incidents of one cluster, with the house's pauses, deeds and shadows.

    Raises ``Permanent`` and ``Transient`` when the store cannot be reached.
    """
    settings = _with_store(settings)
    async with (
        open_resources(settings, owner="preview") as resources,
        open_kube(target.kubeconfig, target.context, in_cluster=target.in_cluster) as kube,
        open_prometheus(settings) as prometheus,
    ):
        live, clock, policy = LiveCluster(kube), resources.clock, FilePolicy(settings.policy_file)
        stores = resources.stores
        planning = Planning(
            stores.journal,
            FolderPlaybooks(settings.playbooks_dir),
            policy,
            live,
            ClusterActions(kube, clock),
            clock,
            by="preview",
            brakes=Brakes(stores.pauses, stores.deeds, policy, clock),
            # Queries name no cluster: of another cluster than the first they would measure namesakes.
            checking=Checking(prometheus if target.first else None),
            shadowing=Shadowing(stores.shadows, {target.name: live}, clock),
        )
        yield Preview(planning, live)


def own_cluster(settings: Settings, cluster: str) -> ClusterTarget:
    """How to reach the cluster that an incident is in. Raises ``Invalid`` for one that the settings do not name."""
    if settings.watches_sandbox:
        settings = settings.model_copy(update={"kubeconfig": settings.sandbox_kubeconfig})
    if cluster not in settings.clusters:
        known = ", ".join(settings.clusters)
        raise Invalid(
            f"the incident is in cluster {cluster!r}, which these settings do not name (they name: {known}): "
            "say --context, or set MIDWATCH_CONTEXT as it is where Midwatch runs"
        )
    return settings.target(cluster)


def _with_store(settings: Settings) -> Settings:
    """The settings with the database of the house that runs here, where they name no other."""
    if settings.database_url is not None:
        return settings
    postgres = EmbeddedPostgres(settings.state_dir, settings.runtime_dir)
    if not postgres.alive():
        raise Permanent("what is paused and was done lately cannot be read: run it where Midwatch runs")
    return settings.model_copy(update={"database_url": SecretStr(postgres.url)})
