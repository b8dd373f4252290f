"""Discovery: what groups, versions and resources there are, as kubectl asks before anything else."""

from __future__ import annotations

from midwatch.sandbox.errors import no_such_path
from midwatch.sandbox.objects import Obj
from midwatch.sandbox.schema import RESOURCES

_VERBS = ["create", "delete", "deletecollection", "get", "list", "patch", "update", "watch"]

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
    names = sorted({(resource.group, resource.version) for resource in RESOURCES if resource.group})
    listed = []
    for group, version in names:
        entry = {"groupVersion": f"{group}/{version}", "version": version}
        listed.append({"name": group, "versions": [entry], "preferredVersion": entry})
    return {"kind": "APIGroupList", "apiVersion": "v1", "groups": listed}


def resources(group_version: str) -> Obj:
    """``/api/v1`` or ``/apis/{group}/{version}``; 404 for an unknown one."""
    listed: list[Obj] = []
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
