"""A plan that deletes one of several does not end the trouble of the others, nor their incident."""

from datetime import timedelta

import msgspec
import pytest

from midwatch.adapters.catalog.playbooks import Playbooks
from midwatch.domain import events as ev
from midwatch.domain.cards import card_of
from midwatch.domain.errors import Permanent, Refused
from midwatch.domain.ids import SignalId
from midwatch.domain.incidents import Incident, State
from midwatch.domain.observed import Observed
from midwatch.domain.reasons import Reason
from midwatch.domain.refs import ObjectRef, Severity
from midwatch.services.effects import ActionCall, Effect, Outcome
from tests.fakes.cluster import WEB, FakeCluster
from tests.fakes.remedies import PLAYBOOKS, Bench

ONE, TWO = ObjectRef("Pod", "web-1", "shop"), ObjectRef("Pod", "web-2", "shop")
EVICTED = {"state": "Failed"}


class Pods(FakeCluster):
    """``web-1`` was evicted; ``other`` says what is known of ``web-2`` (``None``: it is gone).

    ``obstinate``: that one cannot be deleted.
    """

    def __init__(self, other: dict[str, object] | None, *, readable: bool = True, obstinate: str = "") -> None:
        super().__init__()
        self.other, self.readable, self.obstinate = other, readable, obstinate

    async def observe(self, ref: ObjectRef) -> Observed | None:
        if ref.name == TWO.name and not self.readable:
            raise Refused(Reason.RIGHT_MISSING, "cannot get pods")
        known = {ONE.name: EVICTED, TWO.name: self.other}.get(ref.name)
        if known is None or ref.name in [name for _, name in self.mutations]:
            return None
        return msgspec.structs.replace(
            Observed(ref=msgspec.structs.replace(ref, uid=f"uid-{ref.name}"), owners=(WEB,)), **known
        )

    async def rehearse(self, call: ActionCall) -> Outcome:
        return Outcome(effect=Effect.DRY_RUN)

    async def act(self, call: ActionCall) -> Outcome:
        if call.ref.name == self.obstinate:
            raise Permanent("403 of an admission webhook")
        self.mutations.append((call.action, call.ref.name))
        return Outcome(effect=Effect.APPLIED)


async def ended(cluster: Pods, *, each: bool = False) -> tuple[Bench, Incident]:
    """Both pods were evicted; the remains of the first, or of ``each``, are deleted."""
    bench = Bench(cluster)
    bench.playbooks = Playbooks(tuple(msgspec.structs.replace(item, each=each) for item in PLAYBOOKS.all))
    incident = await bench.incident("PodEvicted", subject=ONE, owner=WEB)
    firing = [
        ev.SignalAttached(
            reason=Reason.RULE_MATCHED,
            signal=SignalId(bench.ids.new()),
            identity=ref.name,
            episode=f"{ref.name}@1",
            source="watch",
            condition="PodEvicted",
            severity=Severity.ERROR,
            subject=ref,
        )
        for ref in (ONE, TWO)
    ]
    incident = await bench.store.journal.append(incident, firing, at=bench.clock.now(), by="test")
    await bench.approved(incident)
    return bench, await bench.executed()


@pytest.mark.parametrize("readable", [True, False])
async def test_the_other_ones_trouble_is_told_to_people(readable: bool) -> None:
    bench, incident = await ended(Pods(EVICTED, readable=readable))
    assert bench.cluster.mutations == [("delete_finished_pod", "web-1")]
    assert (incident.state, incident.reason) == (State.ESCALATED, Reason.STILL_FIRING)
    assert "Delete the remains of" in incident.outcome
    assert "Still in trouble: Pod shop/web-2" in incident.outcome
    assert any("web-2" in line for line in card_of(incident).handover)
    (deed,) = await bench.store.deeds.since(bench.clock.now() - timedelta(hours=1))
    assert not deed.failed, "what was done held: it opens no circuit"


@pytest.mark.parametrize("other", [None, {"deleting": True}, {"ready": 1, "state": "Running"}])
async def test_what_is_over_and_not_cleared_yet_holds_nothing_up(other: dict[str, object] | None) -> None:
    _, incident = await ended(Pods(other))
    assert (incident.state, incident.reason) == (State.RESOLVED, Reason.ALL_STEPS_VERIFIED)


async def test_a_plan_for_each_deletes_them_all() -> None:
    bench, incident = await ended(Pods(EVICTED), each=True)
    assert bench.cluster.mutations == [("delete_finished_pod", "web-1"), ("delete_finished_pod", "web-2")]
    assert (incident.state, incident.reason) == (State.RESOLVED, Reason.ALL_STEPS_VERIFIED)
    assert incident.plan is not None
    assert incident.plan.title.endswith("Pod shop/web-1 and 1 more")


@pytest.mark.parametrize(
    ("other", "readable"), [(None, True), ({"ready": 1, "state": "Running"}, True), (EVICTED, False)]
)
async def test_a_plan_for_each_leaves_out_what_it_does_not_fit(other: dict[str, object] | None, readable: bool) -> None:
    bench, incident = await ended(Pods(other, readable=readable), each=True)
    assert bench.cluster.mutations == [("delete_finished_pod", "web-1")]
    assert incident.plan is not None
    assert len(incident.plan.steps) == 1


async def test_one_of_them_that_fails_is_told_and_holds_up_no_other() -> None:
    bench, incident = await ended(Pods(EVICTED, obstinate="web-2"), each=True)
    assert bench.cluster.mutations == [("delete_finished_pod", "web-1")]
    assert (incident.state, incident.reason) == (State.ESCALATED, Reason.STILL_FIRING)
    assert "Still in trouble: Pod shop/web-2" in incident.outcome
    assert "403" in incident.outcome
