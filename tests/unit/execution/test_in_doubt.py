"""What happens when nobody can look, or the process died between two of its words."""

from datetime import timedelta

import pytest

from midwatch.domain import events as ev
from midwatch.domain.errors import Refused, Transient
from midwatch.domain.incidents import Incident, State, Work
from midwatch.domain.playbooks import Check
from midwatch.domain.policy import Policy
from midwatch.domain.reasons import Reason
from tests.fakes.cluster import FakeCluster
from tests.fakes.remedies import Bench


@pytest.mark.parametrize(
    "error", [Transient("the API server is away"), Refused(Reason.RIGHT_MISSING, "cannot get deployments")]
)
async def test_what_cannot_be_looked_at_after_the_act_is_told_to_people(error: Exception) -> None:
    bench = Bench()
    incident = await bench.approved(await bench.incident())

    def blind(what: str) -> None:
        if what == "before observe" and bench.cluster.mutations:
            raise error

    bench.cluster.on_call = blind
    for _ in range(2):
        incident = await bench.executed()
        assert incident.state is State.VERIFYING, "it may come back"
        bench.clock.advance(14 * 60)
    assert incident.execution is not None
    acted_at = incident.execution.steps[0].acted_at
    bench.clock.advance(3 * 60)
    incident = await bench.executed()
    assert (incident.state, incident.reason) == (State.ESCALATED, Reason.ATTEMPTS_EXHAUSTED)
    assert str(error) in incident.outcome
    assert "Restart Deployment" in incident.outcome
    assert acted_at is not None
    assert bench.clock.now() - acted_at >= timedelta(minutes=30)
    assert len(bench.cluster.mutations) == 1
    assert not await bench.due(Work.EXECUTE)


async def test_what_was_protected_after_a_crash_before_the_start_is_not_touched() -> None:
    bench = Bench()
    incident = await bench.approved(await bench.incident())
    assert await bench.brakes.admit(incident) is None, "and here it died"
    bench.policy = Policy(cooldown_s=0.0, protected_namespaces=("shop",))
    incident = await bench.executed()
    assert (incident.state, incident.reason) == (State.ESCALATED, Reason.PROTECTED_NAMESPACE)
    assert not bench.cluster.mutations
    assert not await bench.store.deeds.since(bench.clock.now() - timedelta(hours=1))


class Died(BaseException):
    """The process ends here."""


async def begun(bench: Bench, condition: str = "CrashLoopBackOff") -> Incident:
    """Approved and begun; the process died before anything was sent."""
    incident = await bench.approved(await bench.incident(condition))

    def dies(what: str) -> None:
        if what == "before act":
            raise Died

    bench.cluster.on_call = dies
    with pytest.raises(Died):
        await bench.executed()
    bench.cluster.on_call = lambda _: None
    bench.clock.advance(60)
    return await bench.store.journal.read(incident.id)


async def test_what_was_begun_and_never_sent_is_sent() -> None:
    bench = Bench()
    await begun(bench)
    incident = await bench.executed()
    assert incident.state is State.RESOLVED
    assert len(bench.cluster.mutations) == 1


async def test_what_was_begun_and_never_sent_is_not_sent_hours_later() -> None:
    bench = Bench()
    await begun(bench)
    bench.clock.advance(3600)
    incident = await bench.executed()
    assert (incident.state, incident.reason) == (State.ESCALATED, Reason.APPROVAL_EXPIRED)
    assert "never sent" in incident.outcome
    assert not bench.cluster.mutations


async def test_what_was_begun_and_never_sent_is_not_sent_once_it_is_cancelled() -> None:
    bench = Bench()
    incident = await begun(bench)
    cancelled = ev.CancelAsked(reason=Reason.CANCELLED, by="user:ann")
    await bench.store.journal.append(incident, [cancelled], at=bench.clock.now(), by="test")
    incident = await bench.executed()
    assert (incident.state, incident.reason) == (State.ESCALATED, Reason.CANCELLED)
    assert not bench.cluster.mutations


async def test_what_was_begun_and_never_sent_needs_nobody_once_nothing_fires() -> None:
    bench = Bench()
    await bench.clears(await begun(bench))
    incident = await bench.executed()
    assert (incident.state, incident.reason) == (State.RESOLVED, Reason.SIGNALS_CLEARED)
    assert not bench.cluster.mutations
    assert not [deed for deed in await bench.store.deeds.since(bench.clock.now() - timedelta(hours=1)) if deed.failed]


async def test_what_was_begun_and_never_sent_is_held_to_the_policy_of_now() -> None:
    bench = Bench()
    await begun(bench)
    bench.policy = Policy(cooldown_s=0.0, protected_namespaces=("shop",))
    incident = await bench.executed()
    assert (incident.state, incident.reason) == (State.ESCALATED, Reason.PROTECTED_NAMESPACE)
    assert not bench.cluster.mutations


async def test_an_undo_is_tried_for_half_an_hour_however_long_ago_the_act_was() -> None:
    bench = Bench(FakeCluster(heals=False))
    bench.playbooks = bench.with_steps("raise-memory-limit", 1, verify=(Check("pods_ready", timeout_s=3000.0),))
    await bench.approved(await bench.incident("OOMKilled"))

    def away(what: str) -> None:
        if what == "before act" and bench.cluster.mutations:
            raise Transient("the API server is away")

    bench.cluster.on_call = away
    incident = await bench.executed()
    assert incident.state is State.VERIFYING, "it is given back, not given up"
    bench.cluster.on_call = lambda _: None
    bench.clock.advance(60)
    incident = await bench.executed()
    assert (incident.state, incident.reason) == (State.ESCALATED, Reason.UNDONE)
    assert bench.cluster.memory == "256Mi"
