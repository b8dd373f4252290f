"""All kinds of one cluster that conditions are seen on, followed side by side over one connection."""

import asyncio
from collections.abc import Sequence

from midwatch.adapters.kubernetes.client import ApiConnection
from midwatch.adapters.kubernetes.reflector import Reflector, Resource
from midwatch.services.watch_ports import Sink

_CLUSTER_WIDE = (
    Resource("Node", "/api/v1/nodes"),
    Resource("Namespace", "/api/v1/namespaces"),
    Resource("PersistentVolume", "/api/v1/persistentvolumes"),
    Resource("StorageClass", "/apis/storage.k8s.io/v1/storageclasses"),
    Resource("IngressClass", "/apis/networking.k8s.io/v1/ingressclasses"),
    Resource("APIService", "/apis/apiregistration.k8s.io/v1/apiservices"),
    Resource("MutatingWebhookConfiguration", "/apis/admissionregistration.k8s.io/v1/mutatingwebhookconfigurations"),
    Resource("ValidatingWebhookConfiguration", "/apis/admissionregistration.k8s.io/v1/validatingwebhookconfigurations"),
    Resource("GatewayClass", "/apis/gateway.networking.k8s.io/v1/gatewayclasses"),
)
_NAMESPACED = (
    ("Pod", "/api/v1", "pods", ""),
    ("Event", "/api/v1", "events", "type!=Normal"),
    ("Service", "/api/v1", "services", ""),
    ("PersistentVolumeClaim", "/api/v1", "persistentvolumeclaims", ""),
    ("ResourceQuota", "/api/v1", "resourcequotas", ""),
    # Only certificates: when one ends is read on arrival, nothing else of a Secret is kept.
    ("Secret", "/api/v1", "secrets", "type=kubernetes.io/tls"),
    ("Deployment", "/apis/apps/v1", "deployments", ""),
    ("ReplicaSet", "/apis/apps/v1", "replicasets", ""),
    ("StatefulSet", "/apis/apps/v1", "statefulsets", ""),
    ("DaemonSet", "/apis/apps/v1", "daemonsets", ""),
    ("Job", "/apis/batch/v1", "jobs", ""),
    ("CronJob", "/apis/batch/v1", "cronjobs", ""),
    ("HorizontalPodAutoscaler", "/apis/autoscaling/v2", "horizontalpodautoscalers", ""),
    ("PodDisruptionBudget", "/apis/policy/v1", "poddisruptionbudgets", ""),
    ("EndpointSlice", "/apis/discovery.k8s.io/v1", "endpointslices", ""),
    ("Ingress", "/apis/networking.k8s.io/v1", "ingresses", ""),
    ("Gateway", "/apis/gateway.networking.k8s.io/v1", "gateways", ""),
    ("HTTPRoute", "/apis/gateway.networking.k8s.io/v1", "httproutes", ""),
)


def resources(namespaces: Sequence[str] = ()) -> tuple[Resource, ...]:
    """What to follow: everything, or the given namespaces and the kinds that stand outside of any."""
    found = list(_CLUSTER_WIDE)
    for kind, base, plural, selector in _NAMESPACED:
        if not namespaces:
            # A kind of which only a part is followed has that part as its scope: absence of one then says nothing.
            found.append(Resource(kind, f"{base}/{plural}", selector, selector))
        found += [Resource(kind, f"{base}/namespaces/{name}/{plural}", selector, name) for name in namespaces]
    return tuple(found)


class KubernetesSource:
    """One reflector for each kind (and namespace, where watching is limited to some)."""

    def __init__(
        self,
        connection: ApiConnection,
        *,
        namespaces: Sequence[str] = (),
        page: int = 500,
        followed: Sequence[Resource] | None = None,
    ) -> None:
        wanted = resources(namespaces) if followed is None else followed
        self._reflectors = [Reflector(connection, resource, page=page) for resource in wanted]

    @property
    def scopes(self) -> tuple[tuple[str, str], ...]:
        return tuple((each.resource.kind, each.resource.scope) for each in self._reflectors)

    async def run(self, sink: Sink) -> None:
        """Follow all of them until cancelled."""
        async with asyncio.TaskGroup() as group:
            for reflector in self._reflectors:
                group.create_task(reflector.run(sink), name=f"watch-{reflector.resource.kind}")
