"""A small Kubernetes client: JSON documents in and out, errors by what to do about them."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Final, TypeAlias

import aiohttp
import msgspec

from midwatch.domain.errors import Conflict, Invalid, MidwatchError, NotFound, Permanent, Refused, Transient
from midwatch.domain.reasons import Reason
from midwatch.domain.refs import ObjectRef

Json: TypeAlias = dict[str, Any]
"""A JSON document as the API server speaks it."""

MANAGER: Final = "midwatch"
_PAGE = 500
_PAGES = 20


class Resource(msgspec.Struct, frozen=True):
    """Where a kind lives: ``/api/v1`` or ``/apis/GROUP/VERSION``, its plural, whether it stands in a namespace."""

    prefix: str
    plural: str
    namespaced: bool = True


KINDS: Final[dict[str, Resource]] = {
    "Pod": Resource("/api/v1", "pods"),
    "Node": Resource("/api/v1", "nodes", namespaced=False),
    "Namespace": Resource("/api/v1", "namespaces", namespaced=False),
    "Service": Resource("/api/v1", "services"),
    "Endpoints": Resource("/api/v1", "endpoints"),
    "Event": Resource("/api/v1", "events"),
    "ConfigMap": Resource("/api/v1", "configmaps"),
    "Secret": Resource("/api/v1", "secrets"),
    "ServiceAccount": Resource("/api/v1", "serviceaccounts"),
    "PersistentVolumeClaim": Resource("/api/v1", "persistentvolumeclaims"),
    "PersistentVolume": Resource("/api/v1", "persistentvolumes", namespaced=False),
    "ResourceQuota": Resource("/api/v1", "resourcequotas"),
    "Deployment": Resource("/apis/apps/v1", "deployments"),
    "ReplicaSet": Resource("/apis/apps/v1", "replicasets"),
    "StatefulSet": Resource("/apis/apps/v1", "statefulsets"),
    "DaemonSet": Resource("/apis/apps/v1", "daemonsets"),
    "ControllerRevision": Resource("/apis/apps/v1", "controllerrevisions"),
    "Job": Resource("/apis/batch/v1", "jobs"),
    "CronJob": Resource("/apis/batch/v1", "cronjobs"),
    "HorizontalPodAutoscaler": Resource("/apis/autoscaling/v2", "horizontalpodautoscalers"),
    "PodDisruptionBudget": Resource("/apis/policy/v1", "poddisruptionbudgets"),
    "Ingress": Resource("/apis/networking.k8s.io/v1", "ingresses"),
    "NetworkPolicy": Resource("/apis/networking.k8s.io/v1", "networkpolicies"),
    "EndpointSlice": Resource("/apis/discovery.k8s.io/v1", "endpointslices"),
    "StorageClass": Resource("/apis/storage.k8s.io/v1", "storageclasses", namespaced=False),
    "PodMetrics": Resource("/apis/metrics.k8s.io/v1beta1", "pods"),
    "NodeMetrics": Resource("/apis/metrics.k8s.io/v1beta1", "nodes", namespaced=False),
}


def path_of(kind: str, name: str = "", namespace: str = "") -> str:
    """The API path of an object, or of the collection when ``name`` is empty. Raises ``Invalid`` for other kinds."""
    resource = KINDS.get(kind)
    if resource is None:
        raise Invalid(f"unknown kind {kind!r}; known are {', '.join(sorted(KINDS))}")
    for part in (name, namespace):
        if "/" in part or part in (".", "..") or len(part) > 253:
            raise Invalid(f"{part!r} is no name of an object")
    if resource.namespaced and name and not namespace:
        raise Invalid(f"{kind} {name}: say which namespace")
    within = f"/namespaces/{namespace}" if resource.namespaced and namespace else ""
    return f"{resource.prefix}{within}/{resource.plural}" + (f"/{name}" if name else "")


class Kube:
    """One cluster, by one identity. ``timeout_s`` bounds every request."""

    def __init__(self, client: Any, *, timeout_s: float = 15.0) -> None:
        self._client, self._timeout = client, timeout_s

    async def get(self, kind: str, name: str, namespace: str = "") -> Json | None:
        """One object, ``None`` when there is none."""
        try:
            return await self._json("GET", path_of(kind, name, namespace))
        except NotFound:
            return None

    async def list(
        self, kind: str, namespace: str = "", *, labels: str = "", fields: str = "", limit: int = 0
    ) -> tuple[Json, ...]:
        """Objects of a kind (all namespaces when empty), all or at most ``limit``; each with its kind filled in.

        Raises ``Refused`` (``precheck-failed``) where there are too many to read them all: a part must not pass for it.
        """
        query = [("labelSelector", labels), ("fieldSelector", fields), ("limit", str(limit or _PAGE))]
        found: tuple[Json, ...] = ()
        token = ""
        for _ in range(1 if limit else _PAGES):
            asked = [pair for pair in (*query, ("continue", token)) if pair[1]]
            body = await self._json("GET", path_of(kind, "", namespace), query=asked)
            found += tuple({"kind": kind, **item} for item in body.get("items") or ())
            token = str((body.get("metadata") or {}).get("continue") or "")
            if limit or not token:
                return found
        where = f"namespace {namespace}" if namespace else "the cluster"
        said = f"there are more than {_PAGE * _PAGES} objects of kind {kind} in {where}: they are not read whole"
        raise Refused(Reason.PRECHECK_FAILED, said)

    async def patch(self, ref: ObjectRef, operations: Sequence[Json], *, dry_run: bool) -> Json:
        """JSON Patch; the object after it."""
        query = [("fieldManager", MANAGER), *_dry(dry_run)]
        path = path_of(ref.kind, ref.name, ref.namespace)
        return await self._json("PATCH", path, query=query, body=list(operations), kind="application/json-patch+json")

    async def create(self, document: Json, *, dry_run: bool) -> Json:
        """Make an object; ``Conflict`` when one of that name is there."""
        meta = document["metadata"]
        path = path_of(document["kind"], "", meta.get("namespace", ""))
        return await self._json("POST", path, query=[("fieldManager", MANAGER), *_dry(dry_run)], body=document)

    async def delete(self, ref: ObjectRef, *, dry_run: bool) -> None:
        """Delete the object if it still has the uid of ``ref`` (``Conflict`` otherwise); its dependents follow."""
        body = {
            "kind": "DeleteOptions",
            "apiVersion": "v1",
            "preconditions": {"uid": ref.uid},
            "propagationPolicy": "Background",
        }
        await self._json("DELETE", path_of(ref.kind, ref.name, ref.namespace), query=_dry(dry_run), body=body)

    async def evict(self, ref: ObjectRef) -> None:
        """Ask for a pod to go, within its disruption budgets (``Transient`` when they say not now)."""
        body = {
            "kind": "Eviction",
            "apiVersion": "policy/v1",
            "metadata": {"name": ref.name, "namespace": ref.namespace},
            "deleteOptions": {"preconditions": {"uid": ref.uid}},
        }
        await self._json("POST", f"{path_of('Pod', ref.name, ref.namespace)}/eviction", body=body)

    async def logs(
        self, name: str, namespace: str, *, container: str = "", previous: bool = False, tail: int = 200
    ) -> str:
        """The last ``tail`` lines of a container's log, at most 256 KiB."""
        query = [("tailLines", str(tail)), ("limitBytes", str(256 * 1024))]
        query += [("container", container)] if container else []
        query += [("previous", "true")] if previous else []
        body = await self._send("GET", f"{path_of('Pod', name, namespace)}/log", query=query)
        return body.decode("utf-8", "replace")

    async def _json(
        self,
        method: str,
        path: str,
        *,
        query: Sequence[tuple[str, str]] = (),
        body: object = None,
        kind: str = "application/json",
    ) -> Json:
        answer = await self._send(method, path, query=query, body=body, kind=kind)
        try:
            return msgspec.json.decode(answer, type=dict[str, Any])
        except msgspec.DecodeError as error:
            raise Transient(f"the API server answered {method} {path} with something that is not JSON") from error

    async def _send(
        self,
        method: str,
        path: str,
        *,
        query: Sequence[tuple[str, str]] = (),
        body: object = None,
        kind: str = "application/json",
    ) -> bytes:
        try:
            _, url, headers, _, _ = await self._client.param_serialize(
                method,
                path,
                query_params=list(query),
                header_params={"Content-Type": kind, "Accept": "application/json, */*"},
                auth_settings=["BearerToken"],
            )
            async with asyncio.timeout(self._timeout):
                answer = await self._client.rest_client.request(method, url, headers=headers, body=body)
                content: bytes = await answer.read()
        except (aiohttp.ClientError, OSError, TimeoutError) as error:
            said = str(error) or type(error).__name__
            raise Transient(f"the API server cannot be reached ({method} {path}): {said}") from error
        if answer.status >= 400:
            raise fault(answer.status, content, f"{method} {path}")
        return content


