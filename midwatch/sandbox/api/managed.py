"""``managedFields``: which client last set which field. Field paths, not typed schema: lists count as one value,
except those that merge by key.
"""

from __future__ import annotations

from typing import Any

from midwatch.sandbox.errors import ApiError
from midwatch.sandbox.objects import Obj, encode, stamp
from midwatch.sandbox.patches import merge_key

_SYSTEM = {
    "uid",
    "resourceVersion",
    "generation",
    "creationTimestamp",
    "managedFields",
    "name",
    "namespace",
    "selfLink",
}


def changed_fields(new: Any, old: Any, name: str = "") -> Obj:
    """The ``fieldsV1`` tree of what ``new`` sets differently from ``old``."""
    tree: Obj = {}
    if isinstance(new, dict):
        before = old if isinstance(old, dict) else {}
        for field, value in new.items():
            if value != before.get(field) and not (name == "metadata" and field in _SYSTEM):
                tree[f"f:{field}"] = changed_fields(value, before.get(field), field)
    elif isinstance(new, list) and (key := merge_key(name, new)):
        kept = {item.get(key): item for item in old or [] if isinstance(item, dict)} if isinstance(old, list) else {}
        for item in new:
            if item != kept.get(item[key]):
                tree["k:" + encode({key: item[key]}).decode()] = changed_fields(item, kept.get(item[key]))
    return tree


def record_manager(obj: Obj, fields: Obj, manager: str, operation: str, subresource: str, now: float) -> None:
    """Enter a write into ``managedFields``: the manager gains these fields, others lose them."""
    entries: list[Obj] = [dict(entry) for entry in obj["metadata"].get("managedFields") or []]
    mine = next((e for e in entries if _same(e, manager, operation, subresource)), None)
    for entry in entries:
        if entry is not mine and operation != "Apply":
            entry["fieldsV1"] = _without(entry.get("fieldsV1") or {}, fields)
    if mine is None:
        mine = {"manager": manager, "operation": operation, "apiVersion": obj.get("apiVersion", "v1")}
        if subresource:
            mine["subresource"] = subresource
        entries.append(mine)
    owned = {} if operation == "Apply" else mine.get("fieldsV1") or {}
    mine |= {"time": stamp(now), "fieldsType": "FieldsV1", "fieldsV1": _union(owned, fields)}
    obj["metadata"]["managedFields"] = [entry for entry in entries if entry.get("fieldsV1")]


def applied_fields(obj: Obj, manager: str) -> Obj:
    """What this manager applied before."""
    for entry in obj["metadata"].get("managedFields") or []:
        if _same(entry, manager, "Apply", ""):
            fields: Obj = entry.get("fieldsV1") or {}
            return fields
    return {}


def check_conflicts(obj: Obj, differing: Obj, manager: str) -> None:
    """409 when another manager owns a field that an apply would set to another value."""
    found = []
    for entry in obj["metadata"].get("managedFields") or []:
        if _same(entry, manager, "Apply", ""):
            continue
        found += [(entry["manager"], path) for path in _common(entry.get("fieldsV1") or {}, differing, "")]
    if not found:
        return
    causes = [
        {"reason": "FieldManagerConflict", "message": f'conflict with "{who}"', "field": path} for who, path in found
    ]
    listed = "\n".join(f"- {path}" for _, path in found)
    plural = f"{len(found)} conflicts" if len(found) > 1 else "1 conflict"
    message = f'Apply failed with {plural}: conflict with "{found[0][0]}":\n{listed}'
    raise ApiError(409, "Conflict", message, details={"causes": causes})


def _same(entry: Obj, manager: str, operation: str, subresource: str) -> bool:
    wanted = (manager, operation, subresource)
    return (entry.get("manager"), entry.get("operation"), entry.get("subresource", "")) == wanted


def _union(left: Obj, right: Obj) -> Obj:
    return {**left, **{name: _union(left.get(name) or {}, tree) for name, tree in right.items()}}


def _without(tree: Obj, taken: Obj) -> Obj:
    kept: Obj = {}
    for name, below in tree.items():
        if name not in taken:
            kept[name] = below
        elif below and taken[name] and (rest := _without(below, taken[name])):
            kept[name] = rest
    return kept


def _common(owned: Obj, wanted: Obj, path: str) -> list[str]:
    found = []
    for name, below in wanted.items():
        if name not in owned:
            continue
        here = f"{path}.{name[2:]}" if name.startswith("f:") else f"{path}[{name[2:].strip('{}').replace(':', '=', 1)}]"
        if below and owned[name]:
            found += _common(owned[name], below, here)
        elif not below and not owned[name]:
            found.append(here)
    return found
