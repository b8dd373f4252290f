"""The straight line over a sandbox cluster: planned, asked, approved, carried out once, verified."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from midwatch.domain.incidents import State, Work
from midwatch.domain.playbooks import Risk, VerdictKind
from midwatch.domain.reasons import Reason
from tests.fixtures.remedy import Remedy, running_remedy


@pytest.fixture
async def remedy(tmp_path: Path) -> AsyncIterator[Remedy]:
    async with running_remedy(tmp_path) as remedy:
        yield remedy


async def test_a_crash_loop_is_restarted_once_and_verified(remedy: Remedy) -> None:
    remedy.sandbox.stage.start("crashloop")
    incident = await remedy.incident("CrashLoopBackOff", "Deployment/payments/payment-api")

    incident = await remedy.approved(incident)
    assert incident.plan is not None and incident.verdict is not None
    assert incident.plan.playbook == "restart-workload"
    assert incident.plan.risk is Risk.MEDIUM
    assert incident.verdict.kind is VerdictKind.ASK
    assert "+        kubectl.kubernetes.io/restartedAt" in incident.plan.steps[0].diff
    assert not remedy.mutations(), "a dry run changes nothing"

    incident = await remedy.execution.run(await remedy.claim(Work.EXECUTE))

    assert incident.state is State.RESOLVED, incident.outcome
    assert incident.reason is Reason.ALL_STEPS_VERIFIED
    (mutation,) = remedy.mutations()
    assert (mutation["resource"], mutation["name"]) == ("deployments", "payment-api")
    assert incident.execution is not None
    assert f"{incident.execution.id}:0" in str(mutation["annotations"])
    assert (await remedy.journal_of(incident))[3:] == [
        "PlanProposed",
        "ApprovalRequested",
        "ApprovalVoted",
        "ApprovalClosed",
        "ExecutionStarted",
        "StepStarted",
        "StepActed",
        "StepVerified",
        "Resolved",
    ]
