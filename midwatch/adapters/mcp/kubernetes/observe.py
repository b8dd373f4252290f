"""From the API server's documents to :class:`~midwatch.domain.observed.Observed`: one object and what surrounds it."""

import asyncio
from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any

import msgspec

from midwatch.adapters.mcp.kubernetes.api import Json, Kube
from midwatch.adapters.mcp.kubernetes.changes import RERUN_OF, REVISION
from midwatch.adapters.mcp.kubernetes.pointers import last_action, read
from midwatch.adapters.mcp.kubernetes.rollouts import most_away
from midwatch.domain.actions import WORKLOADS
from midwatch.domain.errors import Invalid, NotFound, Refused
from midwatch.domain.objects.meta import Selector
from midwatch.domain.observed import ContainerSeen, Observed, PodSeen, RevisionSeen
from midwatch.domain.reasons import Reason
from midwatch.domain.refs import ObjectRef

_PEOPLE = ("kubectl", "k9s", "lens", "openlens", "freelens", "headlamp", "dashboard", "rancher", "mozilla")
_GITOPS = {
    "argocd.argoproj.io/tracking-id": "Argo CD",
    "argocd.argoproj.io/instance": "Argo CD",
    "kustomize.toolkit.fluxcd.io/name": "Flux",
    "helm.toolkit.fluxcd.io/name": "Flux",
}
_MAX_OWNERS = 5
_MIDDLE = ("ReplicaSet", "Job")
"""Controllers that mostly have an owner themselves."""
_AT_ONCE = 8


