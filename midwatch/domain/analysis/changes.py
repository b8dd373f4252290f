"""What changed shortly before: the newest revision of a workload, and whether the trouble is that revision's own."""

from datetime import datetime, timedelta

import msgspec

from midwatch.domain.conditions.look import shown
from midwatch.domain.diagnosis import Evidence, Finding
from midwatch.domain.objects.meta import condition
from midwatch.domain.objects.pods import Pod
from midwatch.domain.objects.view import ClusterView, template_hash
from midwatch.domain.objects.workloads import Deployment, ReplicaSet
from midwatch.domain.refs import ObjectRef

RECENT = timedelta(hours=2)
"""How long after a rollout it is still the first suspect."""
SLACK = timedelta(seconds=90)


class Change(msgspec.Struct, frozen=True, kw_only=True):
    """A rollout that may be the cause. ``previous`` says that there is a revision to go back to."""

    workload: ObjectRef
    revision: str
    at: datetime
    previous: bool
    guilty: bool
    images: tuple[str, ...]
    sentence: str
    evidence: Evidence


def latest_change(view: ClusterView, finding: Finding, now: datetime) -> Change | None:
    """The rollout of the workload in trouble, where one happened shortly before the trouble began.

    It counts as guilty when the pods that fail are all of the newest revision and began with it.
    """
    top = finding.top_owner
    workload = view.find(Deployment, top.namespace, top.name) if top.kind == "Deployment" else None
    if workload is None:
        return None
    sets = [child for child in view.children(workload) if isinstance(child, ReplicaSet)]
    dated = sorted(
        ((item.metadata.creation_timestamp, item) for item in sets if item.metadata.creation_timestamp),
        key=lambda pair: (_number(pair[1]), pair[0]),
    )
    if not dated:
        return None
    born, newest = dated[-1]
    progressing = condition(workload.status.conditions, "Progressing")
    rolled = (
        progressing.last_transition_time if progressing and progressing.reason != "NewReplicaSetAvailable" else None
    )
    at = max(born, rolled) if rolled is not None and len(dated) > 1 else born
    began = finding.since or now
    if not at - SLACK <= began <= at + RECENT and not at - SLACK <= now <= at + RECENT:
        return None
    tag = newest.metadata.labels.get("pod-template-hash") or newest.name.removeprefix(f"{workload.name}-")
    pods = view.pods_of(workload)
    failing = [pod for pod in pods if not _ready(pod)]
    older = dated[-2][1] if len(dated) > 1 else None
    restart = older is not None and _restarted(newest, older)
    guilty = older is not None and not restart and bool(failing) and all(template_hash(pod) == tag for pod in failing)
    images = _new_images(newest, older)
    revision = newest.metadata.annotations.revision
    done = "made by a restart" if restart else "rolled out"
    what = f", which brought {', '.join(images)}" if images else ""
    return Change(
        workload=workload.ref,
        revision=revision,
        at=at,
        previous=older is not None,
        guilty=guilty,
        images=images,
        sentence=f"Revision {revision or 'newest'} was {done} {_ago(now - at)} before this look{what}",
        evidence=shown(newest, "metadata.creationTimestamp", f"revision {revision}, {at.isoformat()}"),
    )


def _restarted(newest: ReplicaSet, older: ReplicaSet) -> bool:
    """Whether the newest revision is the one before, only restarted: then going back to it changes nothing."""
    now, then = newest.spec.template, older.spec.template
    stamp = now.metadata.annotations.restarted_at
    return bool(stamp) and stamp != then.metadata.annotations.restarted_at and now.spec == then.spec


def _number(item: ReplicaSet) -> int:
    text = item.metadata.annotations.revision
    return int(text) if text.isdecimal() else 0


def _new_images(newest: ReplicaSet, older: ReplicaSet | None) -> tuple[str, ...]:
    before = {box.image for box in older.spec.template.spec.containers} if older else set()
    return tuple(box.image for box in newest.spec.template.spec.containers if older and box.image not in before)


def _ready(pod: Pod) -> bool:
    ready = condition(pod.status.conditions, "Ready")
    return ready is not None and ready.status == "True"


def _ago(span: timedelta) -> str:
    minutes = max(0, int(span.total_seconds() // 60))
    return f"{minutes} minutes" if minutes < 120 else f"{minutes // 60} hours"
