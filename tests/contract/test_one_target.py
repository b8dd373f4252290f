"""Fifty incidents on one deployment: carried out one after another, with the rest that policy prescribes between."""

import asyncio
import itertools
from datetime import datetime, timedelta

import pytest

from midwatch.domain import events as ev
from midwatch.domain.approvals import Choice
from midwatch.domain.ids import IncidentId
from midwatch.domain.incidents import Incident, State, Work
from midwatch.domain.policy import Policy
from midwatch.domain.reasons import Reason
from midwatch.services.ports import Claim
from tests.contract.conftest import AnyStore
from tests.fakes.remedies import TTL, Bench

INCIDENTS, WAVE, WAVE_S = 50, 10, 40
COOLDOWN_S = 60.0


class Night:
    """Planner, broker, a person who approves everything and eight executors, over one store."""

    def __init__(self, store: AnyStore) -> None:
        # No other brake may be what keeps two apart.
        policy = Policy(cooldown_s=COOLDOWN_S, actions_per_hour=1000, circuit_failures=1000, human_edit_s=0)
        self.bench = Bench(store=store, policy=policy)  # type: ignore[arg-type]
        self.begun = 0
        self.ended: dict[IncidentId, Incident] = {}
        self.acted: list[datetime] = []

        async def note() -> None:
            self.acted.append(self.bench.clock.now())

        self.bench.cluster.after_act = note

    async def turn(self) -> int:
        """Everything that is due now; how many pieces of work that was."""
        bench = self.bench
        plans = await self._claimed(Work.PLAN)
        for claim in plans:
            await bench.planning.propose(claim)
        questions = await self._claimed(Work.ASK)
        for claim in questions:
            await bench.clicked(await bench.approvals.ask(claim), Choice.APPROVE)
        runs = await self._claimed(Work.EXECUTE)
        for ended in await asyncio.gather(*(bench.execution.run(claim) for claim in runs)):
            if ended.state in (State.RESOLVED, State.ESCALATED):
                self.ended[ended.id] = ended
        return len(plans) + len(questions) + len(runs)

    async def _claimed(self, work: Work) -> tuple[Claim, ...]:
        return await self.bench.store.work.claim([work], owner="me", now=self.bench.clock.now(), ttl=TTL, limit=8)


@pytest.mark.timeout(180)
async def test_fifty_incidents_on_one_deployment_change_it_once_a_cooldown(store: AnyStore) -> None:
    night = Night(store)
    bench, began = night.bench, night.bench.clock.now()
    while len(night.ended) < INCIDENTS:
        assert bench.clock.now() - began < timedelta(hours=4), "somebody waits for ever"
        passed_s = (bench.clock.now() - began).total_seconds()
        if night.begun < INCIDENTS and passed_s >= night.begun / WAVE * WAVE_S:
            for _ in range(WAVE):
                await bench.incident()
            night.begun += WAVE
        if not await night.turn():
            bench.clock.advance(5)

    ended = night.ended.values()
    reasons = [incident.reason for incident in ended]
    assert set(reasons) == {Reason.ALL_STEPS_VERIFIED, Reason.TARGET_CHANGED}
    assert reasons.count(Reason.ALL_STEPS_VERIFIED) == len(bench.cluster.mutations) == len(night.acted) >= 2
    rests = [(later - earlier).total_seconds() for earlier, later in zip(night.acted, night.acted[1:], strict=False)]
    assert min(rests) >= COOLDOWN_S
    spans = sorted([await span(store, incident) for incident in ended if incident.execution])
    assert len(spans) == len(night.acted)
    assert all(end <= begin for (_, end), (begin, _) in itertools.pairwise(spans)), "one at a time"


async def span(store: AnyStore, incident: Incident) -> tuple[datetime, datetime]:
    """From the beginning of its execution to its end."""
    entries = await store.journal.entries(incident.id)
    (began,) = [entry.at for entry in entries if isinstance(entry.event, ev.ExecutionStarted)]
    (ended,) = [entry.at for entry in entries if isinstance(entry.event, ev.Resolved | ev.Escalated)]
    return began, ended