class LiveCluster:
    """A :class:`~midwatch.services.effects.LiveObjects` that asks the API server itself, without any cache."""

    def __init__(self, kube: Kube) -> None:
        self._kube = kube

    def of(self, cluster: str) -> "LiveCluster":  # noqa: ARG002  this is the one it sees
        return self

    async def observe(self, ref: ObjectRef) -> Observed | None:
        """The object now, with pods, revisions, budgets and endpoints for a workload; ``None`` when there is none."""
        document = await self._kube.get(ref.kind, ref.name, ref.namespace)
        if document is None:
            return None
        document = {"kind": ref.kind, **document}
        if ref.kind == "Node":
            pods = await self._kube.list("Pod", fields=f"spec.nodeName={ref.name}")
            return await self._with_tops(seen(document, pods=[pod for pod in pods if evictable(pod)]))
        if ref.kind == "Job":
            uid = document["metadata"]["uid"]
            reruns = await self._optional("Job", ref.namespace, labels=f"{RERUN_OF}={uid}")
            looked = seen(document, owners=await self._owners(document))
            return msgspec.structs.replace(looked, rerun=rerun_state(reruns))
        if ref.kind == "PersistentVolumeClaim":
            looked = seen(document, owners=await self._owners(document))
            return msgspec.structs.replace(looked, expandable=await self._grows(document))
        if ref.kind == "Pod":
            labels = read(document, "/metadata/labels") or {}
            owners, budgets, endpoints = await asyncio.gather(
                self._owners(document), self._budgets(ref.namespace, labels), self._endpoints(ref.namespace, labels)
            )
            return seen(document, owners=owners, budgets=budgets, endpoints=endpoints)
        if ref.kind not in WORKLOADS:
            return seen(document, owners=await self._owners(document))
        labels = read(document, "/spec/template/metadata/labels") or {}
        owners, pods, sets, budgets, endpoints = await asyncio.gather(
            self._owners(document),
            self._kube.list("Pod", ref.namespace, labels=selects(document)),
            self._sets(document),
            self._budgets(ref.namespace, labels),
            self._endpoints(ref.namespace, labels),
        )
        return seen(
            document,
            owners=owners,
            pods=_controlled(pods, document, sets),
            sets=sets,
            budgets=budgets,
            endpoints=endpoints,
        )

    async def _budgets(self, namespace: str, labels: dict[str, str]) -> tuple[Json, ...]:
        """Disruption budgets that count a pod with these labels."""
        found = await self._optional("PodDisruptionBudget", namespace)
        return tuple(item for item in found if _selector(read(item, "/spec/selector")).matches(labels))

    async def _sets(self, document: Json) -> tuple[Json, ...]:
        if document["kind"] != "Deployment":
            return ()
        meta = document["metadata"]
        return _owned(await self._kube.list("ReplicaSet", meta["namespace"], labels=selects(document)), meta["uid"])

    async def _owners(self, document: Json) -> tuple[ObjectRef, ...]:
        owners: list[ObjectRef] = []
        here: Json | None = document
        while here is not None and len(owners) < _MAX_OWNERS:
            found = controller_of(here)
            if not found:
                break
            owners += found
            try:
                here = await self._kube.get(found[0].kind, found[0].name, found[0].namespace)
            except (NotFound, Refused, Invalid):
                break  # an owner of a kind we may not read, or do not know: what is known of it stands
        return tuple(owners)

    async def _with_tops(self, node: Observed) -> Observed:
        """The node, with what owns the controllers of its pods: people protect a Deployment, not a ReplicaSet."""
        heads = sorted({pod.owners[0] for pod in node.pods if pod.owners and pod.owners[0].kind in _MIDDLE})
        few = asyncio.Semaphore(_AT_ONCE)

        async def above(ref: ObjectRef) -> tuple[ObjectRef, ...]:
            async with few:
                try:
                    return controller_of(await self._kube.get(ref.kind, ref.name, ref.namespace) or {})
                except (NotFound, Refused):
                    return ()  # what is known of its owners stands

        tops = dict(zip(heads, await asyncio.gather(*map(above, heads)), strict=True))
        pods = (
            msgspec.structs.replace(pod, owners=pod.owners + tops.get(pod.owners[0], ())) if pod.owners else pod
            for pod in node.pods
        )
        return msgspec.structs.replace(node, pods=tuple(pods))

    async def _endpoints(self, namespace: str, labels: dict[str, str]) -> int | None:
        """Ready addresses behind the Services that select these labels; ``None`` when no Service does."""
        services = [
            item
            for item in await self._optional("Service", namespace)
            if (chosen := read(item, "/spec/selector")) and chosen.items() <= labels.items()
        ]
        if not services:
            return None
        names = {item["metadata"]["name"] for item in services}
        slices = await self._optional("EndpointSlice", namespace)
        addresses = {
            read(endpoint, "/targetRef/uid") or address  # a pod with two addresses is one
            for item in slices
            if (read(item, "/metadata/labels") or {}).get("kubernetes.io/service-name") in names
            for endpoint in item.get("endpoints") or ()
            if (endpoint.get("conditions") or {}).get("ready", True)
            for address in endpoint.get("addresses") or ()
        }
        return len(addresses)

    async def _grows(self, claim: Json) -> bool:
        """Whether the claim's StorageClass allows expansion; not where it has none, or it may not be read."""
        name = read(claim, "/spec/storageClassName")
        try:
            found = await self._kube.get("StorageClass", name) if name else None
        except Refused:
            return False
        return bool(found and found.get("allowVolumeExpansion"))

    async def _optional(self, kind: str, namespace: str, *, labels: str = "") -> tuple[Json, ...]:
        """Objects that only enrich the picture: where they may not be read, it is poorer, not missing."""
        try:
            return await self._kube.list(kind, namespace, labels=labels)
        except NotFound:
            return ()
        except Refused as error:
            if error.reason != Reason.RIGHT_MISSING:
                raise
            return ()


