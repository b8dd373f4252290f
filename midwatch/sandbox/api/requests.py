"""A request to the API server, taken apart, and the reply to it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from midwatch.sandbox.errors import ApiError, bad_request, no_such_path
from midwatch.sandbox.objects import Obj, decode, encode
from midwatch.sandbox.schema import NAMESPACES, Resource, by_path
from midwatch.sandbox.store import Key

READS = ("get", "list", "watch")
_TRUE = ("1", "true", "True", "t")


@dataclass(frozen=True, slots=True)
class User:
    """Who asks. A read-only user is refused every write."""

    name: str
    read_only: bool = False


def may(user: User, verb: str) -> bool:
    """Whether the user is allowed that verb."""
    return not user.read_only or verb in READS


@dataclass(frozen=True, slots=True)
class Target:
    """What the path names. ``name`` is empty for collections."""

    resource: Resource
    namespace: str = ""
    name: str = ""
    subresource: str = ""

    @property
    def key(self) -> Key:
        return Key(self.resource, self.namespace, self.name)


@dataclass(frozen=True, slots=True)
class ApiRequest:
    """One request. ``verb`` is the API's own: get, list, watch, create, update, patch, delete, deletecollection."""

    verb: str
    target: Target
    user: User
    query: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""
    content_type: str = ""
    accept: str = ""
    agent: str = ""

    @property
    def dry_run(self) -> bool:
        return bool(self.query.get("dryRun")) or bool(self.options().get("dryRun"))

    @property
    def table(self) -> bool:
        return "as=Table" in self.accept

    @property
    def manager(self) -> str:
        """Who is to stand in managedFields."""
        return self.query.get("fieldManager") or self.agent.partition("/")[0] or "unknown"

    def flag(self, name: str) -> bool:
        return self.query.get(name) in _TRUE

    def number(self, name: str) -> int | None:
        text = self.query.get(name)
        if not text:
            return None
        if not text.isdigit():
            raise bad_request(f"invalid value for {name}: {text!r}")
        return int(text)

    def json(self) -> Any:
        """The body as JSON, 400 when it is none."""
        if not self.body:
            raise bad_request("the request needs a body")
        if "protobuf" in self.content_type:
            message = (
                "the body of the request was in an unknown format - accepted media types include: application/json"
            )
            raise ApiError(415, "UnsupportedMediaType", message)
        try:
            return decode(self.body)
        except ValueError as error:
            raise bad_request(f"couldn't decode the body: {error}") from error

    def document(self) -> Obj:
        """The body as one JSON object."""
        document = self.json()
        if not isinstance(document, dict):
            raise bad_request("the body must be a JSON object")
        return document

    def options(self) -> Obj:
        """``DeleteOptions`` of a delete; empty for every other verb and for no body."""
        if self.verb not in ("delete", "deletecollection") or not self.body:
            return {}
        return self.document()


@dataclass(frozen=True, slots=True)
class Reply:
    """An answer that is ready at once."""

    body: bytes
    code: int = 200
    media_type: str = "application/json"
    headers: Mapping[str, str] = field(default_factory=dict)


def json_reply(document: Any, code: int = 200) -> Reply:
    """A reply with a JSON body."""
    return Reply(encode(document), code)


def parse_path(path: str) -> Target:
    """``/api/v1/namespaces/shop/pods/web-0/log`` and its like; 404 for anything else."""
    parts = [part for part in path.split("/") if part]
    core = parts[0] == "api"
    if len(parts) < (2 if core else 3):
        raise no_such_path()
    group, version, rest = ("", parts[1], parts[2:]) if core else (parts[1], parts[2], parts[3:])
    namespace = ""
    if len(rest) > 2 and rest[0] == "namespaces" and rest[2] not in NAMESPACES.subresources:
        namespace, rest = rest[1], rest[2:]
    if not rest or len(rest) > 3:
        raise no_such_path()
    resource = by_path(group, version, rest[0])
    if resource is None or (namespace and not resource.namespaced):
        raise no_such_path()
    name = rest[1] if len(rest) > 1 else ""
    subresource = rest[2] if len(rest) > 2 else ""
    if subresource and subresource not in resource.subresources:
        raise no_such_path()
    if name and resource.namespaced and not namespace:
        raise no_such_path()
    return Target(resource, namespace, name, subresource)


def verb_of(method: str, target: Target, query: Mapping[str, str]) -> str:
    """The API verb of an HTTP method."""
    if method in ("GET", "HEAD"):
        if query.get("watch") in _TRUE:
            return "watch"
        return "get" if target.name else "list"
    if method == "DELETE":
        return "delete" if target.name else "deletecollection"
    return {"POST": "create", "PUT": "update", "PATCH": "patch"}.get(method, method.lower())
