"""Conditions of what is shared: references to configuration, quotas, namespaces, certificates, rights."""

from collections.abc import Iterator
from datetime import timedelta

from midwatch.domain.conditions.look import Look, shown
from midwatch.domain.conditions.templates import templates
from midwatch.domain.objects.cluster import (
    ClusterRole,
    ClusterRoleBinding,
    ConfigMap,
    Namespace,
    ResourceQuota,
    Role,
    RoleBinding,
    Secret,
)
from midwatch.domain.objects.pods import Pod, PodSpec
from midwatch.domain.objects.quantities import quantity
from midwatch.domain.objects.workloads import DaemonSet, Deployment, StatefulSet
from midwatch.domain.refs import Severity

SOON = timedelta(days=14)
"""How long before its end a certificate should have been renewed."""
_GIVEN = ("kube-root-ca.crt", "openshift-service-ca.crt")
_LOADED_BY_SIDECAR = (
    "grafana_dashboard",
    "grafana_datasource",
    "prometheus_rule",
    "prometheus_rules",
    "fluentd_config",
)


def references(spec: PodSpec) -> Iterator[tuple[str, str]]:
    """Every ConfigMap and Secret a pod cannot start without: ``(kind, name)``."""
    for volume in spec.volumes:
        if volume.config_map is not None and not volume.config_map.optional:
            yield "ConfigMap", volume.config_map.name
        if volume.secret is not None and not volume.secret.optional:
            yield "Secret", volume.secret.secret_name
        for source in volume.projected.sources if volume.projected else ():
            if source.config_map is not None and not source.config_map.optional:
                yield "ConfigMap", source.config_map.name
            if source.secret is not None and not source.secret.optional:
                yield "Secret", source.secret.name
    for container in (*spec.init_containers, *spec.containers):
        for given in container.env_from:
            if given.config_map_ref is not None and not given.config_map_ref.optional:
                yield "ConfigMap", given.config_map_ref.name
            if given.secret_ref is not None and not given.secret_ref.optional:
                yield "Secret", given.secret_ref.name
        for variable in container.env:
            origin = variable.value_from
            if origin is None:
                continue
            if origin.config_map_key_ref is not None and not origin.config_map_key_ref.optional:
                yield "ConfigMap", origin.config_map_key_ref.name
            if origin.secret_key_ref is not None and not origin.secret_key_ref.optional:
                yield "Secret", origin.secret_key_ref.name


def template_references(look: Look, item: Deployment | StatefulSet | DaemonSet) -> None:
    """In a snapshot: whether what a template needs is there. A live cluster says so itself, by its pods."""
    if look.live:
        return
    spec = item.spec.template.spec
    well = _well(item)
    for kind, name in dict.fromkeys(references(spec)):
        same_kind = any(True for _ in look.view.each(ConfigMap if kind == "ConfigMap" else Secret, item.namespace))
        if name and name not in _GIVEN and same_kind and look.view.get(kind, item.namespace, name) is None:
            look.report(
                f"Missing{kind}",
                item,
                f"Its pods need {kind} {name}, and that does not exist.",
                evidence=[shown(item, "spec.template.spec", name)],
                severity=Severity.INFO if well else None,
            )
    for secret in spec.image_pull_secrets:
        if secret.name and look.view.sees("Secret") and look.view.find(Secret, item.namespace, secret.name) is None:
            look.report(
                "ImagePullSecretMissing",
                item,
                f"Its pods name image pull secret {secret.name}, which does not exist.",
                evidence=[shown(item, "spec.template.spec.imagePullSecrets", secret.name)],
            )
    _quota_room(look, item)
    _anti_affinity(look, item)


def _well(item: Deployment | StatefulSet | DaemonSet) -> bool:
    if isinstance(item, DaemonSet):
        return 0 < item.status.desired_number_scheduled <= item.status.number_ready
    return 0 < (1 if item.spec.replicas is None else item.spec.replicas) <= item.status.ready_replicas


def _quota_room(look: Look, item: Deployment | StatefulSet | DaemonSet) -> None:
    """Whether all replicas of a workload fit into the quotas of its namespace at all."""
    if isinstance(item, DaemonSet):
        return
    count = 1 if item.spec.replicas is None else item.spec.replicas
    for limit in look.view.each(ResourceQuota, item.namespace):
        for key, hard in (limit.spec.hard or limit.status.hard).items():
            verb, _, resource = key.rpartition(".")
            part = "limits" if verb == "limits" else "requests"
            if resource not in ("cpu", "memory"):
                continue
            each = [
                quantity(getattr(box.resources, part).get(resource)) or 0.0
                for box in item.spec.template.spec.containers
            ]
            room = quantity(hard)
            if room is not None and sum(each) * count > room * 1.0001:
                look.report(
                    "QuotaExceeded",
                    item,
                    f"{count} replicas ask for more {key} than quota {limit.name} grants; the quota is exceeded.",
                    evidence=[shown(limit, f"spec.hard.{key}", hard)],
                )
                return


