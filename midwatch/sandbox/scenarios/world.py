"""A small, healthy cluster with a past: three nodes, a shop, its payments, and the platform below them."""

from __future__ import annotations

from midwatch.sandbox.cluster.assembly import Cluster
from midwatch.sandbox.cluster.behaviours import Behaviour, Run
from midwatch.sandbox.defaults import complete
from midwatch.sandbox.objects import Obj
from midwatch.sandbox.scenarios.builders import (
    REGISTRY,
    deployment,
    lease,
    namespace,
    node,
    service,
    template,
)
from midwatch.sandbox.schema import CRONJOBS, PODS, by_kind
from midwatch.sandbox.store import Store

NAMESPACES = ("default", "kube-system", "kube-public", "kube-node-lease", "shop", "payments", "platform")
NODES = ("node-1", "node-2", "node-3")


def populate(store: Store, now: float) -> None:
    """Create the demo world's objects; the controllers do the rest."""
    for name in NAMESPACES:
        _put(store, "v1", "Namespace", namespace(name))
    for name in NODES:
        _put(store, "v1", "Node", node(name, now))
        _put(store, "coordination.k8s.io/v1", "Lease", lease(name, now))
    for obj in _deployments():
        _put(store, "apps/v1", "Deployment", obj)
    for obj in _services():
        _put(store, "v1", "Service", obj)
    for kind, obj in _others():
        api, _, name = kind.rpartition("/")
        _put(store, api, name, obj)


def _put(store: Store, api_version: str, kind: str, obj: Obj) -> None:
    resource = by_kind(api_version, kind)
    assert resource is not None
    complete(resource, obj)
    store.create(resource, obj)


def _image(space: str, app: str, tag: str) -> str:
    return f"{REGISTRY}/{space}/{app}:{tag}"


def _deployments() -> list[Obj]:
    database = {"DATABASE_HOST": "payments-db.payments.svc", "DATABASE_NAME": "payments"}
    return [
        deployment("shop", "frontend", 3, template("frontend", _image("shop", "frontend", "4.11.2"), port=8080)),
        deployment("shop", "cart", 2, template("cart", _image("shop", "cart", "1.9.0"), port=8080)),
        deployment(
            "shop", "checkout", 3, template("checkout", _image("shop", "checkout", "2.14.3"), port=8080), deadline=30
        ),
        deployment(
            "shop",
            "search",
            2,
            template(
                "search", _image("shop", "search", "6.2.0"), port=8080, memory="256Mi", env={"JAVA_OPTS": "-Xmx192m"}
            ),
        ),
        deployment(
            "payments",
            "payment-api",
            3,
            template(
                "payment-api",
                _image("payments", "payment-api", "2.8.1"),
                port=8080,
                env=database,
                init="find-primary",
            ),
        ),
        deployment("payments", "fraud-check", 2, template("fraud-check", _image("payments", "fraud-check", "0.7.4"))),
        deployment(
            "platform", "report-builder", 1, template("report-builder", _image("platform", "report-builder", "3.3.0"))
        ),
        deployment("platform", "mail-relay", 1, template("mail-relay", _image("platform", "mail-relay", "1.2.5"))),
        deployment("kube-system", "coredns", 2, template("coredns", _image("system", "coredns", "v1.12.0"), port=8080)),
    ]


def _services() -> list[Obj]:
    places = [
        ("shop", "frontend"),
        ("shop", "cart"),
        ("shop", "checkout"),
        ("shop", "search"),
        ("payments", "payment-api"),
        ("payments", "payments-db"),
        ("kube-system", "coredns"),
    ]
    return [
        service(space, app, *((5432, 5432) if app == "payments-db" else (80, 8080)), f"10.96.0.{10 + number}")
        for number, (space, app) in enumerate(places)
    ]


