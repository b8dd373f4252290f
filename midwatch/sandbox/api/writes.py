"""Create, update, patch, delete, scale, evict: validated, with preconditions, dry runs and an audit entry each."""

from __future__ import annotations

from typing import Any

import yaml

from midwatch.sandbox.api.audit import Audit
from midwatch.sandbox.api.managed import applied_fields, changed_fields, check_conflicts, record_manager
from midwatch.sandbox.api.reads import Reads, selector_of
from midwatch.sandbox.api.requests import ApiRequest, Reply, json_reply
from midwatch.sandbox.clock import Clock
from midwatch.sandbox.defaults import complete, validate, validate_change
from midwatch.sandbox.errors import ApiError, already_exists, bad_request, conflict, not_found
from midwatch.sandbox.objects import Obj, copy, dig, stamp
from midwatch.sandbox.patches import APPLY_PATCH, apply_patch
from midwatch.sandbox.schema import NAMESPACES, PDBS, PODS, SERVICES
from midwatch.sandbox.selectors import labels_match
from midwatch.sandbox.store import Key, Record, Store

_STATUS_ONLY = "status"


class Writes:
    """What answers every verb that changes something."""

    def __init__(self, store: Store, clock: Clock, reads: Reads, audit: Audit) -> None:
        self._store = store
        self._clock = clock
        self._reads = reads
        self._audit = audit

    # create

    def create(self, request: ApiRequest) -> Reply:
        """POST to a collection."""
        target, obj = request.target, self._body(request)
        metadata = obj["metadata"]
        for name in ("resourceVersion", "uid", "creationTimestamp", "deletionTimestamp", "managedFields"):
            metadata.pop(name, None)
        complete(target.resource, obj)
        validate(target.resource, obj)
        if target.namespace and self._store.get(Key(NAMESPACES, "", target.namespace)) is None:
            raise not_found("namespaces", "", target.namespace)
        if target.resource is SERVICES and obj.get("spec"):
            obj["spec"].setdefault("clusterIP", self._cluster_ip())
        if target.resource is PODS:
            obj["status"] = {"phase": "Pending", "qosClass": "Burstable"}
        now = self._clock.now()
        record_manager(obj, changed_fields(obj, {}), request.manager, "Update", "", now)
        key = Key(target.resource, target.namespace, metadata.get("name") or "")
        if self._store.get(key) is not None:
            raise already_exists(target.resource.qualified, key.name)
        if request.dry_run:
            metadata.setdefault("name", self._store.new_name(metadata.get("generateName", "")))
            metadata |= {"uid": self._store.new_uid(), "creationTimestamp": stamp(now)}
            self._audit.changed(request, now, None, None)
            return json_reply(_typed(target.resource, obj), 201)
        record = self._store.create(target.resource, obj)
        self._audit.changed(request, now, None, record)
        return self._reads.show(request, record, 201)

    # update

    def update(self, request: ApiRequest) -> Reply:
        """PUT of a whole object or of its status."""
        record, obj = self._reads.find(request), self._body(request)
        old = record.obj()
        if request.target.subresource == _STATUS_ONLY:
            obj = {**old, "status": obj.get("status") or {}, "metadata": {**old["metadata"], **_version(obj)}}
        else:
            obj["status"] = old.get("status", {})
            if "status" not in old:
                del obj["status"]
        return self._replace(request, record, old, obj, "Update")

    def patch(self, request: ApiRequest) -> Reply:
        """PATCH of any kind."""
        kind = request.content_type.partition(";")[0].strip()
        if kind == APPLY_PATCH:
            return self._apply(request)
        record = self._reads.find(request)
        old = record.obj()
        patched = apply_patch(kind, old, request.json())
        if request.target.subresource == _STATUS_ONLY:
            patched = {
                **old,
                "status": patched.get("status") or {},
                "metadata": {**old["metadata"], **_version(patched)},
            }
        elif "status" in old:
            patched["status"] = old["status"]
        return self._replace(request, record, old, patched, "Update")

    def _apply(self, request: ApiRequest) -> Reply:
        """Server-side apply: conflicts on fields others own, removal of what this manager no longer applies."""
        try:
            config = yaml.safe_load(request.body)
        except yaml.YAMLError as error:
            raise bad_request(f"error decoding YAML: {error}") from error
        if not isinstance(config, dict) or not request.query.get("fieldManager"):
            raise bad_request(
                'PatchOptions.meta.k8s.io "" is invalid: fieldManager: Required value: is required for apply patch'
            )
        if (dig(config, "metadata.managedFields")) is not None:
            raise bad_request("metadata.managedFields must be nil")
        record = self._store.get(request.target.key)
        if record is None:
            return self._create_applied(request, config)
        old = record.obj()
        patched = apply_patch(APPLY_PATCH, old, config)
        fields = changed_fields(config, {})
        for name in ("f:apiVersion", "f:kind"):
            fields.pop(name, None)
        if not request.flag("force"):
            check_conflicts(old, changed_fields(patched, old), request.manager)
        _prune(patched, applied_fields(old, request.manager), fields)
        if request.target.subresource == _STATUS_ONLY:
            patched = {**old, "status": patched.get("status") or {}}
        return self._replace(request, record, old, patched, "Apply", fields)

    def _create_applied(self, request: ApiRequest, config: Obj) -> Reply:
        config.setdefault("metadata", {})["name"] = request.target.name
        if request.target.namespace:
            config["metadata"]["namespace"] = request.target.namespace
        fields = changed_fields(config, {})
        complete(request.target.resource, config)
        validate(request.target.resource, config)
        if request.target.namespace and self._store.get(Key(NAMESPACES, "", request.target.namespace)) is None:
            raise not_found("namespaces", "", request.target.namespace)
        now = self._clock.now()
        record_manager(config, fields, request.manager, "Apply", "", now)
        if request.dry_run:
            self._audit.changed(request, now, None, None)
            return json_reply(_typed(request.target.resource, config), 201)
        record = self._store.create(request.target.resource, config)
        self._audit.changed(request, now, None, record)
        return self._reads.show(request, record, 201)

    def _replace(
        self, request: ApiRequest, record: Record, old: Obj, new: Obj, operation: str, fields: Obj | None = None
    ) -> Reply:
        target, resource = request.target, record.key.resource
        metadata = new.get("metadata")
        if not isinstance(metadata, dict):
            raise bad_request("metadata must be an object")
        if (
            metadata.get("name") != record.key.name
            or metadata.get("namespace", record.key.namespace) != record.key.namespace
        ):
            raise bad_request("the name of the object does not match the name on the URL")
        wanted_version, wanted_uid = metadata.get("resourceVersion"), metadata.get("uid")
        if wanted_uid and wanted_uid != record.uid:
            why = f"Precondition failed: UID in precondition: {wanted_uid}, UID in object meta: {record.uid}"
            raise conflict(resource.qualified, record.key.name, why)
        if wanted_version and wanted_version != str(record.version):
            raise conflict(resource.qualified, record.key.name)
        complete(resource, new)
        validate(resource, new)
        validate_change(resource, new, old)
        now = self._clock.now()
        metadata["managedFields"] = old["metadata"].get("managedFields") or []
        for name in ("deletionTimestamp", "deletionGracePeriodSeconds"):
            if name in old["metadata"]:
                metadata[name] = old["metadata"][name]
        metadata |= {"resourceVersion": str(record.version), "uid": record.uid}
        changes = changed_fields(new, old) if fields is None else fields
        if new != {**old, "metadata": {"managedFields": [], **old["metadata"]}}:
            record_manager(new, changes, request.manager, operation, target.subresource, now)
        if not metadata["managedFields"]:
            del metadata["managedFields"]
        if request.dry_run:
            self._audit.changed(request, now, record, record)
            return json_reply(_typed(resource, new))
        after = self._store.replace(record, new)
        self._audit.changed(request, now, record, after)
        reply = self._reads.show(request, after)
        if metadata.get("deletionTimestamp") and not metadata.get("finalizers") and resource is not PODS:
            self._store.delete(after)
        return reply

    # scale

    def scale(self, request: ApiRequest) -> Reply:
        """The ``scale`` subresource."""
        record = self._reads.find(request)
        old = record.obj()
        if request.verb == "get":
            return json_reply(_scale_of(old))
        scale = _scale_of(old)
        if request.verb == "patch":
            kind = request.content_type.partition(";")[0].strip()
            body = yaml.safe_load(request.body) if kind == APPLY_PATCH else request.json()
            scale = apply_patch(kind, scale, body)
        else:
            scale = request.document()
        replicas = dig(scale, "spec.replicas") or 0
        new = copy(old)
        new["spec"]["replicas"] = replicas
        new["metadata"] |= {
            name: value for name in ("resourceVersion", "uid") if (value := dig(scale, f"metadata.{name}"))
        }
        self._replace(request, record, old, new, "Update")
        if request.dry_run:
            return json_reply(_scale_of(new))
        return json_reply(_scale_of(self._reads.find(request).obj()))

    # delete

    def delete(self, request: ApiRequest) -> Reply:
        """DELETE of one object."""
        record = self._reads.find(request)
        options = request.options()
        _check_preconditions(record, options)
        now = self._clock.now()
        if request.dry_run:
            self._audit.changed(request, now, record, record)
            return self._deleted(record, record)
        grace = options.get("gracePeriodSeconds", request.number("gracePeriodSeconds"))
        policy = options.get("propagationPolicy") or request.query.get("propagationPolicy") or "Background"
        after = self.remove(record, grace, orphan=policy == "Orphan")
        # A graceful deletion that was already under way changes nothing.
        self._audit.changed(request, now, record, after)
        return self._deleted(record, after)

    def delete_collection(self, request: ApiRequest) -> Reply:
        """DELETE of everything that matches."""
        selector = selector_of(request)
        found = [
            record
            for record in self._store.scan(request.target.resource, request.target.namespace)
            if selector.matches(record.labels, record.fields)
        ]
        now = self._clock.now()
        for record in found:
            after = record if request.dry_run else self.remove(record, request.options().get("gracePeriodSeconds"))
            self._audit.changed(request, now, record, after)
        return json_reply({"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success"})

    def evict(self, request: ApiRequest) -> Reply:
        """The ``eviction`` subresource: a delete that disruption budgets may refuse with 429."""
        record, body = self._reads.find(request), request.document()
        options = body.get("deleteOptions") or {}
        _check_preconditions(record, options)
        for budget in self._budgets(record):
            allowed = dig(budget, "status.disruptionsAllowed") or 0
            if allowed < 1 and record.pod is not None and record.pod.ready:
                name = budget["metadata"]["name"]
                healthy, wanted = (dig(budget, f"status.{n}") or 0 for n in ("currentHealthy", "desiredHealthy"))
                why = f"The disruption budget {name} needs {wanted} healthy pods and has {healthy} currently"
                raise ApiError(
                    429,
                    "TooManyRequests",
                    "Cannot evict pod as it would violate the pod's disruption budget.",
                    details={"causes": [{"reason": "DisruptionBudget", "message": why}]},
                )
        now = self._clock.now()
        dry = request.dry_run or bool(options.get("dryRun"))
        after = record if dry else self.remove(record, options.get("gracePeriodSeconds"))
        self._audit.changed(request, now, record, after)
        return json_reply({"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success"}, 201)

    def remove(self, record: Record, grace: Any = None, *, orphan: bool = False) -> Record | None:
        """Delete as the API server does: pods on a node end gracefully, finalizers hold, the rest goes at once.

        Returns what is left of it, or None.
        """
        if orphan:
            self._orphan(record)
        obj = record.obj()
        metadata = obj["metadata"]
        seconds = dig(obj, "spec.terminationGracePeriodSeconds") if grace is None else grace
        seconds = 30 if seconds is None else int(seconds)
        graceful = record.pod is not None and bool(record.pod.node) and record.pod.active and seconds > 0
        if not graceful and not metadata.get("finalizers"):
            if not (record.pod is not None and record.pod.deleting and seconds > 0):
                self._store.delete(record)
                return None
            return record
        if metadata.get("deletionTimestamp"):
            return record
        metadata["deletionTimestamp"] = stamp(self._clock.now() + seconds)
        metadata["deletionGracePeriodSeconds"] = seconds
        return self._store.replace(record, obj)

    def _orphan(self, record: Record) -> None:
        for child in self._store.owned(record.uid):
            obj = child.obj()
            obj["metadata"]["ownerReferences"] = [
                reference for reference in obj["metadata"]["ownerReferences"] if reference["uid"] != record.uid
            ]
            self._store.replace(child, obj)

    def _budgets(self, pod: Record) -> list[Obj]:
        budgets = (record.obj() for record in self._store.scan(PDBS, pod.key.namespace))
        return [budget for budget in budgets if labels_match(dig(budget, "spec.selector"), pod.labels)]

    def _deleted(self, record: Record, after: Record | None) -> Reply:
        if after is not None or record.key.resource is PODS:
            return Reply((after or record).raw)
        resource = record.key.resource
        details = {"name": record.key.name, "group": resource.group, "kind": resource.plural, "uid": record.uid}
        return json_reply(
            {"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success", "details": details}
        )

    def _body(self, request: ApiRequest) -> Obj:
        """The object of a create or update; its own kind and place must fit the path."""
        kind = request.content_type.partition(";")[0]
        obj = yaml.safe_load(request.body) if "yaml" in kind else request.document()
        target = request.target
        if not isinstance(obj, dict) or not isinstance(obj.setdefault("metadata", {}), dict):
            raise bad_request("the body must be an object with metadata")
        if obj.get("kind", target.resource.kind) != target.resource.kind:
            raise bad_request(f"the body is a {obj['kind']}, the path is for {target.resource.kind}")
        namespace = obj["metadata"].setdefault("namespace", target.namespace)
        if not target.resource.namespaced:
            del obj["metadata"]["namespace"]
        elif namespace != target.namespace:
            raise bad_request("the namespace of the provided object does not match the namespace sent on the request")
        if target.name:
            obj["metadata"].setdefault("name", target.name)
        return obj

    def _cluster_ip(self) -> str:
        used = {record.fields.get("spec.clusterIP") for record in self._store.scan(SERVICES)}
        return next(ip for n in range(10, 65000) if (ip := f"10.96.{n // 250}.{n % 250 + 1}") not in used)


