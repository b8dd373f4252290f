"""One row of what kubectl prints, per kind: the cells, in the order of the columns beside them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from midwatch.sandbox.objects import Obj, condition, dig, seconds_of

Cells = list[Any]


def duration(seconds: float) -> str:
    """``5s``, ``3m10s``, ``2d4h``: as kubectl prints an age."""
    whole = max(0, int(seconds))
    if whole < 120:
        return f"{whole}s"
    minutes, hours, days = whole // 60, whole // 3600, whole // 86400
    if minutes < 10:
        return f"{minutes}m{whole % 60}s" if whole % 60 else f"{minutes}m"
    if hours < 3:
        return f"{minutes}m"
    if hours < 8:
        return f"{hours}h{minutes % 60}m" if minutes % 60 else f"{hours}h"
    if days < 2:
        return f"{hours}h"
    if days < 8:
        return f"{days}d{hours % 24}h" if hours % 24 else f"{days}d"
    return f"{days}d"


def _age(obj: Obj, now: float) -> str:
    return duration(now - seconds_of(obj["metadata"].get("creationTimestamp")))


def _selector(obj: Obj) -> str:
    selector = dig(obj, "spec.selector") or {}
    labels = selector.get("matchLabels", selector) or {}
    return ",".join(f"{name}={value}" for name, value in labels.items() if isinstance(value, str)) or "<none>"


def _containers(obj: Obj) -> tuple[str, str]:
    containers = dig(obj, "spec.template.spec.containers") or []
    return ",".join(c["name"] for c in containers), ",".join(c.get("image", "") for c in containers)


def pod_status(pod: Obj) -> str:
    """The STATUS column of a pod, by the printer's own rules."""
    metadata, status = pod["metadata"], pod.get("status") or {}
    reason = status.get("reason") or status.get("phase") or "Pending"
    initialising = False
    statuses = status.get("initContainerStatuses") or []
    for index, item in enumerate(statuses):
        state = item.get("state") or {}
        terminated, waiting = state.get("terminated"), state.get("waiting")
        if terminated and terminated.get("exitCode") == 0:
            continue
        if terminated:
            reason = f"Init:{terminated.get('reason') or 'ExitCode:' + str(terminated.get('exitCode'))}"
        elif waiting and waiting.get("reason") and waiting["reason"] != "PodInitializing":
            reason = f"Init:{waiting['reason']}"
        else:
            reason = f"Init:{index}/{len(statuses)}"
        initialising = True
        break
    if not initialising:
        running = False
        for item in reversed(status.get("containerStatuses") or []):
            state = item.get("state") or {}
            if dig(state, "waiting.reason"):
                reason = state["waiting"]["reason"]
            elif "terminated" in state:
                reason = state["terminated"].get("reason") or f"ExitCode:{state['terminated'].get('exitCode')}"
            elif item.get("ready") and "running" in state:
                running = True
        if reason == "Completed" and running:
            ready = condition(pod, "Ready")
            reason = "Running" if ready and ready["status"] == "True" else "NotReady"
    if metadata.get("deletionTimestamp"):
        return "Unknown" if status.get("reason") == "NodeLost" else "Terminating"
    return str(reason)


def _pod(obj: Obj, now: float) -> Cells:
    statuses = dig(obj, "status.containerStatuses") or []
    restarts = sum(item.get("restartCount", 0) for item in statuses)
    last = max((seconds_of(dig(item, "lastState.terminated.finishedAt")) for item in statuses), default=0.0)
    shown = f"{restarts} ({duration(now - last)} ago)" if restarts and last else str(restarts)
    ready = sum(bool(item.get("ready")) for item in statuses)
    total = len(dig(obj, "spec.containers") or [])
    gates = dig(obj, "spec.readinessGates")
    return [
        obj["metadata"]["name"],
        f"{ready}/{total}",
        pod_status(obj),
        shown,
        _age(obj, now),
        dig(obj, "status.podIP") or "<none>",
        dig(obj, "spec.nodeName") or "<none>",
        dig(obj, "status.nominatedNodeName") or "<none>",
        f"0/{len(gates)}" if gates else "<none>",
    ]


