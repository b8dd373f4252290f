"""Reads and writes: pages, versions, preconditions, dry runs, rights, and the audit of it all."""

from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from midwatch.sandbox.errors import ApiError
from midwatch.sandbox.objects import dig

MERGE = "application/merge-patch+json"
APPLY = "application/apply-patch+yaml"
CART = "/apis/apps/v1/namespaces/shop/deployments/cart"


def refused(call: Any, *args: Any, **more: Any) -> ApiError:
    with pytest.raises(ApiError) as error:
        call(*args, **more)
    return error.value


def test_pages_join_to_the_whole_list(bench: Any) -> None:
    whole = bench.call("GET", "/api/v1/pods")
    seen, token = [], ""
    while True:
        page = bench.call("GET", "/api/v1/pods", limit="7", **({"continue": token} if token else {}))
        seen += page["items"]
        token = page["metadata"].get("continue", "")
        if not token:
            break
        assert page["metadata"]["remainingItemCount"] == len(whole["items"]) - len(seen)
    assert seen == whole["items"]
    assert "kind" not in seen[0]
    assert whole["kind"] == "PodList"


def test_a_continue_token_from_before_the_history_is_expired(bench: Any) -> None:
    page = bench.call("GET", "/api/v1/pods", limit="1")
    bench.store.compact()
    error = refused(bench.call, "GET", "/api/v1/pods", limit="1", **{"continue": page["metadata"]["continue"]})
    assert (error.code, error.reason) == (410, "Expired")


def test_spec_changes_count_as_generations_and_others_do_not(bench: Any) -> None:
    before = bench.call("GET", CART)["metadata"]["generation"]
    labelled = bench.call("PATCH", CART, {"metadata": {"labels": {"a": "b"}}}, kind=MERGE)
    scaled = bench.call("PATCH", CART, {"spec": {"replicas": 3}}, kind=MERGE)
    assert [labelled["metadata"]["generation"], scaled["metadata"]["generation"]] == [before, before + 1]


def test_a_stale_version_or_a_foreign_uid_is_a_conflict(bench: Any) -> None:
    stale = bench.call("GET", CART)
    bench.call("PATCH", CART, {"metadata": {"labels": {"a": "b"}}}, kind=MERGE)
    assert refused(bench.call, "PUT", CART, stale).code == 409
    patch = {"metadata": {"resourceVersion": stale["metadata"]["resourceVersion"], "labels": {"c": "d"}}}
    assert refused(bench.call, "PATCH", CART, patch, kind=MERGE).reason == "Conflict"
    assert refused(bench.call, "PATCH", CART, {"metadata": {"uid": "other"}}, kind=MERGE).code == 409


@pytest.mark.parametrize("precondition", [{"uid": "other"}, {"resourceVersion": "1"}])
def test_deletes_keep_their_preconditions(bench: Any, precondition: dict[str, str]) -> None:
    name = bench.pods("shop", "cart")[0]["metadata"]["name"]
    path = f"/api/v1/namespaces/shop/pods/{name}"
    assert refused(bench.call, "DELETE", path, {"preconditions": precondition}).code == 409
    uid = bench.call("GET", path)["metadata"]["uid"]
    gone = bench.call("DELETE", path, {"preconditions": {"uid": uid}})
    assert gone["metadata"]["deletionTimestamp"]


def test_a_dry_run_answers_as_if_and_changes_nothing(bench: Any) -> None:
    before, version = bench.call("GET", CART), bench.store.version
    patched = bench.call("PATCH", CART, {"spec": {"replicas": 9}}, kind=MERGE, dryRun="All")
    bench.call("DELETE", CART, dryRun="All")
    created = bench.call("POST", "/api/v1/namespaces/shop/configmaps", {"metadata": {"name": "x"}}, dryRun="All")
    assert patched["spec"]["replicas"] == 9
    assert patched["metadata"]["resourceVersion"] == before["metadata"]["resourceVersion"]
    assert created["metadata"]["uid"]
    assert bench.store.version == version
    assert bench.call("GET", CART) == before
    assert not bench.api.audit.mutations
    assert [entry["dryRun"] for entry in bench.api.audit.without_effect] == [True] * 3


def test_the_audit_tells_effects_from_refusals_and_from_writes_that_change_nothing(bench: Any) -> None:
    bench.call("PATCH", CART, {"metadata": {"annotations": {"midwatch/step": "7"}}}, kind=MERGE)
    bench.call("PATCH", CART, {"metadata": {"annotations": {"midwatch/step": "7"}}}, kind=MERGE)
    refused(bench.call, "DELETE", "/api/v1/namespaces/shop/pods/none")
    refused(bench.call, "PATCH", CART, {"spec": {"replicas": 1}}, kind=MERGE, read_only=True)
    audit = bench.api.audit
    (entry,) = audit.mutations
    assert (entry["user"], entry["verb"], entry["resource"], entry["name"]) == (
        "tester",
        "patch",
        "deployments",
        "cart",
    )
    assert entry["annotations"] == {"midwatch/step": "7"}
    assert entry["changed"] == ["metadata.annotations.midwatch/step"]
    assert len(audit.without_effect) == 1
    assert [item["code"] for item in audit.refused] == [404, 403]


def test_a_reader_reads_and_is_told_which_right_is_missing(bench: Any) -> None:
    assert bench.call("GET", CART, read_only=True)["kind"] == "Deployment"
    error = refused(bench.call, "PATCH", CART, {}, kind=MERGE, read_only=True)
    assert error.message == (
        'deployments.apps "cart" is forbidden: User "watcher" cannot patch resource "deployments" '
        'in API group "apps" in the namespace "shop"'
    )


