"""What was touched shortly before: rollouts with their images, ConfigMaps and Secrets by name."""

from collections.abc import Iterable
from datetime import datetime, timedelta
from itertools import pairwise

import msgspec

RECENT = timedelta(hours=1)
_MOST = 20
_REVISION = "deployment.kubernetes.io/revision"
# Controllers write to these all the time; that is no change that anybody made.
_NOISE = ("kube-root-ca.crt", "istio-ca-root-cert")


class _Write(msgspec.Struct, frozen=True):
    manager: str = ""
    time: datetime | None = None
    subresource: str = ""


class _Owner(msgspec.Struct, frozen=True):
    kind: str = ""
    name: str = ""


class _Meta(msgspec.Struct, frozen=True, rename="camel"):
    name: str = ""
    namespace: str = ""
    creation_timestamp: datetime | None = None
    managed_fields: tuple[_Write, ...] = ()
    owner_references: tuple[_Owner, ...] = ()
    annotations: dict[str, str] | None = None


class _Container(msgspec.Struct, frozen=True):
    name: str = ""
    image: str = ""


class _PodSpec(msgspec.Struct, frozen=True):
    containers: tuple[_Container, ...] = ()


class _Template(msgspec.Struct, frozen=True):
    spec: _PodSpec = _PodSpec()


class _Spec(msgspec.Struct, frozen=True):
    template: _Template = _Template()


class _Item(msgspec.Struct, frozen=True):
    metadata: _Meta = _Meta()
    spec: _Spec = _Spec()


def recent_changes(objects: Iterable[tuple[str, bytes]], since: datetime, now: datetime) -> tuple[str, ...]:
    """One line a change between ``since`` and ``now``, newest first. Objects that cannot be read are passed over."""
    sets: dict[tuple[str, str], list[_Item]] = {}
    lines: list[tuple[datetime, str]] = []
    for kind, body in objects:
        if kind not in ("ReplicaSet", "ConfigMap", "Secret"):
            continue
        try:
            item = msgspec.json.decode(body, type=_Item)
        except msgspec.MsgspecError:
            continue
        if kind == "ReplicaSet":
            for owner in item.metadata.owner_references:
                sets.setdefault((item.metadata.namespace, owner.name), []).append(item)
        elif (touched := _touched(item)) is not None and item.metadata.name not in _NOISE:
            at, how = touched
            lines.append((at, f"{kind} {item.metadata.namespace}/{item.metadata.name} was {how}"))
    for (namespace, name), items in sets.items():
        lines += _rollouts(namespace, name, items)
    kept = sorted(((at, line) for at, line in lines if since <= at <= now), reverse=True)
    return tuple(f"{at:%H:%M:%S} UTC {line}" for at, line in kept[:_MOST])


def _touched(item: _Item) -> tuple[datetime, str] | None:
    created = item.metadata.creation_timestamp
    writes = [
        (write.time, write.manager) for write in item.metadata.managed_fields if write.time and not write.subresource
    ]
    if writes:
        at, by = max(writes)
        if created is None or at > created:
            return at, f"changed by {by}" if by else "changed"
    return (created, "made") if created else None


def _rollouts(namespace: str, name: str, items: list[_Item]) -> list[tuple[datetime, str]]:
    """Every revision of a workload after its first, with the images that came with it."""
    ordered = sorted(items, key=lambda item: (_revision(item), item.metadata.name))
    found: list[tuple[datetime, str]] = []
    for before, after in pairwise(ordered):
        at = after.metadata.creation_timestamp
        if at is None:
            continue
        old = {box.name: box.image for box in before.spec.template.spec.containers}
        new = {box.name: box.image for box in after.spec.template.spec.containers}
        images = [f"{box}: {old.get(box, 'none')} → {image}" for box, image in new.items() if old.get(box) != image]
        what = f", {', '.join(images)}" if images else ", same images"
        found.append((at, f"Deployment {namespace}/{name} got revision {_revision(after) or '?'}{what}"))
    return found


def _revision(item: _Item) -> int:
    text = (item.metadata.annotations or {}).get(_REVISION, "")
    return int(text) if text.isdecimal() else 0
