"""What a live object looks like to those who plan and verify: a small typed view, read anew at every look."""

from datetime import datetime

import msgspec

from midwatch.domain.refs import ObjectRef


class ContainerSeen(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, forbid_unknown_fields=True):
    """One container of a pod template; quantities as Kubernetes writes them, empty where none is set."""

    name: str
    image: str = ""
    memory_limit: str = ""
    memory_request: str = ""
    cpu_limit: str = ""
    cpu_request: str = ""


class PodSeen(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, forbid_unknown_fields=True):
    """One pod of a workload, or on a node. ``waiting`` is the worst waiting reason, ``failing`` its broken containers.

    ``namespace`` and ``owners`` (from its controller to the top) are told for the pods of a node alone: those of
    a workload are in its namespace and have it as their owner. A pod of a node without owners never comes back.
    """

    name: str
    uid: str = ""
    ready: bool = False
    restarts: int = 0
    waiting: str = ""
    phase: str = ""
    deleting: bool = False
    failing: tuple[str, ...] = ()
    oom_killed: tuple[str, ...] = ()
    namespace: str = ""
    owners: tuple[ObjectRef, ...] = ()


class RevisionSeen(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, forbid_unknown_fields=True):
    """One revision in a workload's history and how many ready pods still run it."""

    number: int
    ready: int = 0
    images: tuple[str, ...] = ()
    change: str = ""


class Observed(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, forbid_unknown_fields=True):
    """One object as it stands now, with what surrounds it.

    ``generation`` counts changes of the spec, ``observed_generation`` how far its controller has come. Replica numbers
    are pods. ``last_action`` is the idempotency key of Midwatch's last change. ``owners`` runs from the direct
    controller to the top; ``endpoints_ready`` counts ready addresses behind Services that select its pods. ``state``
    is the phase of a pod, PVC or job (``Failed``, ``Complete``, …). ``storage`` is what a claim asks for, ``capacity``
    what it has; ``max_unavailable`` is how many pods a rollout may take away at once;
    ``rerun`` is the state of the newest Job that Midwatch made of this one.
    """

    ref: ObjectRef
    generation: int = 0
    resource_version: str = ""
    observed_generation: int = 0
    desired: int = 0
    total: int = 0
    updated: int = 0
    available: int = 0
    ready: int = 0
    stuck: str = ""
    state: str = ""
    waiting: str = ""
    deleting: bool = False
    unschedulable: bool = False
    suspended: bool = False
    storage: str = ""
    capacity: str = ""
    expandable: bool = False
    rerun: str = ""
    last_action: str = ""
    revision: int = 0
    revisions: tuple[RevisionSeen, ...] = ()
    containers: tuple[ContainerSeen, ...] = ()
    pods: tuple[PodSeen, ...] = ()
    owners: tuple[ObjectRef, ...] = ()
    min_available: int | None = None
    pdb_headroom: int | None = None
    endpoints_ready: int | None = None
    max_unavailable: int | None = None
    gitops_owner: str = ""
    human_edit_at: datetime | None = None
    human_edit_by: str = ""

    @property
    def living_pods(self) -> tuple[PodSeen, ...]:
        """Pods that are not on their way out."""
        return tuple(pod for pod in self.pods if not pod.deleting)

    @property
    def previous_revision(self) -> int | None:
        """The newest earlier revision that still runs ready pods, else the newest earlier one."""
        earlier = [item for item in self.revisions if item.number < self.revision]
        running = [item.number for item in earlier if item.ready]
        return max(running or [item.number for item in earlier], default=None)

    @property
    def failing_container(self) -> ContainerSeen | None:
        """The container in trouble: one killed for memory before one that merely fails; a lone container is the one."""
        killed = [name for pod in self.living_pods for name in pod.oom_killed]
        failing = [name for pod in self.living_pods for name in pod.failing]
        named = (killed or failing or [""])[0]
        found = next((item for item in self.containers if item.name == named), None)
        return found or (self.containers[0] if len(self.containers) == 1 else None)
