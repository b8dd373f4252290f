"""What an alert's name and labels mean: which object, which condition, what it is grouped by.

Labels are the sender's word about which object is in trouble. They say what to look at, never what may be done.
"""

from collections.abc import Callable, Mapping

import msgspec

from midwatch.domain.conditions.alerts import read_alert
from midwatch.domain.conditions.catalogue import CATALOGUE
from midwatch.domain.refs import ObjectRef, Severity


class AlertMeaning(msgspec.Struct, frozen=True, kw_only=True):
    """An alert in the words of the catalogue; ``family`` is empty where the catalogue does not know the alert."""

    condition: str
    family: str = ""
    subject: ObjectRef
    owner: ObjectRef
    failure_class: str


MeaningOfAlert = Callable[[str, Mapping[str, str]], AlertMeaning]
"""From an alert's name and labels; total: an unknown alert has a meaning too."""

_WORKLOADS = (
    ("deployment", "Deployment"),
    ("statefulset", "StatefulSet"),
    ("daemonset", "DaemonSet"),
    ("cronjob", "CronJob"),
    ("job_name", "Job"),
    ("replicaset", "ReplicaSet"),
)
_NAMESPACED = (
    ("horizontalpodautoscaler", "HorizontalPodAutoscaler", "workload"),
    ("hpa", "HorizontalPodAutoscaler", "workload"),
    ("persistentvolumeclaim", "PersistentVolumeClaim", "volume"),
    ("poddisruptionbudget", "PodDisruptionBudget", "workload"),
    ("resourcequota", "ResourceQuota", "namespace"),
    ("ingress", "Ingress", "network"),
)
_WORKLOAD_TYPES = {kind.lower(): kind for _, kind in _WORKLOADS}


def meaning_of_alert(alertname: str, labels: Mapping[str, str]) -> AlertMeaning:
    """An alert of the usual rule sets by the catalogue's table, any other by its labels."""
    meant = generic_meaning(alertname, labels)
    reading = read_alert(alertname, labels)
    if not reading.known:
        return _in_catalogue(alertname, meant)
    subject = reading.subject or meant.subject
    return AlertMeaning(
        condition=reading.condition,
        family=reading.family,
        subject=subject,
        owner=meant.owner if subject == meant.subject else subject,
        failure_class=reading.failure_class,
    )


def _in_catalogue(name: str, meant: AlertMeaning) -> AlertMeaning:
    """An alert that is called as one of the conditions means that condition."""
    entry = CATALOGUE.get(name)
    if entry is None:
        return meant
    return msgspec.structs.replace(meant, family=entry.family, failure_class=entry.failure_class)


def generic_meaning(alertname: str, labels: Mapping[str, str]) -> AlertMeaning:
    """The most telling object that the labels name; the alert itself where they name none.

    ``exported_*`` labels win: Prometheus renames the original label so where the scrape target has one of its own.
    """
    name = _reader(labels)
    namespace = name("namespace")
    workload = _workload(name, namespace)
    if pod := name("pod") or name("pod_name"):
        subject = ObjectRef("Pod", pod, namespace)
        return _meaning(alertname, subject, workload or subject, "workload")
    if workload:
        return _meaning(alertname, workload, workload, "workload")
    for label, kind, failure_class in _NAMESPACED:
        if value := name(label):
            subject = ObjectRef(kind, value, namespace)
            return _meaning(alertname, subject, subject, failure_class)
    if volume := name("persistentvolume"):
        subject = ObjectRef("PersistentVolume", volume)
        return _meaning(alertname, subject, subject, "volume")
    if node := name("node") or name("kubernetes_node"):
        subject = ObjectRef("Node", node)
        return _meaning(alertname, subject, subject, "node")
    # Not an object of the cluster: alerts of different names about one place are different troubles.
    if service := name("service"):
        subject = ObjectRef("Service", service, namespace)
    elif namespace:
        subject = ObjectRef("Namespace", namespace)
    elif instance := name("instance"):
        subject = ObjectRef("Instance", instance)
    else:
        subject = ObjectRef("Alert", alertname)
    return _meaning(alertname, subject, subject, f"alert:{alertname}")


def _reader(labels: Mapping[str, str]) -> Callable[[str], str]:
    if "exported_" in "\n".join(labels):
        return lambda label: labels.get(f"exported_{label}") or labels.get(label) or ""
    return lambda label: labels.get(label) or ""


def _workload(name: Callable[[str], str], namespace: str) -> ObjectRef | None:
    kind = _WORKLOAD_TYPES.get(name("workload_type").lower())
    if kind and (workload := name("workload")):
        return ObjectRef(kind, workload, namespace)
    for label, named_kind in _WORKLOADS:
        if value := name(label):
            return ObjectRef(named_kind, value, namespace)
    return None


def _meaning(condition: str, subject: ObjectRef, owner: ObjectRef, failure_class: str) -> AlertMeaning:
    return AlertMeaning(condition=condition, subject=subject, owner=owner, failure_class=failure_class)


_SEVERITIES = {
    Severity.CRITICAL: ("critical", "crit", "page", "emergency", "emerg", "fatal", "disaster", "blocker", "p0", "p1"),
    Severity.ERROR: ("error", "err", "major", "high", "severe", "p2"),
    Severity.WARNING: ("warning", "warn", "minor", "average", "medium", "moderate", "ticket", "p3"),
    Severity.INFO: ("info", "information", "informational", "notice", "none", "low", "debug", "ok", "p4", "p5"),
}
_BY_WORD = {word: severity for severity, words in _SEVERITIES.items() for word in words}


def severity_of(labels: Mapping[str, str]) -> Severity:
    """The sender's severity in ours; warning where it says none or one that nobody knows."""
    word = labels.get("severity") or labels.get("priority") or labels.get("level") or ""
    return _BY_WORD.get(word.strip().lower(), Severity.WARNING)
