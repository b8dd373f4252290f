"""The four kinds of patch the API server takes: JSON patch, merge, strategic merge, and server-side apply."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jsonpatch

from midwatch.sandbox.errors import ApiError, bad_request
from midwatch.sandbox.objects import Obj, copy

JSON_PATCH = "application/json-patch+json"
MERGE_PATCH = "application/merge-patch+json"
STRATEGIC_PATCH = "application/strategic-merge-patch+json"
APPLY_PATCH = "application/apply-patch+yaml"

_MERGE_KEYS: dict[str, tuple[str, ...]] = {
    "containers": ("name",),
    "initContainers": ("name",),
    "ephemeralContainers": ("name",),
    "env": ("name",),
    "volumes": ("name",),
    "imagePullSecrets": ("name",),
    "containerStatuses": ("name",),
    "volumeMounts": ("mountPath",),
    "volumeDevices": ("devicePath",),
    "ports": ("containerPort", "port", "name"),
    "conditions": ("type",),
    "addresses": ("type",),
    "hostAliases": ("ip",),
    "topologySpreadConstraints": ("topologyKey",),
    "taints": ("key",),
    "ownerReferences": ("uid",),
    "secrets": ("name",),
}
"""Lists that merge by a key, and the key (the first that the items carry). Every other list is replaced."""

_SETS = {"finalizers"}


def apply_patch(kind: str, target: Obj, patch: Any) -> Obj:
    """A patched copy of ``target``; ``kind`` is the media type. 415, 400 or 422 for what cannot be applied."""
    result = copy(target)
    if kind == JSON_PATCH:
        return _json_patch(result, patch)
    if not isinstance(patch, dict):
        raise bad_request("the patch must be a JSON object")
    merge = _MERGES.get(kind)
    if merge is None:
        raise ApiError(415, "UnsupportedMediaType", f"the body of the request was in an unknown format - {kind}")
    merge(result, patch)
    return result


def _json_patch(target: Obj, patch: Any) -> Obj:
    if not isinstance(patch, list):
        raise bad_request("a JSON patch must be a list of operations")
    try:
        patched: Any = jsonpatch.apply_patch(target, patch, in_place=True)
    except jsonpatch.JsonPatchTestFailed as error:
        raise ApiError(422, "Invalid", f"the server rejected our request: testing failed: {error}") from error
    except (jsonpatch.JsonPatchException, jsonpatch.JsonPointerException, KeyError, TypeError) as error:
        raise ApiError(
            422, "Invalid", f"the server rejected our request due to an error in our request: {error}"
        ) from (error)
    if not isinstance(patched, dict):
        raise bad_request("the patch leaves no object")
    return patched


def merge_patch(target: Obj, patch: Obj) -> None:
    """RFC 7386, in place."""
    for name, value in patch.items():
        if value is None:
            target.pop(name, None)
        elif isinstance(value, dict):
            if not isinstance(target.get(name), dict):
                target[name] = {}
            merge_patch(target[name], value)
        else:
            target[name] = value


def strategic_merge(target: Obj, patch: Obj) -> None:
    """Strategic merge, in place: maps merge, known lists merge by key, directives (``$patch``…) are obeyed."""
    if patch.get("$patch") == "replace":
        target.clear()
        target.update({name: value for name, value in patch.items() if name != "$patch"})
        return
    for name, value in patch.items():
        if name.startswith("$deleteFromPrimitiveList/"):
            listed = name.partition("/")[2]
            target[listed] = [item for item in target.get(listed) or [] if item not in value]
        elif name == "$retainKeys":
            for surplus in set(target) - set(value):
                del target[surplus]
        elif name.startswith("$"):
            continue
        elif value is None:
            target.pop(name, None)
        elif isinstance(value, dict):
            if value.get("$patch") == "delete":
                target.pop(name, None)
                continue
            if not isinstance(target.get(name), dict):
                target[name] = {}
            strategic_merge(target[name], value)
        elif isinstance(value, list):
            target[name] = _merge_list(name, target.get(name) or [], value)
        else:
            target[name] = value
    for name, order in patch.items():
        if name.startswith("$setElementOrder/"):
            _reorder(target, name.partition("/")[2], order)


def merge_key(name: str, items: list[Any]) -> str | None:
    """The key by which the list ``name`` merges, or None where it is replaced as a whole."""
    if not items or not all(isinstance(item, dict) for item in items):
        return None
    return next((key for key in _MERGE_KEYS.get(name, ()) if all(key in item for item in items)), None)


def _merge_list(name: str, current: list[Any], patch: list[Any]) -> list[Any]:
    if name in _SETS:
        return [*current, *(item for item in patch if item not in current)]
    directives = [item for item in patch if isinstance(item, dict) and "$patch" in item]
    if any(item["$patch"] == "replace" for item in directives):
        return [item for item in patch if item not in directives]
    key = merge_key(name, patch)
    if key is None:
        return patch
    merged = list(current)
    for item in patch:
        found = next((old for old in merged if isinstance(old, dict) and old.get(key) == item[key]), None)
        if item.get("$patch") == "delete":
            merged = [old for old in merged if old is not found]
        elif found is None:
            fresh: Obj = {}
            strategic_merge(fresh, item)
            merged.append(fresh)
        else:
            strategic_merge(found, item)
    return merged


def _reorder(target: Obj, name: str, order: list[Any]) -> None:
    items = target.get(name)
    if not isinstance(items, list) or not items:
        return
    key = merge_key(name, items)
    wanted = [item[key] if key and isinstance(item, dict) and key in item else item for item in order]

    def place(item: Any) -> int:
        value = item[key] if key else item
        return wanted.index(value) if value in wanted else len(wanted)

    target[name] = sorted(items, key=place)


_MERGES: dict[str, Callable[[Obj, Obj], None]] = {
    MERGE_PATCH: merge_patch,
    STRATEGIC_PATCH: strategic_merge,
    APPLY_PATCH: strategic_merge,
}
