"""The straight line over a sandbox cluster: planned, asked, approved, carried out once, verified."""

from collections.abc import AsyncIterator, Callable
from datetime import timedelta
from pathlib import Path

import pytest

from midwatch.adapters.mcp.kubernetes.actions import ClusterActions
from midwatch.adapters.mcp.kubernetes.api import open_kube
from midwatch.domain.incidents import State, Work
from midwatch.domain.observed import Observed
from midwatch.domain.playbooks import Risk, VerdictKind
from midwatch.domain.reasons import Reason
from midwatch.domain.refs import ObjectRef
from midwatch.sandbox.api.faults import Fault
from midwatch.sandbox.schema import PODS
from midwatch.services.effects import ActionCall, Outcome
from tests.fixtures.remedy import Remedy, running_remedy


@pytest.fixture
async def remedy(tmp_path: Path) -> AsyncIterator[Remedy]:
    async with running_remedy(tmp_path) as remedy:
        yield remedy


async def test_a_crash_loop_is_restarted_once_and_verified(remedy: Remedy) -> None:
    remedy.sandbox.stage.start("crashloop")
    incident = await remedy.incident("CrashLoopBackOff", "Deployment/payments/payment-api")

    incident = await remedy.approved(incident)
    assert incident.plan is not None
    assert incident.verdict is not None
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


async def test_a_memory_limit_is_raised_and_holds(remedy: Remedy) -> None:
    remedy.sandbox.stage.start("oom")
    await until_seen(remedy, "Deployment/shop/search", lambda seen: any(pod.oom_killed for pod in seen.pods))
    incident = await remedy.approved(await remedy.incident("OOMKilled", "Deployment/shop/search"))
    assert incident.plan is not None
    assert incident.plan.steps[0].params == {"container": "search", "memory_limit": "512Mi"}
    assert "+            memory: 512Mi" in incident.plan.steps[0].diff
    incident = await remedy.execution.run(await remedy.claim(Work.EXECUTE))
    assert incident.state is State.RESOLVED, incident.outcome
    assert len(remedy.mutations()) == 1


async def test_a_wrong_image_is_rolled_back(remedy: Remedy) -> None:
    remedy.sandbox.stage.start("imagepull")
    await until_seen(remedy, "Deployment/shop/frontend", lambda seen: seen.previous_revision is not None)
    before = await template(remedy, "shop", "frontend")
    incident = await remedy.approved(await remedy.incident("ImagePullBackOff", "Deployment/shop/frontend"))
    incident = await remedy.execution.run(await remedy.claim(Work.EXECUTE))
    assert incident.state is State.RESOLVED, incident.outcome
    assert len(remedy.mutations()) == 1
    assert await template(remedy, "shop", "frontend") != before


async def test_a_fix_that_does_not_help_leaves_no_trace(tmp_path: Path) -> None:
    async with running_remedy(tmp_path, timeout_s=2.0) as remedy:
        remedy.sandbox.stage.start("oom")
        await until_seen(remedy, "Deployment/shop/search", lambda seen: any(pod.oom_killed for pod in seen.pods))
        before = await template(remedy, "shop", "search")
        owner = "Deployment/shop/search"
        given = {"factor": "1.1"}
        incident = await remedy.incident("OOMKilled", owner, playbook="raise-memory-limit", parameters=given)
        incident = await remedy.approved(incident)
        incident = await remedy.execution.run(await remedy.claim(Work.EXECUTE))
        assert (incident.state, incident.reason) == (State.ESCALATED, Reason.UNDONE), incident.outcome
        assert await template(remedy, "shop", "search") == before
        assert len(remedy.mutations()) == 2
        assert (await remedy.journal_of(incident))[-4:] == ["StepFailed", "UndoStarted", "StepUndone", "Escalated"]


FAULTS = {
    "answer lost after the effect": {"verb": "patch", "resource": "deployments", "lost": True, "times": 1},
    "not now": {"verb": "patch", "resource": "deployments", "status": 429, "times": 2},
    "failed": {"verb": "patch", "resource": "deployments", "status": 500, "times": 2},
    "conflict": {"verb": "patch", "resource": "deployments", "status": 409, "times": 2},
    "reads fail": {"verb": "get,list", "status": 503, "times": 3},
}


