"""What the alerts of the usual Prometheus rule sets mean in our words: condition, subject, first remediation.

The rule sets are those most clusters run: kube-prometheus with its mixins, Alertmanager, Prometheus, etcd, the
exporters. An alert nobody knows keeps its own name, and the labels say what to look at.
"""

from collections.abc import Mapping
from types import MappingProxyType

import msgspec

from midwatch.domain.conditions.catalogue import CATALOGUE
from midwatch.domain.refs import ObjectRef

_KINDS = {
    "pod": "Pod",
    "deployment": "Deployment",
    "statefulset": "StatefulSet",
    "daemonset": "DaemonSet",
    "job_name": "Job",
    "cronjob": "CronJob",
    "horizontalpodautoscaler": "HorizontalPodAutoscaler",
    "poddisruptionbudget": "PodDisruptionBudget",
    "persistentvolumeclaim": "PersistentVolumeClaim",
    "persistentvolume": "PersistentVolume",
    "resourcequota": "ResourceQuota",
    "node": "Node",
    "instance": "Node",
    "service": "Service",
    "job": "Target",
    "namespace": "Namespace",
}
_WIDE = frozenset({"Node", "PersistentVolume", "Namespace"})

_POD, _NODE, _HOST = ("pod",), ("node",), ("node", "instance")
_CLAIM, _SPACE = ("persistentvolumeclaim",), ("resourcequota", "namespace")
_ANY = ("pod", "service", "job", "namespace")

