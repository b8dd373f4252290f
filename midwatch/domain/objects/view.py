"""A cluster in memory: objects by kind and name, kept under change, with the indexes that verdicts ask for."""

import re
from collections.abc import Collection, Iterable, Iterator, Mapping
from datetime import datetime
from typing import TypeVar, cast

import msgspec

from midwatch.domain.objects.cluster import Event, PersistentVolumeClaim
from midwatch.domain.objects.meta import Base, Selector
from midwatch.domain.objects.network import EndpointSlice
from midwatch.domain.objects.pods import Pod
from midwatch.domain.refs import ObjectRef

Key = tuple[str, str, str]
"""Kind, namespace, name."""

T = TypeVar("T", bound=Base)
K = TypeVar("K")
V = TypeVar("V")

CLUSTER_WIDE = frozenset(
    {
        *("Node", "Namespace", "PersistentVolume", "StorageClass", "IngressClass", "GatewayClass", "APIService"),
        *("ClusterRole", "ClusterRoleBinding", "MutatingWebhookConfiguration", "ValidatingWebhookConfiguration"),
    }
)
EVENTS_KEPT = 20
"""Events kept for one object; the latest ones."""

_REPLICA_POD = re.compile(r"(.+)-([0-9a-z]{5,10})-[0-9a-z]{4,5}")
_CRON_JOB = re.compile(r"(.+)-\d{8,10}")


