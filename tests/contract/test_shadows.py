"""Shadows are kept once, due when their incident is over, and scored once."""

from datetime import timedelta

from midwatch.domain import events as ev
from midwatch.domain.ids import IncidentId
from midwatch.domain.observed import Observed
from midwatch.domain.playbooks import Plan, Risk
from midwatch.domain.reasons import Reason
from midwatch.domain.refs import ObjectRef
from midwatch.domain.shadows import Score, Shadow
from tests.contract.conftest import AnyStore
from tests.fakes.runtime import NOON
from tests.fakes.samples import attached, opened

A = IncidentId("0000000a-0000-7000-8000-000000000001")


def shadow(playbook: str = "restart-workload", minutes: int = 0) -> Shadow:
    plan = Plan(playbook=playbook, playbook_digest="d", title="Restart\x00", risk=Risk.MEDIUM, steps=())
    before = Observed(ref=ObjectRef("Deployment", "web", "shop", "u"))
    return Shadow(incident=A, playbook=playbook, at=NOON + timedelta(minutes=minutes), plan=plan, before=before)


async def test_a_shadow_is_due_when_its_incident_is_over(store: AnyStore) -> None:
    incident = await store.journal.open(A, [opened(), attached()], at=NOON, by="test")
    await store.shadows.put(shadow())
    await store.shadows.put(shadow(minutes=5))  # planned again: the first stands
    await store.shadows.put(shadow("scale-up", 1))
    assert await store.shadows.due() == ()
    await store.journal.append(incident, [ev.Resolved(reason=Reason.SIGNALS_CLEARED)], at=NOON, by="test")
    assert await store.shadows.due() == (shadow(), shadow("scale-up", 1))
    assert await store.shadows.due(limit=1) == (shadow(),)


async def test_a_score_stands(store: AnyStore) -> None:
    incident = await store.journal.open(A, [opened(), attached()], at=NOON, by="test")
    await store.journal.append(incident, [ev.Resolved(reason=Reason.SIGNALS_CLEARED)], at=NOON, by="test")
    await store.shadows.put(shadow())
    for score in (Score.SAME, Score.OTHER):
        await store.shadows.score(shadow().key, score, at=NOON, detail=str(score))
    await store.shadows.score("unknown", Score.SAME, at=NOON, detail="")
    (scored,) = await store.shadows.recent()
    assert (scored.score, scored.scored_at, scored.detail) == (Score.SAME, NOON, "same")
    assert await store.shadows.due() == ()
    assert await store.shadows.recent(playbook="scale-up") == ()
    assert await store.shadows.recent(playbook="restart-workload", limit=1) == (scored,)
