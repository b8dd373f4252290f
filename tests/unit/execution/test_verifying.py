"""Proof that a step helped: numbers from Prometheus, what was well before, and steps that may fail or stay."""

import asyncio
import math
from collections.abc import Sequence
from datetime import datetime

import msgspec
import pytest

from midwatch.domain.cards import card_of
from midwatch.domain.checks import Standing, measured
from midwatch.domain.errors import Permanent, Transient
from midwatch.domain.incidents import State
from midwatch.domain.observed import Observed, PodSeen
from midwatch.domain.playbooks import Check, OnFailure, Risk
from midwatch.domain.reasons import Reason
from midwatch.domain.regressions import Baseline, baseline_of, regressions
from midwatch.services.checking import Checking
from tests.fakes.cluster import WEB, FakeCluster
from tests.fakes.remedies import Bench

QUERY = 'rate(errors{namespace="$namespace",name="$name"}[1m])'
ERRORS = Check("promql", hold_s=20.0, timeout_s=120.0, query=QUERY, at_most=0.01)


class Numbers:
    """Answers the next of ``answers`` to each query, the last one for ever."""

    def __init__(self, *answers: Sequence[float] | Exception) -> None:
        self.answers, self.asked = list(answers), list[str]()

    async def values(self, query: str, at: datetime) -> tuple[float, ...]:
        self.asked.append(query)
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if isinstance(answer, Exception):
            raise answer
        return tuple(answer)


def measuring(*answers: Sequence[float] | Exception, heals: bool = True) -> tuple[Bench, Numbers]:
    """A bench whose restart is proven by a query."""
    bench, numbers = Bench(FakeCluster(heals=heals)), Numbers(*answers)
    bench.checking = Checking(numbers)
    bench.playbooks = bench.with_steps("restart-workload", 1, verify=(ERRORS,))
    return bench, numbers


async def test_a_query_about_the_very_object_proves_it() -> None:
    bench, numbers = measuring([0.5], [0.0])
    await bench.approved(await bench.incident())
    incident = await bench.executed()
    assert incident.state is State.RESOLVED
    assert set(numbers.asked) == {'rate(errors{namespace="shop",name="web"}[1m])'}
    assert len(numbers.asked) > 20, "it held for its time"


@pytest.mark.parametrize(
    "answers",
    [([0.5],), ([],), ([math.nan],), (Transient("away"),), (Permanent("bad query"),), ([0.0, 0.5],)],
    ids=["too-many", "no-data", "nan", "away", "rejected", "one-of-two"],
)
async def test_what_is_not_proven_in_time_did_not_help(answers: tuple[Sequence[float] | Exception, ...]) -> None:
    bench, _ = measuring(*answers)
    await bench.approved(await bench.incident())
    began = bench.clock.now()
    incident = await bench.executed()
    assert (incident.state, incident.reason) == (State.ESCALATED, Reason.VERIFY_FAILED)
    assert 120 <= (bench.clock.now() - began).total_seconds() < 125


async def test_a_break_begins_the_hold_anew() -> None:
    bench, numbers = measuring(*([[0.0]] * 15), [9.0], [0.0])
    await bench.approved(await bench.incident())
    assert (await bench.executed()).state is State.RESOLVED
    assert len(numbers.asked) >= 15 + 1 + 20


async def test_without_prometheus_there_is_no_such_plan() -> None:
    bench, _ = measuring([0.0])
    bench.checking = Checking()
    incident = await bench.planned(await bench.incident())
    assert (incident.state, incident.reason) == (State.ESCALATED, Reason.PRECHECK_FAILED)
    assert "no Prometheus" in incident.outcome


@pytest.mark.parametrize(
    ("check", "values", "standing"),
    [
        (Check("promql", at_least=1.0), (1.0, 2.0), Standing.HOLDING),
        (Check("promql", at_least=1.0), (1.0, 0.9), Standing.PENDING),
        (Check("promql", at_most=1.0), (1.0,), Standing.HOLDING),
        (Check("promql", at_most=1.0), (math.inf,), Standing.PENDING),
        (Check("promql", at_least=0.0, at_most=1.0), (-0.1,), Standing.PENDING),
        (Check("promql", at_most=1.0), (), Standing.PENDING),
    ],
)
def test_bounds(check: Check, values: tuple[float, ...], standing: Standing) -> None:
    assert measured(check, values).standing is standing