def _typed(resource: Any, obj: Obj) -> Obj:
    return {"apiVersion": resource.api_version, "kind": resource.kind, **obj}


def _version(obj: Obj) -> Obj:
    version = dig(obj, "metadata.resourceVersion")
    return {"resourceVersion": version} if version else {}


def _scale_of(obj: Obj) -> Obj:
    selector = dig(obj, "spec.selector.matchLabels") or {}
    kept = ("name", "namespace", "uid", "resourceVersion", "creationTimestamp")
    return {
        "kind": "Scale",
        "apiVersion": "autoscaling/v1",
        "metadata": {name: obj["metadata"][name] for name in kept if name in obj["metadata"]},
        "spec": {"replicas": dig(obj, "spec.replicas") or 0},
        "status": {
            "replicas": dig(obj, "status.replicas") or 0,
            "selector": ",".join(f"{name}={value}" for name, value in selector.items()),
        },
    }


def _check_preconditions(record: Record, options: Obj) -> None:
    wanted = options.get("preconditions") or {}
    qualified, name = record.key.resource.qualified, record.key.name
    if (uid := wanted.get("uid")) and uid != record.uid:
        why = f"Precondition failed: UID in precondition: {uid}, UID in object meta: {record.uid}"
        raise conflict(qualified, name, why)
    if (version := wanted.get("resourceVersion")) and version != str(record.version):
        found = f"ResourceVersion in object meta: {record.version}"
        why = f"Precondition failed: ResourceVersion in precondition: {version}, {found}"
        raise conflict(qualified, name, why)


def _prune(obj: Any, before: Obj, now: Obj) -> None:
    """Remove what a manager applied before and applies no more."""
    if not isinstance(obj, dict):
        return
    for name, below in before.items():
        if not name.startswith("f:"):
            continue
        field = name[2:]
        if name not in now:
            if not below:
                obj.pop(field, None)
            elif isinstance(obj.get(field), dict):
                _prune(obj[field], below, {})
        else:
            _prune(obj.get(field), below, now[name])
