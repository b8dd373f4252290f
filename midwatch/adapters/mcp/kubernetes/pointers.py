"""JSON Pointers into a document, and the patch that moves a set of them to new values."""

from collections.abc import Mapping
from typing import Any, Final

from midwatch.adapters.mcp.kubernetes.api import Json

KEY: Final = "midwatch.dev/last-action"
"""The annotation that bears the idempotency key of Midwatch's last change."""

Fields = Mapping[str, Any]
"""Pointer → value; ``None`` where the field is absent or to be removed."""


def escape(part: str) -> str:
    """One part of a pointer, with its slashes and tildes written out."""
    return part.replace("~", "~0").replace("/", "~1")


def read(document: Json, pointer: str) -> Any:
    """What stands there, ``None`` where nothing does."""
    here: Any = document
    for part in _parts(pointer):
        if isinstance(here, list) and part.isdigit() and int(part) < len(here):
            here = here[int(part)]
        elif isinstance(here, dict):
            here = here.get(part)
        else:
            return None
    return here


def last_action(document: Json) -> str:
    """The key of Midwatch's last change of this object, empty where there was none."""
    found = read(document, f"/metadata/annotations/{escape(KEY)}")
    return found if isinstance(found, str) else ""


def patch(document: Json, fields: Fields, key: str) -> list[Json]:
    """Operations that set ``fields`` and the key, on exactly this version of the object.

    Parents that are missing are made; a document that already has a value keeps the patch free of it.
    """
    wanted = {**fields, f"/metadata/annotations/{escape(KEY)}": key}
    meta = document["metadata"]
    operations: list[Json] = [
        {"op": "test", "path": "/metadata/uid", "value": meta["uid"]},
        {"op": "replace", "path": "/metadata/resourceVersion", "value": meta["resourceVersion"]},
    ]
    made: set[str] = set()
    for pointer, value in wanted.items():
        if read(document, pointer) == value:
            continue
        if value is None:
            operations.append({"op": "remove", "path": pointer})
            continue
        parts = _parts(pointer)
        for depth in range(1, len(parts)):
            parent = "/" + "/".join(escape(part) for part in parts[:depth])
            if read(document, parent) is None and parent not in made:
                operations.append({"op": "add", "path": parent, "value": {}})
                made.add(parent)
        operations.append({"op": "add", "path": pointer, "value": value})
    return operations


def _parts(pointer: str) -> list[str]:
    return [part.replace("~1", "/").replace("~0", "~") for part in pointer.split("/")[1:]]