BEFORE = Observed(
    ref=WEB,
    desired=3,
    endpoints_ready=2,
    pods=(
        PodSeen(name="a", uid="a", ready=True, restarts=1),
        PodSeen(name="b", uid="b", ready=True),
        PodSeen(name="c"),
    ),
)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({}, ""),
        ({"pods": (PodSeen(name="n", uid="n", ready=True, restarts=9), *BEFORE.pods[:1])}, ""),
        ({"pods": BEFORE.pods[:1]}, "1 pods are ready, 2 were before"),
        ({"pods": BEFORE.pods[:1], "desired": 1, "endpoints_ready": 1}, ""),
        ({"endpoints_ready": 1}, "1 endpoints are ready, 2 were before"),
        ({"endpoints_ready": None}, "0 endpoints are ready, 2 were before"),
        ({"pods": (msgspec.structs.replace(BEFORE.pods[0], restarts=2), BEFORE.pods[1])}, "which was well, restarted"),
    ],
    ids=["same", "new-pods", "fewer-ready", "fewer-wanted", "fewer-endpoints", "no-endpoints", "restarted"],
)
def test_what_was_well_must_stay_so(change: dict[str, object], said: str) -> None:
    worse = regressions(baseline_of(BEFORE), msgspec.structs.replace(BEFORE, **change))
    assert (said in "; ".join(worse)) if said else not worse


def test_new_trouble_counts_even_where_the_object_is_gone() -> None:
    assert regressions(Baseline(ready=3), None, ("disk full",)) == ("it is in new trouble: disk full",)


async def test_a_fix_that_helps_and_breaks_something_else_is_taken_back() -> None:
    cluster = FakeCluster()
    cluster.seen = msgspec.structs.replace(cluster.seen, endpoints_ready=2)
    bench = Bench(cluster)
    await bench.approved(await bench.incident("OOMKilled"))

    async def breaks() -> None:
        cluster.seen = msgspec.structs.replace(cluster.seen, endpoints_ready=0)

    cluster.after_act = breaks
    incident = await bench.executed()
    assert (incident.state, incident.reason) == (State.ESCALATED, Reason.UNDONE)
    assert "0 endpoints are ready, 2 were before" in incident.outcome
    assert cluster.memory == "256Mi"


async def test_a_new_incident_on_the_same_owner_is_waited_out_and_then_counts() -> None:
    bench = Bench()
    await bench.approved(await bench.incident("OOMKilled"))

    acted_at = bench.clock.now()

    async def breaks() -> None:
        while bench.clock.now() == acted_at:
            await asyncio.sleep(0)
        await bench.incident("PodNotReady")

    async with asyncio.TaskGroup() as group:
        group.create_task(breaks())
        incident = await bench.executed()
    assert incident.reason is Reason.UNDONE
    assert "new trouble" in incident.outcome


async def test_a_step_that_is_not_required_may_fail() -> None:
    bench = Bench(FakeCluster(heals=False))
    found = bench.playbooks.get("raise-memory-limit")
    assert found is not None
    optional = msgspec.structs.replace(found.steps[0], required=False)
    plain = msgspec.structs.replace(
        bench.with_steps("restart-workload", 1).all[0].steps[0],
        action="rollout_restart",
        params={},
        risk=Risk.MEDIUM,
        undo="",
        precheck=(Check("exists"),),
        verify=(Check("exists", timeout_s=5.0),),
    )
    both = msgspec.structs.replace(found, steps=(optional, plain))
    bench.playbooks = type(bench.playbooks)(tuple(both if p.id == both.id else p for p in bench.playbooks.all))
    await bench.approved(await bench.incident("OOMKilled"))
    incident = await bench.executed()
    assert [action for action, _ in bench.cluster.mutations] == ["patch_resources", "restore", "rollout_restart"]
    assert (incident.state, incident.reason) == (State.RESOLVED, Reason.ALL_STEPS_VERIFIED)


async def test_what_is_to_be_kept_is_left_for_a_person() -> None:
    bench = Bench(FakeCluster(heals=False))
    bench.playbooks = bench.with_steps("raise-memory-limit", 1, on_failure=OnFailure.KEEP)
    await bench.approved(await bench.incident("OOMKilled"))
    incident = await bench.executed()
    assert (incident.state, incident.reason) == (State.ESCALATED, Reason.VERIFY_FAILED)
    assert bench.cluster.memory == "512Mi"
    assert any("still changed" in line for line in card_of(incident).handover)
