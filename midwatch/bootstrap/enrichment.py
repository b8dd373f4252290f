"""What the first report looks at beside the cluster's objects: metrics and collected logs, where configured."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager

from midwatch.adapters.catalog.enrichment import load_questions
from midwatch.adapters.loki.client import LokiClient
from midwatch.bootstrap import Resources
from midwatch.bootstrap.metrics import bearer, open_prometheus
from midwatch.services.clusters import ClusterEnricher
from midwatch.services.enriching import Enriching
from midwatch.services.investigation import Enricher


@asynccontextmanager
async def open_enricher(resources: Resources) -> AsyncIterator[Enricher | None]:
    """Looks at Prometheus and Loki; ``None`` where neither is configured. Raises ``Invalid`` for a wrong setting."""
    settings = resources.settings
    async with AsyncExitStack() as stack:
        ranges = await stack.enter_async_context(open_prometheus(settings))
        lines: LokiClient | None = None
        if settings.loki_url is not None:
            lines = await stack.enter_async_context(
                LokiClient(
                    settings.loki_url.get_secret_value(),
                    headers=bearer(settings.loki_token),
                    tenant=settings.loki_tenant,
                )
            )
        if ranges is None and lines is None:
            yield None
            return
        questions = load_questions(settings.enrichment_file) if ranges is not None else ()
        enriching = Enriching(lambda: questions, resources.clock, ranges=ranges, lines=lines, limit_s=settings.enrich_s)
        # The questions name namespaces and pods, no cluster: of another cluster they would tell of namesakes.
        yield ClusterEnricher({settings.clusters[0]: enriching})
