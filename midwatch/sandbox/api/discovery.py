"""Discovery: what groups, versions and resources there are, as kubectl asks before anything else."""

from __future__ import annotations

from midwatch.sandbox.errors import no_such_path
from midwatch.sandbox.objects import Obj
from midwatch.sandbox.schema import RESOURCES

_VERBS = ["create", "delete", "deletecollection", "get", "list", "patch", "update", "watch"]

_REVIEWS = ("authorization.k8s.io", "v1")

VERSION: Obj = {
    "major": "1",
    "minor": "33",
    "gitVersion": "v1.33.0+sandbox",
    "gitCommit": "sandbox",
    "gitTreeState": "clean",
    "buildDate": "2026-01-01T00:00:00Z",
    "goVersion": "none",
    "compiler": "none",
    "platform": "linux/amd64",
}


def core_versions() -> Obj:
    """``/api``."""
    return {"kind": "APIVersions", "versions": ["v1"], "serverAddressByClientCIDRs": []}


def groups() -> Obj:
    """``/apis``."""
    names = sorted({(resource.group, resource.version) for resource in RESOURCES if resource.group} | {_REVIEWS})
    listed = []
    for group, version in names:
        entry = {"groupVersion": f"{group}/{version}", "version": version}
        listed.append({"name": group, "versions": [entry], "preferredVersion": entry})
    return {"kind": "APIGroupList", "apiVersion": "v1", "groups": listed}


def openapi_index() -> Obj:
    """``/openapi/v3``: where each group's document is."""
    versions = sorted({resource.api_version for resource in RESOURCES})
    return {"paths": {path: {"serverRelativeURL": f"/openapi/v3/{path}?hash=sandbox"} for path in map(_root, versions)}}


def openapi(path: str) -> Obj:
    """One group's document: no schemas, only that the server validates fields itself (what kubectl apply asks)."""
    found = [resource for resource in RESOURCES if _root(resource.api_version) == path]
    if not found:
        raise no_such_path()
    paths: Obj = {}
    for resource in found:
        place = "namespaces/{namespace}/" if resource.namespaced else ""
        paths[f"/{path}/{place}{resource.plural}/{{name}}"] = {
            "patch": {
                "operationId": f"patch{resource.kind}",
                "parameters": [
                    {"name": name, "in": "query", "schema": {"type": "string", "uniqueItems": True}}
                    for name in ("dryRun", "fieldManager", "fieldValidation", "force")
                ],
                "responses": {"200": {"description": "OK"}},
                "x-kubernetes-action": "patch",
                "x-kubernetes-group-version-kind": {
                    "group": resource.group,
                    "version": resource.version,
                    "kind": resource.kind,
                },
            }
        }
    info = {"title": "Midwatch sandbox", "version": VERSION["gitVersion"]}
    return {"openapi": "3.0.0", "info": info, "paths": paths, "components": {"schemas": {}}}


def _root(api_version: str) -> str:
    return f"apis/{api_version}" if "/" in api_version else f"api/{api_version}"


def resources(group_version: str) -> Obj:
    """``/api/v1`` or ``/apis/{group}/{version}``; 404 for an unknown one."""
    listed: list[Obj] = []
    if group_version == "/".join(_REVIEWS):
        review = {"name": "selfsubjectaccessreviews", "singularName": "", "namespaced": False}
        listed.append({**review, "kind": "SelfSubjectAccessReview", "verbs": ["create"]})
    for resource in RESOURCES:
        if resource.api_version != group_version:
            continue
        common = {"namespaced": resource.namespaced, "kind": resource.kind}
        entry: Obj = {"name": resource.plural, "singularName": resource.kind.lower(), **common, "verbs": _VERBS}
        if resource.short:
            entry["shortNames"] = list(resource.short)
        if resource.categories:
            entry["categories"] = list(resource.categories)
        listed.append(entry)
        for name in resource.subresources:
            sub: Obj = {"name": f"{resource.plural}/{name}", "singularName": "", **common}
            sub["verbs"] = {"log": ["get"], "eviction": ["create"]}.get(name, ["get", "patch", "update"])
            if name == "scale":
                sub |= {"group": "autoscaling", "version": "v1", "kind": "Scale"}
            elif name == "eviction":
                sub |= {"group": "policy", "version": "v1", "kind": "Eviction"}
            listed.append(sub)
    if not listed:
        raise no_such_path()
    return {"kind": "APIResourceList", "apiVersion": "v1", "groupVersion": group_version, "resources": listed}