def test_managed_fields_name_who_changed_what(bench: Any) -> None:
    bench.call("PATCH", CART, {"spec": {"replicas": 4}}, kind=MERGE, fieldManager="night-shift")
    entries = bench.call("GET", CART)["metadata"]["managedFields"]
    (mine,) = [entry for entry in entries if entry["manager"] == "night-shift"]
    assert mine["operation"] == "Update"
    assert mine["fieldsV1"]["f:spec"] == {"f:replicas": {}}


def test_apply_conflicts_with_other_managers_unless_forced(bench: Any) -> None:
    bench.call("PATCH", CART, {"spec": {"replicas": 4}}, kind=MERGE, fieldManager="person")
    config = {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "cart"}, "spec": {"replicas": 5}}
    error = refused(bench.call, "PATCH", CART, config, kind=APPLY, fieldManager="robot")
    assert error.code == 409
    assert 'conflict with "person"' in error.message
    assert ".spec.replicas" in error.message
    forced = bench.call("PATCH", CART, config, kind=APPLY, fieldManager="robot", force="true")
    assert forced["spec"]["replicas"] == 5


def test_apply_takes_back_what_it_no_longer_applies(bench: Any) -> None:
    path = "/api/v1/namespaces/shop/configmaps/applied"
    base = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "applied"}}
    bench.call("PATCH", path, {**base, "data": {"a": "1", "b": "2"}}, kind=APPLY, fieldManager="robot")
    bench.call("PATCH", path, {"data": {"c": "3"}}, kind=MERGE, fieldManager="person")
    after = bench.call("PATCH", path, {**base, "data": {"a": "1"}}, kind=APPLY, fieldManager="robot")
    assert after["data"] == {"a": "1", "c": "3"}


@pytest.mark.parametrize(
    ("patch", "code"),
    [
        ({"spec": {"replicas": -1}}, 422),
        ({"spec": {"selector": {"matchLabels": {"app": "other"}}}}, 422),
        ({"spec": {"template": {"spec": {"containers": []}}}}, 422),
        ({"metadata": {"labels": {"a": 1}}}, 400),
        ({"metadata": {"name": "other"}}, 400),
    ],
)
def test_impossible_changes_are_refused(bench: Any, patch: Any, code: int) -> None:
    assert refused(bench.call, "PATCH", CART, patch, kind=MERGE).code == code


@pytest.mark.parametrize(("memory", "code"), [("lots", 400), ("64Mi", 422)])
def test_a_memory_limit_must_be_a_quantity_and_not_below_the_request(bench: Any, memory: str, code: int) -> None:
    containers = [{"name": "cart", "resources": {"limits": {"memory": memory}}}]
    patch = {"spec": {"template": {"spec": {"containers": containers}}}}
    kind = "application/strategic-merge-patch+json"
    assert refused(bench.call, "PATCH", CART, patch, kind=kind).code == code


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(
    st.sampled_from(["spec", "metadata", "status", "data"]),
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(max_size=4),
        lambda tree: (
            st.lists(tree, max_size=2) | st.dictionaries(st.sampled_from(["template", "containers", "a"]), tree)
        ),
        max_leaves=6,
    ),
)
def test_whatever_is_sent_is_answered_or_refused_with_a_status(bench: Any, field: str, value: Any) -> None:
    requests = [
        ("PATCH", CART, MERGE, {field: value}),
        ("POST", "/api/v1/namespaces/shop/pods", "application/json", {"metadata": {"name": "x"}, field: value}),
    ]
    for method, path, kind, body in requests:
        code = 200
        try:
            bench.call(method, path, body, kind=kind, dryRun="All")
        except ApiError as error:
            code = error.code
        assert 200 <= code < 500


def test_scale_reads_and_writes_replicas(bench: Any) -> None:
    assert bench.call("GET", f"{CART}/scale")["spec"]["replicas"] == 2
    bench.call("PATCH", f"{CART}/scale", {"spec": {"replicas": 3}}, kind=MERGE)
    bench.wait(lambda: bench.ready("shop", "cart") == 3)
    assert bench.call("GET", f"{CART}/scale")["status"]["replicas"] == 3


def test_logs_have_tails_limits_and_a_previous_run(bench: Any) -> None:
    name = bench.pods("payments", "payment-api")[0]["metadata"]["name"]
    path = f"/api/v1/namespaces/payments/pods/{name}/log"
    text = bench.raw("GET", path).body.decode()
    assert text.startswith("INFO  payment-api starting")
    assert bench.raw("GET", path, tailLines="1").body.decode() == text.splitlines()[-1] + "\n"
    assert bench.raw("GET", path, limitBytes="4").body == b"INFO"
    assert bench.raw("GET", path, timestamps="true").body.decode().partition(" ")[0].endswith("Z")
    assert "not found" in refused(bench.call, "GET", path, previous="true").message
    assert "not valid" in refused(bench.call, "GET", path, container="other").message


def test_status_is_written_through_its_subresource_only(bench: Any) -> None:
    node = "/api/v1/nodes/node-1"
    bench.call("PATCH", node, {"status": {"phase": "odd"}}, kind=MERGE)
    assert dig(bench.call("GET", node), "status.phase") is None
    bench.call("PATCH", f"{node}/status", {"status": {"phase": "odd"}, "spec": {"podCIDR": "x"}}, kind=MERGE)
    after = bench.call("GET", node)
    assert after["status"]["phase"] == "odd"
    assert after["spec"]["podCIDR"] != "x"
