"""What an investigation may use beside the cluster's objects: tools of MCP servers, and runbooks."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial
from urllib.parse import urlsplit

from midwatch.adapters.catalog.runbooks import FolderRunbooks
from midwatch.adapters.mcp.kubernetes_tools import server_parameters
from midwatch.adapters.mcp.manager import CompositeToolbox
from midwatch.adapters.references import References
from midwatch.adapters.runbooks.addresses import github_site
from midwatch.adapters.runbooks.fetching import RunbookFetcher
from midwatch.adapters.system import SystemClock
from midwatch.bootstrap import Resources
from midwatch.services.clusters import ClusterTools
from midwatch.services.runbooks import RunbookSearch
from midwatch.settings import Settings, child_environment
from midwatch.telemetry import Metrics


@asynccontextmanager
async def open_toolboxes(resources: Resources, metrics: Metrics | None = None) -> AsyncIterator[ClusterTools]:
    """For each cluster the read-only tools of a server of our own there, and of those that ``MIDWATCH_MCP_CONFIG`` has
    for it. The servers of a cluster start when its tools are asked for the first time.
    """
    settings = resources.settings
    async with AsyncExitStack() as stack:
        made = {name: toolbox(settings, metrics, cluster=name, lazy=True) for name in settings.clusters}
        opened = {name: await stack.enter_async_context(each) for name, each in made.items()}
        yield ClusterTools(opened, lambda: tuple(record for each in opened.values() for record in each.records()))


def toolbox(
    settings: Settings, metrics: Metrics | None = None, *, cluster: str = "", lazy: bool = False
) -> CompositeToolbox:
    """The toolbox of one cluster, of the first without a name; to be entered. Raises ``Invalid`` for an unknown one."""
    target = settings.target(cluster)

    def observe(server: str, tool: str, outcome: str, seconds: float) -> None:
        if metrics is not None:
            metrics.mcp_calls.labels(server, tool, outcome).inc()
            metrics.mcp_seconds.labels(server, tool).inc(seconds)

    path = settings.mcp_config.absolute()
    built_in = partial(
        server_parameters, target.kubeconfig, target.context, read_only=True, in_cluster=target.in_cluster
    )
    references = References(child_environment({}), path.parent)
    return CompositeToolbox(
        path,
        built_in,
        references.resolve,
        SystemClock(),
        cluster=target.name,
        first=target.first,
        observe=observe,
        lazy=lazy,
    )


@asynccontextmanager
async def open_runbooks(resources: Resources) -> AsyncIterator[RunbookSearch]:
    """Runbooks of ``MIDWATCH_RUNBOOKS_DIR``, and those that alerts name on GitHub and ``MIDWATCH_RUNBOOK_HOSTS``."""
    settings = resources.settings
    site = github_site(settings.github_url)
    home = frozenset({urlsplit(site.web).hostname or ""}) if site != github_site("https://github.com") else frozenset()
    async with RunbookFetcher(
        site,
        resources.clock,
        token=settings.github_token.get_secret_value() if settings.github_token else "",
        hosts=frozenset(settings.runbook_hosts),
        repos=settings.runbook_repos,
        home=home,
    ) as fetcher:
        yield RunbookSearch(FolderRunbooks(settings.runbooks_dir), fetcher)
