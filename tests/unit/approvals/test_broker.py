"""The broker over the in-memory store: asked once, stored first, one winner, and an end to every question."""

import asyncio

import msgspec
import pytest

from midwatch.adapters.catalog.playbooks import Playbooks
from midwatch.domain import events as ev
from midwatch.domain.approvals import ApprovalOutcome, Choice, DecisionKind
from midwatch.domain.errors import Permanent, Transient
from midwatch.domain.incidents import State, Work
from midwatch.domain.playbooks import Risk, plan_digest
from midwatch.domain.policy import Policy
from midwatch.domain.reasons import Reason
from midwatch.domain.users import Person, Role
from tests.fakes.remedies import PLAYBOOKS, Bench


async def test_a_question_is_put_once() -> None:
    bench = Bench()
    incident = await bench.asked(await bench.incident())
    assert incident.state is State.AWAITING_APPROVAL
    assert incident.approval is not None
    assert incident.approval.digest == incident.digest
    assert incident.approval.quorum == 1
    assert not await bench.due(Work.ASK)


async def test_an_approval_leads_to_execution() -> None:
    bench = Bench()
    incident = await bench.approved(await bench.incident())
    assert incident.approval is not None
    assert (incident.approval.outcome, incident.approval.decided_by) == (ApprovalOutcome.APPROVED, "api:alice")
    assert await bench.due(Work.EXECUTE)


async def test_a_rejection_escalates_and_keeps_the_comment() -> None:
    bench = Bench()
    incident = await bench.asked(await bench.incident())
    click = msgspec.structs.replace(bench.answer(incident, Choice.REJECT), comment="not at night")
    await bench.approvals.click(click)
    await bench.approvals.drain()
    incident = await bench.store.journal.read(incident.id)
    assert (incident.state, incident.reason) == (State.ESCALATED, Reason.REJECTED_BY_HUMAN)
    assert "not at night" in incident.outcome
    assert not await bench.due(Work.EXECUTE)


async def test_nobody_answers() -> None:
    bench = Bench()
    incident = await bench.asked(await bench.incident())
    assert not await bench.due(Work.AWAIT)
    bench.clock.advance(301)
    incident = await bench.approvals.expire(await bench.claim(Work.AWAIT))
    assert (incident.state, incident.reason) == (State.ESCALATED, Reason.APPROVAL_EXPIRED)
    late = await bench.clicked(incident, Choice.APPROVE)
    assert late.state is State.ESCALATED


async def test_a_click_in_time_counts_although_the_broker_was_away() -> None:
    bench = Bench()
    incident = await bench.asked(await bench.incident())
    bench.clock.advance(299)
    await bench.approvals.click(bench.answer(incident, Choice.APPROVE))
    bench.clock.advance(3)
    incident = await bench.approvals.expire(await bench.claim(Work.AWAIT))
    assert incident.approval is not None
    assert incident.approval.outcome is ApprovalOutcome.APPROVED


async def test_cleared_signals_void_the_question_without_bothering_anybody() -> None:
    bench = Bench()
    incident = await bench.asked(await bench.incident())
    await bench.clears(incident)
    incident = await bench.clicked(incident, Choice.APPROVE)
    assert incident.approval is not None
    assert incident.approval.outcome is ApprovalOutcome.VOID
    assert incident.state is not State.ESCALATED
    incident = await bench.fires(incident)
    assert incident.approval is None
    assert await bench.due(Work.PLAN)


async def test_a_changed_target_voids_the_question() -> None:
    bench = Bench()
    incident = await bench.asked(await bench.incident())
    bench.cluster.edited()
    incident = await bench.clicked(incident, Choice.APPROVE)
    assert (incident.state, incident.reason) == (State.ESCALATED, Reason.TARGET_CHANGED)


async def test_a_redelivered_click_is_known() -> None:
    bench = Bench()
    incident = await bench.asked(await bench.incident())
    click = bench.answer(incident, Choice.APPROVE)
    assert await bench.approvals.click(click)
    assert not await bench.approvals.click(click)
    assert await bench.approvals.drain() == 1


async def test_two_people_for_high_risk_once_two_are_named() -> None:
    bench = Bench(policy=Policy(approvers=("api:alice", "slack:bob")))
    incident = await bench.asked(await bench.incident("OOMKilled"))
    assert incident.approval is not None
    assert (incident.approval.quorum, incident.approval.confirm) == (2, True)
    for user in ("api:alice", "slack:bob", "slack:eve"):
        for choice in (Choice.APPROVE, Choice.CONFIRM):
            assert incident.approval is not None
            assert incident.approval.outcome is None
            bench.clock.advance(1)
            incident = await bench.clicked(incident, choice, user=user)
        if user == "slack:bob":
            break
    assert incident.approval is not None
    assert incident.approval.outcome is ApprovalOutcome.APPROVED


