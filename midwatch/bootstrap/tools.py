"""What an investigation may use beside the cluster's objects: the tools of MCP servers."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial

from midwatch.adapters.mcp.kubernetes_tools import server_parameters
from midwatch.adapters.mcp.manager import CompositeToolbox
from midwatch.adapters.references import References
from midwatch.adapters.system import SystemClock
from midwatch.bootstrap import Resources
from midwatch.settings import Settings, child_environment
from midwatch.telemetry import Metrics


@asynccontextmanager
async def open_toolbox(resources: Resources, metrics: Metrics | None = None) -> AsyncIterator[CompositeToolbox]:
    """The read-only tools of our own server and of ``MIDWATCH_MCP_CONFIG``; servers start when first asked for."""
    async with toolbox(resources.settings, metrics, lazy=True) as tools:
        yield tools


def toolbox(settings: Settings, metrics: Metrics | None = None, *, lazy: bool = False) -> CompositeToolbox:
    """The toolbox, to be entered."""

    def observe(server: str, tool: str, outcome: str, seconds: float) -> None:
        if metrics is not None:
            metrics.mcp_calls.labels(server, tool, outcome).inc()
            metrics.mcp_seconds.labels(server, tool).inc(seconds)

    path = settings.mcp_config.absolute()
    built_in = partial(
        server_parameters, settings.kubeconfig, settings.context, read_only=True, in_cluster=settings.in_cluster
    )
    references = References(child_environment({}), path.parent)
    return CompositeToolbox(path, built_in, references.resolve, SystemClock(), observe=observe, lazy=lazy)
