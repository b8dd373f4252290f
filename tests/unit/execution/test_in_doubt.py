"""What happens when nobody can look, or the process died between two of its words."""

from datetime import timedelta

import pytest

from midwatch.domain.errors import Refused, Transient
from midwatch.domain.incidents import State, Work
from midwatch.domain.policy import Policy
from midwatch.domain.reasons import Reason
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
