"""Live looks at objects, one connection for each cluster."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager

from midwatch.adapters.mcp.kubernetes.api import open_kube
from midwatch.adapters.mcp.kubernetes.observe import LiveCluster
from midwatch.settings import Settings


@asynccontextmanager
async def open_live(settings: Settings) -> AsyncIterator[dict[str, LiveCluster]]:
    """The live objects of every watched cluster, by its name. Nothing is sent yet."""
    async with AsyncExitStack() as stack:
        live: dict[str, LiveCluster] = {}
        for target in settings.targets:
            kube = open_kube(target.kubeconfig, target.context, in_cluster=target.in_cluster)
            live[target.name] = LiveCluster(await stack.enter_async_context(kube))
        yield live
