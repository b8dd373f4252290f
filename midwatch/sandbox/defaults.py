"""What the API server fills in and what it refuses, for the fields the simulation lives by."""

from __future__ import annotations

import re
from typing import Any

from midwatch.sandbox.errors import ApiError, bad_request, invalid
from midwatch.sandbox.objects import Obj, dig
from midwatch.sandbox.quantities import parse_quantity
from midwatch.sandbox.schema import (
    CRONJOBS,
    DAEMONSETS,
    DEPLOYMENTS,
    JOBS,
    NAMESPACES,
    PODS,
    REPLICASETS,
    SERVICES,
    STATEFULSETS,
    Resource,
)
from midwatch.sandbox.selectors import labels_match

_TEMPLATED = (DEPLOYMENTS, REPLICASETS, STATEFULSETS, DAEMONSETS, JOBS)
_QUANTITIES = "quantities must match the regular expression '^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$'"
_NAME = re.compile(r"[a-z0-9]([-a-z0-9.:]*[a-z0-9])?")


def complete(resource: Resource, obj: Obj) -> None:
    """Fill in defaults, in place; 400 for an object of the wrong shape."""
    _check_shape(resource, obj)
    spec = obj.get("spec")
    if resource is NAMESPACES:
        obj.setdefault("spec", {}).setdefault("finalizers", ["kubernetes"])
        obj.setdefault("status", {}).setdefault("phase", "Active")
    if not isinstance(spec, dict):
        return
    if resource is DEPLOYMENTS:
        _complete_deployment(spec)
    elif resource in (REPLICASETS, STATEFULSETS):
        spec.setdefault("replicas", 1)
    elif resource is JOBS:
        for name, value in (("completions", 1), ("parallelism", 1), ("backoffLimit", 6), ("suspend", False)):
            spec.setdefault(name, value)
    elif resource is CRONJOBS:
        for field, default in (
            ("suspend", False),
            ("concurrencyPolicy", "Allow"),
            ("successfulJobsHistoryLimit", 3),
            ("failedJobsHistoryLimit", 1),
        ):
            spec.setdefault(field, default)
    elif resource is SERVICES:
        spec.setdefault("type", "ClusterIP")
        for port in spec.get("ports") or []:
            port.setdefault("protocol", "TCP")
            port.setdefault("targetPort", port.get("port"))
    template = _template(resource, obj)
    if template is not None:
        complete_pod_spec(template.setdefault("spec", {}))


def _check_shape(resource: Resource, obj: Obj) -> None:
    """The parts that defaults and controllers walk must be objects and lists of objects, or absent."""
    prefixes = ("", "spec.template.", "spec.jobTemplate.spec.template.")
    objects = [f"{prefix}{name}" for prefix in prefixes for name in ("metadata", "spec")]
    objects += [
        "status",
        "spec.template",
        "spec.jobTemplate",
        "spec.jobTemplate.spec",
        "spec.jobTemplate.spec.template",
    ]
    objects += ["spec.strategy", "spec.strategy.rollingUpdate", "spec.selector"]
    for path in objects:
        if _present(obj, path) and not isinstance(dig(obj, path), dict):
            raise _unreadable(resource, f"{path} must be an object")
    lists = [f"{prefix}spec.{name}" for prefix in prefixes for name in ("containers", "initContainers")]
    for path in (*lists, "spec.ports"):
        for item in _listed(resource, obj, path):
            for inner in ("ports", "env"):
                _listed(resource, item, inner)
            if not isinstance(item.get("resources", {}), dict):
                raise _unreadable(resource, f"{path}.resources must be an object")


def _present(obj: Obj, path: str) -> bool:
    parent, _, name = path.rpartition(".")
    above = dig(obj, parent) if parent else obj
    return isinstance(above, dict) and name in above


def _listed(resource: Resource, obj: Obj, path: str) -> list[Obj]:
    items = dig(obj, path)
    if items is None:
        return []
    if not isinstance(items, list) or not all(isinstance(item, dict) for item in items):
        raise _unreadable(resource, f"{path} must be a list of objects")
    return items


def _template(resource: Resource, obj: Obj) -> Obj | None:
    if resource is PODS:
        return obj
    path = "spec.jobTemplate.spec.template" if resource is CRONJOBS else "spec.template"
    found = dig(obj, path) if resource is CRONJOBS or resource in _TEMPLATED else None
    return found if isinstance(found, dict) else None


def _complete_deployment(spec: Obj) -> None:
    for name, value in (("replicas", 1), ("revisionHistoryLimit", 10), ("progressDeadlineSeconds", 600)):
        spec.setdefault(name, value)
    strategy = spec.setdefault("strategy", {})
    if strategy.setdefault("type", "RollingUpdate") == "RollingUpdate":
        rolling = strategy.setdefault("rollingUpdate", {})
        rolling.setdefault("maxSurge", "25%")
        rolling.setdefault("maxUnavailable", "25%")