async def test_a_hundred_racing_clicks_have_one_winner() -> None:
    bench = Bench()
    incident = await bench.asked(await bench.incident())
    clicks = [
        bench.answer(incident, Choice.APPROVE if number % 2 else Choice.REJECT, user=f"api:user{number}")
        for number in range(100)
    ]
    for click in clicks:
        await bench.approvals.click(click)
    await asyncio.gather(*(bench.approvals.drain() for _ in range(20)))
    outcomes = [outcome for click in clicks if (outcome := await bench.store.clicks.outcome(click.id))]
    assert len(outcomes) == 100
    won = [kind for kind, _ in outcomes if kind in (DecisionKind.APPROVED, DecisionKind.REJECTED)]
    assert len(won) == 1
    story = await bench.story(incident)
    assert story.count("ApprovalClosed") == 1
    assert {kind for kind, _ in outcomes} - {DecisionKind.ALREADY_DECIDED} == set(won)


async def test_a_click_waits_while_the_cluster_cannot_be_asked() -> None:
    bench = Bench()
    incident = await bench.asked(await bench.incident())
    click = bench.answer(incident, Choice.APPROVE)
    await bench.approvals.click(click)

    def away(_: str) -> None:
        raise Transient("the API server is away")

    bench.cluster.on_call = away
    try:
        await bench.approvals.drain()
    except Transient:
        pass
    else:
        raise AssertionError("a click was judged without looking at its target")
    assert await bench.store.clicks.outcome(click.id) is None
    bench.cluster.on_call = lambda _: None
    await bench.approvals.drain()
    assert await bench.store.clicks.outcome(click.id) == (DecisionKind.APPROVED, "Approved: Midwatch acts now.")


async def test_a_click_on_nothing_is_answered() -> None:
    bench = Bench()
    incident = await bench.asked(await bench.incident())
    click = msgspec.structs.replace(bench.answer(incident, Choice.APPROVE), approval_id="nowhere-at-all")
    await bench.approvals.click(click)
    await bench.approvals.drain()
    outcome = await bench.store.clicks.outcome(click.id)
    assert outcome is not None
    assert outcome[0] == DecisionKind.STALE


@pytest.mark.parametrize("waiting", [1, 120])
async def test_stuck_clicks_do_not_hold_up_the_others(waiting: int) -> None:
    """A rejection needs no look at the cluster: it is judged although approvals before it have to wait."""
    bench = Bench()
    incident = await bench.asked(await bench.incident())
    for _ in range(waiting):
        await bench.approvals.click(bench.answer(incident, Choice.APPROVE))
    bench.clock.advance(1)
    rejecting = bench.answer(incident, Choice.REJECT, user="api:bob")
    await bench.approvals.click(rejecting)

    def away(_: str) -> None:
        raise Transient("the API server is away")

    bench.cluster.on_call = away
    with pytest.raises(Transient):
        await bench.approvals.drain()
    outcome = await bench.store.clicks.outcome(rejecting.id)
    assert outcome is not None
    assert outcome[0] == DecisionKind.REJECTED


async def test_a_beginning_of_the_id_will_do() -> None:
    bench = Bench()
    incident = await bench.asked(await bench.incident())
    click = bench.answer(incident, Choice.APPROVE)
    await bench.approvals.click(msgspec.structs.replace(click, approval_id=click.approval_id[:8]))
    await bench.approvals.drain()
    outcome = await bench.store.clicks.outcome(click.id)
    assert outcome is not None
    assert outcome[0] == DecisionKind.APPROVED


async def test_the_card_of_a_replaced_plan_is_stale() -> None:
    bench = Bench()
    asked = await bench.asked(await bench.incident("OOMKilled"))
    assert asked.plan is not None
    assert asked.verdict is not None
    other = msgspec.structs.replace(asked.plan, playbook_digest="edited")
    better = ev.PlanProposed(
        reason=Reason.PLAN_SUPERSEDED, plan=other, digest=plan_digest(other), verdict=asked.verdict
    )
    await bench.store.journal.append(asked, [better], at=bench.clock.now(), by="planner")
    click = bench.answer(asked, Choice.APPROVE)
    await bench.approvals.click(click)
    await bench.approvals.drain()
    outcome = await bench.store.clicks.outcome(click.id)
    assert outcome is not None
    assert outcome[0] == DecisionKind.STALE
    assert not await bench.due(Work.EXECUTE)


async def test_an_edited_playbook_voids_the_question() -> None:
    bench = Bench()
    incident = await bench.asked(await bench.incident("OOMKilled"))
    bench.playbooks = edited("raise-memory-limit")
    incident = await bench.clicked(incident, Choice.APPROVE)
    bench.clock.advance(1)
    incident = await bench.clicked(incident, Choice.CONFIRM)
    assert (incident.state, incident.reason) == (State.ESCALATED, Reason.PLAYBOOK_CHANGED)
    assert "playbook raise-memory-limit was edited" in incident.outcome
    assert not await bench.due(Work.EXECUTE)