def _node(obj: Obj, now: float) -> Cells:
    ready = condition(obj, "Ready")
    status = "Ready" if ready and ready["status"] == "True" else "NotReady"
    if dig(obj, "spec.unschedulable"):
        status += ",SchedulingDisabled"
    prefix = "node-role.kubernetes.io/"
    roles = ",".join(n.removeprefix(prefix) for n in (obj["metadata"].get("labels") or {}) if n.startswith(prefix))
    info = dig(obj, "status.nodeInfo") or {}
    addresses = {item["type"]: item["address"] for item in dig(obj, "status.addresses") or []}
    return [
        obj["metadata"]["name"],
        status,
        roles or "<none>",
        _age(obj, now),
        info.get("kubeletVersion", ""),
        addresses.get("InternalIP", "<none>"),
        addresses.get("ExternalIP", "<none>"),
        info.get("osImage", "<unknown>"),
        info.get("kernelVersion", "<unknown>"),
        info.get("containerRuntimeVersion", "<unknown>"),
    ]


def _deployment(obj: Obj, now: float) -> Cells:
    status = obj.get("status") or {}
    return [
        obj["metadata"]["name"],
        f"{status.get('readyReplicas', 0)}/{dig(obj, 'spec.replicas') or 0}",
        status.get("updatedReplicas", 0),
        status.get("availableReplicas", 0),
        _age(obj, now),
        *_containers(obj),
        _selector(obj),
    ]


def _replicaset(obj: Obj, now: float) -> Cells:
    status = obj.get("status") or {}
    counts = [dig(obj, "spec.replicas") or 0, status.get("replicas", 0), status.get("readyReplicas", 0)]
    return [obj["metadata"]["name"], *counts, _age(obj, now), *_containers(obj), _selector(obj)]


def _statefulset(obj: Obj, now: float) -> Cells:
    ready = f"{dig(obj, 'status.readyReplicas') or 0}/{dig(obj, 'spec.replicas') or 0}"
    return [obj["metadata"]["name"], ready, _age(obj, now), *_containers(obj)]


def _daemonset(obj: Obj, now: float) -> Cells:
    status = obj.get("status") or {}
    names = (
        "desiredNumberScheduled",
        "currentNumberScheduled",
        "numberReady",
        "updatedNumberScheduled",
        "numberAvailable",
    )
    nodes = dig(obj, "spec.template.spec.nodeSelector") or {}
    selector = ",".join(f"{name}={value}" for name, value in nodes.items()) or "<none>"
    counts = [status.get(name, 0) for name in names]
    return [obj["metadata"]["name"], *counts, selector, _age(obj, now), *_containers(obj), _selector(obj)]


def _job(obj: Obj, now: float) -> Cells:
    status = obj.get("status") or {}
    state = next(
        (
            name
            for name, kind in (("Complete", "Complete"), ("Failed", "Failed"), ("Suspended", "Suspended"))
            if (found := condition(obj, kind)) and found["status"] == "True"
        ),
        "Running",
    )
    start = seconds_of(status.get("startTime"))
    took = duration((seconds_of(status.get("completionTime")) or now) - start) if start else ""
    done = f"{status.get('succeeded', 0)}/{dig(obj, 'spec.completions') or 1}"
    return [obj["metadata"]["name"], state, done, took, _age(obj, now), *_containers(obj), _selector(obj)]


def _cronjob(obj: Obj, now: float) -> Cells:
    last = dig(obj, "status.lastScheduleTime")
    return [
        obj["metadata"]["name"],
        dig(obj, "spec.schedule") or "",
        dig(obj, "spec.timeZone") or "<none>",
        str(bool(dig(obj, "spec.suspend"))),
        str(len(dig(obj, "status.active") or [])),
        duration(now - seconds_of(last)) if last else "<none>",
        _age(obj, now),
    ]


def _service(obj: Obj, now: float) -> Cells:
    spec = obj.get("spec") or {}
    ports = ",".join(
        f"{port['port']}{':' + str(port['nodePort']) if port.get('nodePort') else ''}/{port.get('protocol', 'TCP')}"
        for port in spec.get("ports") or []
    )
    cells = [obj["metadata"]["name"], spec.get("type", "ClusterIP"), spec.get("clusterIP") or "<none>", "<none>"]
    return [*cells, ports or "<none>", _age(obj, now), _selector(obj)]


