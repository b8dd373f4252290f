"""JSON patch, merge patch, strategic merge: as the API server applies them."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from midwatch.sandbox.errors import ApiError
from midwatch.sandbox.objects import copy
from midwatch.sandbox.patches import JSON_PATCH, MERGE_PATCH, STRATEGIC_PATCH, apply_patch

LEAF = st.none() | st.booleans() | st.integers(-5, 5) | st.text(max_size=3)
TREE = st.recursive(LEAF, lambda t: st.lists(t, max_size=3) | st.dictionaries(st.text(max_size=2), t, max_size=3))
OBJECT = st.dictionaries(st.text(max_size=2), TREE, max_size=4)


@pytest.mark.parametrize(
    ("target", "patch", "wanted"),
    [
        ({"a": "b"}, {"a": "c"}, {"a": "c"}),
        ({"a": "b"}, {"b": "c"}, {"a": "b", "b": "c"}),
        ({"a": "b"}, {"a": None}, {}),
        ({"a": ["b"]}, {"a": "c"}, {"a": "c"}),
        ({"a": {"b": "c"}}, {"a": {"b": "d", "c": None}}, {"a": {"b": "d"}}),
        ({"a": [{"b": "c"}]}, {"a": [1]}, {"a": [1]}),
        ({"e": None}, {"a": 1}, {"e": None, "a": 1}),
        ({}, {"a": {"bb": {"ccc": None}}}, {"a": {"bb": {}}}),
    ],
)
def test_merge_patch_follows_the_examples_of_rfc_7386(target: Any, patch: Any, wanted: Any) -> None:
    assert apply_patch(MERGE_PATCH, target, patch) == wanted


@given(OBJECT, OBJECT)
def test_a_merge_patch_applied_twice_changes_nothing_more_and_leaves_its_input(target: Any, patch: Any) -> None:
    before = copy(target)
    once = apply_patch(MERGE_PATCH, target, patch)
    assert apply_patch(MERGE_PATCH, once, patch) == once
    assert target == before


@given(OBJECT, TREE, st.sampled_from([JSON_PATCH, MERGE_PATCH, STRATEGIC_PATCH]))
def test_any_patch_is_applied_or_refused(target: Any, patch: Any, kind: str) -> None:
    code = 200
    try:
        patched = apply_patch(kind, target, patch)
    except ApiError as error:
        code = error.code
    else:
        assert isinstance(patched, dict)
    assert code in (200, 400, 422)


def test_strategic_merge_finds_containers_by_name_and_env_by_name() -> None:
    target = {"containers": [{"name": "a", "env": [{"name": "X", "value": "1"}]}, {"name": "b", "image": "b:1"}]}
    patch = {"containers": [{"name": "a", "env": [{"name": "Y", "value": "2"}]}]}
    assert apply_patch(STRATEGIC_PATCH, target, patch) == {
        "containers": [
            {"name": "a", "env": [{"name": "X", "value": "1"}, {"name": "Y", "value": "2"}]},
            {"name": "b", "image": "b:1"},
        ]
    }


def test_strategic_merge_obeys_directives() -> None:
    target = {
        "containers": [{"name": "a"}, {"name": "b"}],
        "args": ["x"],
        "strategy": {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": 1}},
        "finalizers": ["p", "q"],
        "taints": [{"key": "k", "effect": "NoSchedule"}],
    }
    patch = {
        "containers": [{"name": "b", "$patch": "delete"}],
        "args": ["y"],
        "strategy": {"$retainKeys": ["type"], "type": "Recreate"},
        "$deleteFromPrimitiveList/finalizers": ["p"],
        "taints": [{"$patch": "replace"}],
    }
    assert apply_patch(STRATEGIC_PATCH, target, patch) == {
        "containers": [{"name": "a"}],
        "args": ["y"],
        "strategy": {"type": "Recreate"},
        "finalizers": ["q"],
        "taints": [],
    }


def test_strategic_merge_orders_elements_as_asked() -> None:
    target = {"containers": [{"name": "a"}, {"name": "b"}]}
    patch = {
        "$setElementOrder/containers": [{"name": "c"}, {"name": "b"}, {"name": "a"}],
        "containers": [{"name": "c"}],
    }
    patched = apply_patch(STRATEGIC_PATCH, target, patch)
    assert [item["name"] for item in patched["containers"]] == ["c", "b", "a"]


def test_json_patch_with_a_failing_test_is_refused_as_invalid() -> None:
    with pytest.raises(ApiError) as refused:
        apply_patch(JSON_PATCH, {"a": 1}, [{"op": "test", "path": "/a", "value": 2}])
    assert refused.value.code == 422


def test_an_unknown_patch_type_is_unsupported() -> None:
    with pytest.raises(ApiError) as refused:
        apply_patch("text/plain", {}, {})
    assert refused.value.code == 415
