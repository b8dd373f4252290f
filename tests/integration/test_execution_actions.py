"""Every action on a sandbox cluster: rehearsed without effect, done once per key, put back to what it was."""

from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path

import msgspec
import pytest

from midwatch.adapters.mcp.kubernetes.api import Json
from midwatch.domain.actions import ACTIONS, RESTORE
from midwatch.domain.errors import Conflict, Invalid, NotFound, Permanent, Refused
from midwatch.domain.refs import ObjectRef
from midwatch.services.effects import ActionCall, Effect
from tests.fixtures.remedy import Remedy, running_remedy

API = ObjectRef("Deployment", "payment-api", "payments")
CRON = ObjectRef("CronJob", "mw-nightly", "shop")
JOB = ObjectRef("Job", "mw-once", "shop")

RESTORED = {
    "patch_resources": (API, {"container": "payment-api", "memory_limit": "1Gi", "cpu_limit": "1"}),
    "scale": (API, {"replicas": 5}),
    "suspend": (CRON, {}),
    "cordon": (ObjectRef("Node", ""), {}),
}


@pytest.fixture
async def remedy(tmp_path: Path) -> AsyncIterator[Remedy]:
    async with running_remedy(tmp_path) as remedy:
        template = {"spec": {"restartPolicy": "Never", "containers": [{"name": "c", "image": "busybox:1"}]}}
        await made(remedy, "batch/v1", JOB, {"backoffLimit": 0, "template": template})
        await made(remedy, "batch/v1", CRON, {"schedule": "0 3 * * *", "jobTemplate": {"spec": {"template": template}}})
        yield remedy


async def made(remedy: Remedy, version: str, ref: ObjectRef, spec: Json) -> None:
    body = {"apiVersion": version, "kind": ref.kind, "metadata": {"name": ref.name, "namespace": ref.namespace}}
    plural = f"{ref.kind.lower()}s"
    root = "/api" if version == "v1" else "/apis"
    await remedy.kube._json("POST", f"{root}/{version}/namespaces/{ref.namespace}/{plural}", body=body | {"spec": spec})


async def call(remedy: Remedy, action: str, ref: ObjectRef, key: str = "k1", **params: str | int) -> ActionCall:
    if not ref.name:
        ref = ObjectRef(ref.kind, (await remedy.kube.list(ref.kind))[0]["metadata"]["name"])
    seen = await remedy.live.observe(ref)
    assert seen is not None
    return ActionCall(action=action, ref=seen.ref, key=key, params=dict(params), generation=seen.generation)


async def spec(remedy: Remedy, ref: ObjectRef) -> object:
    document = await remedy.kube.get(ref.kind, ref.name, ref.namespace)
    assert document is not None
    return document["spec"]


@pytest.mark.parametrize("action", RESTORED)
async def test_an_action_is_rehearsed_done_once_and_put_back(remedy: Remedy, action: str) -> None:
    ref, params = RESTORED[action]
    wanted = await call(remedy, action, ref, **params)
    before = await spec(remedy, wanted.ref)

    rehearsed = await remedy.actions.rehearse(wanted)
    assert rehearsed.effect is Effect.DRY_RUN
    assert rehearsed.diff
    assert not remedy.mutations()

    done = await remedy.actions.act(wanted)
    again = await remedy.actions.act(wanted)
    assert (done.effect, again.effect) == (Effect.APPLIED, Effect.ALREADY_APPLIED)
    assert await spec(remedy, wanted.ref) != before
    assert done.before == rehearsed.before

    generation = None if ACTIONS[action].followed else done.generation
    back = ActionCall(action=RESTORE, ref=wanted.ref, key="k1:undo", generation=generation, before=rehearsed.before)
    await remedy.actions.act(back)
    await remedy.actions.act(back)
    await until_spec(remedy, wanted.ref, before)
    assert len(remedy.mutations()) == 2


async def until_spec(remedy: Remedy, ref: ObjectRef, wanted: object) -> None:
    """Wait until the spec is as wanted: a controller may still have to follow (a taint goes after the uncordon)."""
    deadline = remedy.clock.now() + timedelta(seconds=10)
    while (found := await spec(remedy, ref)) != wanted:
        assert remedy.clock.now() < deadline, f"{found} is not {wanted}"
        await remedy.clock.sleep(0.05)


async def test_resume_and_uncordon_take_the_flag_away(remedy: Remedy) -> None:
    await remedy.actions.act(await call(remedy, "suspend", CRON, "a"))
    await remedy.actions.act(await call(remedy, "resume", CRON, "b"))
    seen = await remedy.live.observe(CRON)
    assert seen is not None
    assert not seen.suspended
    node = await call(remedy, "cordon", ObjectRef("Node", ""), "a")
    await remedy.actions.act(node)
    await remedy.actions.act(await call(remedy, "uncordon", node.ref, "b"))
    seen = await remedy.live.observe(node.ref)
    assert seen is not None
    assert not seen.unschedulable


async def test_a_deleted_pod_is_not_deleted_twice(remedy: Remedy) -> None:
    pods = await remedy.kube.list("Pod", "payments", labels="app=payment-api")
    ref = ObjectRef("Pod", pods[0]["metadata"]["name"], "payments")
    wanted = await call(remedy, "restart_pod", ref)
    assert "-name: payment-api" in (await remedy.actions.rehearse(wanted)).diff
    assert (await remedy.actions.act(wanted)).effect is Effect.APPLIED
    assert (await remedy.actions.act(wanted)).effect is Effect.ALREADY_APPLIED
    assert [entry["verb"] for entry in remedy.mutations()] == ["delete"]


