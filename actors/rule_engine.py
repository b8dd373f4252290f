"""RuleEngine: settles signals into incidents, and ends incidents whose signals stayed cleared."""

from datetime import timedelta

from actors.clients import ActorBells
from actors.lifecycle import Resident
from midwatch.bootstrap import Resources
from midwatch.bootstrap.detection import dead_man, open_ingestion, open_lost_resolves


class RuleEngine(Resident):
    """One per house: a single writer decides what joins what."""

    async def run(self, resources: Resources) -> None:
        ttl = timedelta(seconds=self._settings.claim_ttl_s)
        bells = ActorBells(self._settings.active_channels)
        heartbeats = dead_man(resources, bells)
        retention = resources.retention()
        async with open_ingestion(resources, bells) as ingestion, open_lost_resolves(resources, bells) as lost:

            async def turn() -> None:
                await heartbeats.look()
                await ingestion.drain()
                await lost.look()
                await ingestion.settle_incidents(owner=self._name, ttl=ttl)
                await retention.turn()
                self._metrics.queue_depth.set(await resources.stores.inbox.depth())

            await self.turns(turn)
