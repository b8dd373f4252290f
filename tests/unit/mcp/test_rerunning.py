"""Running a job again: once per key, and found again however its answer was lost."""

import pytest

from midwatch.adapters.mcp.kubernetes.actions import ClusterActions
from midwatch.adapters.mcp.kubernetes.api import Json, Kube
from midwatch.adapters.mcp.kubernetes.pointers import KEY, last_action
from midwatch.domain.errors import Conflict, Transient
from midwatch.domain.refs import ObjectRef
from midwatch.services.effects import ActionCall, Effect
from tests.fakes.cluster import HastyClock

JOB = ObjectRef("Job", "nightly", "shop", "u-job")
AGAIN = ActionCall(action="rerun_job", ref=JOB, key="k")


class Jobs(Kube):
    """The jobs of one namespace. ``says`` is answered to the next creation, in which nothing is made."""

    def __init__(self, says: str = "") -> None:
        spec = {"template": {"spec": {"containers": []}}, "backoffLimit": 2, "ttlSecondsAfterFinished": 5}
        meta = {"name": JOB.name, "namespace": JOB.namespace, "uid": JOB.uid}
        self.jobs: dict[str, Json] = {JOB.name: {"metadata": meta, "spec": spec}}
        self.says = says

    async def get(self, kind: str, name: str, namespace: str = "") -> Json | None:
        return self.jobs.get(name)

    async def create(self, document: Json, *, dry_run: bool) -> Json:
        if self.says:
            said, self.says = self.says, ""
            raise Conflict(said)
        name = document["metadata"]["name"]
        if name in self.jobs:
            raise Conflict(f'jobs.batch "{name}" already exists')
        self.jobs[name] = document
        return document


async def test_a_job_run_again_is_not_collected_before_anybody_looks() -> None:
    kube = Jobs()
    assert (await ClusterActions(kube, HastyClock()).act(AGAIN)).effect is Effect.APPLIED
    assert (await ClusterActions(kube, HastyClock()).act(AGAIN)).effect is Effect.ALREADY_APPLIED
    old, new = kube.jobs.values()
    assert last_action(new) == "k"
    assert new["spec"] == {name: value for name, value in old["spec"].items() if name != "ttlSecondsAfterFinished"}


async def test_a_conflict_in_which_nothing_was_made_is_no_success() -> None:
    kube = Jobs(says='Operation cannot be fulfilled on resourcequotas "jobs"')
    actions = ClusterActions(kube, HastyClock())
    with pytest.raises(Transient, match="not run again: Operation cannot be fulfilled on resourcequotas"):
        await actions.act(AGAIN)
    assert list(kube.jobs) == [JOB.name]
    assert (await actions.act(AGAIN)).effect is Effect.APPLIED


async def test_another_job_of_that_name_is_not_taken_for_ours() -> None:
    kube = Jobs()
    actions = ClusterActions(kube, HastyClock())
    await actions.act(AGAIN)
    (name,) = kube.jobs.keys() - {JOB.name}
    kube.jobs[name]["metadata"]["annotations"] = {KEY: "of another"}
    with pytest.raises(Conflict, match=f"another Job is named {name}"):
        await actions.act(AGAIN)
