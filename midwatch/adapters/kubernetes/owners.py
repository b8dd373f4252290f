"""Who owns an object: ownerReferences followed to the top, for signals whose sender named a pod."""

import logging
from collections import OrderedDict

import msgspec

from midwatch.adapters.kubernetes.client import ApiConnection
from midwatch.domain.errors import MidwatchError
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
_STEPS = 5
_REMEMBERED = 5_000


class _Owner(msgspec.Struct, frozen=True):
    kind: str = ""
    name: str = ""
    controller: bool | None = None


class _Meta(msgspec.Struct, frozen=True, rename="camel"):
    uid: str = ""
    owner_references: list[_Owner] = []


class _Object(msgspec.Struct, frozen=True):
    metadata: _Meta = _Meta()


class KubernetesOwners:
    """Asks the API server, and remembers: an object's owner never changes, only its name may be used again."""

    def __init__(self, connection: ApiConnection, cluster: str) -> None:
        self._connection, self._cluster = connection, cluster
        self._known: OrderedDict[str, ObjectRef] = OrderedDict()

    async def top_owner(self, cluster: str, subject: ObjectRef) -> ObjectRef:
        """The top owner; the subject itself in a cluster that is not ours, or while the owner cannot be read."""
        if cluster != self._cluster or subject.kind not in _PATHS:
            return subject
        if subject.path in self._known:
            return self._known[subject.path]
        try:
            owner = await self._climb(subject)
        except (MidwatchError, msgspec.MsgspecError) as error:
            log.info("owner not found", extra={"subject": str(subject), "error": str(error)})
            return subject
        self._known[subject.path] = owner
        if len(self._known) > _REMEMBERED:
            self._known.popitem(last=False)
        return owner

    async def _climb(self, subject: ObjectRef) -> ObjectRef:
        here = subject
        for _ in range(_STEPS):
            path = _PATHS.get(here.kind)
            if path is None:
                return here
            body = await self._connection.get(path.format(ns=here.namespace, name=here.name), timeout_s=5)
            meta = msgspec.json.decode(body, type=_Object).metadata
            up = next((owner for owner in meta.owner_references if owner.controller), None)
            if up is None:
                return msgspec.structs.replace(here, uid=meta.uid)
            here = ObjectRef(up.kind, up.name, here.namespace)
        return here