def fault(status: int, content: bytes, asked: str) -> MidwatchError:
    """The error that an answer of the API server stands for; its own words, cut to a sane length."""
    try:
        said = str(msgspec.json.decode(content, type=dict[str, Any]).get("message") or "")
    except msgspec.DecodeError:
        said = content[:300].decode("utf-8", "replace")
    said = said[:600] or f"status {status}"
    match status:
        case 401:
            return Refused(Reason.RIGHT_MISSING, f"the API server does not know this identity: {said}")
        case 403:
            return Refused(Reason.RIGHT_MISSING, f"a right is missing: {said}")
        case 404:
            return NotFound(said)
        case 409:
            return Conflict(said)
        case 408 | 410 | 425 | 429:
            return Transient(f"the API server says not now ({asked}): {said}", 2.0)
        case _ if status >= 500:
            return Transient(f"the API server failed ({asked}): {said}", 2.0)
        case _:
            return Permanent(f"the API server rejects it ({asked}): {said}")


def _dry(dry_run: bool) -> list[tuple[str, str]]:
    return [("dryRun", "All")] if dry_run else []


@asynccontextmanager
async def open_kube(kubeconfig: Path | None, context: str, *, in_cluster: bool = False) -> AsyncIterator[Kube]:
    """A client by kubeconfig and context, or by the service account of this pod. Raises ``Permanent`` with the fix."""
    # Imported here: it costs most of a second, and the callers that only need types should not pay for it.
    from kubernetes.aio import client, config

    settings = client.Configuration()
    try:
        if in_cluster:
            config.load_incluster_config(client_configuration=settings)  # type: ignore[no-untyped-call]
        else:
            await config.load_kube_config(  # type: ignore[no-untyped-call]
                config_file=str(kubeconfig) if kubeconfig else None,
                context=context or None,
                client_configuration=settings,
            )
    except (config.ConfigException, OSError, ValueError) as error:
        raise Permanent(f"no usable Kubernetes configuration: {error}") from error
    async with client.ApiClient(configuration=settings) as api:
        api.user_agent = MANAGER
        yield Kube(api)
