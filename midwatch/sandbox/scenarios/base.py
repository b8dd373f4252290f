"""What all scenarios share: a target, a start, a way to heal."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import ClassVar

from midwatch.sandbox.api.managed import changed_fields, record_manager
from midwatch.sandbox.cluster.assembly import Cluster
from midwatch.sandbox.cluster.behaviours import Behaviour
from midwatch.sandbox.errors import bad_request
from midwatch.sandbox.objects import Obj, copy
from midwatch.sandbox.schema import DEPLOYMENTS, PODS, REPLICASETS
from midwatch.sandbox.selectors import labels_match
from midwatch.sandbox.store import Key, Record

HASH = "pod-template-hash"


class Scenario(ABC):
    """One thing that goes wrong. ``target`` is ``namespace/name``, or a node's name."""

    name: ClassVar[str]
    summary: ClassVar[str]
    default_target: ClassVar[str]

    def __init__(self, cluster: Cluster, target: str = "") -> None:
        self.cluster = cluster
        self.target = target or self.default_target

    @abstractmethod
    def start(self) -> None:
        """Break it."""

    @abstractmethod
    def heal(self) -> None:
        """Take the cause away, as if somebody had fixed it elsewhere."""


class DeploymentScenario(Scenario):
    """A scenario about one Deployment and a rule for its pods."""

    def __init__(self, cluster: Cluster, target: str = "") -> None:
        super().__init__(cluster, target)
        namespace, _, name = self.target.partition("/")
        self.key = Key(DEPLOYMENTS, namespace, name)
        self.record()

    def record(self) -> Record:
        """The Deployment, or 400 where there is none."""
        found = self.cluster.store.get(self.key)
        if found is None:
            raise bad_request(f"scenario {self.name}: there is no deployment {self.target}")
        return found

    def start(self) -> None:
        self.prepare()
        self.cluster.rules.add(self.decide)
        for pod in self.pods():
            self.cluster.kubelets.disturb(pod)

    def heal(self) -> None:
        self.cluster.rules.remove(self.decide)

    def prepare(self) -> None:
        """What happens before the rule is in force."""

    def decide(self, pod: Obj, container: Obj) -> Behaviour | None:
        """The rule: asks :meth:`behave` about the target's own pods."""
        metadata = pod["metadata"]
        if metadata["namespace"] != self.key.namespace:
            return None
        found = self.cluster.store.get(self.key)
        if found is None or not labels_match(found.obj()["spec"]["selector"], metadata.get("labels") or {}):
            return None
        return self.behave(pod, container)

    @abstractmethod
    def behave(self, pod: Obj, container: Obj) -> Behaviour | None:
        """What this container of the target does."""

    def pods(self) -> list[Record]:
        """The pods of the target."""
        selector = self.record().obj()["spec"]["selector"]
        return [
            pod
            for pod in self.cluster.store.scan(PODS, self.key.namespace)
            if labels_match(selector, pod.labels) and pod.pod is not None and pod.pod.active
        ]

    def hashes(self) -> set[str]:
        """The template hashes that run now."""
        return {item.labels[HASH] for item in self.cluster.store.owned(self.record().uid, REPLICASETS)}

    def edit(self, change: Callable[[Obj], None], cause: str) -> Obj:
        """Change the Deployment as a delivery pipeline would; returns the pod template from before."""
        record = self.record()
        old = record.obj()
        new = copy(old)
        change(new["spec"]["template"])
        new["metadata"].setdefault("annotations", {})["kubernetes.io/change-cause"] = cause
        now = self.cluster.clock.now()
        record_manager(new, changed_fields(new, old), "delivery-pipeline", "Update", "", now)
        self.cluster.store.replace(record, new)
        before: Obj = old["spec"]["template"]
        return before