@pytest.mark.parametrize("fault", FAULTS.values(), ids=FAULTS.keys())
async def test_faults_of_the_api_server_change_nothing_in_the_end(remedy: Remedy, fault: dict[str, object]) -> None:
    remedy.sandbox.stage.start("crashloop")
    incident = await remedy.approved(await remedy.incident("CrashLoopBackOff", "Deployment/payments/payment-api"))
    act = remedy.actions.act

    async def with_fault(call: ActionCall) -> Outcome:
        remedy.actions.act = act  # type: ignore[method-assign]
        remedy.sandbox.api.faults.rules.append(Fault(**fault))  # type: ignore[arg-type]
        return await act(call)

    remedy.actions.act = with_fault  # type: ignore[method-assign]
    incident = await remedy.execution.run(await remedy.claim(Work.EXECUTE))
    if not incident.state.final:
        await remedy.clock.sleep(2.1)
        incident = await remedy.execution.run(await remedy.claim(Work.EXECUTE))
    assert incident.state is State.RESOLVED, incident.outcome
    assert len(remedy.mutations()) == 1


async def test_what_may_not_be_done_is_not_asked(remedy: Remedy) -> None:
    async with open_kube(remedy.sandbox.kubeconfig, "sandbox-read-only") as kube:
        remedy.actions = ClusterActions(kube, remedy.clock)
        incident = await remedy.incident("CrashLoopBackOff", "Deployment/payments/payment-api")
        incident = await remedy.planning.propose(await remedy.claim(Work.PLAN))
    assert (incident.state, incident.reason) == (State.ESCALATED, Reason.RIGHT_MISSING)
    assert 'cannot patch resource "deployments"' in incident.outcome


async def test_the_remains_of_all_evicted_pods_go_in_one_plan(remedy: Remedy) -> None:
    names = evicted(remedy, "payments", "payment-api")
    assert len(names) > 1
    incident = await remedy.incident("PodEvicted", f"Pod/payments/{names[0]}")
    more = [remedy.firing("PodEvicted", ObjectRef("Pod", name, "payments")) for name in names[1:]]
    await remedy.store.journal.append(incident, more, at=remedy.clock.now(), by="test")
    incident = await remedy.approved(incident)
    assert incident.plan is not None, incident.outcome
    assert [step.target.ref.name for step in incident.plan.steps] == names
    incident = await remedy.execution.run(await remedy.claim(Work.EXECUTE))
    assert incident.state is State.RESOLVED, incident.outcome
    assert [(mutation["verb"], mutation["name"]) for mutation in remedy.mutations()] == [
        ("delete", name) for name in names
    ]


def evicted(remedy: Remedy, namespace: str, app: str) -> list[str]:
    """The node ran low on memory: every pod of the app was evicted. Their names."""
    store, names = remedy.sandbox.cluster.store, list[str]()
    status = {"phase": "Failed", "reason": "Evicted", "message": "The node was low on resource: memory."}
    for record in [each for each in store.scan(PODS, namespace) if each.labels.get("app") == app]:
        store.replace(record, record.obj() | {"status": status})
        names.append(record.key.name)
    return sorted(names)


async def template(remedy: Remedy, namespace: str, name: str) -> object:
    """The pod template as the API server has it now."""
    document = await remedy.kube.get("Deployment", name, namespace)
    assert document is not None
    return document["spec"]


async def until_seen(remedy: Remedy, path: str, look: Callable[[Observed], bool]) -> None:
    """Wait until a live object looks as wanted, with a deadline."""
    kind, namespace, name = path.split("/")
    deadline = remedy.clock.now() + timedelta(seconds=15)
    while True:
        seen = await remedy.live.observe(ObjectRef(kind, name, namespace))
        if seen is not None and look(seen):
            return
        assert remedy.clock.now() < deadline, "it did not come"
        await remedy.clock.sleep(0.1)
