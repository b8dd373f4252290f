"""Conditions of autoscalers and disruption budgets."""

from midwatch.domain.conditions.look import Look, shown
from midwatch.domain.objects.meta import Base, condition
from midwatch.domain.objects.pods import Template
from midwatch.domain.objects.workloads import (
    DaemonSet,
    Deployment,
    HorizontalPodAutoscaler,
    PodDisruptionBudget,
    ReplicaSet,
    StatefulSet,
)
from midwatch.domain.refs import ObjectRef

_SCALABLE = ("Deployment", "ReplicaSet", "StatefulSet", "ReplicationController")
_UNSCALABLE = ("Pod", "DaemonSet", "Job", "CronJob", "Service", "ConfigMap", "Node", "Ingress")


def autoscaler(look: Look, item: HorizontalPodAutoscaler) -> None:
    """An autoscaler: its target first, then whether it is able to scale, then whether it wants to."""
    target = item.spec.scale_target_ref
    able = condition(item.status.conditions, "AbleToScale")
    working = able is not None and able.status == "True"
    if (target.kind in _UNSCALABLE or not target.name) and not working:
        look.report(
            "HPATargetUnsupported",
            item,
            f"Its target is a {target.kind or 'nothing'}, which is not an option.",
            evidence=[shown(item, "spec.scaleTargetRef", f"{target.kind}/{target.name}")],
        )
    elif target.kind in _SCALABLE and not working and _absent(look, item):
        look.report(
            "HPATargetMissing",
            item,
            f"Its target {target.kind} {target.name} is not found.",
            evidence=[shown(item, "spec.scaleTargetRef", f"{target.kind}/{target.name}")],
        )
    scaled = look.view.get(target.kind, item.namespace, target.name)
    owners = (scaled.ref,) if scaled else None  # what an autoscaler cannot do is trouble of what it scales
    active = condition(item.status.conditions, "ScalingActive")
    if able is not None and able.status == "False":
        look.report(
            "HPAUnableToScale",
            item,
            f"It cannot scale its target ({able.reason or 'no reason given'}).",
            since=able.last_transition_time,
            owners=owners,
            evidence=[shown(item, "status.conditions[AbleToScale]", f"{able.reason} {able.message}")],
        )
    elif active is not None and active.status == "False" and active.reason != "ScalingDisabled":
        look.report(
            "HPAMetricsUnavailable",
            item,
            f"It has no metrics to scale by ({active.reason or 'no reason given'}).",
            since=active.last_transition_time,
            owners=owners,
            evidence=[shown(item, "status.conditions[ScalingActive]", f"{active.reason} {active.message}")],
        )
    _at_maximum(look, item, owners)
    _requests(look, item)


def _absent(look: Look, item: HorizontalPodAutoscaler) -> bool:
    target = item.spec.scale_target_ref
    return look.view.sees(target.kind) and look.view.get(target.kind, item.namespace, target.name) is None


def _at_maximum(look: Look, item: HorizontalPodAutoscaler, owners: tuple[ObjectRef, ...] | None) -> None:
    limited = condition(item.status.conditions, "ScalingLimited")
    if limited is not None and limited.status == "True" and limited.reason == "TooManyReplicas":
        look.report(
            "HPAAtMaximum",
            item,
            f"It runs {item.status.current_replicas} replicas, the limit is {item.spec.max_replicas}; it wants more.",
            since=limited.last_transition_time,
            owners=owners,
            evidence=[shown(item, "status.conditions[ScalingLimited]", f"{limited.reason} {limited.message}")],
        )


def _requests(look: Look, item: HorizontalPodAutoscaler) -> None:
    if look.live and any(metric.type != "Resource" for metric in item.spec.metrics):
        return
    target = item.spec.scale_target_ref
    template = _template(look.view.get(target.kind, item.namespace, target.name))
    bare = [box.name for box in template.spec.containers if not box.resources.requests] if template else []
    if bare:
        look.report(
            "HPANoRequests",
            item,
            f"Containers without resource requests: {', '.join(bare)}.",
            evidence=[shown(item, "spec.scaleTargetRef", f"{target.kind}/{target.name}")],
        )


def _template(item: Base | None) -> Template | None:
    return item.spec.template if isinstance(item, Deployment | ReplicaSet | StatefulSet | DaemonSet) else None


def budget(look: Look, item: PodDisruptionBudget) -> None:
    """A disruption budget: whether it blocks, or protects nothing."""
    status = item.status
    allowed = condition(status.conditions, "DisruptionAllowed")
    # A budget that just holds (one replica, one needed) is how its owner wants it; one that is not met is trouble.
    short = status.expected_pods and status.disruptions_allowed == 0 and status.current_healthy < status.desired_healthy
    refused = allowed is not None and allowed.status == "False" and not status.expected_pods and not look.live
    if short or refused:
        _blocked(look, item)
    elif item.metadata.uid and status.disruptions_allowed is not None and not status.expected_pods:
        look.report(
            "PDBSelectsNothing",
            item,
            "No pods match its labels.",
            evidence=[shown(item, "spec.selector", item.spec.selector or "none")],
        )


def _blocked(look: Look, item: PodDisruptionBudget) -> None:
    status = item.status
    allowed = condition(status.conditions, "DisruptionAllowed")
    tops = {look.view.top(pod) for pod in look.view.pods_selected(item.namespace, item.spec.selector or {})}
    labels = f" Pods expected have labels {item.spec.selector}." if item.spec.selector else ""
    look.report(
        "PDBBlocksDisruption",
        item,
        f"{status.current_healthy} pods are healthy, {status.desired_healthy} are needed: insufficient pods.{labels}",
        since=allowed.last_transition_time if allowed else None,
        owners=tuple(tops) if len(tops) == 1 else None,
        evidence=[shown(item, "status.currentHealthy", status.current_healthy)],
    )
