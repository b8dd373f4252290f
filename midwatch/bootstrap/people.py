"""The part that asks people: approvals, judged against the live objects they are about."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta

from midwatch.adapters.mcp.kubernetes.api import open_kube
from midwatch.adapters.mcp.kubernetes.observe import LiveCluster
from midwatch.bootstrap import Resources
from midwatch.services.approvals import Approvals
from midwatch.services.runtime import Bells


@asynccontextmanager
async def open_approvals(resources: Resources, bells: Bells) -> AsyncIterator[Approvals]:
    """The broker's work."""
    settings = resources.settings
    async with open_kube(settings.kubeconfig, settings.context, in_cluster=settings.in_cluster) as kube:
        yield Approvals(
            resources.journal(bells),
            resources.stores.clicks,
            LiveCluster(kube),
            resources.users(),
            resources.clock,
            resources.ids,
            timeout=timedelta(seconds=settings.approval_timeout_s),
            by=resources.owner,
        )
