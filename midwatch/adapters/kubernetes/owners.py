"""Who owns an object, and what it stands on: asked of the API server for signals whose sender named a pod or a host."""

import logging
import time
from collections import OrderedDict
from collections.abc import Callable, Sequence
from urllib.parse import quote

import msgspec

from midwatch.adapters.kubernetes.client import ApiConnection
from midwatch.domain.errors import MidwatchError, NotFound
from midwatch.domain.refs import ObjectRef

log = logging.getLogger(__name__)

_PATHS = {
    "Pod": "/api/v1/namespaces/{ns}/pods/{name}",
    "ReplicaSet": "/apis/apps/v1/namespaces/{ns}/replicasets/{name}",
    "Deployment": "/apis/apps/v1/namespaces/{ns}/deployments/{name}",
    "StatefulSet": "/apis/apps/v1/namespaces/{ns}/statefulsets/{name}",
    "DaemonSet": "/apis/apps/v1/namespaces/{ns}/daemonsets/{name}",
    "Job": "/apis/batch/v1/namespaces/{ns}/jobs/{name}",
}
_NODE = "/api/v1/nodes/{name}"
_STEPS = 5
_REMEMBERED = 20_000
_HOSTS_KEPT_S = 60.0


class _Owner(msgspec.Struct, frozen=True):
    kind: str = ""
    name: str = ""
    controller: bool | None = None


class _Meta(msgspec.Struct, frozen=True, rename="camel"):
    name: str = ""
    uid: str = ""
    owner_references: list[_Owner] = []


class _ClaimSource(msgspec.Struct, frozen=True, rename="camel"):
    claim_name: str = ""


class _Volume(msgspec.Struct, frozen=True, rename="camel"):
    persistent_volume_claim: _ClaimSource | None = None


class _Spec(msgspec.Struct, frozen=True, rename="camel"):
    node_name: str = ""
    volumes: list[_Volume] = []


class _Pod(msgspec.Struct, frozen=True):
    metadata: _Meta = _Meta()
    spec: _Spec = _Spec()


class _Object(msgspec.Struct, frozen=True):
    metadata: _Meta = _Meta()


class _Address(msgspec.Struct, frozen=True):
    address: str = ""


class _NodeStatus(msgspec.Struct, frozen=True):
    addresses: list[_Address] = []


class _Node(msgspec.Struct, frozen=True):
    metadata: _Meta = _Meta()
    status: _NodeStatus = _NodeStatus()


class _Nodes(msgspec.Struct, frozen=True):
    items: list[_Node] = []


class _Facts(msgspec.Struct, frozen=True):
    """What was read of one object: itself with its uid, its controller, its node and its claims."""

    ref: ObjectRef
    up: ObjectRef | None
    standing: tuple[ObjectRef, ...]


class KubernetesOwners:
    """Asks the API server, and remembers: an object's owner and node never change, only its name may be used again."""

    def __init__(
        self, connection: ApiConnection, cluster: str, *, monotonic: Callable[[], float] = time.monotonic
    ) -> None:
        self._connection, self._cluster, self._monotonic = connection, cluster, monotonic
        self._known: OrderedDict[str, _Facts] = OrderedDict()
        self._hosts: dict[str, str] = {}
        self._hosts_until = 0.0

    async def top_owner(self, cluster: str, subject: ObjectRef) -> ObjectRef:
        """The top owner; the subject itself in a cluster that is not ours, or while the owner cannot be read.

        A host named by its address is the node that has it.
        """
        if cluster != self._cluster:
            return subject
        try:
            if subject.kind in ("Node", "Instance"):
                return await self._node(subject.name) or subject
            return await self._climb(subject) if subject.kind in _PATHS else subject
        except (MidwatchError, msgspec.MsgspecError) as error:
            log.info("owner not found", extra={"subject": str(subject), "error": str(error)})
            return subject

    async def standing(self, cluster: str, named: Sequence[ObjectRef]) -> tuple[ObjectRef, ...]:
        """The nodes and claims of what is named; where nobody can be asked, the nodes as named."""
        found: list[ObjectRef] = []
        for ref in named:
            try:
                found += await self._stands_on(cluster, ref)
            except (MidwatchError, msgspec.MsgspecError) as error:
                log.info("surroundings not found", extra={"subject": str(ref), "error": str(error)})
                found += [ref] if ref.kind == "Node" else []
        return tuple(dict.fromkeys(found))

    async def _stands_on(self, cluster: str, ref: ObjectRef) -> tuple[ObjectRef, ...]:
        if ref.kind == "Node":
            node = await self._node(ref.name) if cluster == self._cluster else None
            return (node or ref,)
        if ref.kind == "Pod" and ref.namespace and cluster == self._cluster:
            return (await self._facts(ref)).standing
        return ()

    async def _climb(self, subject: ObjectRef) -> ObjectRef:
        here = subject
        for _ in range(_STEPS):
            if here.kind not in _PATHS:
                return here
            facts = await self._facts(here)
            if facts.up is None:
                return facts.ref
            here = facts.up
        return here

    async def _facts(self, ref: ObjectRef) -> _Facts:
        known = self._known.get(ref.path)
        if known is not None:
            return known
        body = await self._connection.get(_path(ref), timeout_s=5)
        facts = _read(ref, body)
        if ref.kind != "Pod" or any(each.kind == "Node" for each in facts.standing):  # else it has yet to be scheduled
            self._known[ref.path] = facts
            if len(self._known) > _REMEMBERED:
                self._known.popitem(last=False)
        return facts

    async def _node(self, name: str) -> ObjectRef | None:
        """The node of this name or address. All nodes are read only when none has the name, and seldom."""
        try:
            return (await self._facts(ObjectRef("Node", name))).ref
        except NotFound:
            pass  # then it may be an address
        if self._monotonic() >= self._hosts_until:
            body = await self._connection.get("/api/v1/nodes", timeout_s=10)
            nodes = msgspec.json.decode(body, type=_Nodes).items
            self._hosts = {each.address: node.metadata.name for node in nodes for each in node.status.addresses}
            self._hosts_until = self._monotonic() + _HOSTS_KEPT_S
        found = self._hosts.get(name)
        return (await self._facts(ObjectRef("Node", found))).ref if found else None


def _path(ref: ObjectRef) -> str:
    """Names come from labels that anybody may write: they are one segment of the path, whatever they hold."""
    form = _NODE if ref.kind == "Node" else _PATHS[ref.kind]
    return form.format(ns=quote(ref.namespace, safe=""), name=quote(ref.name, safe=""))


def _read(ref: ObjectRef, body: bytes) -> _Facts:
    standing: tuple[ObjectRef, ...] = ()
    if ref.kind == "Pod":
        pod = msgspec.json.decode(body, type=_Pod)
        meta, claims = pod.metadata, [volume.persistent_volume_claim for volume in pod.spec.volumes]
        node = (ObjectRef("Node", pod.spec.node_name),) if pod.spec.node_name else ()
        standing = (
            *node,
            *(ObjectRef("PersistentVolumeClaim", each.claim_name, ref.namespace) for each in claims if each),
        )
    else:
        meta = msgspec.json.decode(body, type=_Object).metadata
    up = next((owner for owner in meta.owner_references if owner.controller), None)
    above = ObjectRef(up.kind, up.name, ref.namespace) if up else None
    return _Facts(msgspec.structs.replace(ref, uid=meta.uid), above, standing)
