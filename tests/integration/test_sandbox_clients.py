"""The official Kubernetes clients against the sandbox: list, watch, log, and errors in the shapes they expect."""

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path
from random import Random
from typing import Any

import pytest
from kubernetes import client as sync_client
from kubernetes import config as sync_config
from kubernetes import watch as sync_watch
from kubernetes.aio import client, config
from kubernetes.aio.client import ApiException

from midwatch.adapters.system import SystemClock
from midwatch.sandbox.client import ControlClient
from midwatch.sandbox.runtime import Sandbox, SandboxOptions, running_sandbox

CLOCK = SystemClock()


@pytest.fixture
async def sandbox(tmp_path: Path) -> AsyncIterator[Sandbox]:
    options = SandboxOptions(kubeconfig=tmp_path / "kubeconfig")
    async with running_sandbox(options, lambda: CLOCK.now().timestamp(), Random(5)) as running:
        yield running


@pytest.fixture
async def api(sandbox: Sandbox) -> AsyncIterator[Any]:
    configuration = client.Configuration()
    await config.load_kube_config(str(sandbox.kubeconfig), client_configuration=configuration)
    async with client.ApiClient(configuration) as connected:
        yield connected


def test_the_kubeconfig_is_for_its_owner_only(tmp_path: Path) -> None:
    from midwatch.sandbox.kubeconfig import write_kubeconfig

    path = tmp_path / "deep" / "kubeconfig"
    write_kubeconfig(path, "https://127.0.0.1:1", b"pem", admin_token="a", reader_token="r")
    assert path.stat().st_mode & 0o777 == 0o600


async def test_typed_objects_parse(api: Any) -> None:
    core, apps = client.CoreV1Api(api), client.AppsV1Api(api)
    pods = await core.list_pod_for_all_namespaces()
    assert len(pods.items) > 20
    assert {node.metadata.name for node in (await core.list_node()).items} == {"node-1", "node-2", "node-3"}
    scale = await apps.read_namespaced_deployment_scale("cart", "shop")
    assert scale.spec.replicas == 2
    for listing in (
        core.list_event_for_all_namespaces,
        core.list_service_for_all_namespaces,
        core.list_endpoints_for_all_namespaces,
        apps.list_deployment_for_all_namespaces,
        apps.list_replica_set_for_all_namespaces,
        apps.list_stateful_set_for_all_namespaces,
        apps.list_daemon_set_for_all_namespaces,
        client.BatchV1Api(api).list_job_for_all_namespaces,
        client.BatchV1Api(api).list_cron_job_for_all_namespaces,
        client.PolicyV1Api(api).list_pod_disruption_budget_for_all_namespaces,
        client.AutoscalingV2Api(api).list_horizontal_pod_autoscaler_for_all_namespaces,
        client.DiscoveryV1Api(api).list_endpoint_slice_for_all_namespaces,
        client.CoordinationV1Api(api).list_lease_for_all_namespaces,
        client.StorageV1Api(api).list_storage_class,
    ):
        assert (await listing()).items, listing.__name__


async def test_errors_have_the_codes_and_reasons_clients_look_at(api: Any, sandbox: Sandbox) -> None:
    core, apps = client.CoreV1Api(api), client.AppsV1Api(api)
    with pytest.raises(ApiException) as missing:
        await core.read_namespaced_pod("none", "shop")
    assert (missing.value.status, json.loads(missing.value.body)["reason"]) == (404, "NotFound")
    cart = await apps.read_namespaced_deployment("cart", "shop")
    await apps.patch_namespaced_deployment("cart", "shop", {"metadata": {"labels": {"a": "b"}}})
    with pytest.raises(ApiException) as stale:
        await apps.replace_namespaced_deployment("cart", "shop", cart)
    assert (stale.value.status, json.loads(stale.value.body)["reason"]) == (409, "Conflict")
    sandbox.cluster.store.compact()
    response = await core.list_namespaced_pod_without_preload_content("shop", watch=True, resource_version="5")
    line = json.loads((await response.content.readline()).decode())
    assert (line["type"], line["object"]["code"], line["object"]["reason"]) == ("ERROR", 410, "Expired")
    response.close()


