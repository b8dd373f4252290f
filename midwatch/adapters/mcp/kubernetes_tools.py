"""The executor's side of our Kubernetes MCP server, and how to start that for anybody."""

import os.path
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec
from mcp import StdioServerParameters

from midwatch.adapters.mcp.connection import McpConnection
from midwatch.adapters.mcp.faults import error_of
from midwatch.domain.errors import Transient
from midwatch.domain.reasons import Reason
from midwatch.services.effects import ActionCall, Outcome

_REASONS = frozenset(Reason)
_ACT_TIMEOUT_S = 40.0


def server_parameters(
    kubeconfig: Path | None,
    context: str,
    *,
    read_only: bool,
    in_cluster: bool = False,
    environment: Mapping[str, str] | None = None,
) -> StdioServerParameters:
    """How to start our server as a child. It sees only ``environment`` and a few names such as PATH and HOME."""
    args = ["-m", "midwatch.adapters.mcp.kubernetes_server"]
    args += ["--read-only"] if read_only else []
    args += ["--kubeconfig", os.path.realpath(kubeconfig)] if kubeconfig else []
    args += ["--context", context] if context else []
    args += ["--in-cluster"] if in_cluster else []
    return StdioServerParameters(command=sys.executable, args=args, env=dict(environment or {}))


class KubernetesTools:
    """An :class:`~midwatch.services.effects.ActionRunner` over the full server, for the executor and planning alone."""

    def __init__(self, connection: McpConnection) -> None:
        self._connection = connection

    async def rehearse(self, call: ActionCall) -> Outcome:
        """A dry run."""
        return await self._run(call, dry_run=True)

    async def act(self, call: ActionCall) -> Outcome:
        """Do it, at most once per key."""
        return await self._run(call, dry_run=False)

    async def _run(self, call: ActionCall, *, dry_run: bool) -> Outcome:
        arguments: dict[str, Any] = {
            **call.params,
            "kind": call.ref.kind,
            "name": call.ref.name,
            "namespace": call.ref.namespace,
            "idempotency_key": call.key,
            "expect_uid": call.ref.uid,
            "expect_generation": call.generation,
            "dry_run": dry_run,
        }
        if call.before:
            arguments["before"] = call.before
        answer = await self._connection.call(call.action, arguments, timeout_s=_ACT_TIMEOUT_S)
        if not answer.ok:
            raise error_of(answer.text, _REASONS)
        try:
            return msgspec.json.decode(answer.text, type=Outcome)
        except msgspec.DecodeError as error:
            raise Transient(f"{call.action} answered something else than an outcome: {answer.text[:200]}") from error
