"""From what an API server or a file says to typed objects. Lenient: what does not fit is left out, never raised."""

import base64
import binascii
import re
from collections.abc import Iterable
from typing import Any, TypeAlias, TypeVar

import msgspec

from midwatch.domain.objects import cluster, network, pods, workloads
from midwatch.domain.objects.certificates import not_after
from midwatch.domain.objects.meta import Base, Meta

Object: TypeAlias = Base
"""Any of the kinds below."""

Json: TypeAlias = dict[str, Any]
"""Parsed JSON or YAML from outside, before it has a type."""

T = TypeVar("T", bound=msgspec.Struct)
B = TypeVar("B", bound=Base)

KINDS: dict[str, type[Base]] = {
    kind.__name__: kind
    for module in (pods, workloads, network, cluster)
    for kind in vars(module).values()
    if isinstance(kind, type) and issubclass(kind, Base) and kind is not Base
}
"""Every kind Midwatch knows, by name."""

_PATH = re.compile(r" - at `(.+)`")
_STEP = re.compile(r"\.([^.\[]+)|\[(\d+|\.\.\.)\]")
_REPAIRS = 64


class Reader:
    """Decodes JSON bodies of one kind: the fast way where they fit, else repaired field by field."""

    def __init__(self, kind: str) -> None:
        self.kind = kind
        self._type = KINDS[kind]
        self._decoder = msgspec.json.Decoder(self._type)

    def read(self, body: bytes | msgspec.Raw) -> Base | None:
        """One object, or ``None`` where the body is not even an object with a name."""
        if self.kind in _STORED:
            return parse_object(body, self.kind)
        try:
            found = self._decoder.decode(body)
        except (msgspec.DecodeError, UnicodeDecodeError):
            return parse_object(body, self.kind)
        return _named(found, self.kind)


def parse_object(source: bytes | msgspec.Raw | object, kind: str = "") -> Base | None:
    """A typed object, or ``None`` for an unknown kind or something that is no object. Never raises.

    ``kind`` is for bodies that do not name their own, as items of a list.
    """
    if isinstance(source, bytes | msgspec.Raw):
        try:
            decoded = msgspec.json.decode(source)
        except UnicodeDecodeError:
            return parse_object(bytes(source).decode("utf-8", "replace").encode(), kind)
        except msgspec.DecodeError:
            return None
        source = decoded
    if not isinstance(source, dict):
        return None
    said = source.get("kind")
    name = kind or (said if isinstance(said, str) else "")
    wanted = KINDS.get(name)
    if wanted is None:
        return None
    if name in _STORED:
        return _stored(source, name)
    return _named(_repaired(source, wanted), name)


def parse_snapshot(items: Iterable[object]) -> tuple[Base, ...]:
    """All objects of known kinds, lists (``kind: List``, ``PodList``) opened up."""
    found: list[Base] = []
    for item in items:
        if not isinstance(item, dict):
            continue
        inner = item.get("items")
        if isinstance(inner, list):
            kind = str(item.get("kind") or "").removesuffix("List")
            found += parse_snapshot(
                entry if entry.get("kind") or not kind else {**entry, "kind": kind}
                for entry in inner
                if isinstance(entry, dict)
            )
        elif (parsed := parse_object(item)) is not None:
            found.append(parsed)
    return tuple(found)


def _named(found: B | None, kind: str) -> B | None:
    """The object with its kind filled in (items of a list have none); ``None`` without a name to call it by."""
    if found is None or not found.metadata.name:
        return None
    return found if found.kind == kind else msgspec.structs.replace(found, kind=kind)


def _repaired(source: Json, wanted: type[T]) -> T | None:
    """Convert, leaving out whatever the converter objects to."""
    copied = False
    for _ in range(_REPAIRS):
        try:
            return msgspec.convert(source, wanted)
        except msgspec.ValidationError as error:
            if not copied:  # the caller's value is not ours to change
                source, copied = msgspec.json.decode(msgspec.json.encode(source, enc_hook=str)), True
            matched = _PATH.search(str(error))
            if matched is None or not _leave_out(source, _steps(matched[1])):
                return None
    return None


def _steps(path: str) -> list[str | int]:
    return [int(index) if index.isdigit() else index or name for name, index in _STEP.findall(path)]


def _leave_out(source: Json, steps: list[str | int]) -> bool:
    """Remove what stands at a path; a map with values of the wrong kind keeps those that can be written as text."""
    here: Any = source
    trail: list[tuple[Any, str | int]] = []
    for step in steps:
        if step == "...":
            break
        if isinstance(here, dict):
            found = step if step in here else next((key for key in here if _starts(key, step)), None)
        else:
            found = step if isinstance(here, list) and isinstance(step, int) else None
        if found is None:
            break
        trail.append((here, found))
        here = here[found]
    if not trail:
        return False
    holder, step = trail[-1]
    if isinstance(here, dict) and steps[-1] == "...":
        holder[step] = {
            str(key): str(value).lower() if isinstance(value, bool) else str(value)
            for key, value in here.items()
            if isinstance(value, str | int | float)
        }
    elif isinstance(holder, list):
        holder.pop(int(step))
    else:
        del holder[step]
    return True


def _starts(key: object, step: str | int) -> bool:
    """Whether a path step may be the beginning of a key with dots in it."""
    return isinstance(key, str) and key.startswith(f"{step}.")


def _stored(source: Json, kind: str) -> Base | None:
    meta = source.get("metadata")
    metadata = _repaired(meta, Meta) if isinstance(meta, dict) else None
    if metadata is None or not metadata.name:
        return None
    parts = [part for name in ("data", "binaryData", "stringData") if isinstance(part := source.get(name), dict)]
    keys = tuple(sorted({str(key) for part in parts for key in part}))
    if kind == "ConfigMap":
        return cluster.ConfigMap(kind=kind, metadata=metadata, keys=keys)
    pem = parts[0].get("tls.crt") if parts else None
    ends = None
    if isinstance(pem, str):
        try:
            ends = not_after(base64.b64decode(pem))
        except (binascii.Error, ValueError):
            ends = None  # not base64: nothing to read a date from
    type_ = source.get("type")
    return cluster.Secret(
        kind=kind, metadata=metadata, type=type_ if isinstance(type_, str) else "", keys=keys, not_after=ends
    )


_STORED = ("ConfigMap", "Secret")
