"""Which resources the simulated API server knows."""

from __future__ import annotations

from dataclasses import dataclass

from midwatch.sandbox.objects import encode


@dataclass(frozen=True, slots=True, eq=False)
class Resource:
    """One kind and the path it is served under. ``fields`` are the selectable fields besides name and namespace."""

    group: str
    version: str
    plural: str
    kind: str
    namespaced: bool = True
    short: tuple[str, ...] = ()
    subresources: tuple[str, ...] = ()
    fields: tuple[str, ...] = ()
    categories: tuple[str, ...] = ()
    generated: bool = True
    """Whether ``metadata.generation`` counts changes of the spec."""

    @property
    def api_version(self) -> str:
        return f"{self.group}/{self.version}" if self.group else self.version

    @property
    def qualified(self) -> str:
        """``deployments.apps``, ``pods``."""
        return f"{self.plural}.{self.group}" if self.group else self.plural

    @property
    def head(self) -> bytes:
        """How the JSON of every stored object of this kind begins; list items are sent without it."""
        return encode({"apiVersion": self.api_version, "kind": self.kind})[:-1] + b","


def _core(plural: str, kind: str, *short: str, **more: object) -> Resource:
    return Resource("", "v1", plural, kind, short=short, **more)  # type: ignore[arg-type]


_ALL = ("all",)
_POD_FIELDS = (
    "spec.nodeName",
    "status.phase",
    "spec.restartPolicy",
    "spec.schedulerName",
    "spec.serviceAccountName",
    "status.podIP",
    "spec.hostNetwork",
    "status.nominatedNodeName",
)
_EVENT_FIELDS = (
    *(f"involvedObject.{part}" for part in ("kind", "namespace", "name", "uid", "apiVersion", "resourceVersion")),
    "involvedObject.fieldPath",
    "reason",
    "reportingComponent",
    "source",
    "type",
)

PODS = _core(
    "pods",
    "Pod",
    "po",
    subresources=("log", "eviction", "status"),
    fields=_POD_FIELDS,
    categories=_ALL,
    generated=False,
)
NODES = _core("nodes", "Node", "no", namespaced=False, subresources=("status",), fields=("spec.unschedulable",))
NAMESPACES = _core(
    "namespaces", "Namespace", "ns", namespaced=False, subresources=("status", "finalize"), fields=("status.phase",)
)
SERVICES = _core(
    "services", "Service", "svc", subresources=("status",), fields=("spec.clusterIP", "spec.type"), categories=_ALL
)
ENDPOINTS = _core("endpoints", "Endpoints", "ep", generated=False)
EVENTS = _core("events", "Event", "ev", fields=_EVENT_FIELDS, generated=False)
CONFIGMAPS = _core("configmaps", "ConfigMap", "cm", generated=False)
SECRETS = _core("secrets", "Secret", fields=("type",), generated=False)
PVCS = _core("persistentvolumeclaims", "PersistentVolumeClaim", "pvc", subresources=("status",), generated=False)
PVS = _core("persistentvolumes", "PersistentVolume", "pv", namespaced=False, subresources=("status",), generated=False)
SERVICE_ACCOUNTS = _core("serviceaccounts", "ServiceAccount", "sa", generated=False)
QUOTAS = _core("resourcequotas", "ResourceQuota", "quota", subresources=("status",), generated=False)
DEPLOYMENTS = Resource(
    "apps", "v1", "deployments", "Deployment", True, ("deploy",), ("scale", "status"), categories=_ALL
)
REPLICASETS = Resource("apps", "v1", "replicasets", "ReplicaSet", True, ("rs",), ("scale", "status"), categories=_ALL)
STATEFULSETS = Resource(
    "apps", "v1", "statefulsets", "StatefulSet", True, ("sts",), ("scale", "status"), categories=_ALL
)
DAEMONSETS = Resource("apps", "v1", "daemonsets", "DaemonSet", True, ("ds",), ("status",), categories=_ALL)
REVISIONS = Resource("apps", "v1", "controllerrevisions", "ControllerRevision", generated=False)
JOBS = Resource("batch", "v1", "jobs", "Job", subresources=("status",), fields=("status.successful",), categories=_ALL)
CRONJOBS = Resource("batch", "v1", "cronjobs", "CronJob", True, ("cj",), ("status",), categories=_ALL)
PDBS = Resource("policy", "v1", "poddisruptionbudgets", "PodDisruptionBudget", True, ("pdb",), ("status",))
HPAS = Resource(
    "autoscaling",
    "v2",
    "horizontalpodautoscalers",
    "HorizontalPodAutoscaler",
    short=("hpa",),
    subresources=("status",),
    categories=_ALL,
    generated=False,
)
INGRESSES = Resource("networking.k8s.io", "v1", "ingresses", "Ingress", True, ("ing",), ("status",))
NETWORK_POLICIES = Resource("networking.k8s.io", "v1", "networkpolicies", "NetworkPolicy", True, ("netpol",))
ENDPOINT_SLICES = Resource("discovery.k8s.io", "v1", "endpointslices", "EndpointSlice")
STORAGE_CLASSES = Resource("storage.k8s.io", "v1", "storageclasses", "StorageClass", False, ("sc",), generated=False)
LEASES = Resource("coordination.k8s.io", "v1", "leases", "Lease", generated=False)

RESOURCES: tuple[Resource, ...] = (
    CONFIGMAPS,
    ENDPOINTS,
    EVENTS,
    NAMESPACES,
    NODES,
    PVCS,
    PVS,
    PODS,
    QUOTAS,
    SECRETS,
    SERVICE_ACCOUNTS,
    SERVICES,
    REVISIONS,
    DAEMONSETS,
    DEPLOYMENTS,
    REPLICASETS,
    STATEFULSETS,
    HPAS,
    CRONJOBS,
    JOBS,
    LEASES,
    ENDPOINT_SLICES,
    INGRESSES,
    NETWORK_POLICIES,
    PDBS,
    STORAGE_CLASSES,
)
_BY_PATH = {(resource.group, resource.version, resource.plural): resource for resource in RESOURCES}
_BY_KIND = {(resource.api_version, resource.kind): resource for resource in RESOURCES}


def by_path(group: str, version: str, plural: str) -> Resource | None:
    """The resource served under that path."""
    return _BY_PATH.get((group, version, plural))


def by_kind(api_version: str, kind: str) -> Resource | None:
    """The resource of an object's own ``apiVersion`` and ``kind``."""
    return _BY_KIND.get((api_version, kind))


def by_plural(plural: str) -> Resource | None:
    """The first resource with that plural (for people and fault rules, who leave the group out)."""
    return next((resource for resource in RESOURCES if resource.plural == plural), None)