def seen(
    document: Json,
    *,
    owners: tuple[ObjectRef, ...] = (),
    pods: Iterable[Json] = (),
    sets: Iterable[Json] = (),
    budgets: Iterable[Json] = (),
    endpoints: int | None = None,
) -> Observed:
    """The typed view of one document and its surroundings. Pure."""
    kind = str(document.get("kind", ""))
    meta, spec, status = (document.get(name) or {} for name in ("metadata", "spec", "status"))
    numbers = _numbers(kind, spec, status)
    listed = [_lodger(pod) if kind == "Node" else pod_seen(pod) for pod in pods]
    if kind == "Pod":
        own = pod_seen(document)
        numbers |= {"ready": int(own.ready), "desired": 1, "total": 1}
    edited_at, edited_by = _human_edit(meta)
    budget = [item.get("status") or {} for item in budgets]
    headrooms = [int(item["disruptionsAllowed"]) for item in budget if "disruptionsAllowed" in item]
    minimums = [int(item["desiredHealthy"]) for item in budget if "desiredHealthy" in item]
    return Observed(
        ref=ObjectRef(kind, meta["name"], meta.get("namespace", ""), meta.get("uid", "")),
        generation=int(meta.get("generation") or 0),
        resource_version=meta.get("resourceVersion", ""),
        observed_generation=int(status.get("observedGeneration") or 0),
        **numbers,
        stuck=_stuck(status),
        state=_state(kind, status),
        waiting=pod_seen(document).waiting if kind == "Pod" else "",
        deleting="deletionTimestamp" in meta,
        unschedulable=bool(spec.get("unschedulable")),
        suspended=bool(spec.get("suspend")),
        storage=str(read(document, "/spec/resources/requests/storage") or ""),
        capacity=str(read(document, "/status/capacity/storage") or "") if kind == "PersistentVolumeClaim" else "",
        expandable=False,  # told by the StorageClass, which is another document
        rerun="",
        last_action=last_action(document),
        revision=int(read(document, REVISION) or 0),
        revisions=tuple(_revision(item) for item in sets),
        containers=tuple(_container(item) for item in read(document, "/spec/template/spec/containers") or ()),
        pods=tuple(sorted(listed, key=lambda pod: pod.name)),
        owners=owners,
        min_available=max(minimums, default=None),
        pdb_headroom=min(headrooms, default=None),
        endpoints_ready=endpoints,
        max_unavailable=most_away(kind, spec, numbers["desired"]) if kind in WORKLOADS else None,
        gitops_owner=_gitops(meta),
        human_edit_at=edited_at,
        human_edit_by=edited_by,
    )


def pod_seen(pod: Json) -> PodSeen:
    """One pod, told by its container statuses."""
    status = pod.get("status") or {}
    containers = [*(status.get("initContainerStatuses") or ()), *(status.get("containerStatuses") or ())]
    waiting = [str(reason) for item in containers if (reason := read(item, "/state/waiting/reason"))]
    failing = [
        item["name"]
        for item in containers
        if not item.get("ready") and (item.get("restartCount") or read(item, "/state/waiting") is not None)
    ]
    killed = [
        item["name"]
        for item in containers
        if "OOMKilled" in (read(item, "/state/terminated/reason"), read(item, "/lastState/terminated/reason"))
    ]
    ready = any(item.get("type") == "Ready" and item.get("status") == "True" for item in status.get("conditions") or ())
    return PodSeen(
        name=pod["metadata"]["name"],
        uid=pod["metadata"].get("uid", ""),
        ready=ready,
        restarts=sum(int(item.get("restartCount") or 0) for item in containers),
        waiting=waiting[0] if waiting else "",
        phase=status.get("phase", ""),
        deleting="deletionTimestamp" in pod["metadata"],
        failing=tuple(failing),
        oom_killed=tuple(killed),
    )


def _lodger(pod: Json) -> PodSeen:
    """A pod on a node, of whichever namespace and owner."""
    namespace = str(pod["metadata"].get("namespace") or "")
    return msgspec.structs.replace(pod_seen(pod), namespace=namespace, owners=controller_of(pod))


def controller_of(document: Json) -> tuple[ObjectRef, ...]:
    """What controls the object; empty where nothing does."""
    meta = document.get("metadata") or {}
    found = [item for item in meta.get("ownerReferences") or () if item.get("controller")]
    namespace = meta.get("namespace") or ""
    return tuple(ObjectRef(item["kind"], item["name"], namespace, item.get("uid", "")) for item in found[:1])


def rerun_state(jobs: Iterable[Json]) -> str:
    """The state of the newest of them, ``Running`` while it has none; empty where there is none."""
    newest = max(jobs, key=lambda job: str(job["metadata"].get("creationTimestamp", "")), default=None)
    return "" if newest is None else _state("Job", newest.get("status") or {}) or "Running"


def evictable(pod: Json) -> bool:
    """Whether draining a node has anything to do with the pod: it lives, and no DaemonSet or kubelet keeps it there."""
    meta = pod["metadata"]
    owners = {owner.get("kind") for owner in meta.get("ownerReferences") or ()}
    ended = (pod.get("status") or {}).get("phase") in ("Failed", "Succeeded")
    return not (ended or owners & {"DaemonSet", "Node"})


