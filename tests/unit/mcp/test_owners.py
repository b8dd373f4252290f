"""Who stands above an object, up to the first that is of no kind we know."""

from typing import Any

from midwatch.adapters.mcp.kubernetes.api import path_of
from midwatch.adapters.mcp.kubernetes.observe import LiveCluster
from midwatch.domain.refs import ObjectRef

CLAIM = {
    "kind": "ConfigMap",
    "metadata": {
        "name": "rules",
        "namespace": "shop",
        "uid": "u1",
        "resourceVersion": "1",
        "ownerReferences": [{"kind": "Prometheus", "name": "main", "uid": "u2", "controller": True}],
    },
}


class Shelf:
    """One object, asked for as the API is asked."""

    async def get(self, kind: str, name: str, namespace: str = "") -> Any:
        path_of(kind, name, namespace)
        return CLAIM


async def test_an_owner_of_an_operators_own_kind_is_named_and_not_asked_for() -> None:
    seen = await LiveCluster(Shelf()).observe(ObjectRef("ConfigMap", "rules", "shop"))  # type: ignore[arg-type]
    assert seen is not None
    assert seen.owners == (ObjectRef("Prometheus", "main", "shop", "u2"),)