_TABLE: tuple[tuple[str, tuple[str, ...], tuple[str, ...]], ...] = (
    # condition, labels that name the subject (the first that is there), alert names
    ("CrashLoopBackOff", _POD, ("KubePodCrashLooping",)),
    ("PodNotReady", _POD, ("KubePodNotReady",)),
    ("OOMKilled", _POD, ("KubePodOOMKilled", "KubeContainerOOMKilled", "ContainerOOMKilled", "PodOOMKilled")),
    ("PodPending", _POD, ("KubeContainerWaiting", "KubePodPending")),
    ("ImagePullBackOff", _POD, ("KubePodImagePullBackOff", "KubeImagePullBackOff")),
    ("CPUThrottled", _POD, ("CPUThrottlingHigh",)),
    ("GenerationNotObserved", ("deployment", "statefulset"),
     ("KubeDeploymentGenerationMismatch", "KubeStatefulSetGenerationMismatch")),
    ("DeploymentReplicasShort", ("deployment",), ("KubeDeploymentReplicasMismatch",)),
    ("ProgressDeadlineExceeded", ("deployment",), ("KubeDeploymentRolloutStuck",)),
    ("StatefulSetReplicasShort", ("statefulset",), ("KubeStatefulSetReplicasMismatch",)),
    ("StatefulSetRolloutStuck", ("statefulset",), ("KubeStatefulSetUpdateNotRolledOut",)),
    ("DaemonSetNotReady", ("daemonset",), ("KubeDaemonSetRolloutStuck", "KubeDaemonSetNotScheduled")),
    ("DaemonSetMisscheduled", ("daemonset",), ("KubeDaemonSetMisScheduled",)),
    ("JobFailed", ("job_name",), ("KubeJobFailed",)),
    ("JobRunningLong", ("job_name",), ("KubeJobNotCompleted", "KubeJobCompletion")),
    ("CronJobMissedRuns", ("cronjob",), ("KubeCronJobRunning",)),
    ("HPAAtMaximum", ("horizontalpodautoscaler", "hpa"), ("KubeHpaMaxedOut",)),
    ("HPAUnableToScale", ("horizontalpodautoscaler", "hpa"), ("KubeHpaReplicasMismatch",)),
    ("PDBBlocksDisruption", ("poddisruptionbudget",), ("KubePdbNotEnoughHealthyPods",)),
    ("QuotaFull", _SPACE, ("KubeQuotaAlmostFull", "KubeQuotaFullyUsed")),
    ("QuotaExceeded", _SPACE, ("KubeQuotaExceeded",)),
    ("ClusterOvercommitted", (),
     ("KubeCPUOvercommit", "KubeMemoryOvercommit", "KubeCPUQuotaOvercommit", "KubeMemoryQuotaOvercommit")),
    ("VolumeFillingUp", _CLAIM, ("KubePersistentVolumeFillingUp", "KubePersistentVolumeInodesFillingUp")),
    ("PVFailed", ("persistentvolume",), ("KubePersistentVolumeErrors",)),
    ("NodeNotReady", _NODE, ("KubeNodeNotReady",)),
    ("NodeUnreachable", _NODE, ("KubeNodeUnreachable",)),
    ("NodeFlapping", _NODE, ("KubeNodeReadinessFlapping",)),
    ("NodeMemoryPressure", _NODE, ("KubeNodePressure", "KubeNodeEviction")),
    ("NodeAtPodCapacity", _NODE, ("KubeletTooManyPods",)),
    ("KubeletTrouble", _HOST,
     ("KubeletPlegDurationHigh", "KubeletPodStartUpLatencyHigh", "KubeletDown", "KubeletInstanceUnreachable",
      "KubeletClientCertificateRenewalErrors", "KubeletServerCertificateRenewalErrors")),
    ("CertificateExpiring", _HOST,
     ("KubeletClientCertificateExpiration", "KubeletServerCertificateExpiration", "KubeClientCertificateExpiration")),
    ("NodeFilesystemFull", _HOST,
     ("NodeFilesystemSpaceFillingUp", "NodeFilesystemAlmostOutOfSpace", "NodeFilesystemFilesFillingUp",
      "NodeFilesystemAlmostOutOfFiles", "NodeFileDescriptorLimit", "HostOutOfDiskSpace")),
    ("NodeOverloaded", _HOST,
     ("NodeCPUHighUsage", "NodeSystemSaturation", "NodeMemoryMajorPagesFaults", "NodeMemoryHighUtilization",
      "NodeDiskIOSaturation", "HostHighCpuLoad", "HostOutOfMemory")),
    ("NodeNetworkErrors", _HOST,
     ("NodeNetworkReceiveErrs", "NodeNetworkTransmitErrs", "NodeHighNumberConntrackEntriesUsed", "NodeBondingDegraded",
      "NodeNetworkInterfaceFlapping")),
    ("NodeClockSkew", _HOST, ("NodeClockSkewDetected", "NodeClockNotSynchronising")),
    ("NodeHardware", _HOST, ("NodeRAIDDegraded", "NodeRAIDDiskFailure")),
    ("NodeServiceFailed", _HOST, ("NodeSystemdServiceFailed", "NodeSystemdServiceCrashlooping")),
    ("ControlPlaneDown", ("job", "instance"),
     ("KubeAPIDown", "KubeAPIInstanceUnreachable", "KubeControllerManagerDown",
      "KubeControllerManagerInstanceUnreachable", "KubeSchedulerDown", "KubeSchedulerInstanceUnreachable",
      "KubeProxyDown", "KubeProxyInstanceUnreachable")),
    ("ControlPlaneSlow", ("job", "instance"),
     ("KubeClientErrors", "KubeAPIErrorBudgetBurn", "KubeAPITerminatedRequests", "KubeAPIErrorsHigh",
      "KubeAPILatencyHigh", "KubeAggregatedAPIErrors")),
    ("APIServiceDown", ("name",), ("KubeAggregatedAPIDown",)),
    ("VersionSkew", (), ("KubeVersionMismatch",)),
    ("EtcdTrouble", ("pod", "instance", "job"),
     ("etcdMembersDown", "etcdInsufficientMembers", "etcdNoLeader", "etcdHighNumberOfLeaderChanges",
      "etcdHighNumberOfFailedGRPCRequests", "etcdGRPCRequestsSlow", "etcdMemberCommunicationSlow",
      "etcdHighNumberOfFailedProposals", "etcdHighFsyncDurations", "etcdHighCommitDurations",
      "etcdDatabaseQuotaLowSpace", "etcdExcessiveDatabaseGrowth", "etcdDatabaseHighFragmentationRatio")),
    ("TargetDown", _ANY, ("TargetDown", "PrometheusTargetMissing")),
    ("PipelineHeartbeat", (), ("Watchdog", "DeadMansSwitch", "InfoInhibitor")),
    ("WatchdogSilent", (), ("WatchdogSilent",)),
    ("MetricsExporterTrouble", _ANY,
     ("KubeStateMetricsListErrors", "KubeStateMetricsWatchErrors", "KubeStateMetricsShardingMismatch",
      "KubeStateMetricsShardsMissing", "NodeTextFileCollectorScrapeError")),
    ("ConfigReloadFailed", _ANY,
     ("ConfigReloaderSidecarErrors", "AlertmanagerFailedReload", "PrometheusBadConfig",
      "AlertmanagerConfigInconsistent",
      "PrometheusOperatorReconcileErrors", "PrometheusOperatorRejectedResources")),
    ("AlertmanagerTrouble", _ANY,
     ("AlertmanagerMembersInconsistent", "AlertmanagerFailedToSendAlerts", "AlertmanagerClusterFailedToSendAlerts",
      "AlertmanagerClusterDown", "AlertmanagerClusterCrashlooping")),
    ("PrometheusTrouble", _ANY,
     ("PrometheusSDRefreshFailure", "PrometheusKubernetesListWatchFailures", "PrometheusNotificationQueueRunningFull",
      "PrometheusErrorSendingAlertsToSomeAlertmanagers", "PrometheusErrorSendingAlertsToAnyAlertmanager",
      "PrometheusNotConnectedToAlertmanagers", "PrometheusTSDBReloadsFailing", "PrometheusTSDBCompactionsFailing",
      "PrometheusNotIngestingSamples", "PrometheusDuplicateTimestamps", "PrometheusOutOfOrderTimestamps",
      "PrometheusRemoteStorageFailures", "PrometheusRemoteWriteBehind", "PrometheusRemoteWriteDesiredShards",
      "PrometheusRuleFailures", "PrometheusMissingRuleEvaluations", "PrometheusTargetLimitHit",
      "PrometheusLabelLimitHit",
      "PrometheusScrapeBodySizeLimitHit", "PrometheusScrapeSampleLimitHit", "PrometheusTargetSyncFailure",
      "PrometheusHighQueryLoad", "PrometheusOperatorListErrors", "PrometheusOperatorWatchErrors",
      "PrometheusOperatorSyncFailed", "PrometheusOperatorNodeLookupErrors", "PrometheusOperatorNotReady",
      "PrometheusOperatorStatusUpdateErrors")),
)  # fmt: skip

