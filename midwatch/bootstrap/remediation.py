"""The parts that change things: planning and execution, over our full Kubernetes MCP server in a process of its own."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from typing import TypeAlias

from mcp import StdioServerParameters

from midwatch.adapters.catalog.playbooks import FolderPlaybooks
from midwatch.adapters.catalog.policy import FilePolicy
from midwatch.adapters.mcp.connection import McpConnection
from midwatch.adapters.mcp.kubernetes_tools import KubernetesTools, server_parameters
from midwatch.bootstrap import Resources
from midwatch.bootstrap.live import open_live
from midwatch.bootstrap.metrics import open_prometheus
from midwatch.services.brakes import Brakes
from midwatch.services.checking import Checking
from midwatch.services.clusters import DoesWork, Foreign, Routed
from midwatch.services.effects import ActionRunner, LiveObjects
from midwatch.services.execution import Execution
from midwatch.services.freeing import Freeing
from midwatch.services.holding import Pace
from midwatch.services.planning import Planning
from midwatch.services.runtime import Bells
from midwatch.services.shadowing import Shadowing
from midwatch.settings import Settings


def _full_server(settings: Settings, cluster: str) -> StdioServerParameters:
    """Our full server for one cluster, under the acting identity where one is given."""
    target = settings.target(cluster)
    context = (settings.act_context if target.first else "") or target.context
    if settings.act_kubeconfig is not None:
        acting = settings.act_context if target.first else context
        return server_parameters(settings.act_kubeconfig, acting, read_only=False)
    return server_parameters(target.kubeconfig, context, read_only=False, in_cluster=target.in_cluster)


_Parts: TypeAlias = tuple[Routed, Routed, Freeing, Shadowing]


@asynccontextmanager
async def _open_tools(settings: Settings) -> AsyncIterator[dict[str, KubernetesTools]]:
    """A full server for each cluster: the first is started at once, in the background, others at their first call."""
    connections = {
        name: McpConnection(
            f"kubernetes-full:{name}", partial(_full_server, settings, name), ping_every_s=settings.sweep_s
        )
        for name in settings.clusters
    }
    connections[settings.clusters[0]].start()
    try:
        yield {name: KubernetesTools(connection) for name, connection in connections.items()}
    finally:
        await asyncio.gather(*(connection.stop() for connection in connections.values()))


@asynccontextmanager
async def open_remediation(resources: Resources, bells: Bells) -> AsyncIterator[_Parts]:
    """Planning and execution, each in the incident's own cluster; the freeing of what a dead execution held, and the
    scoring of what was only said.
    """
    settings = resources.settings
    journal, clock, by = resources.journal(bells), resources.clock, resources.owner
    policy = FilePolicy(settings.policy_file)
    playbooks = FolderPlaybooks(settings.playbooks_dir)
    brakes = Brakes(resources.stores.pauses, resources.stores.deeds, policy, clock)
    pace = Pace(claim_ttl_s=settings.claim_ttl_s)
    async with open_live(settings) as live, _open_tools(settings) as tools, open_prometheus(settings) as prometheus:
        # Queries name no cluster: of another cluster than the first they would measure namesakes.
        checks = {name: Checking(prometheus if name == settings.clusters[0] else None) for name in settings.clusters}
        foreign = Foreign(watched=settings.clusters)
        shadowing = Shadowing(resources.stores.shadows, live, clock)

        def planning(seen: LiveObjects, runner: ActionRunner, checking: Checking) -> DoesWork:
            return Planning(
                journal,
                playbooks,
                policy,
                seen,
                runner,
                clock,
                by=by,
                brakes=brakes,
                checking=checking,
                shadowing=shadowing,
            ).propose

        def execution(seen: LiveObjects, runner: ActionRunner, checking: Checking) -> DoesWork:
            return Execution(
                journal,
                resources.stores.work,
                resources.stores.leases,
                runner,
                seen,
                policy,
                clock,
                resources.ids,
                by=by,
                brakes=brakes,
                playbooks=playbooks,
                checking=checking,
                pace=pace,
            ).run

        yield (
            Routed(
                journal,
                {name: planning(live[name], tools[name], checks[name]) for name in settings.clusters},
                planning(foreign, foreign, Checking()),
            ),
            Routed(
                journal,
                {name: execution(live[name], tools[name], checks[name]) for name in settings.clusters},
                execution(foreign, foreign, Checking()),
            ),
            Freeing(journal, resources.stores.leases, policy, clock),
            shadowing,
        )
