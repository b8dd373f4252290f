"""Pods and the templates they are made from."""

import msgspec

from midwatch.domain.objects.meta import Base, IntOrStr, NamedRef, Part, Quantity, Selector, StatusCondition, Time


class Resources(Part, frozen=True):
    limits: dict[str, Quantity] = msgspec.field(default_factory=dict)
    requests: dict[str, Quantity] = msgspec.field(default_factory=dict)


class KeyRef(Part, frozen=True):
    """One key of a ConfigMap or Secret."""

    name: str = ""
    key: str = ""
    optional: bool | None = None


class EnvSource(Part, frozen=True):
    config_map_key_ref: KeyRef | None = None
    secret_key_ref: KeyRef | None = None


class EnvVar(Part, frozen=True):
    """A variable's name and where it comes from. Literal values are never kept: they may be secrets."""

    name: str = ""
    value_from: EnvSource | None = None


class EnvFrom(Part, frozen=True):
    config_map_ref: NamedRef | None = None
    secret_ref: NamedRef | None = None


class HttpGet(Part, frozen=True):
    path: str = ""
    port: IntOrStr = 0


class TcpSocket(Part, frozen=True):
    port: IntOrStr = 0


class Probe(Part, frozen=True):
    http_get: HttpGet | None = None
    tcp_socket: TcpSocket | None = None
    initial_delay_seconds: int = 0
    timeout_seconds: int = 1
    period_seconds: int = 10
    failure_threshold: int = 3

    @property
    def port(self) -> IntOrStr:
        """The port that is asked, 0 where the probe runs a command."""
        if self.http_get is not None:
            return self.http_get.port
        return self.tcp_socket.port if self.tcp_socket is not None else 0


class ContainerPort(Part, frozen=True):
    name: str = ""
    container_port: int = 0


class SecurityContext(Part, frozen=True):
    privileged: bool | None = None


class Container(Part, frozen=True):
    name: str = ""
    image: str = ""
    resources: Resources = Resources()
    env: tuple[EnvVar, ...] = ()
    env_from: tuple[EnvFrom, ...] = ()
    ports: tuple[ContainerPort, ...] = ()
    liveness_probe: Probe | None = None
    readiness_probe: Probe | None = None
    startup_probe: Probe | None = None
    security_context: SecurityContext = SecurityContext()


class ClaimRef(Part, frozen=True):
    claim_name: str = ""


class SecretVolume(Part, frozen=True):
    secret_name: str = ""
    optional: bool | None = None


class Projection(Part, frozen=True):
    config_map: NamedRef | None = None
    secret: NamedRef | None = None


class Projected(Part, frozen=True):
    sources: tuple[Projection, ...] = ()


class Volume(Part, frozen=True):
    name: str = ""
    config_map: NamedRef | None = None
    secret: SecretVolume | None = None
    persistent_volume_claim: ClaimRef | None = None
    projected: Projected | None = None


class AffinityTerm(Part, frozen=True):
    label_selector: Selector | None = None
    topology_key: str = ""


class PodAffinity(Part, frozen=True):
    required_during_scheduling_ignored_during_execution: tuple[AffinityTerm, ...] = ()


class Affinity(Part, frozen=True):
    pod_anti_affinity: PodAffinity | None = None


class PodSpec(Part, frozen=True):
    node_name: str = ""
    restart_policy: str = "Always"
    service_account_name: str = ""
    containers: tuple[Container, ...] = ()
    init_containers: tuple[Container, ...] = ()
    volumes: tuple[Volume, ...] = ()
    image_pull_secrets: tuple[NamedRef, ...] = ()
    scheduling_gates: tuple[NamedRef, ...] = ()
    affinity: Affinity | None = None
    priority_class_name: str = ""
    active_deadline_seconds: int | None = None


class TemplateAnnotations(Part, frozen=True):
    restarted_at: str = msgspec.field(name="kubectl.kubernetes.io/restartedAt", default="")


class TemplateMeta(Part, frozen=True):
    annotations: TemplateAnnotations = TemplateAnnotations()
    labels: dict[str, str] = msgspec.field(default_factory=dict)


class Template(Part, frozen=True):
    metadata: TemplateMeta = TemplateMeta()
    spec: PodSpec = PodSpec()


class Waiting(Part, frozen=True):
    reason: str = ""
    message: str = ""


class Running(Part, frozen=True):
    started_at: Time = None


class Terminated(Part, frozen=True):
    exit_code: int = 0
    signal: int = 0
    reason: str = ""
    message: str = ""
    started_at: Time = None
    finished_at: Time = None


class ContainerState(Part, frozen=True):
    waiting: Waiting | None = None
    running: Running | None = None
    terminated: Terminated | None = None


class ContainerStatus(Part, frozen=True):
    name: str = ""
    ready: bool = False
    started: bool | None = None
    restart_count: int = 0
    state: ContainerState = ContainerState()
    last_state: ContainerState = ContainerState()


class PodStatus(Part, frozen=True):
    phase: str = ""
    reason: str = ""
    message: str = ""
    start_time: Time = None
    conditions: tuple[StatusCondition, ...] = ()
    container_statuses: tuple[ContainerStatus, ...] = ()
    init_container_statuses: tuple[ContainerStatus, ...] = ()


class Pod(Base, frozen=True):
    spec: PodSpec = PodSpec()
    status: PodStatus = PodStatus()

    @property
    def finished(self) -> bool:
        return self.status.phase in ("Succeeded", "Failed")
