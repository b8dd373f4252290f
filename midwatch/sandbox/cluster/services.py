"""Endpoints and EndpointSlices follow the ready pods a Service selects."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from midwatch.sandbox.cluster.loop import Simulation
from midwatch.sandbox.objects import Obj, owner_reference
from midwatch.sandbox.schema import ENDPOINT_SLICES, ENDPOINTS, PODS, SERVICES, Resource
from midwatch.sandbox.store import DELETED, Change, Key, Record

_SERVICE_LABEL = "kubernetes.io/service-name"


class Endpoints:
    """Keeps the endpoints of each Service with a selector."""

    def __init__(self, simulation: Simulation) -> None:
        self._sim = simulation
        self._selectors: dict[str, dict[Key, dict[str, str]]] = {}

    def concerns(self, change: Change) -> Iterable[Key]:
        record = change.record
        if record.key.resource is SERVICES:
            selectors = self._selectors.setdefault(record.key.namespace, {})
            selectors.pop(record.key, None)
            if change.kind != DELETED and (selector := record.obj()["spec"].get("selector")):
                selectors[record.key] = selector
            return (record.key,)
        if record.pod is None:
            return ()
        previous = change.previous
        same = previous is not None and previous.pod == record.pod and previous.labels == record.labels
        if same and change.kind != DELETED:
            return ()
        found = self._selecting(record.key.namespace, record.labels)
        return found | self._selecting(record.key.namespace, previous.labels) if previous else found

    def _selecting(self, namespace: str, labels: Mapping[str, str]) -> set[Key]:
        return {
            key
            for key, selector in self._selectors.get(namespace, {}).items()
            if all(labels.get(name) == value for name, value in selector.items())
        }

    def sync(self, key: Key) -> None:
        record = self._sim.store.get(key)
        selector = self._selectors.get(key.namespace, {}).get(key)
        if record is None:
            self._remove(key)
            return
        if selector is None:
            return
        service = record.obj()
        pods = [
            (pod, pod.obj())
            for pod in self._sim.store.scan(PODS, key.namespace)
            if all(pod.labels.get(name) == value for name, value in selector.items())
            and pod.pod is not None
            and pod.pod.active
        ]
        placed = [(pod, obj) for pod, obj in pods if obj["status"].get("podIP")]
        ready = [_address(obj) for pod, obj in placed if pod.pod is not None and pod.pod.ready]
        unready = [_address(obj) for pod, obj in placed if pod.pod is not None and not pod.pod.ready]
        ports = [_port(port, [obj for _, obj in placed]) for port in service["spec"].get("ports") or []]
        subset = {"addresses": ready, "notReadyAddresses": unready, "ports": ports}
        self._put(
            ENDPOINTS,
            service,
            key.name,
            {"subsets": [{name: value for name, value in subset.items() if value}] if ready or unready else []},
        )
        endpoints = [_endpoint(obj, ready=pod.pod is not None and pod.pod.ready) for pod, obj in placed]
        body = {"addressType": "IPv4", "endpoints": endpoints, "ports": ports}
        self._put(ENDPOINT_SLICES, service, f"{key.name}-ipv4", body)

    def _put(self, resource: Resource, service: Obj, name: str, body: Obj) -> None:
        key = Key(resource, service["metadata"]["namespace"], name)
        found = self._sim.store.get(key)
        if found is not None:
            self._sim.store.replace(found, found.obj() | body)
            return
        metadata: Obj = {"name": name, "namespace": key.namespace, "labels": service["metadata"].get("labels") or {}}
        if resource is ENDPOINT_SLICES:
            metadata["labels"] = {**metadata["labels"], _SERVICE_LABEL: service["metadata"]["name"]}
            metadata["ownerReferences"] = [owner_reference(service)]
        self._sim.store.create(resource, {"metadata": metadata, **body})

    def _remove(self, key: Key) -> None:
        found: Record | None = self._sim.store.get(Key(ENDPOINTS, key.namespace, key.name))
        if found is not None:
            self._sim.store.delete(found)


def _reference(obj: Obj) -> Obj:
    metadata = obj["metadata"]
    return {"kind": "Pod", "namespace": metadata["namespace"], "name": metadata["name"], "uid": metadata["uid"]}


def _address(obj: Obj) -> Obj:
    return {"ip": obj["status"]["podIP"], "nodeName": obj["spec"].get("nodeName"), "targetRef": _reference(obj)}


def _endpoint(obj: Obj, *, ready: bool) -> Obj:
    return {
        "addresses": [obj["status"]["podIP"]],
        "conditions": {"ready": ready, "serving": ready, "terminating": False},
        "nodeName": obj["spec"].get("nodeName"),
        "targetRef": _reference(obj),
    }


def _port(port: Obj, pods: list[Obj]) -> Obj:
    number: Any = port.get("targetPort", port["port"])
    if isinstance(number, str):
        declared = [
            item["containerPort"]
            for pod in pods
            for container in pod["spec"]["containers"]
            for item in container.get("ports") or []
            if item.get("name") == number
        ]
        number = declared[0] if declared else port["port"]
    found = {"port": number, "protocol": port.get("protocol", "TCP")}
    return {"name": port["name"], **found} if port.get("name") else found
