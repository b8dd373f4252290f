"""Many healthy pods at once, with their Deployments, ReplicaSets and nodes: for benchmarks."""

from __future__ import annotations

from midwatch.sandbox.cluster.assembly import Cluster
from midwatch.sandbox.cluster.podstatus import summarise
from midwatch.sandbox.defaults import complete
from midwatch.sandbox.objects import (
    Obj,
    condition,
    copy,
    decode,
    digest_name,
    encode,
    micro_stamp,
    owner_reference,
    stamp,
)
from midwatch.sandbox.scenarios.builders import REGISTRY, deployment, namespace, node, template
from midwatch.sandbox.schema import DEPLOYMENTS, NAMESPACES, NODES, PODS, REPLICASETS
from midwatch.sandbox.store import Store

PODS_PER_NODE = 110
PODS_PER_DEPLOYMENT = 20
DEPLOYMENTS_PER_NAMESPACE = 50


def seed_pods(cluster: Cluster, count: int) -> None:
    """Add ``count`` running pods as if they had always been there; nothing is announced to controllers or watches."""
    store, now = cluster.store, cluster.clock.now()
    nodes = -(-count // PODS_PER_NODE)
    for number in range(nodes):
        obj = node(f"big-{number:04d}", now, cpu="32", memory="128Gi", pods=250)
        obj["metadata"] |= {"uid": store.new_uid(), "creationTimestamp": stamp(now - 86400), "generation": 1}
        # Their own role keeps the demo world's DaemonSet off them, so that the number of pods is what was asked for.
        del obj["metadata"]["labels"]["node-role.kubernetes.io/worker"]
        obj["metadata"]["labels"]["node-role.kubernetes.io/load"] = ""
        store.load(NODES, obj)
    made = 0
    for number in range(-(-count // PODS_PER_DEPLOYMENT)):
        space = f"load-{number // DEPLOYMENTS_PER_NAMESPACE:03d}"
        if number % DEPLOYMENTS_PER_NAMESPACE == 0:
            obj = namespace(space)
            obj["metadata"] |= {"uid": store.new_uid(), "creationTimestamp": stamp(now - 86400)}
            complete(NAMESPACES, obj)
            store.load(NAMESPACES, obj)
        replicas = min(PODS_PER_DEPLOYMENT, count - made)
        _seed_deployment(store, space, f"service-{number:05d}", replicas, now, made, nodes)
        made += replicas


def _seed_deployment(store: Store, space: str, app: str, replicas: int, now: float, first: int, nodes: int) -> None:
    past = stamp(now - 86400)
    pod_template = template(app, f"{REGISTRY}/load/{app}:1.0.0", port=8080, env={"REGION": "west", "LOG_LEVEL": "info"})
    parent = deployment(space, app, replicas, pod_template)
    complete(DEPLOYMENTS, parent)
    counts = {"replicas": replicas, "readyReplicas": replicas, "availableReplicas": replicas}
    digest = digest_name(parent["spec"]["template"])
    conditions = [
        {
            "type": kind,
            "status": "True",
            "reason": reason,
            "message": message,
            "lastTransitionTime": past,
            "lastUpdateTime": past,
        }
        for kind, reason, message in (
            ("Available", "MinimumReplicasAvailable", "Deployment has minimum availability."),
            ("Progressing", "NewReplicaSetAvailable", f'ReplicaSet "{app}-{digest}" has successfully progressed.'),
        )
    ]
    parent["metadata"] |= {
        "uid": store.new_uid(),
        "creationTimestamp": past,
        "generation": 1,
        "annotations": {"deployment.kubernetes.io/revision": "1"},
    }
    parent["status"] = {"observedGeneration": 1, "updatedReplicas": replicas, **counts, "conditions": conditions}
    store.load(DEPLOYMENTS, parent)
    labels = {"app": app, "pod-template-hash": digest}
    child_template = copy(parent["spec"]["template"])
    child_template["metadata"]["labels"] = labels
    replicaset: Obj = {
        "metadata": {
            "name": f"{app}-{digest}",
            "namespace": space,
            "uid": store.new_uid(),
            "creationTimestamp": past,
            "generation": 1,
            "labels": labels,
            "annotations": {"deployment.kubernetes.io/revision": "1"},
            "ownerReferences": [owner_reference(parent)],
        },
        "spec": {"replicas": replicas, "selector": {"matchLabels": labels}, "template": child_template},
        "status": {**counts, "fullyLabeledReplicas": replicas, "observedGeneration": 1},
    }
    store.load(REPLICASETS, replicaset)
    shape = encode(_pod(space, labels, child_template["spec"], replicaset, now, past))
    for index in range(replicas):
        number = first + index
        pod: Obj = decode(shape)
        pod["metadata"]["name"] = store.new_name(f"{app}-{digest}-")
        pod["metadata"]["uid"] = store.new_uid()
        pod["spec"]["nodeName"] = f"big-{number % nodes:04d}"
        ip = f"10.{128 + number // 65025}.{number // 255 % 255}.{number % 255}"
        pod["status"] |= {"podIP": ip, "podIPs": [{"ip": ip}], "hostIP": f"10.1.{number % nodes // 250}.{number % 250}"}
        store.load(PODS, pod)


def _pod(space: str, labels: Obj, spec: Obj, replicaset: Obj, now: float, past: str) -> Obj:
    container = spec["containers"][0]
    pod: Obj = {
        "metadata": {
            "name": "",
            "generateName": f"{replicaset['metadata']['name']}-",
            "namespace": space,
            "uid": "",
            "creationTimestamp": past,
            "labels": labels,
            "ownerReferences": [owner_reference(replicaset)],
        },
        "spec": {**spec, "nodeName": "", "serviceAccountName": "default", "enableServiceLinks": True},
        "status": {
            "startTime": past,
            "qosClass": "Burstable",
            "containerStatuses": [
                {
                    "name": container["name"],
                    "image": container["image"],
                    "imageID": f"{container['image']}@sha256:{digest_name(container['image'], 64)}",
                    "containerID": f"containerd://{digest_name(container, 64)}",
                    "ready": True,
                    "started": True,
                    "restartCount": 0,
                    "state": {"running": {"startedAt": past}},
                    "lastState": {},
                }
            ],
            "conditions": [{"type": "PodScheduled", "status": "True", "lastTransitionTime": past}],
        },
    }
    summarise(pod, now - 86400)
    ready = condition(pod, "Ready")
    if ready is not None:
        ready["lastProbeTime"] = micro_stamp(now)
    return pod
