"""Verifying: look until a step is proven to have helped, or it is clear that it did not."""

from datetime import datetime, timedelta

import msgspec

from midwatch.domain.checks import Patience, Scene, Standing, Verification, verify
from midwatch.domain.errors import Refused, Transient
from midwatch.domain.incidents import Incident
from midwatch.domain.observed import Observed
from midwatch.domain.playbooks import PlanStep
from midwatch.domain.regressions import regressions
from midwatch.domain.runs import StepRecord
from midwatch.services.checking import Checking
from midwatch.services.effects import LiveObjects
from midwatch.services.holding import Blind, HeldClaim
from midwatch.services.ports import Journal
from midwatch.services.runtime import Clock

_BLIND_LOOKS = 15
"""Looks in a row that may fail, before the claim is given back for a while."""
_NEIGHBOURS = 200


class Verifying:
    """One look after another. Holds nothing between two steps."""

    def __init__(self, journal: Journal, live: LiveObjects, checking: Checking, clock: Clock) -> None:
        self._journal, self._live, self._checking, self._clock = journal, live, checking, clock
        self._blind = 0
        self._earliest: datetime | None = None

    async def look(
        self, incident: Incident, step: PlanStep, record: StepRecord, patience: Patience, held: HeldClaim
    ) -> tuple[Incident, Verification]:
        """The incident as it stands now, and where the verification of this step does.

        Raises ``Blind`` when the target could not be looked at for long.
        """
        try:
            seen = await held.during(self._live.observe(step.target.ref))
            incident = await self._journal.read(incident.id)
            self._blind = 0
        except (Transient, Refused) as error:
            self._blind += 1
            if self._blind >= _BLIND_LOOKS:
                raise Blind(10.0, f"cannot verify: {error}") from error
            return incident, Verification(Standing.PENDING, f"cannot look: {error}", patience)
        now = self._clock.now()
        # A clock that was turned back would give it hours: it has its time from the first look at the latest.
        self._earliest = min(self._earliest or now, record.acted_at or now, now)
        acted_at = self._earliest
        scene = Scene(step.target, seen, len(incident.active))
        results = await held.during(self._checking.results(step.verify, scene, now))
        found = verify(step.verify, results, patience, acted_at=acted_at, now=now)
        if found.standing is not Standing.HOLDING or record.baseline is None:
            return incident, found
        worse = regressions(record.baseline, seen, await self._newly_broken(incident, step, record, seen))
        if not worse:
            return incident, found
        over = now >= acted_at + timedelta(seconds=max(check.timeout_s for check in step.verify))
        standing = Standing.BROKEN if over else Standing.PENDING
        return incident, msgspec.structs.replace(found, standing=standing, sentence=f"but {'; '.join(worse)}")

    async def _newly_broken(
        self, incident: Incident, step: PlanStep, record: StepRecord, seen: Observed | None
    ) -> tuple[str, ...]:
        """Titles of other incidents that opened since the act on the target or on what owns it."""
        if record.acted_at is None:
            return ()
        near = {ref.path for ref in (step.target.ref, *(seen.owners if seen else ()))}
        namespace = step.target.ref.namespace
        others = await self._journal.recent(open_only=True, limit=_NEIGHBOURS, namespace=namespace)
        return tuple(
            other.title
            for other in others
            if other.id != incident.id
            and other.cluster == incident.cluster
            and other.owner.path in near
            and other.opened_at > record.acted_at
            and other.active
        )
