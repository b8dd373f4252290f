"""Containers whose environment names a ConfigMap or Secret that is not there cannot be created."""

from __future__ import annotations

from collections.abc import Iterator

from midwatch.sandbox.cluster.behaviours import Behaviour, CannotCreate
from midwatch.sandbox.objects import Obj
from midwatch.sandbox.schema import CONFIGMAPS, SECRETS
from midwatch.sandbox.store import Key, Store

_KINDS = {
    "configMapRef": (CONFIGMAPS, "configmap"),
    "configMapKeyRef": (CONFIGMAPS, "configmap"),
    "secretRef": (SECRETS, "secret"),
    "secretKeyRef": (SECRETS, "secret"),
}


class Configuration:
    """The rule of every kubelet about ``env`` and ``envFrom``."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def decide(self, pod: Obj, container: Obj) -> Behaviour | None:
        """The first reference that leads nowhere, in the kubelet's words."""
        namespace = pod["metadata"]["namespace"]
        for field, reference in _references(container):
            resource, word = _KINDS[field]
            name, key = str(reference.get("name", "")), reference.get("key")
            record = self._store.get(Key(resource, namespace, name))
            if record is None:
                return CannotCreate(f'{word} "{name}" not found')
            if key is not None and key not in (record.obj().get("data") or {}):
                kind = resource.kind
                return CannotCreate(f"couldn't find key {key} in {kind} {namespace}/{name}")
        return None


def _references(container: Obj) -> Iterator[tuple[str, Obj]]:
    sources = [*(container.get("envFrom") or []), *(item.get("valueFrom") or {} for item in container.get("env") or [])]
    for source in sources:
        for field, reference in source.items():
            if field in _KINDS and isinstance(reference, dict) and not reference.get("optional"):
                yield field, reference
