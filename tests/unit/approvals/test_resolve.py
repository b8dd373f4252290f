"""What one click is worth: no stale, foreign, replayed, duplicate, expired or late click ever approves."""

from datetime import datetime, timedelta

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from midwatch.domain.approvals import (
    GRACE,
    ApprovalOutcome,
    ApprovalRequest,
    Choice,
    Click,
    Decision,
    DecisionKind,
    World,
    complete,
    resolve,
)
from midwatch.domain.ids import ApprovalId, ClickId, PlanDigest
from tests.fakes.runtime import NOON

REQUEST = ApprovalRequest(
    id=ApprovalId("a1"), digest=PlanDigest("d1"), requested_at=NOON, expires_at=NOON + timedelta(minutes=5)
)
WORLD = World(asked=REQUEST.id, digest=REQUEST.digest, firing=True)


def click(choice: Choice = Choice.APPROVE, user: str = "api:alice", at: float = 10.0, digest: str = "d1") -> Click:
    return Click(
        id=ClickId(f"{user}{at}{choice}"),
        approval_id=REQUEST.id,
        choice=choice,
        user=user,
        channel="api",
        at=NOON + timedelta(seconds=at),
        digest=digest,
    )


def voted(request: ApprovalRequest, decision: Decision) -> ApprovalRequest:
    """The request after a decision was journalled."""
    votes = (*request.votes, decision.vote) if decision.vote else request.votes
    return msgspec.structs.replace(request, votes=votes, outcome=decision.outcome or request.outcome)


def judged(request: ApprovalRequest, clicks: list[Click], world: World = WORLD) -> ApprovalRequest:
    for one in clicks:
        request = voted(request, resolve(request, one, world, one.at))
    return request


@pytest.mark.parametrize(
    ("request_", "one", "world", "kind"),
    [
        (REQUEST, click(), WORLD, DecisionKind.APPROVED),
        (REQUEST, click(Choice.REJECT), WORLD, DecisionKind.REJECTED),
        (REQUEST, click(digest="other"), WORLD, DecisionKind.STALE),
        (REQUEST, click(at=300), WORLD, DecisionKind.EXPIRED),
        (REQUEST, click(at=-1), WORLD, DecisionKind.EXPIRED),
        (
            msgspec.structs.replace(REQUEST, approvers=("api:bob",)),
            click(),
            WORLD,
            DecisionKind.NOT_ALLOWED,
        ),
        (
            msgspec.structs.replace(REQUEST, outcome=ApprovalOutcome.REJECTED),
            click(),
            WORLD,
            DecisionKind.ALREADY_DECIDED,
        ),
        (REQUEST, click(), msgspec.structs.replace(WORLD, asked=ApprovalId("a2")), DecisionKind.STALE),
        (REQUEST, click(), msgspec.structs.replace(WORLD, digest=PlanDigest("d2")), DecisionKind.STALE),
        (REQUEST, click(), msgspec.structs.replace(WORLD, changed="it was edited"), DecisionKind.VOID),
        (REQUEST, click(), msgspec.structs.replace(WORLD, firing=False), DecisionKind.VOID),
        (msgspec.structs.replace(REQUEST, confirm=True), click(), WORLD, DecisionKind.NEEDS_CONFIRMATION),
        (
            msgspec.structs.replace(REQUEST, confirm=True),
            click(Choice.CONFIRM),
            WORLD,
            DecisionKind.NEEDS_CONFIRMATION,
        ),
        (msgspec.structs.replace(REQUEST, quorum=2), click(), WORLD, DecisionKind.VOTED),
    ],
    ids=[
        "approved",
        "rejected",
        "another-plan",
        "late",
        "before-it-was-asked",
        "foreign",
        "decided",
        "superseded",
        "other-digest",
        "target-changed",
        "cleared",
        "first-of-two-steps",
        "confirmation-first",
        "first-of-two-people",
    ],
)
def test_each_kind_of_click(request_: ApprovalRequest, one: Click, world: World, kind: DecisionKind) -> None:
    decision = resolve(request_, one, world, one.at)
    assert decision.kind is kind
    assert decision.sentence


def test_a_click_in_time_judged_late_counts_only_for_the_grace() -> None:
    in_time = click(at=299)
    assert resolve(REQUEST, in_time, WORLD, REQUEST.expires_at).kind is DecisionKind.APPROVED
    assert resolve(REQUEST, in_time, WORLD, REQUEST.expires_at + GRACE).kind is DecisionKind.EXPIRED


