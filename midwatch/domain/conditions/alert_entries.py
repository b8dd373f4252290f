"""Catalogue: what only alerts tell of: the watchers themselves and the control plane."""

from midwatch.domain.conditions.entry import CRITICAL, ERROR, INFO, WARNING, Condition, entries, row

_LOOK = ("alert", "targets", "events", "logs")

WATCHERS: tuple[Condition, ...] = entries(
    "monitoring",
    row("WatchdogSilent", "dead_agent", CRITICAL, "the alerting pipeline is silent",
        "The alert that always fires stopped coming: Prometheus, Alertmanager or the way here is down.",
        _LOOK, "check Prometheus, Alertmanager and the webhook"),
    row("PipelineHeartbeat", "heartbeat", INFO, "a heartbeat of the alerting pipeline",
        "It fires always, to show that alerts arrive.", (), "none: this is as it should be"),
    row("TargetDown", "dead_agent", WARNING, "a scrape target is down",
        "Prometheus gets no metrics from it; it may be down itself.", _LOOK, "check the target and its scrape"),
    row("AlertmanagerTrouble", "dead_agent", ERROR, "Alertmanager is in trouble",
        "Notifications may be lost, late or double.", _LOOK, "check Alertmanager's configuration, peers and receivers"),
    row("PrometheusTrouble", "dead_agent", ERROR, "Prometheus is in trouble",
        "Rules may not be evaluated and metrics may be missing.", _LOOK,
        "check Prometheus' configuration, storage and load"),
    row("MetricsExporterTrouble", "dead_agent", WARNING, "an exporter of metrics is in trouble",
        "Some metrics are missing, and alerts that need them are blind.", _LOOK, "check the exporter and its rights"),
    row("ConfigReloadFailed", "config_error", WARNING, "a configuration is not reloaded",
        "The component runs with its old configuration.", _LOOK, "check the new configuration"),
    row("UnknownAlert", "alert", WARNING, "an alert without a mapping fired",
        "Midwatch does not know this alert; it looks at the object the labels name.", _LOOK,
        "read the alert's own runbook"),
) + entries(
    "control-plane",
    row("ControlPlaneDown", "control_plane", CRITICAL, "a part of the control plane is down",
        "API server, scheduler, controller manager, proxy or etcd does not answer.", _LOOK,
        "restart or check the component and its target"),
    row("ControlPlaneSlow", "control_plane", WARNING, "the control plane is slow or returns errors",
        "Requests to the API take too long, fail or are cut off.", _LOOK, "check the API server's health and load"),
    row("EtcdTrouble", "quorum_loss", CRITICAL, "etcd is in trouble",
        "Members, leader, disk or space of etcd are not well.", _LOOK, "check members, disk latency and database size"),
    row("CertificateExpiring", "tls_expiring", WARNING, "a certificate of the control plane ends soon",
        "Kubelets or clients will be locked out when it does.", _LOOK, "renew the certificate"),
    row("VersionSkew", "version_skew", WARNING, "components run different versions",
        "An upgrade was left halfway.", _LOOK, "align the versions"),
    row("ClusterOvercommitted", "overcommitted", WARNING, "the cluster could not carry the loss of a node",
        "Requests or quotas exceed what is left without one node.", _LOOK, "add capacity or lower requests and quotas"),
    row("CPUThrottled", "cpu_throttled", INFO, "a container's CPU is throttled",
        "It wants more CPU than its limit.", _LOOK, "raise the CPU limit"),
)  # fmt: skip
"""Conditions of the watchers and of the control plane."""
