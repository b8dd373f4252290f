"""Which detector looks at which kind, over a whole view or one object of it."""

from collections.abc import Callable
from datetime import datetime
from typing import Any

import msgspec

from midwatch.domain.conditions import (
    autoscaling,
    configuration,
    ingress,
    jobs,
    nodes,
    pods,
    services,
    storage,
    webhooks,
    workloads,
)
from midwatch.domain.conditions.look import Look
from midwatch.domain.diagnosis import Finding
from midwatch.domain.objects.meta import Base
from midwatch.domain.objects.view import ClusterView

Detector = Callable[[Look, Any], None]
"""Looks at one object of the kind it is registered for, and reports to the look."""

DETECTORS: dict[str, tuple[Detector, ...]] = {
    "Pod": (pods.pod,),
    "Deployment": (workloads.deployment, configuration.template_references),
    "ReplicaSet": (workloads.replica_set,),
    "StatefulSet": (workloads.stateful_set, configuration.template_references),
    "DaemonSet": (workloads.daemon_set, configuration.template_references),
    "Job": (jobs.job,),
    "CronJob": (jobs.cron_job,),
    "HorizontalPodAutoscaler": (autoscaling.autoscaler,),
    "PodDisruptionBudget": (autoscaling.budget,),
    "Service": (services.service,),
    "NetworkPolicy": (services.network_policy,),
    "Ingress": (ingress.ingress,),
    "Gateway": (ingress.gateway,),
    "GatewayClass": (ingress.gateway_class,),
    "HTTPRoute": (ingress.route,),
    "MutatingWebhookConfiguration": (webhooks.configuration,),
    "ValidatingWebhookConfiguration": (webhooks.configuration,),
    "APIService": (webhooks.api_service,),
    "PersistentVolumeClaim": (storage.claim,),
    "PersistentVolume": (storage.volume,),
    "StorageClass": (storage.storage_class,),
    "Node": (nodes.node,),
    "ResourceQuota": (configuration.quota,),
    "Namespace": (configuration.namespace,),
    "Secret": (configuration.secret,),
    "ConfigMap": (configuration.config_map,),
    "RoleBinding": (configuration.binding,),
    "ClusterRoleBinding": (configuration.binding,),
}
"""The detectors of every kind that has any."""


class Detection(msgspec.Struct, frozen=True):
    """What was found, and when to look again although nothing changes (``None``: no need)."""

    findings: tuple[Finding, ...]
    recheck: datetime | None = None


def detect(view: ClusterView, now: datetime) -> tuple[Finding, ...]:
    """Every condition in a snapshot, in the order of its objects."""
    look = Look(view, now, live=False)
    for item in view.everything():
        for detector in DETECTORS.get(item.kind, ()):
            detector(look, item)
    return tuple(look.findings)


def detect_object(view: ClusterView, item: Base, now: datetime) -> Detection:
    """The conditions of one object in a cluster that is being followed."""
    look = Look(view, now, live=True)
    for detector in DETECTORS.get(item.kind, ()):
        detector(look, item)
    return Detection(tuple(look.findings), look.recheck)
