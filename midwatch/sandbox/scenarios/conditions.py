"""Scenarios that are not about one deployment: a lost node, and the noise of a healthy cluster."""

from __future__ import annotations

from midwatch.sandbox.cluster.assembly import Cluster
from midwatch.sandbox.errors import bad_request
from midwatch.sandbox.objects import stamp
from midwatch.sandbox.scenarios.base import Scenario
from midwatch.sandbox.schema import CRONJOBS, DEPLOYMENTS, NODES
from midwatch.sandbox.store import Key


class NotReadyNode(Scenario):
    """Healed when the kubelet comes back."""

    name = "notready-node"
    summary = "a node's kubelet stops: the node turns unknown, its pods unready, later evicted"
    default_target = "node-3"

    def start(self) -> None:
        if self.cluster.store.get(Key(NODES, "", self.target)) is None:
            raise bad_request(f"scenario {self.name}: there is no node {self.target}")
        self.cluster.nodes.stop_kubelet(self.target)

    def heal(self) -> None:
        self.cluster.nodes.start_kubelet(self.target)


class HealthyNoise(Scenario):
    """What happens all day in a healthy cluster, at ``every`` seconds: nobody should be woken by it."""

    name = "healthy-noise"
    summary = "ordinary rollouts, finished jobs and small scalings: a watch must stay quiet"
    default_target = "shop/cart"
    every = 10.0

    def __init__(self, cluster: Cluster, target: str = "") -> None:
        super().__init__(cluster, target)
        namespace, _, name = self.target.partition("/")
        self._key = Key(DEPLOYMENTS, namespace, name)
        self._running = False
        self._turn = 0

    def start(self) -> None:
        if self.cluster.store.get(self._key) is None:
            raise bad_request(f"scenario {self.name}: there is no deployment {self.target}")
        self._running = True
        self._next()

    def heal(self) -> None:
        self._running = False

    def _next(self) -> None:
        if not self._running:
            return
        (self._roll, self._run_job, self._grow, self._shrink)[self._turn % 4]()
        self._turn += 1
        self.cluster.simulation.after(self.every, self._next)

    def _roll(self) -> None:
        record = self.cluster.store.get(self._key)
        if record is None:
            return
        obj = record.obj()
        annotations = obj["spec"]["template"].setdefault("metadata", {}).setdefault("annotations", {})
        annotations["kubectl.kubernetes.io/restartedAt"] = stamp(self.cluster.clock.now())
        self.cluster.store.replace(record, obj)

    def _run_job(self) -> None:
        for record in list(self.cluster.store.scan(CRONJOBS)):
            self.cluster.cronjobs.trigger(record)

    def _grow(self) -> None:
        self._scale(1)

    def _shrink(self) -> None:
        self._scale(-1)

    def _scale(self, by: int) -> None:
        record = self.cluster.store.get(self._key)
        if record is None:
            return
        obj = record.obj()
        obj["spec"]["replicas"] = max(1, obj["spec"]["replicas"] + by)
        self.cluster.store.replace(record, obj)
