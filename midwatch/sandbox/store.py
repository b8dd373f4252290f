"""The objects of the cluster, one global resource version, and the bounded history that watches resume from.

An object is kept as its JSON bytes: readers get a private copy, lists and watches send the bytes as they are, and
50,000 pods stay small. What is asked for often (labels, selectable fields, owner, a pod's readiness) stands beside.
"""

from __future__ import annotations

import bisect
import sys
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from random import Random
from typing import NamedTuple
from uuid import UUID

from midwatch.sandbox.clock import Clock
from midwatch.sandbox.errors import already_exists
from midwatch.sandbox.objects import Obj, controller_of, decode, dig, encode, random_suffix, stamp
from midwatch.sandbox.podfacts import PodFacts, pod_facts
from midwatch.sandbox.schema import PODS, Resource

ADDED, MODIFIED, DELETED = "ADDED", "MODIFIED", "DELETED"


class Key(NamedTuple):
    """Where an object stands; ``namespace`` is empty for cluster-wide kinds."""

    resource: Resource
    namespace: str
    name: str


@dataclass(frozen=True, slots=True)
class Record:
    """One version of one object."""

    key: Key
    uid: str
    version: int
    raw: bytes
    labels: Mapping[str, str]
    fields: Mapping[str, str]
    owner: str
    """The uid of its controller, or empty."""
    pod: PodFacts | None

    def obj(self) -> Obj:
        """The document, as a private copy."""
        document: Obj = decode(self.raw)
        return document

    @property
    def item(self) -> bytes:
        """The document as lists carry it: without apiVersion and kind."""
        return b"{" + self.raw[len(self.key.resource.head) :]


class Change:
    """One entry of the history."""

    __slots__ = ("_line", "kind", "previous", "record")

    def __init__(self, kind: str, record: Record, previous: Record | None) -> None:
        self.kind = kind
        self.record = record
        self.previous = previous
        self._line: bytes | None = None

    @property
    def version(self) -> int:
        return self.record.version

    @property
    def line(self) -> bytes:
        """The watch line, made once however many watch; :meth:`release` forgets it once all have it."""
        if self._line is None:
            self._line = watch_line(self.kind, self.record.raw)
        return self._line

    def release(self) -> None:
        """Keep the history half as large."""
        self._line = None


def watch_line(kind: str, raw: bytes) -> bytes:
    """One line of a watch stream."""
    return b'{"type":"%b","object":%b}\n' % (kind.encode(), raw)


class _Shelf:
    """All objects of one kind, with their keys in order."""

    __slots__ = ("order", "records")

    def __init__(self) -> None:
        self.records: dict[tuple[str, str], Record] = {}
        self.order: list[tuple[str, str]] = []

    def add(self, place: tuple[str, str], record: Record) -> None:
        if place not in self.records:
            if (self.order and place > self.order[-1]) or not self.order:
                self.order.append(place)
            else:
                bisect.insort(self.order, place)
        self.records[place] = record

    def remove(self, place: tuple[str, str]) -> None:
        del self.records[place]
        del self.order[bisect.bisect_left(self.order, place)]

    def bounds(self, namespace: str, after: tuple[str, str] | None) -> tuple[int, int]:
        low, high = 0, len(self.order)
        if namespace:
            low, high = (
                bisect.bisect_left(self.order, (namespace, "")),
                bisect.bisect_left(self.order, (namespace + "\0", "")),
            )
        if after is not None:
            low = max(low, bisect.bisect_right(self.order, after))
        return low, high