_PRESSURES = {
    "MemoryPressure": "NodeMemoryPressure",
    "DiskPressure": "NodeDiskPressure",
    "PIDPressure": "NodePIDPressure",
}


class AlertMapping(msgspec.Struct, frozen=True):
    """An alert in our words. ``subject_labels``: the labels that may name its subject, the most telling first."""

    alert: str
    condition: str
    subject_labels: tuple[str, ...]
    remediation: str


class AlertReading(msgspec.Struct, frozen=True, kw_only=True):
    """One alert read: what it says, about what (``None`` where its labels name nothing), and what it is grouped by."""

    condition: str
    family: str
    failure_class: str
    remediation: str
    known: bool
    subject: ObjectRef | None = None


ALERTS = MappingProxyType(
    {
        name: AlertMapping(name, id_, labels, CATALOGUE[id_].remediation)
        for id_, labels, names in _TABLE
        for name in names
    }
)
"""Every alert we know, by its name."""


def read_alert(alertname: str, labels: Mapping[str, str]) -> AlertReading:
    """What an alert means; total: of an unknown one its labels are read all the same."""
    mapping = ALERTS.get(alertname)
    id_ = mapping.condition if mapping else "UnknownAlert"
    if id_ == "NodeMemoryPressure":
        id_ = _PRESSURES.get(labels.get("condition", ""), id_)
    entry = CATALOGUE[id_]
    return AlertReading(
        condition=id_,
        family=entry.family,
        failure_class=entry.failure_class,
        remediation=entry.remediation,
        known=mapping is not None,
        subject=_subject(labels, mapping.subject_labels if mapping else tuple(_KINDS)),
    )


def _subject(labels: Mapping[str, str], telling: tuple[str, ...]) -> ObjectRef | None:
    """What the first telling label names. ``exported_*`` wins: Prometheus moves an original label there."""
    namespace = labels.get("exported_namespace") or labels.get("namespace") or ""
    for label in telling:
        value = labels.get(f"exported_{label}") or labels.get(label) or ""
        if not value:
            continue
        kind = {"hpa": "HorizontalPodAutoscaler", "name": "APIService"}.get(label) or _KINDS[label]
        if label == "instance":
            value = value.rsplit(":", 1)[0]  # host:port of the exporter; the host is what is in trouble
        return ObjectRef(kind, value, "" if kind in _WIDE or kind == "APIService" else namespace)
    return None
