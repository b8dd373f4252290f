"""The actions a playbook may use: what each may be done to, how risky it is at least, how it is taken back."""

from typing import Final

import msgspec

from midwatch.domain.playbooks import Risk

WORKLOADS: Final = ("Deployment", "StatefulSet", "DaemonSet")
RESTORE: Final = "restore"
"""The one undo: put the captured fields back as they were."""


class Action(msgspec.Struct, frozen=True, kw_only=True):
    """One thing that can be done to an object.

    ``floor`` is the least risk a playbook may declare for it. ``params`` names its parameters and their types.
    ``declared`` means it changes fields that a GitOps owner would set back. ``by_uid`` means the object is deleted, and
    its uid is the idempotency key. ``restorable`` means the fields it touches can be put back. ``followed`` means that
    controllers change the spec in its wake (a taint after a cordon): its generation then proves nothing any more.
    ``creates`` means it makes another object, whose name follows from the idempotency key. ``resumes`` means it is many
    requests: asked again under its key, it does what is left, for as long as its verification waits.
    ``contains`` means it keeps trouble from spreading and mends nothing: somebody has to.
    """

    name: str
    kinds: tuple[str, ...]
    floor: Risk
    says: str
    params: dict[str, type[str] | type[int]] = {}
    required: tuple[str, ...] = ()
    declared: bool = False
    by_uid: bool = False
    restorable: bool = True
    followed: bool = False
    creates: bool = False
    resumes: bool = False
    contains: bool = False


_ALL = (
    Action(
        name="rollout_restart",
        kinds=WORKLOADS,
        floor=Risk.MEDIUM,
        says="Restart {ref}: its pods are replaced one after another",
        restorable=False,
    ),
    Action(
        name="rollout_undo",
        kinds=("Deployment",),
        floor=Risk.MEDIUM,
        says="Roll {ref} back to revision {revision}",
        params={"revision": int},
        required=("revision",),
        declared=True,
    ),
    Action(
        name="patch_resources",
        kinds=WORKLOADS,
        floor=Risk.MEDIUM,
        says="Change the resources of container {container} of {ref}",
        params={
            "container": str,
            "memory_limit": str,
            "memory_request": str,
            "cpu_limit": str,
            "cpu_request": str,
        },
        required=("container",),
        declared=True,
    ),
    Action(
        name="scale",
        kinds=("Deployment", "StatefulSet"),
        floor=Risk.MEDIUM,
        says="Scale {ref} to {replicas} replicas",
        params={"replicas": int},
        required=("replicas",),
        declared=True,
    ),
    Action(
        name="restart_pod",
        kinds=("Pod",),
        floor=Risk.MEDIUM,
        says="Delete {ref}, so that its controller starts another",
        by_uid=True,
        restorable=False,
    ),
    Action(
        name="delete_finished_pod",
        kinds=("Pod",),
        floor=Risk.LOW,
        says="Delete the remains of {ref}, which has ended",
        by_uid=True,
        restorable=False,
    ),
    Action(
        name="delete_job",
        kinds=("Job",),
        floor=Risk.MEDIUM,
        says="Delete {ref} and its pods",
        by_uid=True,
        restorable=False,
    ),
    Action(
        name="rerun_job",
        kinds=("Job",),
        floor=Risk.MEDIUM,
        says="Run {ref} again, as a new Job",
        restorable=False,
        creates=True,
    ),
    Action(
        name="expand_claim",
        kinds=("PersistentVolumeClaim",),
        floor=Risk.MEDIUM,
        says="Expand {ref} to {storage}",
        params={"storage": str},
        required=("storage",),
        declared=True,
        restorable=False,
    ),
    Action(name="suspend", kinds=("CronJob",), floor=Risk.MEDIUM, says="Suspend {ref}", declared=True),
    Action(name="resume", kinds=("CronJob",), floor=Risk.MEDIUM, says="Resume {ref}", declared=True),
    Action(
        name="cordon",
        kinds=("Node",),
        floor=Risk.MEDIUM,
        says="Cordon {ref}: no new pods are placed on it",
        followed=True,
        contains=True,
    ),
    Action(
        name="uncordon",
        kinds=("Node",),
        floor=Risk.MEDIUM,
        says="Uncordon {ref}: new pods may be placed on it",
        followed=True,
    ),
    Action(
        name="drain",
        kinds=("Node",),
        floor=Risk.HIGH,
        says="Cordon {ref} and evict its pods, as far as their disruption budgets allow",
        followed=True,
        resumes=True,
        contains=True,
    ),
)

ACTIONS: Final[dict[str, Action]] = {action.name: action for action in _ALL}
