"""The tools of our Kubernetes MCP server: each a thin, typed door to what can be read or done."""

import logging
import sys
from collections.abc import Awaitable
from typing import Annotated

import msgspec
from mcp.server.mcpserver import MCPServer
from mcp.server.mcpserver.exceptions import ToolError
from mcp.types import ToolAnnotations
from pydantic import Field

from midwatch.adapters.mcp.faults import sentence
from midwatch.adapters.mcp.kubernetes.actions import ClusterActions
from midwatch.adapters.mcp.kubernetes.api import Kube
from midwatch.adapters.mcp.kubernetes.read import ClusterReader
from midwatch.domain.errors import MidwatchError
from midwatch.domain.refs import ObjectRef
from midwatch.services.effects import ActionCall, Outcome
from midwatch.services.runtime import Clock

_READ = ToolAnnotations(read_only_hint=True, open_world_hint=False)
_ACT = ToolAnnotations(read_only_hint=False, destructive_hint=True, idempotent_hint=True, open_world_hint=False)

Kind = Annotated[str, Field(description="Kind as in kubectl get -o yaml: Pod, Deployment, StatefulSet, Node, …")]
Namespace = Annotated[str, Field(description="Namespace; empty for Node and other cluster-wide kinds.")]
Name = Annotated[str, Field(description="Name of the object.")]
Key = Annotated[
    str, Field(description="Idempotency key: a second call with the same key changes nothing.", min_length=1)
]
Uid = Annotated[str, Field(description="metadata.uid the object must have.", min_length=1)]
Generation = Annotated[int | None, Field(description="metadata.generation it must have.")]
DryRun = Annotated[bool, Field(description="Only ask the API server what would happen.")]


def build_server(kube: Kube, clock: Clock, *, read_only: bool) -> MCPServer[None]:
    """The server over one cluster. ``read_only``: the tools that change something are not even registered."""
    what = "look at" if read_only else "look at and change"
    server: MCPServer[None] = MCPServer("midwatch-kubernetes", instructions=f"Tools to {what} one Kubernetes cluster.")
    # The SDK has just put a handler of its own on the root logger; standard output is the wire, so: plain, to stderr.
    logging.basicConfig(stream=sys.stderr, level=logging.WARNING, force=True)
    _add_reading(server, ClusterReader(kube, clock))
    if not read_only:
        _add_acting(server, ClusterActions(kube, clock))
        _add_acting_on_nodes_and_jobs(server, ClusterActions(kube, clock))
    return server


async def _told(call: Awaitable[str]) -> str:
    """Our errors as sentences the caller may read; anything else is a crash, told by the SDK without its text."""
    try:
        return await call
    except MidwatchError as error:
        raise ToolError(sentence(error)) from error


async def _done(actions: ClusterActions, call: ActionCall, dry_run: bool) -> str:
    try:
        outcome: Outcome = await (actions.rehearse(call) if dry_run else actions.act(call))
    except MidwatchError as error:
        raise ToolError(sentence(error)) from error
    return msgspec.json.encode(outcome).decode()


