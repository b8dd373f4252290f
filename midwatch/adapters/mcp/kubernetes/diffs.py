"""A diff that people can read: YAML of the object before and after, only the lines around a change."""

import difflib
from typing import Any

import yaml

from midwatch.adapters.mcp.kubernetes.api import Json
from midwatch.adapters.mcp.kubernetes.masking import CHANGED, masked, without_values
from midwatch.adapters.mcp.kubernetes.pointers import KEY

_NOISE = ("managedFields", "resourceVersion", "generation", "creationTimestamp", "uid", "selfLink")
_MAX_LINES = 80


def yaml_diff(before: Json, after: Json, *, context: int = 2) -> str:
    """Unified diff without status, bookkeeping and secrets; empty when nothing a person cares about changed.

    Of an environment it tells which variables change, and no values: any of them may be a secret.
    """
    old, new = _text(without_values(before, after)), _text(without_values(after, before, changed=CHANGED))
    lines = list(difflib.unified_diff(old, new, "now", "planned", lineterm="", n=context))
    if len(lines) > _MAX_LINES:
        lines = [*lines[:_MAX_LINES], f"… {len(lines) - _MAX_LINES} more lines"]
    return "\n".join(lines)


def deletion(document: Json) -> str:
    """The diff of a deletion: what goes away, in three lines."""
    meta = document["metadata"]
    phase = (document.get("status") or {}).get("phase", "")
    lines = [f"kind: {document['kind']}", f"name: {meta['name']}", f"namespace: {meta.get('namespace', '')}"]
    return "\n".join(["--- now", "+++ planned", *(f"-{line}" for line in [*lines, f"phase: {phase}"])])


def creation(document: Json) -> str:
    """The diff of a new object: what comes, in three lines."""
    meta = document["metadata"]
    lines = [f"kind: {document['kind']}", f"name: {meta['name']}", f"namespace: {meta.get('namespace', '')}"]
    return "\n".join(["--- now", "+++ planned", *(f"+{line}" for line in lines)])


def _text(document: Json) -> list[str]:
    shown: dict[str, Any] = {name: value for name, value in masked(document).items() if name != "status"}
    meta = {name: value for name, value in shown.get("metadata", {}).items() if name not in _NOISE}
    annotations = {name: value for name, value in (meta.get("annotations") or {}).items() if name != KEY}
    meta.pop("annotations", None)
    shown["metadata"] = {**meta, **({"annotations": annotations} if annotations else {})}
    return yaml.safe_dump(shown, sort_keys=True, default_flow_style=False, width=110).splitlines()
