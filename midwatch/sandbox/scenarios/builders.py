"""Short ways to write the objects of the demo world."""

from __future__ import annotations

from midwatch.sandbox.cluster.nodes import healthy
from midwatch.sandbox.objects import Obj, micro_stamp

REGISTRY = "registry.example.com"


def namespace(name: str) -> Obj:
    """A namespace."""
    return {"metadata": {"name": name, "labels": {"kubernetes.io/metadata.name": name}}}


def node(name: str, now: float, *, cpu: str = "4", memory: str = "8Gi", pods: int = 110) -> Obj:
    """A healthy worker."""
    room = {"cpu": cpu, "memory": memory, "pods": str(pods), "ephemeral-storage": "100Gi"}
    digits = "".join(letter for letter in name if letter.isdigit()) or "0"
    obj: Obj = {
        "metadata": {
            "name": name,
            "labels": {
                "kubernetes.io/hostname": name,
                "kubernetes.io/os": "linux",
                "kubernetes.io/arch": "amd64",
                "node-role.kubernetes.io/worker": "",
                "topology.kubernetes.io/zone": f"zone-{'abc'[int(digits) % 3]}",
            },
        },
        "spec": {"podCIDR": f"10.244.{int(digits) % 256}.0/24"},
        "status": {
            "capacity": room,
            "allocatable": dict(room),
            "addresses": [
                {"type": "InternalIP", "address": f"10.0.0.{10 + int(digits) % 240}"},
                {"type": "Hostname", "address": name},
            ],
            "nodeInfo": {
                "kubeletVersion": "v1.33.0",
                "osImage": "Debian GNU/Linux 12 (bookworm)",
                "kernelVersion": "6.1.0-31-amd64",
                "containerRuntimeVersion": "containerd://2.1.1",
                "operatingSystem": "linux",
                "architecture": "amd64",
                "kubeProxyVersion": "",
                "machineID": f"sandbox-{name}",
                "systemUUID": f"sandbox-{name}",
                "bootID": f"sandbox-{name}",
            },
        },
    }
    healthy(obj, now)
    return obj


def lease(name: str, now: float) -> Obj:
    """The heartbeat lease of a node."""
    return {
        "metadata": {"name": name, "namespace": "kube-node-lease"},
        "spec": {"holderIdentity": name, "leaseDurationSeconds": 40, "renewTime": micro_stamp(now)},
    }


def template(
    app: str,
    image: str,
    *,
    port: int | None = None,
    cpu: str = "100m",
    memory: str = "128Mi",
    limit: str = "",
    env: dict[str, str] | None = None,
    init: str = "",
    policy: str = "",
) -> Obj:
    """A pod template with one container named after the app."""
    container: Obj = {
        "name": app,
        "image": image,
        "resources": {"requests": {"cpu": cpu, "memory": memory}, "limits": {"memory": limit or memory}},
    }
    if port:
        container["ports"] = [{"name": "http", "containerPort": port}]
        container["readinessProbe"] = {"httpGet": {"path": "/healthz", "port": port}, "periodSeconds": 5}
    if env:
        container["env"] = [{"name": name, "value": value} for name, value in env.items()]
    spec: Obj = {"containers": [container]}
    if init:
        spec["initContainers"] = [{"name": init, "image": image, "command": [f"/bin/{init}"]}]
    if policy:
        spec["restartPolicy"] = policy
    return {"metadata": {"labels": {"app": app}}, "spec": spec}


def deployment(
    space: str, app: str, replicas: int, pod: Obj, *, deadline: int = 600, annotations: dict[str, str] | None = None
) -> Obj:
    """A Deployment of that template; ``deadline`` is its progress deadline in seconds."""
    metadata: Obj = {"name": app, "namespace": space, "labels": {"app": app, "app.kubernetes.io/part-of": space}}
    if annotations:
        metadata["annotations"] = annotations
    return {
        "metadata": metadata,
        "spec": {
            "replicas": replicas,
            "progressDeadlineSeconds": deadline,
            "selector": {"matchLabels": {"app": app}},
            "template": pod,
        },
    }


def service(space: str, app: str, port: int, target: int, address: str) -> Obj:
    """A Service in front of the app's pods."""
    return {
        "metadata": {"name": app, "namespace": space, "labels": {"app": app}},
        "spec": {
            "type": "ClusterIP",
            "clusterIP": address,
            "selector": {"app": app},
            "ports": [{"name": "http", "port": port, "targetPort": target}],
        },
    }