def _others() -> list[tuple[str, Obj]]:
    def named(space: str, name: str, **body: object) -> Obj:
        return {"metadata": {"name": name, "namespace": space, "labels": {"app": name}}, **body}

    proxy = template("kube-proxy", _image("system", "kube-proxy", "v1.33.0"))
    proxy["spec"]["nodeSelector"] = {"node-role.kubernetes.io/worker": ""}
    backup = template("backup", _image("platform", "backup", "1.0.9"), policy="Never")
    return [
        (
            "apps/v1/StatefulSet",
            named(
                "payments",
                "payments-db",
                spec={
                    "replicas": 2,
                    "serviceName": "payments-db",
                    "selector": {"matchLabels": {"app": "payments-db"}},
                    "template": template(
                        "payments-db", _image("payments", "postgres", "16.4"), port=5432, memory="512Mi"
                    ),
                },
            ),
        ),
        (
            "apps/v1/DaemonSet",
            named(
                "kube-system",
                "kube-proxy",
                spec={
                    "selector": {"matchLabels": {"app": "kube-proxy"}},
                    "template": proxy,
                },
            ),
        ),
        (
            "batch/v1/CronJob",
            named("platform", "backup", spec={"schedule": "0 * * * *", "jobTemplate": {"spec": {"template": backup}}}),
        ),
        (
            "policy/v1/PodDisruptionBudget",
            named(
                "payments",
                "payment-api",
                spec={"minAvailable": 2, "selector": {"matchLabels": {"app": "payment-api"}}},
            ),
        ),
        (
            "autoscaling/v2/HorizontalPodAutoscaler",
            named("shop", "frontend", spec=_autoscaler("frontend", 3, 10), status=_autoscaled(3)),
        ),
        ("v1/ConfigMap", named("shop", "frontend-settings", data={"theme": "autumn", "currency": "EUR"})),
        ("v1/Secret", named("payments", "payments-db", type="Opaque", data={"password": "c2FuZGJveC1vbmx5"})),
        *(("v1/ServiceAccount", {"metadata": {"name": "default", "namespace": name}}) for name in NAMESPACES),
        (
            "storage.k8s.io/v1/StorageClass",
            {
                "metadata": {
                    "name": "standard",
                    "annotations": {"storageclass.kubernetes.io/is-default-class": "true"},
                },
                "provisioner": "disk.sandbox.example.com",
                "reclaimPolicy": "Delete",
                "volumeBindingMode": "WaitForFirstConsumer",
                "allowVolumeExpansion": True,
            },
        ),
    ]


def _autoscaler(app: str, low: int, high: int) -> Obj:
    target = {"type": "Utilization", "averageUtilization": 70}
    return {
        "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": app},
        "minReplicas": low,
        "maxReplicas": high,
        "metrics": [{"type": "Resource", "resource": {"name": "cpu", "target": target}}],
    }


def _autoscaled(replicas: int) -> Obj:
    current = {"name": "cpu", "current": {"averageUtilization": 23, "averageValue": "23m"}}
    return {
        "currentReplicas": replicas,
        "desiredReplicas": replicas,
        "currentMetrics": [{"type": "Resource", "resource": current}],
        "conditions": [
            {"type": "AbleToScale", "status": "True", "reason": "ReadyForNewScale"},
            {"type": "ScalingActive", "status": "True", "reason": "ValidMetricFound"},
            {"type": "ScalingLimited", "status": "True", "reason": "TooFewReplicas"},
        ],
    }


def age(cluster: Cluster, days: float = 3.0) -> None:
    """Build the demo world in the past and let it grow old, so that it has uptimes, a finished backup, and one pod
    that restarted once, long ago.
    """
    seconds, present = days * 86400, cluster.clock.now()
    cluster.clock.advance(-seconds)
    populate(cluster.store, cluster.clock.now())
    cluster.pass_time(60)
    _stumble(cluster, "shop", "cart")
    cluster.clock.advance(seconds - 180)
    for record in list(cluster.store.scan(CRONJOBS)):
        cluster.cronjobs.trigger(record)
    cluster.pass_time(max(0.0, present - cluster.clock.now()))


def _stumble(cluster: Cluster, space: str, app: str) -> None:
    """One pod of an app ends once, and comes back for good."""
    pod = next(record for record in cluster.store.scan(PODS, space) if record.labels.get("app") == app)

    def once(document: Obj, _container: Obj) -> Behaviour | None:
        if document["metadata"]["uid"] != pod.uid:
            return None
        cluster.rules.remove(once)
        return Run(exit_after=0.5, exit_code=1, logs=("cart: lost its lease, ending",))

    cluster.rules.add(once)
    cluster.kubelets.disturb(pod)
    cluster.pass_time(30)