def test_high_risk_takes_two_steps_of_the_same_person() -> None:
    request = msgspec.structs.replace(REQUEST, confirm=True)
    first = judged(request, [click()])
    assert resolve(first, click(Choice.APPROVE, at=11), WORLD, NOON).kind is DecisionKind.REPEATED
    other = resolve(first, click(Choice.CONFIRM, user="api:bob", at=11), WORLD, NOON)
    assert other.outcome is None
    assert resolve(first, click(Choice.CONFIRM, at=11), WORLD, NOON).kind is DecisionKind.APPROVED


def test_a_quorum_is_of_different_people() -> None:
    request = msgspec.structs.replace(REQUEST, quorum=2)
    once = judged(request, [click(), click(at=11), click(at=12)])
    assert once.outcome is None
    assert judged(once, [click(user="api:bob", at=13)]).outcome is ApprovalOutcome.APPROVED


def test_the_answer_after_a_crash_is_the_same() -> None:
    decided = voted(REQUEST, resolve(REQUEST, click(), WORLD, NOON))
    decided = msgspec.structs.replace(decided, decided_by="api:alice")
    assert resolve(decided, click(), WORLD, NOON).kind is DecisionKind.APPROVED


USERS = ("api:alice", "api:bob", "slack:eve")


@st.composite
def anything(draw: st.DrawFn) -> tuple[ApprovalRequest, list[tuple[Click, World, datetime]]]:
    """A request and clicks of every sort, each with the world and the instant in which it is judged."""
    request = msgspec.structs.replace(
        REQUEST,
        quorum=draw(st.integers(1, 2)),
        confirm=draw(st.booleans()),
        approvers=draw(st.sampled_from([(), ("api:alice",), ("api:alice", "api:bob")])),
    )
    clicks = []
    for _ in range(draw(st.integers(1, 12))):
        at = draw(st.sampled_from([-5.0, 1.0, 2.0, 3.0, 299.0, 300.0, 900.0]))
        one = Click(
            id=ClickId("c"),
            approval_id=draw(st.sampled_from([REQUEST.id, ApprovalId("a0")])),
            choice=draw(st.sampled_from(Choice)),
            user=draw(st.sampled_from(USERS)),
            channel="api",
            at=NOON + timedelta(seconds=at),
            digest=draw(st.sampled_from(["", "d1", "d0"])),
        )
        world = World(
            asked=draw(st.sampled_from([REQUEST.id, ApprovalId("a2"), None])),
            digest=draw(st.sampled_from([REQUEST.digest, PlanDigest("d2"), None])),
            firing=draw(st.booleans()),
            changed=draw(st.sampled_from(["", "edited"])),
        )
        late = draw(st.sampled_from([0.0, 20.0, 60.0]))
        clicks.append((one, world, one.at + timedelta(seconds=late)))
    return request, clicks


def sound(request: ApprovalRequest, one: Click, world: World, now: datetime) -> bool:
    """Whether a click may move anything, said a second time and in other words."""
    return (
        one.approval_id == request.id == world.asked
        and world.digest == request.digest
        and one.digest in ("", request.digest)
        and (not request.approvers or one.user in request.approvers)
        and NOON <= one.at < request.expires_at
        and now < request.expires_at + GRACE
        and request.outcome is None
    )


@settings(deadline=None)  # the machine may be busy
@given(anything())
def test_only_sound_clicks_ever_approve(drawn: tuple[ApprovalRequest, list[tuple[Click, World, datetime]]]) -> None:
    request, clicks = drawn
    good: dict[str, set[Choice]] = {}
    for one, world, now in clicks:
        fine = sound(request, one, world, now)
        decision = resolve(request, one, world, now)
        if decision.vote is not None:
            assert fine
        if decision.outcome in (ApprovalOutcome.APPROVED, ApprovalOutcome.REJECTED):
            assert fine
        if fine and decision.vote is not None:
            good.setdefault(one.user, set()).add(one.choice)
        if decision.outcome is ApprovalOutcome.APPROVED:
            assert world.firing
            assert not world.changed
            wanted = {Choice.APPROVE, Choice.CONFIRM} if request.confirm else set()
            whole = [user for user, choices in good.items() if choices >= wanted and choices - {Choice.REJECT}]
            assert len(whole) >= request.quorum
        request = voted(request, decision)
        assert len(complete(request, request.votes)) <= len(good)
