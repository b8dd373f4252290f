"""The parts that change things: planning and execution, over our full Kubernetes MCP server in a process of its own."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial

from mcp import StdioServerParameters

from midwatch.adapters.catalog.playbooks import FolderPlaybooks
from midwatch.adapters.catalog.policy import FilePolicy
from midwatch.adapters.mcp.connection import McpConnection
from midwatch.adapters.mcp.kubernetes.api import open_kube
from midwatch.adapters.mcp.kubernetes.observe import LiveCluster
from midwatch.adapters.mcp.kubernetes_tools import KubernetesTools, server_parameters
from midwatch.bootstrap import Resources
from midwatch.bootstrap.metrics import open_prometheus
from midwatch.services.brakes import Brakes
from midwatch.services.checking import Checking
from midwatch.services.execution import Execution
from midwatch.services.freeing import Freeing
from midwatch.services.holding import Pace
from midwatch.services.planning import Planning
from midwatch.services.runtime import Bells
from midwatch.settings import Settings


def _full_server(settings: Settings) -> StdioServerParameters:
    """Our full server, under the acting identity where one is given."""
    if settings.act_kubeconfig is not None:
        return server_parameters(settings.act_kubeconfig, settings.act_context, read_only=False)
    context = settings.act_context or settings.context
    return server_parameters(settings.kubeconfig, context, read_only=False, in_cluster=settings.in_cluster)


@asynccontextmanager
async def open_remediation(resources: Resources, bells: Bells) -> AsyncIterator[tuple[Planning, Execution, Freeing]]:
    """Planning, execution, and the freeing of what a dead execution held.

    The server is connected to in the background: nothing waits for it but its calls.
    """
    settings = resources.settings
    target = partial(_full_server, settings)
    journal, clock, by = resources.journal(bells), resources.clock, resources.owner
    policy = FilePolicy(settings.policy_file)
    brakes = Brakes(resources.stores.pauses, resources.stores.deeds, policy, clock)
    connection = McpConnection("kubernetes-full", target)
    async with (
        open_kube(settings.kubeconfig, settings.context, in_cluster=settings.in_cluster) as kube,
        open_prometheus(settings) as prometheus,
    ):
        checking = Checking(prometheus)
        live, tools = LiveCluster(kube), KubernetesTools(connection)
        connection.start()
        try:
            yield (
                Planning(
                    journal,
                    FolderPlaybooks(settings.playbooks_dir),
                    policy,
                    live,
                    tools,
                    clock,
                    by=by,
                    brakes=brakes,
                    checking=checking,
                ),
                Execution(
                    journal,
                    resources.stores.work,
                    resources.stores.leases,
                    tools,
                    live,
                    policy,
                    clock,
                    resources.ids,
                    by=by,
                    brakes=brakes,
                    checking=checking,
                    pace=Pace(claim_ttl_s=settings.claim_ttl_s),
                ),
                Freeing(journal, resources.stores.leases, policy, clock),
            )
        finally:
            await connection.stop()