def _add_reading(server: MCPServer[None], reader: ClusterReader) -> None:
    tool = server.tool

    @tool(annotations=_READ, structured_output=False)
    async def list_objects(kind: Kind, namespace: str = "", label_selector: str = "", field_selector: str = "") -> str:
        """List objects of a kind, one line each: name, state, age. All namespaces when none is given."""
        return await _told(reader.list_objects(kind, namespace, label_selector, field_selector))

    @tool(annotations=_READ, structured_output=False)
    async def get_object(kind: Kind, name: Name, namespace: Namespace = "") -> str:
        """One object as YAML, secrets masked."""
        return await _told(reader.get(kind, name, namespace))

    @tool(annotations=_READ, structured_output=False)
    async def describe_object(kind: Kind, name: Name, namespace: Namespace = "") -> str:
        """One object with owners, pods, spec, status and events."""
        return await _told(reader.describe(kind, name, namespace))

    @tool(annotations=_READ, structured_output=False)
    async def list_events(namespace: Namespace = "", name: str = "") -> str:
        """Events of a namespace, or of one object; newest last."""
        return await _told(reader.events(namespace, name))

    @tool(annotations=_READ, structured_output=False)
    async def pod_logs(
        namespace: Namespace, pod: Name, container: str = "", previous: bool = False, tail_lines: int = 200
    ) -> str:
        """The last lines of a container's log; previous=true shows the run before the last restart."""
        return await _told(reader.logs(namespace, pod, container, previous=previous, tail=tail_lines))

    @tool(annotations=_READ, structured_output=False)
    async def top(what: Annotated[str, Field(description="nodes or pods")], namespace: Namespace = "") -> str:
        """Present CPU and memory use, where the cluster has a metrics API."""
        return await _told(reader.top(what, namespace))

    @tool(annotations=_READ, structured_output=False)
    async def rollout_history(name: Name, namespace: Namespace, kind: Kind = "Deployment") -> str:
        """Revisions of a Deployment with their images."""
        return await _told(reader.rollout_history(kind, name, namespace))


def _add_acting(server: MCPServer[None], actions: ClusterActions) -> None:
    """Actions on workloads and pods. Each answers JSON: effect, before, after, generation, diff."""
    tool = server.tool

    @tool(annotations=_ACT, structured_output=False)
    async def rollout_restart(
        kind: Kind,
        name: Name,
        namespace: Namespace,
        idempotency_key: Key,
        expect_uid: Uid,
        expect_generation: Generation = None,
        dry_run: DryRun = False,
    ) -> str:
        """Replace all pods of a workload, one after another."""
        ref = ObjectRef(kind, name, namespace, expect_uid)
        call = ActionCall(action="rollout_restart", ref=ref, key=idempotency_key, generation=expect_generation)
        return await _done(actions, call, dry_run)

    @tool(annotations=_ACT, structured_output=False)
    async def rollout_undo(
        name: Name,
        namespace: Namespace,
        revision: int,
        idempotency_key: Key,
        expect_uid: Uid,
        expect_generation: Generation = None,
        dry_run: DryRun = False,
        kind: Kind = "Deployment",
    ) -> str:
        """Put the template of an earlier revision in place."""
        call = ActionCall(
            action="rollout_undo",
            ref=ObjectRef(kind, name, namespace, expect_uid),
            key=idempotency_key,
            params={"revision": revision},
            generation=expect_generation,
        )
        return await _done(actions, call, dry_run)

    @tool(annotations=_ACT, structured_output=False)
    async def patch_resources(
        kind: Kind,
        name: Name,
        namespace: Namespace,
        container: str,
        idempotency_key: Key,
        expect_uid: Uid,
        memory_limit: str = "",
        memory_request: str = "",
        cpu_limit: str = "",
        cpu_request: str = "",
        expect_generation: Generation = None,
        dry_run: DryRun = False,
    ) -> str:
        """Change limits and requests of one container; those left empty stay."""
        given = {
            "container": container,
            "memory_limit": memory_limit,
            "memory_request": memory_request,
            "cpu_limit": cpu_limit,
            "cpu_request": cpu_request,
        }
        call = ActionCall(
            action="patch_resources",
            ref=ObjectRef(kind, name, namespace, expect_uid),
            key=idempotency_key,
            params={name: value for name, value in given.items() if value},
            generation=expect_generation,
        )
        return await _done(actions, call, dry_run)

    @tool(annotations=_ACT, structured_output=False)
    async def scale(
        kind: Kind,
        name: Name,
        namespace: Namespace,
        replicas: int,
        idempotency_key: Key,
        expect_uid: Uid,
        expect_generation: Generation = None,
        dry_run: DryRun = False,
    ) -> str:
        """Set the number of replicas."""
        call = ActionCall(
            action="scale",
            ref=ObjectRef(kind, name, namespace, expect_uid),
            key=idempotency_key,
            params={"replicas": replicas},
            generation=expect_generation,
        )
        return await _done(actions, call, dry_run)

    @tool(annotations=_ACT, structured_output=False)
    async def expand_claim(
        name: Name,
        namespace: Namespace,
        storage: Annotated[str, Field(description="The new size, such as 20Gi.")],
        idempotency_key: Key,
        expect_uid: Uid,
        expect_generation: Generation = None,
        dry_run: DryRun = False,
        kind: Kind = "PersistentVolumeClaim",
    ) -> str:
        """Raise the size that a claim asks for, where its StorageClass allows that."""
        call = ActionCall(
            action="expand_claim",
            ref=ObjectRef(kind, name, namespace, expect_uid),
            key=idempotency_key,
            params={"storage": storage},
            generation=expect_generation,
        )
        return await _done(actions, call, dry_run)

    @tool(annotations=_ACT, structured_output=False)
    async def restore(
        kind: Kind,
        name: Name,
        namespace: Namespace,
        before: Annotated[str, Field(description="The `before` of an earlier answer.")],
        idempotency_key: Key,
        expect_uid: Uid,
        expect_generation: Generation = None,
        dry_run: DryRun = False,
    ) -> str:
        """Put back the fields that an earlier action changed."""
        call = ActionCall(
            action="restore",
            ref=ObjectRef(kind, name, namespace, expect_uid),
            key=idempotency_key,
            generation=expect_generation,
            before=before,
        )
        return await _done(actions, call, dry_run)


