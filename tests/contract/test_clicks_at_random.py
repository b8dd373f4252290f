"""Clicks of every sort, in any order, over both stores: none that is stale, foreign, replayed or late ever counts."""

import asyncio
import random
from datetime import timedelta

import msgspec
import pytest

from midwatch.domain import events as ev
from midwatch.domain.approvals import GRACE, ApprovalOutcome, ApprovalRequest, Choice, Click, DecisionKind
from midwatch.domain.ids import ClickId
from midwatch.domain.incidents import Incident, State, Work
from midwatch.domain.policy import Policy
from midwatch.domain.reasons import Reason
from tests.contract.conftest import AnyStore
from tests.fakes.cluster import FakeCluster
from tests.fakes.remedies import Bench

ROUNDS = 60
NAMED = ("api:alice", "slack:bob")
POLICY = Policy(approvers=NAMED, cooldown_s=0.0, actions_per_hour=10_000, circuit_failures=10_000, human_edit_s=0)
MOVED = (DecisionKind.APPROVED, DecisionKind.REJECTED, DecisionKind.VOTED, DecisionKind.NEEDS_CONFIRMATION)


class Round:
    """One question, MEDIUM (one of two people) or HIGH (both, twice), and the clicks it gets."""

    def __init__(self, store: AnyStore, number: int) -> None:
        self.chance = random.Random(number)
        self.bench = Bench(FakeCluster(), policy=POLICY, store=store)  # type: ignore[arg-type]
        self.bench.ids._last = number * 10_000
        self.bench.clock.advance(number * 3600.0)
        self.old: list[Click] = []
        self.sent: list[tuple[Click, str]] = []

    async def play(self) -> None:
        """Ask, click, judge, execute, and look at what came of it."""
        bench = self.bench
        incident = await bench.asked(await bench.incident(self.chance.choice(("CrashLoopBackOff", "OOMKilled"))))
        first = incident.approval
        assert first is not None
        if self.chance.random() < 0.2:
            incident = await self._replaced(incident)
        for _ in range(self.chance.randint(1, 14)):
            await self._one(incident, first)
        await asyncio.gather(*(bench.approvals.drain() for _ in range(3)))
        await self._judged(await bench.store.journal.read(incident.id))

    async def _replaced(self, incident: Incident) -> Incident:
        """A better report leads to another plan: what was asked before is void, and asked anew."""
        self.old = [self.bench.answer(incident, Choice.APPROVE, user=user) for user in NAMED]
        report = msgspec.structs.replace(incident.report, playbook="scale-to", parameters={"replicas": "3"})
        better = ev.ReportMade(reason=Reason.MODEL_REFINED, diagnosis=report)
        await self.bench.store.journal.append(incident, [better], at=self.bench.clock.now(), by="worker")
        again = await self.bench.asked(incident)
        assert again.approval is not None
        assert incident.approval is not None
        assert again.approval.id != incident.approval.id
        return again

    async def _one(self, incident: Incident, first: ApprovalRequest) -> None:
        """One click; now and then the world moves, or what came is judged."""
        bench, chance = self.bench, self.chance
        made = bench.answer(incident, chance.choice(list(Choice)), user=chance.choice((*NAMED, "slack:eve")))
        kind = chance.choice(
            ("good", "good", "good", "good", "replayed", "stale", "other-plan", "late", "early", "old")
        )
        match kind:
            case "replayed" if self.sent:
                made = chance.choice(self.sent)[0]
            case "stale":
                made = msgspec.structs.replace(made, digest="another")
            case "other-plan":
                made = msgspec.structs.replace(made, approval_id=bench.ids.new())
            case "late":
                made = msgspec.structs.replace(made, at=first.expires_at + timedelta(seconds=chance.randint(300, 900)))
            case "early":
                made = msgspec.structs.replace(made, at=first.requested_at - timedelta(seconds=1))
            case "old" if self.old:
                made = msgspec.structs.replace(chance.choice(self.old), id=ClickId(bench.ids.new()))
            case _:
                kind = "good"
        new = await bench.approvals.click(made)
        if kind == "replayed":
            assert not new, "a click is taken once"
        elif new:
            self.sent.append((made, kind))
        bench.clock.advance(chance.choice((0.0, 1.0, 1.0, 20.0, 100.0)))
        if chance.random() < 0.1:
            bench.cluster.edited()
        if chance.random() < 0.4:
            await asyncio.gather(*(bench.approvals.drain() for _ in range(2)))

    async def _judged(self, incident: Incident) -> None:
        request, bench = incident.approval, self.bench
        assert request is not None
        for click, kind in self.sent:
            outcome = await bench.store.clicks.outcome(click.id)
            assert outcome is not None
            assert outcome[1], "everybody is told why"
            if kind != "good" or click.user not in NAMED or click.at >= request.expires_at:
                assert outcome[0] not in MOVED, (kind, click, outcome)
        closed = [entry.event for entry in await self._entries(incident) if isinstance(entry.event, ev.ApprovalClosed)]
        assert len([event for event in closed if event.approval == request.id]) == (request.outcome is not None)
        voted = {(vote.user, vote.choice) for vote in request.votes}
        whole = [
            user
            for user in NAMED
            if not request.confirm or {(user, c) for c in (Choice.APPROVE, Choice.CONFIRM)} <= voted
        ]
        if request.outcome is ApprovalOutcome.APPROVED:
            assert len([user for user in whole if user in {vote.user for vote in request.votes}]) >= request.quorum
        await self._executed(incident, request)

    async def _executed(self, incident: Incident, request: ApprovalRequest) -> None:
        """Only what was approved is carried out, once, and only on the object that was approved."""
        bench = self.bench
        if incident.state is State.AWAITING_APPROVAL:
            bench.clock.advance((request.expires_at + GRACE - bench.clock.now()).total_seconds() + 1)
            incident = await bench.approvals.expire(await bench.claim(Work.AWAIT))
            assert incident.reason is Reason.APPROVAL_EXPIRED
        claims = await bench.store.work.claim(
            [Work.EXECUTE], owner="me", now=bench.clock.now(), ttl=timedelta(seconds=6)
        )
        assert bool(claims) == (request.outcome is ApprovalOutcome.APPROVED)
        for claim in claims:
            await bench.execution.run(claim)
        assert len(bench.cluster.mutations) <= len(claims)
        self.carried_out = len(bench.cluster.mutations)

    async def _entries(self, incident: Incident):  # type: ignore[no-untyped-def]
        return await self.bench.store.journal.entries(incident.id)


@pytest.mark.timeout(180)
async def test_whatever_is_clicked_only_a_whole_approval_of_the_named_is_carried_out(store: AnyStore) -> None:
    carried_out = judged = 0
    outcomes = set()
    for number in range(ROUNDS):
        one = Round(store, number)
        await one.play()
        carried_out += one.carried_out
        for click, kind in one.sent:
            outcome = await store.clicks.outcome(click.id)
            assert outcome is not None
            outcomes.add(outcome[0])
            judged += kind != "good"
    assert carried_out > ROUNDS / 10, "some are sound"
    assert judged > ROUNDS, "and many are not"
    assert outcomes >= set(DecisionKind) - {DecisionKind.VOTED, DecisionKind.REPEATED}, outcomes
