"""Conditions of Services and network policies."""

from midwatch.domain.conditions.look import Look, shown
from midwatch.domain.conditions.templates import templates
from midwatch.domain.conditions.workloads import common_cause
from midwatch.domain.objects.meta import Base, Selector
from midwatch.domain.objects.network import Endpoints, NetworkPolicy, PolicyPeer, Service
from midwatch.domain.objects.pods import Pod
from midwatch.domain.objects.workloads import DaemonSet, Deployment, StatefulSet


def service(look: Look, item: Service) -> None:
    """A Service: whether anybody answers behind it."""
    if item.spec.type == "LoadBalancer" and not item.status.load_balancer.ingress and item.metadata.uid:
        look.report(
            "LoadBalancerPending", item, "No address has been assigned.", since=item.metadata.creation_timestamp
        )
    if item.spec.type == "ExternalName" or not item.spec.selector:
        return
    ready, waiting = endpoints(look, item)
    selector = Selector(match_labels=item.spec.selector)
    if ready == 0:
        _without_endpoints(look, item, selector, waiting or 0)
    elif ready is None:
        _against_templates(look, item, selector)
    if ready:
        _ports(look, item)
        if waiting and not look.live:
            look.report(
                "ServiceEndpointsUnready",
                item,
                f"{waiting} of its {ready + waiting} endpoints are not ready; expected labels are {selector}.",
                evidence=[shown(item, "endpoints", f"{ready} ready, {waiting} not ready")],
            )


def endpoints(look: Look, item: Service) -> tuple[int | None, int]:
    """Ready and waiting endpoints of a Service; ``None`` where nothing is known of them."""
    slices = look.view.slices(item.namespace, item.name)
    old = look.view.find(Endpoints, item.namespace, item.name)
    if slices:
        states = [endpoint.conditions.ready is not False for piece in slices for endpoint in piece.endpoints]
        return sum(states), len(states) - sum(states)
    if old is not None:
        return sum(len(part.addresses) for part in old.subsets), sum(
            len(part.not_ready_addresses) for part in old.subsets
        )
    known = look.view.sees("EndpointSlice") if look.live else "EndpointSlice" in look.view.complete
    return (0, 0) if known or "Endpoints" in look.view.complete else (None, 0)


def _without_endpoints(look: Look, item: Service, selector: Selector, waiting: int) -> None:
    old = look.view.find(Endpoints, item.namespace, item.name)
    if old is not None and old.metadata.annotations.leader:
        return  # kept for an election, not for traffic
    behind = look.view.pods_selected(item.namespace, item.spec.selector)
    workload = _workload(look, item, selector)
    if not behind and isinstance(workload, Deployment | StatefulSet) and workload.spec.replicas == 0:
        return  # somebody wants no pods behind this Service
    seen = [shown(item, "spec.selector", selector)]
    if not behind and not waiting and workload is None and look.view.sees("Pod") and look.view.count("Pod"):
        look.report(
            "ServiceSelectorMismatch",
            item,
            f"No pod has the labels it selects ({selector}); it has no endpoints.",
            evidence=seen,
        )
        return
    unready = (
        f"{waiting or len(behind)} pods behind it are not ready" if waiting or behind else "no pods stand behind it"
    )
    owner = workload.ref if workload else (look.view.top(behind[0]) if behind else None)
    cause = common_cause(look, workload) if workload else None
    look.report(
        "ServiceNoEndpoints",
        item,
        f"It has no ready endpoints, {unready}; expected labels are {selector}.",
        evidence=seen,
        owners=cause or ((owner,) if owner else None),
    )


def _workload(look: Look, item: Service, selector: Selector) -> Base | None:
    """The workload that makes the pods this Service selects."""
    view, space = look.view, item.namespace
    for deployment in view.each(Deployment, space):
        if selector.matches(deployment.spec.template.metadata.labels):
            return deployment
    for stateful in view.each(StatefulSet, space):
        if selector.matches(stateful.spec.template.metadata.labels):
            return stateful
    daemons = view.each(DaemonSet, space)
    return next((each for each in daemons if selector.matches(each.spec.template.metadata.labels)), None)


def _against_templates(look: Look, item: Service, selector: Selector) -> None:
    """Where no endpoints and no pods are known: whether any template at hand would make a pod it selects."""
    if look.live or look.view.count("Pod"):
        return
    labelled = [template.metadata.labels for template in templates(look.view, item.namespace)]
    near = [labels for labels in labelled if set(selector.match_labels.items()) & set(labels.items())]
    if near and not any(selector.matches(labels) for labels in labelled):
        look.report(
            "ServiceSelectorMismatch",
            item,
            f"Its selector ({selector}) matches no workload's labels; it will have no endpoints.",
            evidence=[shown(item, "spec.selector", selector)],
        )


def _ports(look: Look, item: Service) -> None:
    pods = look.view.pods_selected(item.namespace, item.spec.selector)[:1]
    for pod in pods:
        for port in item.spec.ports:
            if isinstance(port.target_port, str) and port.target_port not in _named_ports(pod):
                look.report(
                    "ServicePortMismatch",
                    item,
                    f"It sends to port {port.target_port!r}, which no container of its pods names.",
                    evidence=[shown(item, "spec.ports", port.target_port)],
                )


def _named_ports(pod: Pod) -> set[str]:
    return {port.name for container in pod.spec.containers for port in container.ports}


def network_policy(look: Look, item: NetworkPolicy) -> None:
    """In a snapshot: a policy that covers all, nothing, or keeps neighbours out."""
    if look.live:
        return  # what a policy is meant for is not a failure to wake anybody for
    selector = item.spec.pod_selector
    if selector.empty:
        look.report(
            "NetworkPolicySelectsAll",
            item,
            "Its empty pod selector applies to all pods of the namespace.",
            evidence=[shown(item, "spec.podSelector", "{}")],
        )
    elif look.view.sees("Pod") and not look.view.pods_selected(item.namespace, selector) and not _templates(look, item):
        look.report(
            "NetworkPolicySelectsNothing",
            item,
            f"It is not applied to any pods: none has the labels {selector}.",
            evidence=[shown(item, "spec.podSelector", selector)],
        )
    sources = [peer for rule in item.spec.ingress for peer in rule.from_]
    if not sources or any(peer.namespace_selector for peer in sources):
        return
    selected = _templates(look, item)
    kept_out = [
        workload.name
        for workload in look.view.each(Deployment, item.namespace)
        if workload.name not in selected and not _admits(sources, workload)
    ]
    if selected and kept_out:
        look.report(
            "NetworkPolicyBlocks",
            item,
            f"The network policy blocks traffic from {', '.join(kept_out)} to {', '.join(selected)}.",
            evidence=[shown(item, "spec.ingress", "; ".join(str(peer.pod_selector) for peer in sources))],
        )


def _admits(sources: list[PolicyPeer], workload: Deployment) -> bool:
    labels = workload.spec.template.metadata.labels
    return any(peer.pod_selector is None or peer.pod_selector.matches(labels) for peer in sources)


def _templates(look: Look, item: NetworkPolicy) -> list[str]:
    """Deployments whose pods the policy selects."""
    return [
        workload.name
        for workload in look.view.each(Deployment, item.namespace)
        if item.spec.pod_selector.matches(workload.spec.template.metadata.labels)
    ]
