"""Letting go of what an execution changed: by the execution itself at its end, or for one that died before it did."""

from contextlib import suppress
from datetime import timedelta

from midwatch.domain.errors import NotFound
from midwatch.domain.execution import resources
from midwatch.domain.incidents import Incident
from midwatch.services.brakes import PolicySource
from midwatch.services.leases import Leases
from midwatch.services.ports import Journal
from midwatch.services.runtime import Clock


class Freeing:
    """Releases leases, with the rest that policy prescribes where something was done to an object."""

    def __init__(self, journal: Journal, leases: Leases, policy: PolicySource, clock: Clock) -> None:
        self._journal, self._leases, self._policy, self._clock = journal, leases, policy, clock

    async def free(self, incident: Incident) -> None:
        """Let others have the targets of this incident's plan."""
        acted = incident.execution is not None and any(record.acted for record in incident.execution.steps)
        cooldown = timedelta(seconds=self._policy.current().cooldown_s if acted else 0.0)
        for resource in resources(incident):
            await self._leases.release(resource, holder=incident.id, now=self._clock.now(), cooldown=cooldown)

    async def free_forsaken(self) -> int:
        """Release what was held by a process that died between an execution's last entry and its release; how many.

        Without it nobody else could act on those objects until the lease ran out.
        """
        holders = await self._leases.forsaken(now=self._clock.now())
        for holder in holders:
            with suppress(NotFound):
                await self.free(await self._journal.read(holder))
        return len(holders)