def str_selector(selector: Selector) -> str:
    """A label selector as the API takes it in a query."""
    parts = [f"{key}={value}" for key, value in selector.match_labels.items()]
    words = {"In": "in", "NotIn": "notin"}
    for item in selector.match_expressions:
        if item.operator in words:
            parts.append(f"{item.key} {words[item.operator]} ({','.join(item.values)})")
        else:
            parts.append(item.key if item.operator == "Exists" else f"!{item.key}")
    return ",".join(parts)


def selects(workload: Json) -> str:
    """The selector of a workload, as a query; its pods bear these labels, and so do its ReplicaSets."""
    return str_selector(_selector(read(workload, "/spec/selector")))


def _selector(document: Any) -> Selector:
    return msgspec.convert(document or {}, Selector, strict=False)


def _owned(items: Iterable[Json], uid: str) -> tuple[Json, ...]:
    return tuple(i for i in items if uid in {o.get("uid") for o in read(i, "/metadata/ownerReferences") or ()})


def _controlled(pods: Iterable[Json], document: Json, sets: Iterable[Json]) -> list[Json]:
    """Pods of this workload, not strangers that happen to bear its labels."""
    uids = {document["metadata"]["uid"], *(item["metadata"]["uid"] for item in sets)}
    return [pod for pod in pods if uids & {o.get("uid") for o in read(pod, "/metadata/ownerReferences") or ()}]


def _numbers(kind: str, spec: Json, status: Json) -> dict[str, int]:
    if kind == "DaemonSet":
        names = {
            "desired": "desiredNumberScheduled",
            "total": "currentNumberScheduled",
            "updated": "updatedNumberScheduled",
            "available": "numberAvailable",
            "ready": "numberReady",
        }
        return {mine: int(status.get(theirs) or 0) for mine, theirs in names.items()}
    if kind not in WORKLOADS:
        return {}
    names = {"total": "replicas", "updated": "updatedReplicas", "available": "availableReplicas"}
    numbers = {mine: int(status.get(theirs) or 0) for mine, theirs in names.items()}
    replicas = spec.get("replicas")
    return numbers | {"ready": int(status.get("readyReplicas") or 0), "desired": 1 if replicas is None else replicas}


def _stuck(status: Json) -> str:
    for item in status.get("conditions") or ():
        if item.get("type") == "Progressing" and item.get("status") == "False":
            return str(item.get("reason") or "Progressing is False")
    return ""


def _state(kind: str, status: Json) -> str:
    if kind == "Job":
        ended = [c["type"] for c in status.get("conditions") or () if c.get("status") == "True"]
        return next((name for name in ("Failed", "Complete") if name in ended), "")
    return str(status.get("phase") or "")


def _revision(item: Json) -> RevisionSeen:
    return RevisionSeen(
        number=int(read(item, REVISION) or 0),
        ready=int(read(item, "/status/readyReplicas") or 0),
        images=tuple(str(c.get("image", "")) for c in read(item, "/spec/template/spec/containers") or ()),
        change=str(read(item, "/metadata/annotations/kubernetes.io~1change-cause") or ""),
    )


def _container(item: Json) -> ContainerSeen:
    def quantity(kind: str, what: str) -> str:
        return str(read(item, f"/resources/{kind}/{what}") or "")

    return ContainerSeen(
        name=item["name"],
        image=item.get("image", ""),
        memory_limit=quantity("limits", "memory"),
        memory_request=quantity("requests", "memory"),
        cpu_limit=quantity("limits", "cpu"),
        cpu_request=quantity("requests", "cpu"),
    )


def _gitops(meta: Json) -> str:
    marks = {**(meta.get("labels") or {}), **(meta.get("annotations") or {})}
    return next((name for mark, name in _GITOPS.items() if mark in marks), "")


def _human_edit(meta: Json) -> tuple[datetime | None, str]:
    """The newest write of the spec by a tool that people use by hand."""
    newest: datetime | None = None
    who = ""
    for entry in meta.get("managedFields") or ():
        manager = str(entry.get("manager") or "")
        if entry.get("subresource") or not manager.lower().startswith(_PEOPLE) or not entry.get("time"):
            continue
        at = datetime.fromisoformat(str(entry["time"])).astimezone(UTC)
        if newest is None or at > newest:
            newest, who = at, manager
    return newest, who