def complete_pod_spec(spec: Obj) -> None:
    """Defaults of a pod or pod template."""
    for name, value in (
        ("restartPolicy", "Always"),
        ("dnsPolicy", "ClusterFirst"),
        ("schedulerName", "default-scheduler"),
        ("terminationGracePeriodSeconds", 30),
    ):
        spec.setdefault(name, value)
    spec.setdefault("securityContext", {})
    for group in ("initContainers", "containers"):
        for container in spec.get(group) or []:
            image = str(container.get("image", ""))
            latest = ":" not in image.rpartition("/")[2] or image.endswith(":latest")
            container.setdefault("imagePullPolicy", "Always" if latest else "IfNotPresent")
            container.setdefault("terminationMessagePath", "/dev/termination-log")
            container.setdefault("terminationMessagePolicy", "File")
            container.setdefault("resources", {})
            for port in container.get("ports") or []:
                port.setdefault("protocol", "TCP")


def validate(resource: Resource, obj: Obj) -> None:
    """Raise 400 or 422 for what the API server would refuse."""
    metadata = obj.get("metadata")
    if not isinstance(metadata, dict) or not (metadata.get("name") or metadata.get("generateName")):
        raise invalid(
            resource.kind, resource.group, "", "metadata.name", "Required value: name or generateName is required"
        )
    name = str(metadata.get("name") or metadata["generateName"].rstrip("-"))
    if not _NAME.fullmatch(name) or len(name) > 253:
        raise invalid(
            resource.kind,
            resource.group,
            name,
            "metadata.name",
            f'Invalid value: "{name}": a lowercase RFC 1123 subdomain is needed',
        )
    for field in ("labels", "annotations"):
        values = metadata.get(field) or {}
        if not isinstance(values, dict) or not all(isinstance(value, str) for value in values.values()):
            raise _unreadable(resource, f"metadata.{field} must map strings to strings")
    if "spec" in obj and not isinstance(obj["spec"], dict):
        raise _unreadable(resource, "spec must be an object")
    replicas = dig(obj, "spec.replicas")
    if replicas is not None and (not isinstance(replicas, int) or isinstance(replicas, bool) or replicas < 0):
        raise invalid(
            resource.kind,
            resource.group,
            name,
            "spec.replicas",
            f"Invalid value: {replicas}: must be greater than or equal to 0",
        )
    template = _template(resource, obj)
    if template is not None:
        prefix = "spec" if resource is PODS else "spec.template.spec"
        _validate_containers(resource, name, dig(template, "spec.containers"), prefix)
    if resource is DEPLOYMENTS or resource is REPLICASETS or resource is STATEFULSETS:
        labels = dig(obj, "spec.template.metadata.labels") or {}
        selector = dig(obj, "spec.selector")
        if not selector or not labels_match(selector, labels):
            raise invalid(
                resource.kind,
                resource.group,
                name,
                "spec.template.metadata.labels",
                "Invalid value: `selector` does not match template `labels`",
            )


def validate_change(resource: Resource, obj: Obj, old: Obj) -> None:
    """Raise 422 for a change of what may not change."""
    name = old["metadata"]["name"]
    if resource in (DEPLOYMENTS, REPLICASETS) and dig(obj, "spec.selector") != dig(old, "spec.selector"):
        raise invalid(resource.kind, resource.group, name, "spec.selector", "Invalid value: field is immutable")
    if resource is PODS and _frozen_pod(obj) != _frozen_pod(old):
        raise invalid(
            "Pod",
            "",
            name,
            "spec",
            "Forbidden: pod updates may not change fields other than image, activeDeadlineSeconds and tolerations",
        )


def _unreadable(resource: Resource, why: str) -> ApiError:
    return bad_request(f"{resource.kind} in version {resource.version!r} cannot be handled as a {resource.kind}: {why}")


def _frozen_pod(obj: Obj) -> Any:
    spec = dict(obj.get("spec") or {})
    for name in ("tolerations", "activeDeadlineSeconds"):
        spec.pop(name, None)
    spec["containers"] = [{**container, "image": ""} for container in spec.get("containers") or []]
    return spec


def _validate_containers(resource: Resource, name: str, containers: Any, prefix: str) -> None:
    if not isinstance(containers, list) or not containers:
        raise invalid(resource.kind, resource.group, name, f"{prefix}.containers", "Required value")
    for index, container in enumerate(containers):
        field = f"{prefix}.containers[{index}]"
        if not isinstance(container, dict):
            raise bad_request(f"{field} must be an object")
        for needed in ("name", "image"):
            if not container.get(needed):
                raise invalid(resource.kind, resource.group, name, f"{field}.{needed}", "Required value")
        amounts = {}
        for side in ("requests", "limits"):
            for what, value in (dig(container, f"resources.{side}") or {}).items():
                try:
                    amounts[side, what] = parse_quantity(value)
                except ValueError as error:
                    raise _unreadable(resource, f"{_QUANTITIES}: {error}") from error
        for (side, what), value in amounts.items():
            limit = amounts.get(("limits", what))
            if side == "requests" and limit is not None and value > limit:
                asked = dig(container, f"resources.requests.{what}")
                allowed = container["resources"]["limits"][what]
                raise invalid(
                    resource.kind,
                    resource.group,
                    name,
                    f"{field}.resources.requests",
                    f'Invalid value: "{asked}": must be less than or equal to {what} limit of {allowed}',
                )
