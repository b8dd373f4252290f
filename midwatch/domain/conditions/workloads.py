"""Conditions of Deployments, ReplicaSets, StatefulSets and DaemonSets."""

import re
from collections.abc import Iterable
from datetime import datetime

from midwatch.domain.conditions.look import Look, shown, told
from midwatch.domain.diagnosis import Evidence
from midwatch.domain.objects.cluster import Node, PersistentVolumeClaim, ResourceQuota, StorageClass
from midwatch.domain.objects.meta import Base, StatusCondition, condition
from midwatch.domain.objects.network import Service
from midwatch.domain.objects.workloads import DaemonSet, Deployment, ReplicaSet, StatefulSet
from midwatch.domain.refs import ObjectRef, Severity

_QUOTA = re.compile(r"(?i)exceeded quota: ([^\s,]+)")
_REFUSALS = (
    (re.compile(r"(?i)exceeded quota|quota"), "Quota", "the namespace's resource quota is exceeded"),
    (
        re.compile(r"(?i)failed calling webhook|admission webhook|denied the request"),
        "Webhook",
        "an admission webhook refuses it or cannot be reached",
    ),
    (re.compile(r"(?i)service ?account.*not found"), "ServiceAccount", "its service account does not exist"),
    (re.compile(r"(?i)violates podsecurity|podsecurity"), "PodSecurity", "pod security admission forbids it"),
    (
        re.compile(r"(?i)(minimum|maximum) .* usage per|limitrange|limit to request ratio"),
        "LimitRange",
        "the namespace's limit range forbids its resources",
    ),
)


def deployment(look: Look, item: Deployment) -> None:
    """A Deployment: refused pods and a stuck rollout explain missing replicas; else too few are reported as such."""
    status = item.status
    progressing = condition(status.conditions, "Progressing")
    if progressing is not None and progressing.status == "False" and progressing.reason == "ProgressDeadlineExceeded":
        look.report(
            "ProgressDeadlineExceeded",
            item,
            f"The rollout made no progress in time: {status.updated_replicas} of {_wanted(item)} replicas are updated, "
            f"{status.available_replicas} available. The deadline was exceeded.",
            since=progressing.last_transition_time or progressing.last_update_time,
            evidence=[_seen(item, progressing)],
            owners=common_cause(look, item),
        )
    _generation(look, item, item.metadata.generation, status.observed_generation)
    if item.spec.paused and status.updated_replicas and status.updated_replicas < status.replicas:
        look.report(
            "RolloutPaused",
            item,
            "Old and new pods run side by side until the rollout is resumed.",
            since=progressing.last_update_time if progressing else None,
        )
    _replicas(look, item, progressing)


def _replicas(look: Look, item: Deployment, progressing: StatusCondition | None) -> None:
    status, wanted = item.status, _wanted(item)
    if status.available_replicas >= wanted or (item.spec.replicas is None and look.view.sees("*")):
        return  # written by hand without a number of replicas: nothing says that any are missing
    available = condition(status.conditions, "Available")
    rolling = (
        progressing is not None and progressing.status == "True" and progressing.reason != "NewReplicaSetAvailable"
    )
    enough = available is not None and available.status == "True"
    if rolling and enough:
        return  # a rollout takes replicas away on purpose; its deadline watches over it
    id_ = "DeploymentUnavailable" if available is not None and not enough else "DeploymentReplicasShort"
    since = available.last_transition_time if available is not None and not enough else None
    if rolling and look.live and since is not None and progressing is not None:
        # The first rollout, or one that recreates: nothing is available yet, and that is normal for a while.
        since = max(since, progressing.last_update_time or since, progressing.last_transition_time or since)
    seen = [shown(item, "status", f"availableReplicas {status.available_replicas} of {wanted}")]
    look.report(
        id_,
        item,
        f"Only {status.available_replicas} of {wanted} wanted replicas are available.",
        since=since,
        evidence=[*seen, *([_seen(item, available)] if available else [])],
        owners=common_cause(look, item),
        severity=Severity.CRITICAL if wanted and not status.available_replicas and available is not None else None,
    )


def common_cause(look: Look, item: Base) -> tuple[ObjectRef, ...] | None:
    """The node, claim or quota all missing pods of a workload wait for; ``None`` where there is no single one."""
    causes: set[ObjectRef] = set()
    for pod in look.view.pods_of(item):
        ready = condition(pod.status.conditions, "Ready")
        if ready is not None and ready.status == "True":
            continue
        node = look.view.find(Node, "", pod.spec.node_name) if pod.spec.node_name else None
        state = condition(node.status.conditions, "Ready") if node else None
        if node is not None and state is not None and state.status != "True":
            causes.add(node.ref)
            continue
        claims = [
            claim.ref
            for volume in pod.spec.volumes
            if volume.persistent_volume_claim
            and (
                claim := look.view.find(
                    PersistentVolumeClaim, item.namespace, volume.persistent_volume_claim.claim_name
                )
            )
            and claim.status.phase == "Pending"
        ]
        if not claims or pod.spec.node_name:
            return None
        causes.add(claims[0])
    for child in look.view.children(item):
        refused = condition(child.status.conditions, "ReplicaFailure") if isinstance(child, ReplicaSet) else None
        if refused is not None and refused.status == "True" and (quota := _quota(look, item, refused.message)):
            causes.add(quota)
    return tuple(causes) if len(causes) == 1 else None


def replica_set(look: Look, item: ReplicaSet) -> None:
    """A ReplicaSet whose pods are refused. Missing replicas are told of by its Deployment."""
    failures = [entry for entry in item.status.conditions if entry.type == "ReplicaFailure" and entry.status != "False"]
    refused = next((entry for entry in failures if entry.reason in ("FailedCreate", "FailedDelete")), None)
    if refused is not None:
        _refused(look, item, refused.message, refused.last_transition_time, _seen(item, refused))


