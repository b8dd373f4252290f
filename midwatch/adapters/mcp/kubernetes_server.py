"""Our Kubernetes MCP server over standard input and output: ``python -m midwatch.adapters.mcp.kubernetes_server``.

With ``--read-only`` (for models and chat) the tools that change something do not exist. Without it, it is the
executor's: every change takes an idempotency key and the uid it expects, and is done at most once per key.
"""

import argparse
import asyncio
import sys
from pathlib import Path

from midwatch.adapters.mcp.kubernetes.api import open_kube
from midwatch.adapters.mcp.kubernetes.tools import build_server
from midwatch.adapters.system import SystemClock
from midwatch.domain.errors import MidwatchError


def main(argv: list[str] | None = None) -> int:
    """Serve until standard input closes. Exit code 2: the configuration does not do."""
    parser = argparse.ArgumentParser(prog="midwatch-kubernetes-mcp", description=__doc__)
    parser.add_argument("--read-only", action="store_true", help="offer only tools that look")
    parser.add_argument("--kubeconfig", type=Path, help="kubeconfig file (default: the usual one)")
    parser.add_argument("--context", default="", help="context in it (default: the current one)")
    parser.add_argument("--in-cluster", action="store_true", help="use the service account of this pod")
    given = parser.parse_args(argv)
    try:
        asyncio.run(_serve(given.kubeconfig, given.context, in_cluster=given.in_cluster, read_only=given.read_only))
    except MidwatchError as error:
        sys.stderr.write(f"{error}\n")
        return 2
    except KeyboardInterrupt:
        return 0
    return 0


async def _serve(kubeconfig: Path | None, context: str, *, in_cluster: bool, read_only: bool) -> None:
    async with open_kube(kubeconfig, context, in_cluster=in_cluster) as kube:
        await build_server(kube, SystemClock(), read_only=read_only).run_stdio_async()


if __name__ == "__main__":
    sys.exit(main())
