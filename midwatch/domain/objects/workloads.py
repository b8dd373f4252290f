"""What makes pods and keeps them: deployments, sets, jobs, autoscalers and disruption budgets."""

from midwatch.domain.objects.meta import Base, IntOrStr, NamedRef, Part, Selector, StatusCondition, Time
from midwatch.domain.objects.pods import Template


class WorkloadSpec(Part, frozen=True):
    replicas: int | None = None
    paused: bool = False
    selector: Selector = Selector()
    template: Template = Template()
    progress_deadline_seconds: int | None = None


class WorkloadStatus(Part, frozen=True):
    observed_generation: int = 0
    replicas: int = 0
    updated_replicas: int = 0
    ready_replicas: int = 0
    available_replicas: int = 0
    conditions: tuple[StatusCondition, ...] = ()


class Deployment(Base, frozen=True):
    spec: WorkloadSpec = WorkloadSpec()
    status: WorkloadStatus = WorkloadStatus()


class ReplicaSet(Base, frozen=True):
    spec: WorkloadSpec = WorkloadSpec()
    status: WorkloadStatus = WorkloadStatus()


class ControllerSpec(Part, frozen=True):
    replicas: int | None = None
    template: Template = Template()


class ReplicationController(Base, frozen=True):
    """The forerunner of ReplicaSets; known so that what scales one does not seem to scale nothing."""

    spec: ControllerSpec = ControllerSpec()


class ClaimSpec(Part, frozen=True):
    storage_class_name: str | None = None
    volume_name: str = ""


class ClaimMeta(Part, frozen=True):
    name: str = ""


class ClaimTemplate(Part, frozen=True):
    metadata: ClaimMeta = ClaimMeta()
    spec: ClaimSpec = ClaimSpec()


class StatefulSetSpec(WorkloadSpec, frozen=True):
    service_name: str = ""
    volume_claim_templates: tuple[ClaimTemplate, ...] = ()


class StatefulSetStatus(WorkloadStatus, frozen=True):
    current_revision: str = ""
    update_revision: str = ""


class StatefulSet(Base, frozen=True):
    spec: StatefulSetSpec = StatefulSetSpec()
    status: StatefulSetStatus = StatefulSetStatus()


class DaemonSetStatus(Part, frozen=True):
    observed_generation: int = 0
    desired_number_scheduled: int = 0
    current_number_scheduled: int = 0
    updated_number_scheduled: int | None = None
    number_ready: int = 0
    number_available: int | None = None
    number_unavailable: int = 0
    number_misscheduled: int = 0
    conditions: tuple[StatusCondition, ...] = ()


class DaemonSet(Base, frozen=True):
    spec: WorkloadSpec = WorkloadSpec()
    status: DaemonSetStatus = DaemonSetStatus()


class JobSpec(Part, frozen=True):
    suspend: bool | None = None
    backoff_limit: int | None = None
    completions: int | None = None
    active_deadline_seconds: int | None = None
    template: Template = Template()


class JobStatus(Part, frozen=True):
    active: int = 0
    succeeded: int = 0
    failed: int = 0
    start_time: Time = None
    completion_time: Time = None
    conditions: tuple[StatusCondition, ...] = ()


class Job(Base, frozen=True):
    spec: JobSpec = JobSpec()
    status: JobStatus = JobStatus()


class JobTemplate(Part, frozen=True):
    spec: JobSpec = JobSpec()


class CronJobSpec(Part, frozen=True):
    schedule: str = ""
    suspend: bool | None = None
    starting_deadline_seconds: int | None = None
    concurrency_policy: str = "Allow"
    time_zone: str = ""
    job_template: JobTemplate = JobTemplate()


class CronJobStatus(Part, frozen=True):
    last_schedule_time: Time = None
    last_successful_time: Time = None
    active: tuple[NamedRef, ...] = ()


class CronJob(Base, frozen=True):
    spec: CronJobSpec = CronJobSpec()
    status: CronJobStatus = CronJobStatus()


class ResourceMetric(Part, frozen=True):
    name: str = ""


class MetricSpec(Part, frozen=True):
    type: str = ""
    resource: ResourceMetric | None = None


class AutoscalerSpec(Part, frozen=True):
    scale_target_ref: NamedRef = NamedRef()
    min_replicas: int | None = None
    max_replicas: int = 0
    metrics: tuple[MetricSpec, ...] = ()


class AutoscalerStatus(Part, frozen=True):
    current_replicas: int = 0
    desired_replicas: int = 0
    conditions: tuple[StatusCondition, ...] = ()


class HorizontalPodAutoscaler(Base, frozen=True):
    spec: AutoscalerSpec = AutoscalerSpec()
    status: AutoscalerStatus = AutoscalerStatus()


class BudgetSpec(Part, frozen=True):
    selector: Selector | None = None
    min_available: IntOrStr | None = None
    max_unavailable: IntOrStr | None = None


class BudgetStatus(Part, frozen=True):
    disruptions_allowed: int | None = None
    current_healthy: int = 0
    desired_healthy: int = 0
    expected_pods: int = 0
    conditions: tuple[StatusCondition, ...] = ()


class PodDisruptionBudget(Base, frozen=True):
    spec: BudgetSpec = BudgetSpec()
    status: BudgetStatus = BudgetStatus()