def _endpoints(obj: Obj, now: float) -> Cells:
    pairs = [
        f"{address['ip']}:{port['port']}"
        for subset in obj.get("subsets") or []
        for address in subset.get("addresses") or []
        for port in subset.get("ports") or []
    ]
    more = f" + {len(pairs) - 3} more..." if len(pairs) > 3 else ""
    return [obj["metadata"]["name"], ",".join(pairs[:3]) + more or "<none>", _age(obj, now)]


def _event(obj: Obj, now: float) -> Cells:
    last = seconds_of(obj.get("lastTimestamp")) or seconds_of(obj["metadata"].get("creationTimestamp"))
    first, count = seconds_of(obj.get("firstTimestamp")), obj.get("count") or 1
    seen = f"{duration(now - last)} (x{count} over {duration(now - first)})" if count > 1 else duration(now - last)
    involved = obj.get("involvedObject") or {}
    return [
        seen,
        obj.get("type", ""),
        obj.get("reason", ""),
        f"{involved.get('kind', '').lower()}/{involved.get('name', '')}",
        involved.get("fieldPath", ""),
        ", ".join(filter(None, (dig(obj, "source.component"), dig(obj, "source.host")))),
        (obj.get("message") or "").strip(),
        duration(now - first),
        count,
        obj["metadata"]["name"],
    ]


def _namespace(obj: Obj, now: float) -> Cells:
    return [obj["metadata"]["name"], dig(obj, "status.phase") or "Active", _age(obj, now)]


def _configmap(obj: Obj, now: float) -> Cells:
    return [obj["metadata"]["name"], len(obj.get("data") or {}) + len(obj.get("binaryData") or {}), _age(obj, now)]


def _secret(obj: Obj, now: float) -> Cells:
    return [obj["metadata"]["name"], obj.get("type", "Opaque"), len(obj.get("data") or {}), _age(obj, now)]


def _pvc(obj: Obj, now: float) -> Cells:
    spec, status = obj.get("spec") or {}, obj.get("status") or {}
    modes = ",".join("".join(letter for letter in mode if letter.isupper()) for mode in status.get("accessModes") or [])
    size = dig(status, "capacity.storage") or ""
    cells = [obj["metadata"]["name"], status.get("phase", "Pending"), spec.get("volumeName", ""), size, modes]
    return [*cells, spec.get("storageClassName", ""), "<unset>", _age(obj, now), spec.get("volumeMode", "Filesystem")]


def _hpa(obj: Obj, now: float) -> Cells:
    spec, status = obj.get("spec") or {}, obj.get("status") or {}
    reference = spec.get("scaleTargetRef") or {}
    targets = []
    current = {
        dig(item, "resource.name"): dig(item, "resource.current.averageUtilization")
        for item in status.get("currentMetrics") or []
    }
    for metric in spec.get("metrics") or []:
        name = dig(metric, "resource.name")
        now_used = current.get(name)
        wanted = dig(metric, "resource.target.averageUtilization")
        targets.append(f"{name}: {'<unknown>' if now_used is None else f'{now_used}%'}/{wanted}%")
    return [
        obj["metadata"]["name"],
        f"{reference.get('kind')}/{reference.get('name')}",
        ", ".join(targets),
        str(spec.get("minReplicas", 1)),
        spec.get("maxReplicas", 0),
        status.get("currentReplicas", 0),
        _age(obj, now),
    ]


def _pdb(obj: Obj, now: float) -> Cells:
    spec, status = obj.get("spec") or {}, obj.get("status") or {}
    floor, ceiling = spec.get("minAvailable", "N/A"), spec.get("maxUnavailable", "N/A")
    return [obj["metadata"]["name"], str(floor), str(ceiling), status.get("disruptionsAllowed", 0), _age(obj, now)]


