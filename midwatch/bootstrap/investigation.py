"""The parts that diagnose: read-only sight of the cluster, and the built-in analyser."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from midwatch.adapters.catalog.log_patterns import load_log_patterns
from midwatch.adapters.kubernetes.evidence import KubernetesGatherer
from midwatch.bootstrap import Resources
from midwatch.bootstrap.detection import open_clusters
from midwatch.bootstrap.enrichment import open_enricher
from midwatch.domain.logs import LogAnalyser
from midwatch.services.analysing import BuiltInAnalyser
from midwatch.services.clusters import ClusterSights
from midwatch.services.investigation import Investigation, ModelThere, no_model
from midwatch.services.runtime import Bells


@asynccontextmanager
async def open_investigation(
    resources: Resources, bells: Bells, model_there: ModelThere = no_model
) -> AsyncIterator[Investigation]:
    """Investigations, each over the cluster it is in, with the patterns of ``rules/logs``."""
    analyser = LogAnalyser(load_log_patterns(resources.settings.rules_dir / "logs"))
    async with open_clusters(resources.settings) as connections, open_enricher(resources) as enricher:
        yield Investigation(
            resources.journal(bells),
            ClusterSights({name: KubernetesGatherer(each) for name, each in connections.items()}),
            BuiltInAnalyser(analyser, resources.clock),
            resources.clock,
            by=resources.owner,
            model_there=model_there,
            enricher=enricher,
        )
