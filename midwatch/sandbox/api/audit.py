"""The API server's own record of who changed what: the judge of "exactly once"."""

from __future__ import annotations

from collections import deque
from typing import Any

from midwatch.sandbox.api.requests import ApiRequest
from midwatch.sandbox.errors import ApiError
from midwatch.sandbox.objects import Obj, encode, micro_stamp
from midwatch.sandbox.store import Record

_BODY = 4096
"""Bytes of a request body that are kept."""


class Audit:
    """Writes by API clients, never by controllers: those that took effect, those without effect, those refused."""

    def __init__(self, keep: int = 100_000) -> None:
        self.mutations: deque[Obj] = deque(maxlen=keep)
        self.without_effect: deque[Obj] = deque(maxlen=keep)
        self.refused: deque[Obj] = deque(maxlen=keep)
        self._sequence = 0

    def changed(self, request: ApiRequest, now: float, before: Record | None, after: Record | None) -> None:
        """A write was answered with success. Without a difference, or as a dry run, it had no effect."""
        record = after or before
        effect = after is not before and not request.dry_run
        entry = self._entry(request, now)
        if record is not None:
            entry |= {"name": record.key.name, "uid": record.uid}
        entry["resourceVersion"] = {
            "before": before.version if before else None,
            "after": after.version if after else None,
        }
        if effect:
            old = before.obj() if before else {}
            new = after.obj() if after else {}
            entry["annotations"] = _new_annotations(new, old)
            entry["changed"] = changed_paths(new, old) if before and after else []
        (self.mutations if effect else self.without_effect).append(entry)

    def refuse(self, request: ApiRequest, now: float, error: ApiError) -> None:
        """A write was refused."""
        refusal = {"code": error.code, "reason": error.reason, "message": error.message}
        self.refused.append(self._entry(request, now) | refusal)

    def _entry(self, request: ApiRequest, now: float) -> Obj:
        self._sequence += 1
        target = request.target
        body: Any = None
        if request.body:
            body = request.body[:_BODY].decode(errors="replace")
        return {
            "sequence": self._sequence,
            "time": micro_stamp(now),
            "user": request.user.name,
            "agent": request.agent,
            "manager": request.manager,
            "verb": request.verb,
            "group": target.resource.group,
            "resource": target.resource.plural,
            "namespace": target.namespace,
            "name": target.name,
            "subresource": target.subresource,
            "dryRun": request.dry_run,
            "contentType": request.content_type,
            "body": body,
        }

    def document(self) -> bytes:
        """All three lists as JSON."""
        lists = {
            "mutations": list(self.mutations),
            "withoutEffect": list(self.without_effect),
            "refused": list(self.refused),
        }
        return encode(lists)


def _new_annotations(new: Obj, old: Obj) -> Obj:
    """Annotations set or changed by the write, of the object and of its pod template."""
    found: Obj = {}
    for path in (("metadata",), ("spec", "template", "metadata")):
        after, before = _annotations(new, path), _annotations(old, path)
        found |= {name: value for name, value in after.items() if before.get(name) != value}
    return found


def _annotations(obj: Obj, path: tuple[str, ...]) -> Obj:
    here: Any = obj
    for part in (*path, "annotations"):
        here = here.get(part) if isinstance(here, dict) else None
    return here if isinstance(here, dict) else {}


def changed_paths(new: Any, old: Any, path: str = "") -> list[str]:
    """Dotted paths of what differs, without bookkeeping fields."""
    if isinstance(new, dict) and isinstance(old, dict):
        paths = []
        for name in sorted({*new, *old}):
            if name in ("managedFields", "resourceVersion", "generation") and path == "metadata":
                continue
            paths += changed_paths(new.get(name), old.get(name), f"{path}.{name}" if path else name)
        return paths
    if isinstance(new, list) and isinstance(old, list) and len(new) == len(old):
        return [p for i, pair in enumerate(zip(new, old, strict=True)) for p in changed_paths(*pair, f"{path}[{i}]")]
    return [] if new == old else [path]