def _ingress(obj: Obj, now: float) -> Cells:
    spec = obj.get("spec") or {}
    hosts = ",".join(rule.get("host", "*") for rule in spec.get("rules") or []) or "*"
    ports = "80, 443" if spec.get("tls") else "80"
    return [obj["metadata"]["name"], spec.get("ingressClassName") or "<none>", hosts, "", ports, _age(obj, now)]


def _storage_class(obj: Obj, now: float) -> Cells:
    name = obj["metadata"]["name"]
    default = (obj["metadata"].get("annotations") or {}).get("storageclass.kubernetes.io/is-default-class") == "true"
    return [
        f"{name} (default)" if default else name,
        obj.get("provisioner", ""),
        obj.get("reclaimPolicy", "Delete"),
        obj.get("volumeBindingMode", "Immediate"),
        str(bool(obj.get("allowVolumeExpansion"))).lower(),
        _age(obj, now),
    ]


def _plain(obj: Obj, now: float) -> Cells:
    return [obj["metadata"]["name"], _age(obj, now)]


_TEMPLATE = ("+Containers", "+Images")
PLAIN: tuple[tuple[str, ...], Callable[[Obj, float], Cells]] = (("Name", "Age"), _plain)
TABLES: dict[str, tuple[tuple[str, ...], Callable[[Obj, float], Cells]]] = {
    "Pod": (
        ("Name", "Ready", "Status", "Restarts", "Age", "+IP", "+Node", "+Nominated Node", "+Readiness Gates"),
        _pod,
    ),
    "Node": (
        (
            "Name",
            "Status",
            "Roles",
            "Age",
            "Version",
            "+Internal-IP",
            "+External-IP",
            "+OS-Image",
            "+Kernel-Version",
            "+Container-Runtime",
        ),
        _node,
    ),
    "Deployment": (("Name", "Ready", "Up-To-Date", "Available", "Age", *_TEMPLATE, "+Selector"), _deployment),
    "ReplicaSet": (("Name", "Desired", "Current", "Ready", "Age", *_TEMPLATE, "+Selector"), _replicaset),
    "StatefulSet": (("Name", "Ready", "Age", *_TEMPLATE), _statefulset),
    "DaemonSet": (
        (
            "Name",
            "Desired",
            "Current",
            "Ready",
            "Up-To-Date",
            "Available",
            "Node Selector",
            "Age",
            *_TEMPLATE,
            "+Selector",
        ),
        _daemonset,
    ),
    "Job": (("Name", "Status", "Completions", "Duration", "Age", *_TEMPLATE, "+Selector"), _job),
    "CronJob": (("Name", "Schedule", "Timezone", "Suspend", "Active", "Last Schedule", "Age"), _cronjob),
    "Service": (("Name", "Type", "Cluster-IP", "External-IP", "Port(s)", "Age", "+Selector"), _service),
    "Endpoints": (("Name", "Endpoints", "Age"), _endpoints),
    "Event": (
        ("Last Seen", "Type", "Reason", "Object", "+Subobject", "+Source", "Message", "+First Seen", "+Count", "+Name"),
        _event,
    ),
    "Namespace": (("Name", "Status", "Age"), _namespace),
    "ConfigMap": (("Name", "Data", "Age"), _configmap),
    "Secret": (("Name", "Type", "Data", "Age"), _secret),
    "PersistentVolumeClaim": (
        (
            "Name",
            "Status",
            "Volume",
            "Capacity",
            "Access Modes",
            "StorageClass",
            "VolumeAttributesClass",
            "Age",
            "+VolumeMode",
        ),
        _pvc,
    ),
    "HorizontalPodAutoscaler": (("Name", "Reference", "Targets", "MinPods", "MaxPods", "Replicas", "Age"), _hpa),
    "PodDisruptionBudget": (("Name", "Min Available", "Max Unavailable", "Allowed Disruptions", "Age"), _pdb),
    "Ingress": (("Name", "Class", "Hosts", "Address", "Ports", "Age"), _ingress),
    "StorageClass": (
        ("Name", "Provisioner", "ReclaimPolicy", "VolumeBindingMode", "AllowVolumeExpansion", "Age"),
        _storage_class,
    ),
}
