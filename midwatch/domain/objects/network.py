"""How traffic finds pods: services, endpoints, ingresses, gateways, network policies."""

import msgspec

from midwatch.domain.objects.meta import Base, IntOrStr, NamedRef, Part, Selector, StatusCondition


class ServicePort(Part, frozen=True):
    name: str = ""
    port: int = 0
    target_port: IntOrStr | None = None


class ServiceSpec(Part, frozen=True):
    type: str = "ClusterIP"
    selector: dict[str, str] = msgspec.field(default_factory=dict)
    ports: tuple[ServicePort, ...] = ()


class Address(Part, frozen=True):
    ip: str = ""
    hostname: str = ""
    target_ref: NamedRef | None = None


class LoadBalancer(Part, frozen=True):
    ingress: tuple[Address, ...] = ()


class BalancedStatus(Part, frozen=True):
    load_balancer: LoadBalancer = LoadBalancer()


class Service(Base, frozen=True):
    spec: ServiceSpec = ServiceSpec()
    status: BalancedStatus = BalancedStatus()


class EndpointPort(Part, frozen=True):
    name: str = ""
    port: int = 0


class Subset(Part, frozen=True):
    addresses: tuple[Address, ...] = ()
    not_ready_addresses: tuple[Address, ...] = ()
    ports: tuple[EndpointPort, ...] = ()


class Endpoints(Base, frozen=True):
    subsets: tuple[Subset, ...] = ()


class EndpointConditions(Part, frozen=True):
    ready: bool | None = None


class Endpoint(Part, frozen=True):
    conditions: EndpointConditions = EndpointConditions()
    target_ref: NamedRef | None = None


class EndpointSlice(Base, frozen=True):
    endpoints: tuple[Endpoint, ...] = ()

    @property
    def service(self) -> str:
        """The service this slice belongs to."""
        return self.metadata.labels.get("kubernetes.io/service-name", "")


class BackendPort(Part, frozen=True):
    number: int = 0
    name: str = ""


class BackendService(Part, frozen=True):
    name: str = ""
    port: BackendPort = BackendPort()


class Backend(Part, frozen=True):
    service: BackendService | None = None


class Path(Part, frozen=True):
    path: str = ""
    backend: Backend = Backend()


class HttpRule(Part, frozen=True):
    paths: tuple[Path, ...] = ()


class IngressRule(Part, frozen=True):
    host: str = ""
    http: HttpRule | None = None


class IngressTls(Part, frozen=True):
    secret_name: str = ""


class IngressSpec(Part, frozen=True):
    ingress_class_name: str = ""
    default_backend: Backend | None = None
    rules: tuple[IngressRule, ...] = ()
    tls: tuple[IngressTls, ...] = ()


class Ingress(Base, frozen=True):
    spec: IngressSpec = IngressSpec()
    status: BalancedStatus = BalancedStatus()


class IngressClass(Base, frozen=True):
    pass


class ConditionsStatus(Part, frozen=True):
    conditions: tuple[StatusCondition, ...] = ()


class GatewayClass(Base, frozen=True):
    status: ConditionsStatus = ConditionsStatus()


class RouteNamespaces(Part, frozen=True):
    from_: str = "Same"
    selector: Selector | None = None


class AllowedRoutes(Part, frozen=True):
    namespaces: RouteNamespaces = RouteNamespaces()


class Listener(Part, frozen=True):
    name: str = ""
    port: int = 0
    allowed_routes: AllowedRoutes = AllowedRoutes()


class GatewaySpec(Part, frozen=True):
    gateway_class_name: str = ""
    listeners: tuple[Listener, ...] = ()


class Gateway(Base, frozen=True):
    spec: GatewaySpec = GatewaySpec()
    status: ConditionsStatus = ConditionsStatus()


class ParentRef(Part, frozen=True):
    kind: str = "Gateway"
    name: str = ""
    namespace: str = ""
    section_name: str = ""


class RouteBackend(Part, frozen=True):
    kind: str = "Service"
    name: str = ""
    namespace: str = ""
    port: int | None = None


class RouteRule(Part, frozen=True):
    backend_refs: tuple[RouteBackend, ...] = ()


class RouteSpec(Part, frozen=True):
    parent_refs: tuple[ParentRef, ...] = ()
    rules: tuple[RouteRule, ...] = ()


class RouteParent(Part, frozen=True):
    parent_ref: ParentRef = ParentRef()
    conditions: tuple[StatusCondition, ...] = ()


class RouteStatus(Part, frozen=True):
    parents: tuple[RouteParent, ...] = ()


class HTTPRoute(Base, frozen=True):
    spec: RouteSpec = RouteSpec()
    status: RouteStatus = RouteStatus()


class PolicyPeer(Part, frozen=True):
    pod_selector: Selector | None = None
    namespace_selector: Selector | None = None


class PolicyIngress(Part, frozen=True):
    from_: tuple[PolicyPeer, ...] = ()


class PolicySpec(Part, frozen=True):
    pod_selector: Selector = Selector()
    policy_types: tuple[str, ...] = ()
    ingress: tuple[PolicyIngress, ...] = ()


class NetworkPolicy(Base, frozen=True):
    spec: PolicySpec = PolicySpec()


class WebhookService(Part, frozen=True):
    name: str = ""
    namespace: str = ""


class ClientConfig(Part, frozen=True):
    service: WebhookService | None = None


class Webhook(Part, frozen=True):
    name: str = ""
    client_config: ClientConfig = ClientConfig()
    failure_policy: str = "Fail"


class MutatingWebhookConfiguration(Base, frozen=True):
    webhooks: tuple[Webhook, ...] = ()


class ValidatingWebhookConfiguration(Base, frozen=True):
    webhooks: tuple[Webhook, ...] = ()


class ApiServiceSpec(Part, frozen=True):
    service: WebhookService | None = None


class APIService(Base, frozen=True):
    spec: ApiServiceSpec = ApiServiceSpec()
    status: ConditionsStatus = ConditionsStatus()
