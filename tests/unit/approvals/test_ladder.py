"""Nobody answers: a reminder at half time, then the next rung with a question of its own, then a person by name."""

from midwatch.domain.approvals import Choice, DecisionKind
from midwatch.domain.cards import card_of
from midwatch.domain.incidents import Incident, State, Work
from midwatch.domain.policy import Policy, Rung
from midwatch.domain.reasons import Reason
from tests.fakes.remedies import TIMEOUT, Bench

PEOPLE = {"oncall": ("slack:ann",), "leads": ("slack:lea", "slack:leo")}
POLICY = Policy(
    cooldown_s=0.0,
    groups=PEOPLE,
    approvers=("@oncall",),
    ladder=(Rung(approvers=("@leads",)), Rung(approvers=("api:boss",))),
)
HALF = TIMEOUT.total_seconds() / 2


async def waited(bench: Bench, seconds: float) -> Incident:
    bench.clock.advance(seconds)
    return await bench.approvals.expire(await bench.claim(Work.AWAIT))


async def test_a_reminder_comes_at_half_time_and_once() -> None:
    bench = Bench(policy=POLICY)
    asked = await bench.asked(await bench.incident())
    assert not await bench.due(Work.AWAIT)
    reminded = await waited(bench, HALF)
    assert reminded.approval is not None
    assert reminded.approval.reminded_at == bench.clock.now()
    assert reminded.approval.id == (asked.approval and asked.approval.id)
    assert card_of(reminded).reminded
    bench.clock.advance(HALF - 1)
    assert not await bench.due(Work.AWAIT)


async def test_a_long_ladder_is_climbed_to_its_end() -> None:
    """Each question is claimed twice: the attempts of one are none of the next's."""
    rungs = tuple(Rung(approvers=(f"api:{number}",)) for number in range(6))
    bench = Bench(policy=Policy(cooldown_s=0.0, ladder=rungs))
    await bench.asked(await bench.incident())
    for _ in range(2 * len(rungs) + 1):
        bench.clock.advance(HALF)
        claim = await bench.claim(Work.AWAIT)
        assert claim.attempt == 1
        passed = await bench.approvals.expire(claim)
        await bench.store.work.release(claim, retry_at=None, error="")
    assert passed.approval is not None
    assert passed.approval.rung == len(rungs)


async def test_the_next_rung_gets_a_question_of_its_own() -> None:
    bench = Bench(policy=POLICY)
    asked = await bench.asked(await bench.incident())
    await waited(bench, HALF)
    passed = await waited(bench, HALF)
    assert passed.state is State.AWAITING_APPROVAL
    assert asked.approval is not None
    assert passed.approval is not None
    assert passed.approval.id != asked.approval.id
    assert passed.approval.digest == asked.approval.digest
    assert passed.approval.approvers == ("slack:ann", "slack:lea", "slack:leo")
    assert (card_of(passed).rung, card_of(passed).called) == (1, ("slack:lea", "slack:leo"))
    assert passed.approval.expires_at - passed.approval.requested_at == TIMEOUT

    late = bench.answer(asked, Choice.APPROVE, user="slack:ann")
    await bench.approvals.click(late)
    await bench.approvals.drain()
    assert (await bench.store.clicks.outcome(late.id) or [""])[0] == DecisionKind.STALE
    approved = await bench.clicked(passed, Choice.APPROVE, user="slack:leo")
    assert approved.approval is not None
    assert approved.approval.outcome == "approved"


async def test_at_the_end_of_the_ladder_a_person_takes_over() -> None:
    bench = Bench(policy=POLICY)
    await bench.asked(await bench.incident())
    for _ in range(6):
        incident = await waited(bench, HALF)
    assert (incident.state, incident.reason) == (State.ESCALATED, Reason.APPROVAL_EXPIRED)
    story = await bench.story(incident)
    assert (story.count("ApprovalRequested"), story.count("ApprovalReminded")) == (3, 3)
    assert story[-2:] == ["ApprovalClosed", "Escalated"]
    assert not bench.cluster.mutations


async def test_two_must_approve_high_risk_once_there_are_two() -> None:
    bench = Bench(policy=POLICY)
    asked = await bench.asked(await bench.incident("OOMKilled"))
    assert asked.approval is not None
    assert (asked.approval.quorum, asked.approval.confirm) == (1, True)
    await waited(bench, HALF)
    passed = await waited(bench, HALF)
    assert passed.approval is not None
    assert (passed.approval.quorum, passed.approval.confirm) == (2, True)


async def test_a_late_broker_reminds_nobody_twice_and_passes_on_once() -> None:
    bench = Bench(policy=POLICY)
    await bench.asked(await bench.incident())
    passed = await waited(bench, 10 * HALF)
    assert passed.approval is not None
    assert passed.approval.rung == 1
    assert "ApprovalReminded" not in await bench.story(passed)


async def test_without_a_ladder_it_escalates_as_before() -> None:
    bench = Bench()
    await bench.asked(await bench.incident())
    incident = await waited(bench, 2 * HALF)
    assert (incident.state, incident.reason) == (State.ESCALATED, Reason.APPROVAL_EXPIRED)