def _anti_affinity(look: Look, item: Deployment | StatefulSet | DaemonSet) -> None:
    rules = item.spec.template.spec.affinity
    apart = rules.pod_anti_affinity if rules else None
    terms = apart.required_during_scheduling_ignored_during_execution if apart else ()
    labels = item.spec.template.metadata.labels
    count = 1 if item.spec.replicas is None else item.spec.replicas
    nodes = look.view.count("Node")
    own = [
        term
        for term in terms
        if term.topology_key == "kubernetes.io/hostname" and term.label_selector and term.label_selector.matches(labels)
    ]
    if own and count > max(nodes, 3) and (nodes or look.view.sees("*")):
        look.report(
            "AntiAffinityImpossible",
            item,
            f"{count} replicas must not share a node under its anti-affinity rule"
            f"{f', and there are {nodes} nodes' if nodes else ''}.",
            evidence=[shown(item, "spec.template.spec.affinity.podAntiAffinity", "required, by host name")],
        )


def quota(look: Look, item: ResourceQuota) -> None:
    """A quota that is used up."""
    full = [
        key
        for key, hard in item.status.hard.items()
        if (room := quantity(hard)) is not None and room > 0 and (quantity(item.status.used.get(key)) or 0) >= room
    ]
    if full:
        look.report(
            "QuotaFull",
            item,
            f"Used up: {', '.join(full)}.",
            evidence=[shown(item, f"status.used.{key}", item.status.used.get(key)) for key in full],
        )


def namespace(look: Look, item: Namespace) -> None:
    """A namespace that does not go away."""
    due = item.metadata.deletion_timestamp
    if item.status.phase == "Terminating" and due is not None:
        blockers = [entry.type for entry in item.status.conditions if entry.status == "True"]
        look.report(
            "NamespaceStuckTerminating",
            item,
            f"It does not go away: {', '.join(blockers) or 'nothing says why'}.",
            since=due,
            evidence=[shown(item, "status.phase", "Terminating")],
        )


def secret(look: Look, item: Secret) -> None:
    """A certificate that ends."""
    ends = item.not_after
    if ends is None:
        return
    seen = [shown(item, "data[tls.crt]", f"valid until {ends.isoformat()}")]
    if ends <= look.now:
        look.report("TlsSecretExpired", item, f"Its certificate ended on {ends:%Y-%m-%d}.", since=ends, evidence=seen)
    elif ends - look.now <= SOON:
        look.again(ends)
        look.report(
            "TlsSecretExpiring", item, f"Its certificate ends on {ends:%Y-%m-%d}.", since=ends - SOON, evidence=seen
        )
    else:
        look.again(ends - SOON)


def config_map(look: Look, item: ConfigMap) -> None:
    """In a snapshot: a ConfigMap that holds nothing or that nobody reads."""
    if look.live or item.name in _GIVEN:
        return
    loaded = any(key in _LOADED_BY_SIDECAR or key.startswith("grafana_") for key in item.metadata.labels)
    if not item.keys:
        look.report("ConfigMapEmpty", item, "It is empty: it has no data.")
    view, space = look.view, item.namespace
    specs = [pod.spec for pod in view.each(Pod, space)]
    specs += [template.spec for template in templates(view, space)]
    used = {name for spec in specs for kind, name in references(spec) if kind == "ConfigMap"}
    if not loaded and item.name not in used and look.view.sees("Pod"):
        look.report("ConfigMapUnused", item, "It is unused: no pod refers to it.")


def binding(look: Look, item: RoleBinding | ClusterRoleBinding) -> None:
    """In a snapshot: a binding to a role that grants everything."""
    if look.live:
        return
    ref = item.role_ref
    role = (
        look.view.find(Role, item.namespace, ref.name)
        if ref.kind == "Role"
        else look.view.find(ClusterRole, "", ref.name)
    )
    if role is not None:
        _cannot_list(look, item, role)
    wild = [rule for rule in role.rules if "*" in rule.verbs or "*" in rule.resources] if role else []
    if role is not None and wild:
        look.report(
            "WildcardRole",
            item,
            f"It binds {ref.kind} {ref.name}, which grants wildcard (*) rights.",
            evidence=[shown(role, "rules", "*")],
        )


def _cannot_list(look: Look, item: RoleBinding | ClusterRoleBinding, role: Role | ClusterRole) -> None:
    """A service account that workloads use and that may get objects one by one but not list them."""
    accounts = {each.name for each in item.subjects if each.kind == "ServiceAccount"}
    used = {template.spec.service_account_name for template in templates(look.view, item.namespace)}
    for rule in role.rules:
        narrow = "get" in rule.verbs and not {"list", "*"} & set(rule.verbs) and not rule.resource_names
        plain = [name for name in rule.resources if name not in ("secrets", "configmaps") and "/" not in name]
        if narrow and plain and accounts & used:
            look.report(
                "AccessDenied",
                role,
                f"The role lets {', '.join(sorted(accounts & used))} get {', '.join(plain)} singly but not list them; "
                "clients that list are forbidden to (RBAC).",
                evidence=[shown(role, "rules", f"{', '.join(rule.verbs)} on {', '.join(rule.resources)}")],
                severity=Severity.INFO,
            )