async def test_only_remains_are_deleted_as_remains(remedy: Remedy) -> None:
    pods = await remedy.kube.list("Pod", "payments", labels="app=payment-api")
    ref = ObjectRef("Pod", pods[0]["metadata"]["name"], "payments")
    wanted = await call(remedy, "delete_finished_pod", ref)
    with pytest.raises(Refused, match="has not ended"):
        await remedy.actions.act(wanted)


async def test_a_job_goes_with_its_pods(remedy: Remedy) -> None:
    await remedy.actions.act(await call(remedy, "delete_job", JOB))
    assert await remedy.live.observe(JOB) is None


async def test_a_drained_node_is_empty_but_for_daemons(remedy: Remedy) -> None:
    busy = max(
        [await seen_node(remedy, item["metadata"]["name"]) for item in await remedy.kube.list("Node")],
        key=lambda item: item[1],
    )
    looked = await remedy.live.observe(busy[0])
    assert looked is not None
    assert any(owner.kind == "Deployment" for pod in looked.pods for owner in pod.owners)
    wanted = await call(remedy, "drain", busy[0], namespaces=",".join({pod.namespace for pod in looked.pods}))
    assert busy[1] > 0
    await remedy.actions.act(wanted)
    seen = await remedy.live.observe(busy[0])
    assert seen is not None
    assert seen.unschedulable
    assert not seen.pods


async def seen_node(remedy: Remedy, name: str) -> tuple[ObjectRef, int]:
    seen = await remedy.live.observe(ObjectRef("Node", name))
    assert seen is not None
    return seen.ref, len(seen.pods)


async def test_restore_touches_only_what_an_action_could_have(remedy: Remedy) -> None:
    seen = await remedy.live.observe(API)
    assert seen is not None
    for before in ('{"/spec/selector": null}', '{"/metadata/labels": {}}', "", "[]", "{}"):
        with pytest.raises(Invalid):
            await remedy.actions.act(ActionCall(action=RESTORE, ref=seen.ref, key="k", before=before))
    assert not remedy.mutations()


async def test_what_is_not_there_is_said(remedy: Remedy) -> None:
    with pytest.raises(NotFound, match="no container 'nobody'"):
        await remedy.actions.act(await call(remedy, "patch_resources", API, container="nobody", memory_limit="1Gi"))
    with pytest.raises(NotFound, match="revision 77 is not in the history"):
        await remedy.actions.act(await call(remedy, "rollout_undo", API, revision=77))
    wanted = await call(remedy, "scale", API, replicas=4)
    with pytest.raises(Conflict):
        await remedy.actions.act(msgspec.structs.replace(wanted, generation=99))
    with pytest.raises(Invalid):
        await remedy.actions.act(msgspec.structs.replace(wanted, action="format"))
    assert not remedy.mutations()


def test_every_action_has_a_tool_and_every_kind_a_path() -> None:
    from midwatch.adapters.mcp.kubernetes.api import KINDS
    from midwatch.adapters.mcp.kubernetes.changes import CHANGES

    for action in ACTIONS.values():
        assert action.by_uid or action.creates or action.name in CHANGES
        assert set(action.kinds) <= set(KINDS)


async def test_a_job_is_run_again_once_per_key(remedy: Remedy) -> None:
    first = await call(remedy, "rerun_job", JOB)
    rehearsed = await remedy.actions.rehearse(first)
    assert (rehearsed.effect, len(await remedy.kube.list("Job", "shop"))) == (Effect.DRY_RUN, 1)
    assert "+name: mw-once-again-" in rehearsed.diff
    assert (await remedy.actions.act(first)).effect is Effect.APPLIED
    assert (await remedy.actions.act(first)).effect is Effect.ALREADY_APPLIED
    jobs = {job["metadata"]["name"]: job for job in await remedy.kube.list("Job", "shop")}
    assert len(jobs) == 2
    (again,) = (job for name, job in jobs.items() if name != JOB.name)
    old = jobs[JOB.name]
    assert again["spec"]["template"]["spec"]["containers"] == old["spec"]["template"]["spec"]["containers"]
    assert again["metadata"]["labels"]["midwatch.dev/rerun-of"] == old["metadata"]["uid"]
    seen = await remedy.live.observe(JOB)
    assert seen is not None
    assert seen.rerun in ("Running", "Complete")
    with pytest.raises(Conflict):
        await remedy.actions.act(msgspec.structs.replace(first, ref=msgspec.structs.replace(first.ref, uid="other")))


async def test_a_claim_grows_where_its_class_allows_it(remedy: Remedy) -> None:
    claim = ObjectRef("PersistentVolumeClaim", "mw-data", "shop")
    resources = {"requests": {"storage": "10Gi"}}
    wanted = {"accessModes": ["ReadWriteOnce"], "resources": resources, "storageClassName": "standard"}
    await made(remedy, "v1", claim, wanted)
    seen = await remedy.live.observe(claim)
    assert seen is not None
    assert (seen.storage, seen.expandable) == ("10Gi", True)
    grow = await call(remedy, "expand_claim", claim, storage="15Gi")
    assert (await remedy.actions.rehearse(grow)).effect is Effect.DRY_RUN
    assert (await remedy.actions.act(grow)).effect is Effect.APPLIED
    assert (await remedy.actions.act(grow)).effect is Effect.ALREADY_APPLIED
    grown = await remedy.live.observe(claim)
    assert grown is not None
    assert grown.storage == "15Gi"
    with pytest.raises(Permanent, match="asks for 15Gi already"):
        await remedy.actions.act(await call(remedy, "expand_claim", claim, key="k2", storage="5Gi"))