class ClusterView:
    """Objects of one cluster. ``complete`` names the kinds of which all are seen: only of these is absence a fact.

    ``infer_owners`` lets names speak where owner references are missing, as in snapshots written by hand.
    """

    def __init__(self, *, complete: Collection[str] = (), infer_owners: bool = False) -> None:
        self.complete = set(complete)
        self._infer = infer_owners
        self._objects: dict[str, dict[str, dict[str, Base]]] = {}
        self._children: dict[Key, set[Key]] = {}
        self._by_node: dict[str, set[Key]] = {}
        self._by_claim: dict[tuple[str, str], set[Key]] = {}
        self._slices: dict[tuple[str, str], set[str]] = {}
        self._events: dict[Key, dict[str, Event]] = {}
        self._event_keys: dict[tuple[str, str], Key] = {}

    @classmethod
    def of(cls, objects: Iterable[Base]) -> "ClusterView":
        """A view of a snapshot.

        What carries no uid was written by hand, not dumped from a server: then nothing else exists. A dump is believed
        for the kinds it holds.
        """
        items = tuple(objects)
        view = cls(infer_owners=True)
        for item in items:
            view.put(item)
        dumped = any(item.metadata.uid for item in items if item.kind != "Event")
        view.complete = {item.kind for item in items} if dumped else {item.kind for item in items} | {"*"}
        return view

    def sees(self, kind: str) -> bool:
        """Whether an object of this kind that is not here does not exist."""
        return kind in self.complete or "*" in self.complete

    # -- change

    def put(self, item: Base) -> Base | None:
        """Add or replace an object; the one that stood there before."""
        if isinstance(item, Event):
            self._put_event(item)
            return None
        named = self._objects.setdefault(item.kind, {}).setdefault(item.namespace, {})
        before = named.get(item.name)
        if isinstance(item, Pod):
            self._share(item, before)
        if before is not None:
            self._unindex(before)
        named[item.name] = item
        self._index(item)
        return before

    def remove(self, kind: str, namespace: str, name: str) -> Base | None:
        """Take an object out; ``None`` when it was not there."""
        if kind == "Event":
            about = self._event_keys.pop((namespace, name), None)
            kept = self._events.get(about, {}) if about else {}
            kept.pop(f"{namespace}/{name}", None)
            if about and not kept:
                self._events.pop(about, None)
            return None
        named = self._objects.get(kind, {}).get(namespace, {})
        before = named.pop(name, None)
        if before is not None:
            self._unindex(before)
            if not named:
                self._objects[kind].pop(namespace, None)
        return before

    def forget_events(self, before: datetime) -> None:
        """Drop the events that last happened before an instant."""
        for event in [event for kept in self._events.values() for event in kept.values()]:
            if event.at is not None and event.at < before:
                self.remove("Event", event.namespace, event.name)

    def _put_event(self, event: Event) -> None:
        about = event.about
        key = _key(about.kind, about.namespace or event.namespace, about.name)
        kept = self._events.setdefault(key, {})
        kept.pop(f"{event.namespace}/{event.name}", None)
        kept[f"{event.namespace}/{event.name}"] = event
        self._event_keys[event.namespace, event.name] = key
        while len(kept) > EVENTS_KEPT:
            oldest = kept.pop(next(iter(kept)))
            self._event_keys.pop((oldest.namespace, oldest.name), None)

    def _share(self, pod: Pod, before: Base | None) -> None:
        """Let pods of one owner share the parts that are equal in all of them, which is most of a big cluster's memory.

        The pod was made for this view and nobody else holds it yet, so that its frozen fields may still be set.
        """
        if not isinstance(before, Pod):
            owner = next(iter(pod.metadata.owner_references), None)
            beside = self._children.get(_key(owner.kind, pod.namespace, owner.name)) if owner else None
            before = self.get(*next(iter(beside))) if beside else None
        if not isinstance(before, Pod):
            return
        for mine, theirs, names in (
            (pod.metadata, before.metadata, ("labels", "owner_references")),
            (pod.spec, before.spec, ("containers", "init_containers", "affinity")),
        ):
            for name in names:
                if getattr(mine, name) == getattr(theirs, name):
                    msgspec.structs.force_setattr(mine, name, getattr(theirs, name))

    def _index(self, item: Base) -> None:
        key = (item.kind, item.namespace, item.name)
        for owner in item.metadata.owner_references:
            self._children.setdefault(_key(owner.kind, item.namespace, owner.name), set()).add(key)
        if isinstance(item, Pod):
            if item.spec.node_name:
                self._by_node.setdefault(item.spec.node_name, set()).add(key)
            for claim in _claims(item):
                self._by_claim.setdefault((item.namespace, claim), set()).add(key)
        elif isinstance(item, EndpointSlice):
            self._slices.setdefault((item.namespace, item.service), set()).add(item.name)

    def _unindex(self, item: Base) -> None:
        key = (item.kind, item.namespace, item.name)
        for owner in item.metadata.owner_references:
            _drop(self._children, _key(owner.kind, item.namespace, owner.name), key)
        if isinstance(item, Pod):
            if item.spec.node_name:
                _drop(self._by_node, item.spec.node_name, key)
            for claim in _claims(item):
                _drop(self._by_claim, (item.namespace, claim), key)
        elif isinstance(item, EndpointSlice):
            _drop(self._slices, (item.namespace, item.service), item.name)

    # -- looking

    def get(self, kind: str, namespace: str, name: str) -> Base | None:
        return self._objects.get(kind, {}).get("" if kind in CLUSTER_WIDE else namespace, {}).get(name)

    def find(self, type_: type[T], namespace: str, name: str) -> T | None:
        """The object of this type and name."""
        return cast(T | None, self.get(type_.__name__, namespace, name))

    def each(self, type_: type[T], namespace: str | None = None) -> Iterator[T]:
        """All objects of a type, of one namespace or of all."""
        spaces = self._objects.get(type_.__name__, {})
        if namespace is not None:
            yield from cast(Iterable[T], tuple(spaces.get(namespace, {}).values()))
            return
        for named in tuple(spaces.values()):
            yield from cast(Iterable[T], tuple(named.values()))

    def everything(self) -> Iterator[Base]:
        """All objects but events."""
        for spaces in tuple(self._objects.values()):
            for named in tuple(spaces.values()):
                yield from tuple(named.values())

    def count(self, kind: str = "") -> int:
        kinds = (self._objects.get(kind, {}),) if kind else self._objects.values()
        return sum(len(named) for spaces in kinds for named in spaces.values())

    def events(self, item: Base) -> tuple[Event, ...]:
        """What was told of an object, oldest first as it came."""
        return tuple(self._events.get(_key(item.kind, item.namespace, item.name), {}).values())

    def stray_events(self, namespace: str) -> tuple[Event, ...]:
        """Events of a namespace that do not say what they are about, as some snapshots hold them."""
        return tuple(self._events.get(("", namespace, ""), {}).values())

    def pods_on(self, node: str) -> tuple[Pod, ...]:
        return self._pods(self._by_node.get(node, ()))

    def pods_using(self, claim: PersistentVolumeClaim) -> tuple[Pod, ...]:
        return self._pods(self._by_claim.get((claim.namespace, claim.name), ()))

    def pods_selected(self, namespace: str, selector: Selector | Mapping[str, str]) -> tuple[Pod, ...]:
        """Pods of a namespace whose labels match; an empty mapping (a Service without selector) matches none."""
        if isinstance(selector, Mapping):
            if not selector:
                return ()
            selector = Selector(match_labels=dict(selector))
        return tuple(pod for pod in self.each(Pod, namespace) if selector.matches(pod.metadata.labels))

    def slices(self, namespace: str, service: str) -> tuple[EndpointSlice, ...]:
        names = self._slices.get((namespace, service), ())
        return tuple(found for name in names if (found := self.find(EndpointSlice, namespace, name)))

    def children(self, item: Base) -> tuple[Base, ...]:
        """What an object owns directly."""
        keys = self._children.get((item.kind, item.namespace, item.name), ())
        owned = [child for key in sorted(keys) if (child := self.get(*key)) and _owned_by(child, item)]
        if self._infer and item.kind == "Deployment":
            owned += [
                pod for pod in self.each(Pod, item.namespace)
                if not pod.metadata.owner_references and self._inferred(pod) == item.ref
            ]  # fmt: skip
        return tuple(owned)

    def pods_of(self, item: Base, depth: int = 3) -> tuple[Pod, ...]:
        """All pods below an object in the owner graph."""
        found: list[Pod] = []
        for child in self.children(item):
            if isinstance(child, Pod):
                found.append(child)
            elif depth > 1:
                found += self.pods_of(child, depth - 1)
        if self._infer and not found and item.kind == "Deployment":
            found = [pod for pod in self.each(Pod, item.namespace) if item.ref in self.owners(pod)]
        return tuple(found)

    def owners(self, item: Base) -> tuple[ObjectRef, ...]:
        """From the direct controller to the top, as far as it is known; names tell where objects are missing."""
        chain: list[ObjectRef] = []
        here: Base | None = item
        while here is not None and len(chain) < 6:
            reference = next((ref for ref in here.metadata.owner_references if ref.controller is not False), None)
            if reference is None or not reference.name:
                inferred = self._inferred(here) if self._infer and isinstance(here, Pod) and not chain else None
                return (*chain, inferred) if inferred else tuple(chain)
            space = "" if reference.kind in CLUSTER_WIDE else here.namespace
            owner = self.get(reference.kind, space, reference.name)
            ref = owner.ref if owner is not None else ObjectRef(reference.kind, reference.name, space, reference.uid)
            if ref in chain or ref == item.ref:
                return tuple(chain)  # a loop: somebody wrote nonsense
            chain.append(ref)
            if owner is None and (above := _by_name(ref, item)) is not None:
                known = self.get(above.kind, above.namespace, above.name)
                chain.append(known.ref if known else above)
            here = owner
        return tuple(chain)

    def top(self, item: Base) -> ObjectRef:
        """The last owner, or the object itself."""
        owners = self.owners(item)
        return owners[-1] if owners else item.ref

    def _inferred(self, item: Base) -> ObjectRef | None:
        matched = _REPLICA_POD.fullmatch(item.name)
        owner = self.get("Deployment", item.namespace, matched[1]) if matched else None
        return owner.ref if owner else None

    def _pods(self, keys: Iterable[Key]) -> tuple[Pod, ...]:
        return tuple(pod for _, space, name in sorted(keys) if (pod := self.find(Pod, space, name)))


