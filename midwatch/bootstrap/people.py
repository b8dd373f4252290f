"""The part that asks people: approvals, judged against the live objects they are about."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta

from midwatch.adapters.catalog.playbooks import FolderPlaybooks
from midwatch.bootstrap import Resources
from midwatch.bootstrap.live import open_live
from midwatch.services.approvals import Approvals
from midwatch.services.clusters import LiveClusters
from midwatch.services.runtime import Bells


@asynccontextmanager
async def open_approvals(resources: Resources, bells: Bells) -> AsyncIterator[Approvals]:
    """The broker's work."""
    settings = resources.settings
    async with open_live(settings) as live:
        yield Approvals(
            resources.journal(bells),
            resources.stores.clicks,
            LiveClusters(live),
            resources.users(),
            resources.clock,
            resources.ids,
            playbooks=FolderPlaybooks(settings.playbooks_dir),
            timeout=timedelta(seconds=settings.approval_timeout_s),
            by=resources.owner,
        )