class Store:
    """Objects by kind, namespace and name. Not thread-safe: everything runs on one event loop."""

    def __init__(self, clock: Clock, random: Random, *, history: int = 50_000) -> None:
        self._clock = clock
        self._random = random
        self._shelves: dict[Resource, _Shelf] = {}
        self._owned: dict[str, dict[Key, None]] = {}
        self._on_node: dict[str, dict[Key, None]] = {}
        self._history: deque[Change] = deque(maxlen=history)
        self._listeners: list[Callable[[Change], None]] = []
        self._compacted = 0
        self.version = 1000

    # reading

    def get(self, key: Key) -> Record | None:
        shelf = self._shelves.get(key.resource)
        return shelf.records.get((key.namespace, key.name)) if shelf else None

    def count(self, resource: Resource, namespace: str = "") -> int:
        shelf = self._shelves.get(resource)
        if shelf is None:
            return 0
        low, high = shelf.bounds(namespace, None)
        return high - low

    def scan(
        self, resource: Resource, namespace: str = "", *, after: tuple[str, str] | None = None
    ) -> Iterator[Record]:
        """Records in key order, from behind ``after``. Do not write while iterating: take a list first."""
        shelf = self._shelves.get(resource)
        if shelf is None:
            return
        low, high = shelf.bounds(namespace, after)
        for index in range(low, high):
            yield shelf.records[shelf.order[index]]

    def remaining(self, resource: Resource, namespace: str, after: tuple[str, str]) -> int:
        """How many stand behind ``after``."""
        shelf = self._shelves.get(resource)
        if shelf is None:
            return 0
        low, high = shelf.bounds(namespace, after)
        return high - low

    def owned(self, uid: str, resource: Resource | None = None) -> list[Record]:
        """What the object with that uid controls."""
        return self._records(self._owned.get(uid), resource)

    def on_node(self, name: str) -> list[Record]:
        """The pods bound to a node."""
        return self._records(self._on_node.get(name), PODS)

    def _records(self, keys: dict[Key, None] | None, resource: Resource | None) -> list[Record]:
        found = (self.get(key) for key in keys or () if resource is None or key.resource is resource)
        return [record for record in found if record is not None]

    # history

    @property
    def oldest(self) -> int:
        """The version from which a watch can still resume."""
        if self._history and len(self._history) == self._history.maxlen:
            return max(self._compacted, self._history[0].version - 1)
        return self._compacted

    def since(self, version: int) -> list[Change]:
        """The changes after ``version``, oldest first."""
        found = []
        for change in reversed(self._history):
            if change.version <= version:
                break
            found.append(change)
        found.reverse()
        return found

    def compact(self) -> None:
        """Forget the history: every older watch or continue token gets 410."""
        self._history.clear()
        self.version += 1
        self._compacted = self.version

    def subscribe(self, listener: Callable[[Change], None]) -> Callable[[], None]:
        """Call ``listener`` on every change, until the returned function is called."""
        self._listeners.append(listener)
        return lambda: self._listeners.remove(listener)

    # writing

    def new_name(self, prefix: str) -> str:
        """``prefix`` and five random letters."""
        return prefix + random_suffix(self._random.getrandbits(40))

    def new_uid(self) -> str:
        return str(UUID(int=self._random.getrandbits(128), version=4))

    def create(self, resource: Resource, obj: Obj) -> Record:
        """Store a new object; fills in uid, creation time and, with ``generateName``, its name."""
        metadata = obj["metadata"]
        if not metadata.get("name"):
            metadata["name"] = self.new_name(metadata["generateName"])
        key = Key(resource, metadata.get("namespace", "") if resource.namespaced else "", metadata["name"])
        if self.get(key) is not None:
            raise already_exists(resource.qualified, key.name)
        metadata["uid"] = metadata.get("uid") or self.new_uid()
        metadata.setdefault("creationTimestamp", stamp(self._clock.now()))
        if resource.generated:
            metadata["generation"] = 1
        return self._commit(ADDED, key, obj, None)

    def replace(self, record: Record, obj: Obj) -> Record:
        """Store a new version. Without any difference nothing happens and the same record comes back.

        What clients may not change (uid, creation time) is put back; generation moves with the spec.
        """
        key = record.key
        old = record.obj()
        metadata = obj["metadata"]
        for name in ("name", "namespace", "uid", "creationTimestamp", "resourceVersion", "generation"):
            if name in old["metadata"]:
                metadata[name] = old["metadata"][name]
            else:
                metadata.pop(name, None)
        if obj == old:
            return record
        if key.resource.generated and _desired(obj) != _desired(old):
            metadata["generation"] = old["metadata"].get("generation", 0) + 1
        return self._commit(MODIFIED, key, obj, record)

    def delete(self, record: Record) -> Record:
        """Remove an object; returns its last version, which carries the version of the deletion."""
        return self._commit(DELETED, record.key, record.obj(), record)

    def load(self, resource: Resource, obj: Obj) -> Record:
        """Store a complete object without telling anyone: for seeding before anybody watches."""
        metadata = obj["metadata"]
        key = Key(resource, metadata.get("namespace", ""), metadata["name"])
        record = self._record(key, obj)
        self._index(record, None)
        self._shelves.setdefault(resource, _Shelf()).add(key[1:], record)
        return record

    def touch(self, record: Record, raw: bytes, version: int) -> Record:
        """Commit ready-made bytes that differ in nothing the cluster reacts to (benchmarks' churn)."""
        self.version = version
        fresh = Record(record.key, record.uid, version, raw, record.labels, record.fields, record.owner, record.pod)
        self._shelves[record.key.resource].records[record.key[1:]] = fresh
        self._publish(Change(MODIFIED, fresh, record))
        return fresh

    def _commit(self, kind: str, key: Key, obj: Obj, previous: Record | None) -> Record:
        record = self._record(key, obj)
        shelf = self._shelves.setdefault(key.resource, _Shelf())
        if kind == DELETED:
            shelf.remove(key[1:])
            self._index(None, previous)
        else:
            shelf.add(key[1:], record)
            self._index(record, previous)
        self._publish(Change(kind, record, previous))
        return record

    def _record(self, key: Key, obj: Obj) -> Record:
        self.version += 1
        metadata = obj["metadata"]
        metadata["resourceVersion"] = str(self.version)
        resource = key.resource
        obj.pop("apiVersion", None)
        obj.pop("kind", None)
        document = {"apiVersion": resource.api_version, "kind": resource.kind, **obj}
        obj.update(document)
        owner = controller_of(obj)
        labels = {sys.intern(name): sys.intern(value) for name, value in (metadata.get("labels") or {}).items()}
        return Record(
            key,
            metadata["uid"],
            self.version,
            encode(document),
            labels,
            _fields(key, obj),
            owner["uid"] if owner else "",
            pod_facts(obj) if resource is PODS else None,
        )

    def _index(self, record: Record | None, previous: Record | None) -> None:
        for table, name in ((self._owned, "owner"), (self._on_node, "node")):
            old = _index_value(previous, name)
            new = _index_value(record, name)
            if old == new:
                continue
            if old and previous is not None:
                table[old].pop(previous.key, None)
                if not table[old]:
                    del table[old]
            if new and record is not None:
                table.setdefault(new, {})[record.key] = None

    def _publish(self, change: Change) -> None:
        self._history.append(change)
        for listener in tuple(self._listeners):
            listener(change)


def _index_value(record: Record | None, name: str) -> str:
    if record is None:
        return ""
    if name == "owner":
        return record.owner
    return record.pod.node if record.pod else ""


def _desired(obj: Obj) -> Obj:
    return {name: value for name, value in obj.items() if name not in ("metadata", "status", "apiVersion", "kind")}


def _fields(key: Key, obj: Obj) -> dict[str, str]:
    fields = {"metadata.name": key.name}
    if key.resource.namespaced:
        fields["metadata.namespace"] = key.namespace
    for path in key.resource.fields:
        value = dig(obj, path)
        if value is None or value == "" or isinstance(value, dict):
            continue
        fields[path] = str(value).lower() if isinstance(value, bool) else sys.intern(str(value))
    return fields
