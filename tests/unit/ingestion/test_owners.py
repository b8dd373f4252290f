"""Owners and surroundings as the API server tells them, asked once."""

import msgspec

from midwatch.adapters.kubernetes.owners import KubernetesOwners
from midwatch.domain.errors import NotFound, Transient
from midwatch.domain.refs import ObjectRef

POD = ObjectRef("Pod", "web-5d8c-1", "shop")
OBJECTS = {
    "/api/v1/namespaces/shop/pods/web-5d8c-1": {
        "metadata": {"uid": "p", "ownerReferences": [{"kind": "ReplicaSet", "name": "web-5d8c", "controller": True}]},
        "spec": {"nodeName": "worker-7", "volumes": [{"persistentVolumeClaim": {"claimName": "data"}}, {"name": "x"}]},
    },
    "/apis/apps/v1/namespaces/shop/replicasets/web-5d8c": {
        "metadata": {"uid": "r", "ownerReferences": [{"kind": "Deployment", "name": "web", "controller": True}]}
    },
    "/apis/apps/v1/namespaces/shop/deployments/web": {"metadata": {"uid": "d"}},
    "/api/v1/nodes/worker-7": {"metadata": {"name": "worker-7", "uid": "n"}},
    "/api/v1/nodes": {
        "items": [{"metadata": {"name": "worker-7"}, "status": {"addresses": [{"address": "10.0.0.7"}, {}]}}, {}]
    },
    "/api/v1/namespaces/shop/pods/new": {"metadata": {}},
}


class Server:
    def __init__(self) -> None:
        self.asked: list[str] = []
        self.away = False

    async def get(self, path: str, *, timeout_s: float) -> bytes:
        self.asked.append(path)
        if self.away:
            raise Transient("away")
        if path not in OBJECTS:
            raise NotFound(path)
        return msgspec.json.encode(OBJECTS[path])


def owners(server: Server, now: list[float] | None = None) -> KubernetesOwners:
    ticks = now if now is not None else [0.0]
    return KubernetesOwners(server, "alpha", monotonic=lambda: ticks[0])  # type: ignore[arg-type]


async def test_a_pod_is_climbed_to_its_deployment_and_asked_for_once() -> None:
    server = Server()
    asked = owners(server)
    assert await asked.top_owner("alpha", POD) == ObjectRef("Deployment", "web", "shop", "d")
    assert await asked.standing("alpha", [POD]) == (
        ObjectRef("Node", "worker-7"),
        ObjectRef("PersistentVolumeClaim", "data", "shop"),
    )
    await asked.top_owner("alpha", POD)
    assert len(server.asked) == 3


async def test_a_host_named_by_its_address_is_its_node() -> None:
    asked = owners(Server())
    assert await asked.top_owner("alpha", ObjectRef("Instance", "10.0.0.7")) == ObjectRef("Node", "worker-7", "", "n")
    assert await asked.standing("alpha", [ObjectRef("Node", "10.0.0.7")]) == (ObjectRef("Node", "worker-7", "", "n"),)


async def test_an_unknown_host_stays_what_it_is_and_the_nodes_are_not_listed_each_time() -> None:
    server, now = Server(), [0.0]
    asked = owners(server, now)
    stranger = ObjectRef("Instance", "10.0.0.99")
    for _ in range(3):
        assert await asked.top_owner("alpha", stranger) == stranger
    assert server.asked.count("/api/v1/nodes") == 1
    now[0] = 61.0
    await asked.top_owner("alpha", stranger)
    assert server.asked.count("/api/v1/nodes") == 2


async def test_what_cannot_be_read_is_left_as_named_and_asked_again() -> None:
    server = Server()
    asked = owners(server)
    server.away = True
    assert await asked.top_owner("alpha", POD) == POD
    node = ObjectRef("Node", "worker-7")
    assert await asked.standing("alpha", [POD, node]) == (node,)
    server.away = False
    assert (await asked.top_owner("alpha", POD)).name == "web"


async def test_another_cluster_is_not_asked_for() -> None:
    server = Server()
    node = ObjectRef("Node", "worker-7")
    assert await owners(server).top_owner("beta", POD) == POD
    assert await owners(server).standing("beta", [POD, node]) == (node,)
    assert server.asked == []


async def test_a_label_is_one_segment_of_the_path() -> None:
    server = Server()
    await owners(server).top_owner("alpha", ObjectRef("Pod", "../../secrets/x?y", "shop"))
    assert server.asked == ["/api/v1/namespaces/shop/pods/..%2F..%2Fsecrets%2Fx%3Fy"]


async def test_a_pod_that_has_no_node_yet_is_asked_for_again() -> None:
    server = Server()
    asked = owners(server)
    new = ObjectRef("Pod", "new", "shop")
    assert await asked.standing("alpha", [new, new]) == ()
    assert len(server.asked) == 2