async def test_an_edit_after_the_approval_stops_it_before_the_first_step() -> None:
    bench = Bench()
    incident = await bench.approved(await bench.incident("OOMKilled"))
    bench.playbooks = edited("restart-workload")
    assert await bench.due(Work.EXECUTE), "another playbook's edit is nothing to it"
    bench.clock.advance(7)
    bench.playbooks = edited("raise-memory-limit")
    incident = await bench.executed()
    assert (incident.state, incident.reason) == (State.ESCALATED, Reason.PLAYBOOK_CHANGED)
    assert bench.cluster.mutations == []


def edited(playbook: str) -> Playbooks:
    """The shipped set after somebody changed this one."""
    return Playbooks(
        tuple(msgspec.structs.replace(item, digest="edited") if item.id == playbook else item for item in PLAYBOOKS.all)
    )


async def test_a_cluster_that_does_not_answer_is_asked_once_for_all_its_clicks() -> None:
    bench = Bench()
    for _ in range(3):
        asked = await bench.asked(await bench.incident())
        await bench.approvals.click(bench.answer(asked, Choice.APPROVE))
    calls = 0

    def away(_: str) -> None:
        nonlocal calls
        calls += 1
        raise Transient("the API server is away")

    bench.cluster.on_call = away
    with pytest.raises(Transient):
        await bench.approvals.drain()
    assert calls == 1


async def test_a_fault_with_one_click_is_none_of_the_others() -> None:
    bench = Bench()
    asked = await bench.asked(await bench.incident())
    approving, rejecting = bench.answer(asked, Choice.APPROVE), bench.answer(asked, Choice.REJECT, user="api:bob")
    await bench.approvals.click(approving)
    await bench.approvals.click(rejecting)

    def refuses(_: str) -> None:
        raise Permanent("400 of the API server")

    bench.cluster.on_call = refuses
    with pytest.raises(Transient, match="400"):
        await bench.approvals.drain()
    assert (await bench.store.clicks.outcome(rejecting.id) or [""])[0] == DecisionKind.REJECTED


class Staff:
    """Approvers by their channel identities."""

    def __init__(self, **names: str) -> None:
        self.names = {identity.replace("_", ":"): name for identity, name in names.items()}

    async def find(self, identity: str) -> Person | None:
        name = self.names.get(identity, identity.removeprefix("user:"))
        if name not in self.names.values():
            return None
        own = tuple(each for each, whose in self.names.items() if whose == name)
        return Person(user=f"user:{name}", role=Role.APPROVER, names=(f"user:{name}", *own))


async def test_the_vote_of_who_was_removed_meanwhile_does_not_count() -> None:
    bench = Bench(policy=Policy(cooldown_s=0.0, approvers=("slack:A", "slack:B", "slack:C")))
    staff = bench.people = Staff(slack_A="alice", slack_B="bob", slack_C="carl")
    bench.playbooks = bench.with_steps("restart-workload", 1, risk=Risk.HIGH)
    asked = await bench.asked(await bench.incident())
    for choice in (Choice.APPROVE, Choice.CONFIRM):
        bench.clock.advance(1)
        await bench.clicked(asked, choice, user="slack:A")
    del staff.names["slack:A"]
    for choice in (Choice.APPROVE, Choice.CONFIRM):
        bench.clock.advance(1)
        incident = await bench.clicked(asked, choice, user="slack:B")
    assert incident.state is State.AWAITING_APPROVAL
    for choice in (Choice.APPROVE, Choice.CONFIRM):
        bench.clock.advance(1)
        incident = await bench.clicked(asked, choice, user="slack:C")
    assert incident.approval is not None
    assert incident.approval.outcome is ApprovalOutcome.APPROVED


async def test_one_person_with_two_names_is_no_quorum_of_two() -> None:
    bench = Bench(policy=Policy(cooldown_s=0.0, approvers=("slack:A", "telegram:5")))
    bench.people = Staff(slack_A="alice", telegram_5="alice")
    bench.playbooks = bench.with_steps("restart-workload", 1, risk=Risk.HIGH)
    asked = await bench.asked(await bench.incident())
    assert asked.approval is not None
    assert asked.approval.quorum == 1


async def test_a_late_click_is_told_why_the_question_ended() -> None:
    bench = Bench()
    asked = await bench.asked(await bench.incident())
    bench.clock.advance(301)
    await bench.approvals.expire(await bench.claim(Work.AWAIT))
    late = bench.answer(asked, Choice.APPROVE)
    await bench.approvals.click(late)
    await bench.approvals.drain()
    _, sentence = await bench.store.clicks.outcome(late.id) or ("", "")
    assert sentence == "Already expired: Nobody decided within 5 minutes."
