"""Kubernetes objects as JSON documents, and the few helpers every part needs."""

from __future__ import annotations

import hashlib
from datetime import UTC, datetime
from typing import Any, TypeAlias

import msgspec

Obj: TypeAlias = dict[str, Any]
"""One JSON object of the Kubernetes API. ``Any`` on purpose: the schema is open and what a client sent must survive."""

_NAME_ALPHABET = "bcdfghjklmnpqrstvwxz2456789"
_encoder = msgspec.json.Encoder()
_decoder = msgspec.json.Decoder()


def encode(value: object) -> bytes:
    """Compact JSON."""
    return _encoder.encode(value)


def decode(raw: bytes) -> Any:
    """A fresh, private copy: callers may change it freely."""
    return _decoder.decode(raw)


def copy(obj: Obj) -> Obj:
    """A deep copy of a JSON document."""
    result: Obj = decode(encode(obj))
    return result


def dig(obj: Any, path: str) -> Any:
    """The value at a dotted path, or None where any part is missing."""
    for part in path.split("."):
        if not isinstance(obj, dict):
            return None
        obj = obj.get(part)
    return obj


def stamp(seconds: float) -> str:
    """RFC 3339 with whole seconds, as ``metav1.Time``; ``seconds`` since the epoch."""
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def micro_stamp(seconds: float) -> str:
    """RFC 3339 with microseconds, as ``metav1.MicroTime``."""
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def seconds_of(text: str | None) -> float:
    """Seconds since the epoch of an RFC 3339 time; 0 for none."""
    return datetime.fromisoformat(text).timestamp() if text else 0.0


def digest_name(value: object, length: int = 10) -> str:
    """A short, stable name for a value, in the alphabet Kubernetes uses for hashes in names."""
    number = int.from_bytes(hashlib.sha256(msgspec.json.encode(value, order="deterministic")).digest()[:12], "big")
    letters = []
    for _ in range(length):
        number, index = divmod(number, len(_NAME_ALPHABET))
        letters.append(_NAME_ALPHABET[index])
    return "".join(letters)


def random_suffix(number: int, length: int = 5) -> str:
    """The random tail of a generated name, from a random number."""
    letters = []
    for _ in range(length):
        number, index = divmod(number, len(_NAME_ALPHABET))
        letters.append(_NAME_ALPHABET[index])
    return "".join(letters)


def controller_of(obj: Obj) -> Obj | None:
    """The owner reference that is the controller, or None."""
    for reference in obj["metadata"].get("ownerReferences") or []:
        if reference.get("controller"):
            owner: Obj = reference
            return owner
    return None


def owner_reference(owner: Obj) -> Obj:
    """The controller reference a child carries."""
    return {
        "apiVersion": owner["apiVersion"],
        "kind": owner["kind"],
        "name": owner["metadata"]["name"],
        "uid": owner["metadata"]["uid"],
        "controller": True,
        "blockOwnerDeletion": True,
    }


def condition(obj: Obj, kind: str) -> Obj | None:
    """The status condition of that type, or None."""
    for item in dig(obj, "status.conditions") or []:
        if item.get("type") == kind:
            found: Obj = item
            return found
    return None


def set_condition(obj: Obj, kind: str, status: str, now: float, *, reason: str = "", message: str = "") -> None:
    """Set one status condition; its transition time moves only when its status does."""
    conditions = obj.setdefault("status", {}).setdefault("conditions", [])
    found = condition(obj, kind)
    if found is None:
        found = {"type": kind, "status": "", "lastTransitionTime": stamp(now)}
        conditions.append(found)
    if found["status"] != status:
        found["lastTransitionTime"] = stamp(now)
    found["status"] = status
    for name, text in (("reason", reason), ("message", message)):
        if text:
            found[name] = text
        else:
            found.pop(name, None)