def template_hash(pod: Pod) -> str:
    """Which template revision of its Deployment a pod was made from; empty where neither label nor name says."""
    matched = _REPLICA_POD.fullmatch(pod.name)
    return pod.metadata.labels.get("pod-template-hash") or (matched[2] if matched else "")


def _by_name(ref: ObjectRef, item: Base) -> ObjectRef | None:
    """The owner of an unseen ReplicaSet or Job, as its controller forms names."""
    if ref.kind == "ReplicaSet" and (tag := item.metadata.labels.get("pod-template-hash")):
        name = ref.name.removesuffix(f"-{tag}")
        return ObjectRef("Deployment", name, ref.namespace) if name != ref.name else None
    matched = _CRON_JOB.fullmatch(ref.name) if ref.kind == "Job" else None
    return ObjectRef("CronJob", matched[1], ref.namespace) if matched else None


def _key(kind: str, namespace: str, name: str) -> Key:
    return (kind, "" if kind in CLUSTER_WIDE else namespace, name)


def _owned_by(child: Base, owner: Base) -> bool:
    return any(
        ref.kind == owner.kind
        and ref.name == owner.name
        and (not ref.uid or not owner.metadata.uid or ref.uid == owner.metadata.uid)
        for ref in child.metadata.owner_references
    )


def _claims(pod: Pod) -> tuple[str, ...]:
    return tuple(
        volume.persistent_volume_claim.claim_name for volume in pod.spec.volumes if volume.persistent_volume_claim
    )


def _drop(index: dict[K, set[V]], key: K, value: V) -> None:
    held = index.get(key)
    if held is not None:
        held.discard(value)
        if not held:
            del index[key]
