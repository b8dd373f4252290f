"""Conditions of Ingresses, Gateways and routes."""

from midwatch.domain.conditions.look import Look, shown
from midwatch.domain.diagnosis import Evidence
from midwatch.domain.objects.cluster import Namespace, Secret
from midwatch.domain.objects.meta import Base, StatusCondition, condition
from midwatch.domain.objects.network import (
    Backend,
    Gateway,
    GatewayClass,
    HTTPRoute,
    Ingress,
    IngressClass,
    Listener,
    ParentRef,
    Service,
)


def ingress(look: Look, item: Ingress) -> None:
    """An Ingress: its class, backends and certificates."""
    spec = item.spec
    named = spec.ingress_class_name or item.metadata.annotations.ingress_class
    served = bool(item.status.load_balancer.ingress)  # a controller gave it an address: somebody feels responsible
    if not named and not served and not _default_class(look):
        look.report(
            "IngressClassMissing",
            item,
            "The Ingress does not specify an ingress class, and no default is seen.",
            evidence=[shown(item, "spec.ingressClassName", "")],
        )
    elif named and not served and look.view.sees("IngressClass") and look.view.find(IngressClass, "", named) is None:
        look.report(
            "IngressClassMissing",
            item,
            f"Ingress class {named} does not exist.",
            evidence=[shown(item, "spec.ingressClassName", named)],
        )
    backends = [path.backend for rule in spec.rules if rule.http for path in rule.http.paths]
    for backend in [*backends, *([spec.default_backend] if spec.default_backend else [])]:
        _backend(look, item, backend)
    for tls in spec.tls:
        if (
            tls.secret_name
            and look.view.sees("Secret")
            and look.view.find(Secret, item.namespace, tls.secret_name) is None
        ):
            look.report(
                "IngressTlsMissing",
                item,
                f"TLS secret {tls.secret_name} does not exist.",
                evidence=[shown(item, "spec.tls", tls.secret_name)],
            )


def _default_class(look: Look) -> bool:
    """Whether a class may take Ingresses that name none; unknown classes get the benefit of the doubt while live."""
    default = any(each.metadata.annotations.default_ingress == "true" for each in look.view.each(IngressClass))
    return default or not look.view.sees("IngressClass")


def _backend(look: Look, item: Ingress, backend: Backend) -> None:
    wanted = backend.service
    if wanted is None or not wanted.name or not look.view.sees("Service"):
        return
    found = look.view.find(Service, item.namespace, wanted.name)
    seen = [shown(item, "spec.rules", f"{wanted.name}:{wanted.port.number or wanted.port.name}")]
    if found is None:
        look.report("IngressBackendMissing", item, f"Backend service {wanted.name} does not exist.", evidence=seen)
    elif found.spec.ports and not any(
        wanted.port.number in (0, port.port) and wanted.port.name in ("", port.name) for port in found.spec.ports
    ):
        look.report("IngressPortMismatch", item, f"Service {wanted.name} has no such port.", evidence=seen)


def gateway_class(look: Look, item: GatewayClass) -> None:
    """A GatewayClass and whether its controller took it."""
    if (entry := _refused(item.status.conditions, "Accepted")) is not None:
        look.report(
            "GatewayClassNotAccepted",
            item,
            f"GatewayClass is not accepted ({entry.reason or 'no reason given'}).",
            since=entry.last_transition_time,
            evidence=[_seen(item, entry)],
        )


def gateway(look: Look, item: Gateway) -> None:
    """A Gateway: its class, and whether its controller took it."""
    name = item.spec.gateway_class_name
    entry = _refused(item.status.conditions, "Accepted") or _refused(item.status.conditions, "Programmed")
    accepted = condition(item.status.conditions, "Accepted")
    missing = name and look.view.sees("GatewayClass") and look.view.find(GatewayClass, "", name) is None
    if missing and not (accepted is not None and accepted.status == "True"):
        look.report(
            "GatewayClassMissing",
            item,
            f"Gateway class {name} does not exist.",
            evidence=[shown(item, "spec.gatewayClassName", name)],
        )
    if entry is not None:
        look.report(
            "GatewayNotAccepted",
            item,
            f"The Gateway is not {entry.type.lower()} ({entry.reason or 'no reason given'}).",
            since=entry.last_transition_time,
            evidence=[_seen(item, entry)],
        )


def route(look: Look, item: HTTPRoute) -> None:
    """A route: its parents and backends."""
    for parent in item.spec.parent_refs:
        if parent.kind == "Gateway":
            _parent(look, item, parent)
    for backend in (backend for rule in item.spec.rules for backend in rule.backend_refs):
        space = backend.namespace or item.namespace
        if backend.kind != "Service" or not look.view.sees("Service"):
            continue
        found = look.view.find(Service, space, backend.name)
        seen = [shown(item, "spec.rules", f"{backend.name}:{backend.port}")]
        if found is None:
            look.report("RouteBackendMissing", item, f"Backend service {backend.name} does not exist.", evidence=seen)
        elif (
            backend.port is not None
            and found.spec.ports
            and backend.port not in {port.port for port in found.spec.ports}
        ):
            look.report("RoutePortMismatch", item, f"Service {backend.name} has no port {backend.port}.", evidence=seen)


def _parent(look: Look, item: HTTPRoute, parent: ParentRef) -> None:
    space = parent.namespace or item.namespace
    seen = [shown(item, "spec.parentRefs", f"{space}/{parent.name}")]
    found = look.view.find(Gateway, space, parent.name)
    if found is None:
        if look.view.sees("Gateway"):
            look.report(
                "RouteGatewayMissing",
                item,
                f"Gateway {parent.name} does not exist in namespace {space}.",
                evidence=seen,
            )
        return
    listeners = [listener for listener in found.spec.listeners if parent.section_name in ("", listener.name)]
    objections = [_objection(look, item, found, listener) for listener in listeners]
    if listeners and all(objections):
        look.report(
            "RouteNotAllowed", item, f"Gateway {parent.name} does not allow this route: {objections[0]}.", evidence=seen
        )


def _objection(look: Look, item: HTTPRoute, gate: Gateway, listener: Listener) -> str:
    """Why a listener does not admit a route; empty where it does, or where that cannot be known."""
    allowed = listener.allowed_routes.namespaces
    if allowed.from_ == "Same" and item.namespace != gate.namespace:
        return "it admits routes of its own namespace only"
    if allowed.from_ == "Selector" and allowed.selector is not None:
        home = look.view.find(Namespace, "", item.namespace)
        labels = home.metadata.labels if home else item.metadata.labels
        if (home is not None or not look.live) and not allowed.selector.matches(labels):
            return f"the route's labels do not fit its selector ({allowed.selector}), so it cannot attach"
    return ""


def _refused(entries: tuple[StatusCondition, ...], type_: str) -> StatusCondition | None:
    entry = condition(entries, type_)
    return entry if entry is not None and entry.status != "True" else None


def _seen(item: Base, entry: StatusCondition) -> Evidence:
    return shown(item, f"status.conditions[{entry.type}]", f"{entry.reason} {entry.message}".strip())