def _add_acting_on_nodes_and_jobs(server: MCPServer[None], actions: ClusterActions) -> None:
    """Actions that take nothing but the object: the same shape for all of them."""
    _plain(server, actions, "restart_pod", "Delete a pod, so that its controller starts another.")
    _plain(server, actions, "delete_finished_pod", "Delete the remains of a pod that has ended.")
    _plain(server, actions, "delete_job", "Delete a job and its pods.")
    _plain(server, actions, "rerun_job", "Run a job again, as a new Job.")
    _plain(server, actions, "suspend", "Suspend a CronJob.")
    _plain(server, actions, "resume", "Resume a suspended CronJob.")
    _plain(server, actions, "cordon", "Let no new pods be placed on a node.")
    _plain(server, actions, "uncordon", "Let pods be placed on a node again.")
    _add_drain(server, actions)


def _add_drain(server: MCPServer[None], actions: ClusterActions) -> None:
    @server.tool(annotations=_ACT, structured_output=False)
    async def drain(
        kind: Kind,
        name: Name,
        idempotency_key: Key,
        expect_uid: Uid,
        namespace: Namespace = "",
        namespaces: Annotated[
            str, Field(description="Namespaces, by commas, whose pods may be evicted; with a pod of another it stops.")
        ] = "",
        expect_generation: Generation = None,
        dry_run: DryRun = False,
    ) -> str:
        """Cordon a node and evict its pods, as far as their budgets allow. Pods without a controller stop it."""
        call = ActionCall(
            action="drain",
            ref=ObjectRef(kind, name, namespace, expect_uid),
            key=idempotency_key,
            params={"namespaces": namespaces},
            generation=expect_generation,
        )
        return await _done(actions, call, dry_run)


def _plain(server: MCPServer[None], actions: ClusterActions, action: str, says: str) -> None:
    async def run(
        kind: Kind,
        name: Name,
        idempotency_key: Key,
        expect_uid: Uid,
        namespace: Namespace = "",
        expect_generation: Generation = None,
        dry_run: DryRun = False,
    ) -> str:
        ref = ObjectRef(kind, name, namespace, expect_uid)
        call = ActionCall(action=action, ref=ref, key=idempotency_key, generation=expect_generation)
        return await _done(actions, call, dry_run)

    server.add_tool(run, name=action, description=says, annotations=_ACT, structured_output=False)