def _refused(look: Look, item: Base, message: str, since: datetime | None, seen: Evidence) -> None:
    suffix, why = next(((suffix, why) for pattern, suffix, why in _REFUSALS if pattern.search(message)), ("", ""))
    quota = _quota(look, item, message)
    look.report(
        f"FailedCreate/{suffix}" if suffix else "FailedCreate",
        item,
        f"Pods fail to be created{': ' + why if why else ', the API server refuses them'}.",
        since=since,
        evidence=[seen],
        owners=(quota,) if quota else None,
    )


def _quota(look: Look, item: Base, message: str) -> ObjectRef | None:
    """The quota a refusal names: it is the trouble of everything in its namespace that it refuses."""
    matched = _QUOTA.search(message)
    if matched is None:
        return None
    quota = look.view.find(ResourceQuota, item.namespace, matched[1])
    return quota.ref if quota else ObjectRef("ResourceQuota", matched[1], item.namespace)


def stateful_set(look: Look, item: StatefulSet) -> None:
    """A StatefulSet: short, stuck, or without its Service or storage class."""
    status, wanted = item.status, _wanted(item)
    _generation(look, item, item.metadata.generation, status.observed_generation)
    _event_refusals(look, item)
    short = item.spec.replicas is not None and max(status.ready_replicas, status.available_replicas) < wanted
    if short:
        look.report(
            "StatefulSetReplicasShort",
            item,
            f"Only {status.ready_replicas} of {wanted} wanted replicas are ready and available.",
            since=_unready_since(look, item),
            evidence=[shown(item, "status.readyReplicas", status.ready_replicas)],
            owners=common_cause(look, item),
        )
    stuck = status.update_revision and status.current_revision != status.update_revision
    if stuck and short and status.updated_replicas < wanted:
        look.report(
            "StatefulSetRolloutStuck",
            item,
            f"{status.updated_replicas} of {wanted} replicas are updated and the update does not go on.",
            since=_unready_since(look, item),
            evidence=[shown(item, "status.updateRevision", status.update_revision)],
        )
    service = item.spec.service_name
    if service and look.view.sees("Service") and look.view.find(Service, item.namespace, service) is None:
        well = bool(wanted) and status.ready_replicas >= wanted
        look.report(
            "StatefulSetServiceMissing",
            item,
            f"Service {service} does not exist, but the StatefulSet uses it.",
            evidence=[shown(item, "spec.serviceName", service)],
            severity=Severity.INFO if well else None,
        )
    for template in item.spec.volume_claim_templates:
        name = template.spec.storage_class_name
        if name and look.view.sees("StorageClass") and look.view.find(StorageClass, "", name) is None:
            look.report(
                "StorageClassMissing",
                item,
                f"Its claim template asks for storage class {name}, which does not exist.",
                evidence=[shown(item, "spec.volumeClaimTemplates", name)],
            )


def daemon_set(look: Look, item: DaemonSet) -> None:
    """A DaemonSet: not ready everywhere, or running where it should not."""
    status = item.status
    _generation(look, item, item.metadata.generation, status.observed_generation)
    _event_refusals(look, item)
    if status.number_ready < status.desired_number_scheduled and not (look.live and _updating(item)):
        look.report(
            "DaemonSetNotReady",
            item,
            f"{status.number_ready} of {status.desired_number_scheduled} wanted pods are ready; "
            f"{status.current_number_scheduled} are scheduled.",
            since=_unready_since(look, item),
            evidence=[shown(item, "status.numberReady", status.number_ready)],
            owners=common_cause(look, item),
        )
    if status.number_misscheduled:
        look.report(
            "DaemonSetMisscheduled",
            item,
            f"{status.number_misscheduled} of its pods run on nodes it does not select.",
            evidence=[shown(item, "status.numberMisscheduled", status.number_misscheduled)],
        )


def _updating(item: DaemonSet) -> bool:
    """A rolling update takes one daemon at a time away on purpose."""
    updated = item.status.updated_number_scheduled
    missing = item.status.desired_number_scheduled - item.status.number_ready
    return updated is not None and updated < item.status.desired_number_scheduled and missing <= 1


def _event_refusals(look: Look, item: StatefulSet | DaemonSet) -> None:
    """These controllers tell of refused pods only by events."""
    if events := look.warnings(item, "FailedCreate"):
        _refused(look, item, events[-1].text, events[-1].began_at, told(events[-1]))


def _generation(look: Look, item: Base, generation: int, observed: int) -> None:
    if generation and observed and observed < generation:
        look.report(
            "GenerationNotObserved",
            item,
            "Its controller has not acted on the latest change of the spec.",
            evidence=[shown(item, "status.observedGeneration", f"{observed} of {generation}")],
        )


def _unready_since(look: Look, item: Base) -> datetime | None:
    """Since when the first of the pods below is unready, for controllers that keep no condition of their own."""
    times: Iterable[datetime] = [
        ready.last_transition_time
        for pod in look.view.pods_of(item)
        if (ready := condition(pod.status.conditions, "Ready"))
        and ready.status != "True"
        and ready.last_transition_time
    ]
    return min(times, default=None)


def _wanted(item: Deployment | StatefulSet) -> int:
    return 1 if item.spec.replicas is None else item.spec.replicas


def _seen(item: Base, entry: StatusCondition) -> Evidence:
    return shown(item, f"status.conditions[{entry.type}]", f"{entry.status} {entry.reason} {entry.message}".strip())