async def test_a_watch_sees_a_crash_loop_and_gets_bookmarks(api: Any, sandbox: Sandbox) -> None:
    core = client.CoreV1Api(api)
    version = (await core.list_namespaced_pod("payments")).metadata.resource_version
    sandbox.stage.start("crashloop")
    watch = core.list_namespaced_pod_without_preload_content
    response = await watch(
        "payments", watch=True, resource_version=version, label_selector="app=payment-api", timeout_seconds=20
    )
    async with asyncio.timeout(20):
        async for line in response.content:
            event = json.loads(line)
            (status,) = event["object"]["status"]["containerStatuses"]
            if status["state"].get("waiting", {}).get("reason") == "CrashLoopBackOff":
                break
    response.close()
    name = event["object"]["metadata"]["name"]
    log = await core.read_namespaced_pod_log(name, "payments", previous=True)
    assert "connection refused" in log


async def test_a_selective_watch_sees_leaving_objects_as_deleted(api: Any) -> None:
    core = client.CoreV1Api(api)
    listed = await core.list_namespaced_config_map("shop")
    response = await core.list_namespaced_config_map_without_preload_content(
        "shop", watch=True, resource_version=listed.metadata.resource_version, label_selector="colour=red"
    )
    body = {"metadata": {"name": "paint", "labels": {"colour": "red"}}, "data": {"a": "1"}}
    await core.create_namespaced_config_map("shop", body)
    await core.patch_namespaced_config_map("paint", "shop", {"data": {"a": "2"}})
    await core.patch_namespaced_config_map("paint", "shop", {"metadata": {"labels": {"colour": "blue"}}})
    await core.patch_namespaced_config_map("paint", "shop", {"metadata": {"labels": {"colour": "red"}}})
    async with asyncio.timeout(10):
        kinds = [json.loads(await response.content.readline())["type"] for _ in range(4)]
    response.close()
    assert kinds == ["ADDED", "MODIFIED", "DELETED", "ADDED"]


async def test_faults_refuse_delay_and_lose_answers_after_the_effect(api: Any, sandbox: Sandbox) -> None:
    assert sandbox.kubeconfig is not None
    apps, control = client.AppsV1Api(api), ControlClient(sandbox.kubeconfig)
    patch = {"metadata": {"annotations": {"step": "1"}}}
    await asyncio.to_thread(control.fault, verb="patch", resource="deployments", status=429, retry_after=1, times=1)
    with pytest.raises(ApiException) as refused:
        await apps.patch_namespaced_deployment("cart", "shop", patch)
    assert (refused.value.status, refused.value.headers["Retry-After"]) == (429, "1")
    await asyncio.to_thread(control.fault, verb="patch", lost=True, times=1)
    with pytest.raises(Exception, match=r"(?i)disconnect|reset|closed|eof"):
        await apps.patch_namespaced_deployment("cart", "shop", patch)
    assert (await apps.read_namespaced_deployment("cart", "shop")).metadata.annotations["step"] == "1"
    mutations = await asyncio.to_thread(control.mutations)
    assert [entry["annotations"] for entry in mutations] == [{"step": "1"}]


async def test_an_outage_cuts_every_connection_and_ends(api: Any, sandbox: Sandbox) -> None:
    assert sandbox.kubeconfig is not None
    core, control = client.CoreV1Api(api), ControlClient(sandbox.kubeconfig)
    response = await core.list_namespaced_pod_without_preload_content("shop", watch=True, resource_version="0")
    await asyncio.to_thread(control.fault, outage=0.5)
    async with asyncio.timeout(5):
        while await response.content.readline():
            pass
    response.close()
    with pytest.raises(Exception, match=r"(?i)disconnect|reset|closed|eof"):
        await core.list_node()
    loop = asyncio.get_running_loop()
    deadline = loop.time() + 10
    while loop.time() < deadline and loop.time() < sandbox.api.faults.outage_until:
        await asyncio.sleep(0.05)
    assert len((await core.list_node()).items) == 3


async def test_without_the_token_nothing_is_told(sandbox: Sandbox, api: Any) -> None:
    api.configuration.api_key.clear()
    with pytest.raises(ApiException) as refused:
        await client.CoreV1Api(api).list_node()
    assert refused.value.status == 401


async def test_the_synchronous_client_lists_and_watches(sandbox: Sandbox) -> None:
    def use() -> list[str]:
        configuration = sync_client.Configuration()
        sync_config.load_kube_config(str(sandbox.kubeconfig), client_configuration=configuration)
        with sync_client.ApiClient(configuration) as connected:
            core = sync_client.CoreV1Api(connected)
            assert core.list_namespaced_pod("shop").items
            stream = sync_watch.Watch().stream(core.list_namespaced_pod, "shop", timeout_seconds=1)
            return [event["type"] for event in stream]

    assert set(await asyncio.to_thread(use)) == {"ADDED"}
