"""The parts by which a model improves reports: the model, its tools, what people wrote down, and how far it may go."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager

from midwatch.adapters.catalog.playbooks import FolderPlaybooks
from midwatch.bootstrap import Resources
from midwatch.bootstrap.models import open_model
from midwatch.services.clusters import ClusterTools
from midwatch.services.model_ports import Runbooks, Toolboxes
from midwatch.services.reasoning.limits import Limits, nothing_today, uncounted
from midwatch.services.reasoning.refinement import Means, Refinement
from midwatch.services.runtime import Bells
from midwatch.settings import Settings
from midwatch.telemetry import Metrics


@asynccontextmanager
async def open_refinement(
    resources: Resources, bells: Bells, metrics: Metrics | None = None
) -> AsyncIterator[Refinement]:
    """Refinements by the configured models. Without any, each is ended as soon as it is claimed, and no tool server
    is started.
    """
    async with AsyncExitStack() as stack:
        tools: Toolboxes = ClusterTools({})
        runbooks: Runbooks | None = None
        model = open_model(resources, metrics)
        if model is not None:
            # The MCP SDK takes 0.7 s and 25 MB: workers without a model do without it.
            from midwatch.bootstrap.tools import open_runbooks, open_toolboxes

            stack.push_async_callback(model.close)
            runbooks = await stack.enter_async_context(open_runbooks(resources))
            tools = await stack.enter_async_context(open_toolboxes(resources, metrics))
        settings = resources.settings
        means = Means(
            model=model,
            tools=tools,
            runbooks=runbooks,
            playbooks=FolderPlaybooks(settings.playbooks_dir),
            journal=resources.journal(bells),
            quiet=resources.stores.journal,
            day=model.meter.today if model is not None else nothing_today,
            day_work=model.meter.work if model is not None else uncounted,
        )
        yield Refinement(means, limits_of(settings), resources.clock, resources.ids, by=resources.owner)


def limits_of(settings: Settings) -> Limits:
    """How far a refinement may go by these settings."""
    return Limits(
        incident=settings.incident_budget,
        day=settings.day_budget,
        rounds=settings.refine_rounds,
        data_bytes=settings.refine_data_bytes,
        race_below=settings.refine_race_below,
        hypotheses=settings.refine_hypotheses,
    )
