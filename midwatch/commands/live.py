"""Reading a live cluster for `midwatch diagnose`."""

import asyncio
from pathlib import Path

from midwatch.adapters.kubernetes.client import ApiConnection
from midwatch.adapters.kubernetes.snapshot import Snapshot, take_snapshot


def read_cluster(kubeconfig: Path | None, context: str, namespace: str) -> Snapshot:
    """A whole cluster, or one namespace and what stands outside of any. Raises ``Transient`` and ``Invalid``."""

    async def read() -> Snapshot:
        connection = await ApiConnection.open(kubeconfig=kubeconfig, context=context)
        try:
            return await take_snapshot(connection, (namespace,) if namespace else ())
        finally:
            await connection.close()

    return asyncio.run(read())
