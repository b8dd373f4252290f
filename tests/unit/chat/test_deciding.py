"""Approvals by words: the plan that was read is the one that is approved."""

import msgspec
import pytest

from midwatch.domain import events as ev
from midwatch.domain.approvals import Choice
from midwatch.domain.ids import ApprovalId, PlanDigest
from midwatch.domain.reasons import Reason
from midwatch.domain.users import Role
from tests.unit.chat.conftest import Room
from tests.unit.edge import scenes

INCIDENT, SECOND = "0000000a-incident", ApprovalId("0192f0a0-ffff-7000-8000-00000000bbbb")


def another() -> list[ev.AnyEvent]:
    """The better plan that takes the place of the first, and its question."""
    proposed, asked = scenes.asked()
    assert isinstance(proposed, ev.PlanProposed)
    assert isinstance(asked, ev.ApprovalRequested)
    digest, change = PlanDigest("e" * 64), msgspec.structs.replace
    plan = change(proposed.plan, title="Scale checkout to 5")
    return [
        change(proposed, reason=Reason.PLAN_SUPERSEDED, plan=plan, digest=digest),
        change(asked, request=change(asked.request, id=SECOND, digest=digest)),
    ]


@pytest.fixture
async def decider(room: Room) -> Room:
    await room.known("alice", Role.APPROVER, "slack:U1")
    return room


async def test_an_incidents_id_approves_the_only_plan_there_was(decider: Room) -> None:
    again = msgspec.structs.replace(scenes.asked()[0], reason=Reason.PLAYBOOK_COMPILED)
    await scenes.told(decider.store.journal, INCIDENT, scenes.opened(), scenes.diagnosed(), [again], scenes.asked())
    assert "stored" in await decider.say(f"approve {INCIDENT}")
    (click,) = await decider.store.clicks.pending()
    assert (click.approval_id, click.choice, click.digest) == (scenes.APPROVAL, Choice.APPROVE, scenes.DIGEST)


@pytest.mark.parametrize("word", ["approve", "confirm"])
async def test_an_incidents_id_does_not_approve_a_plan_that_replaced_another(decider: Room, word: str) -> None:
    events = (scenes.opened(), scenes.diagnosed(), scenes.asked(), another())
    await scenes.told(decider.store.journal, INCIDENT, *events)
    said = await decider.say(f"{word} {INCIDENT}")
    written = f"approve {SECOND[:16]}"
    assert said.startswith("The plan was replaced; now it is 'Scale checkout to 5'. Write `" + written)
    assert await decider.store.clicks.pending() == ()
    assert "stored" in await decider.say(said.split("`")[1])
    (click,) = await decider.store.clicks.pending()
    assert (click.approval_id, click.digest) == (SECOND, "e" * 64)


async def test_an_incidents_id_rejects_whatever_is_asked(decider: Room) -> None:
    events = (scenes.opened(), scenes.diagnosed(), scenes.asked(), another())
    await scenes.told(decider.store.journal, INCIDENT, *events)
    assert "stored" in await decider.say(f"reject {INCIDENT} not tonight")
    (click,) = await decider.store.clicks.pending()
    assert (click.approval_id, click.choice) == (SECOND, Choice.REJECT)


async def test_what_was_planned_before_an_incident_opened_again_is_no_replaced_plan(decider: Room) -> None:
    before = (scenes.opened(), scenes.diagnosed(), scenes.asked(), [ev.Resolved(reason=Reason.SIGNALS_CLEARED)])
    after = ([ev.Reopened(reason=Reason.REOPENED_IN_COOLDOWN)], scenes.opened()[1:], scenes.diagnosed(), another())
    await scenes.told(decider.store.journal, INCIDENT, *before, *after)
    assert "stored" in await decider.say(f"approve {INCIDENT}")
