"""Logs and the objects they belong to: what a log tells is told of the pod that wrote it, or of its workload."""

from collections.abc import Iterable, Sequence

import msgspec

from midwatch.domain.conditions.catalogue import CATALOGUE
from midwatch.domain.diagnosis import Finding
from midwatch.domain.logs.report import Hit, LogReport
from midwatch.domain.objects.meta import Base, condition
from midwatch.domain.objects.pods import Pod
from midwatch.domain.objects.view import ClusterView
from midwatch.domain.objects.workloads import Job
from midwatch.domain.refs import ObjectRef, Severity

_SUFFIX = 5


class Attached(msgspec.Struct, frozen=True):
    """Log findings with their place: hits by the path of the object they are about (empty where none is known)."""

    hits: tuple[tuple[ObjectRef | None, Hit], ...] = ()
    findings: tuple[Finding, ...] = ()

    @property
    def best(self) -> Hit | None:
        """The hit that weighs most over all logs."""
        return heaviest(hit for _, hit in self.hits)

    def of(self, refs: Iterable[ObjectRef]) -> Hit | None:
        """The weightiest hit in the logs of any of these objects, or in logs nobody claims."""
        paths = {ref.path for ref in refs}
        return heaviest(hit for ref, hit in self.hits if ref is None or ref.path in paths)


def heaviest(hits: Iterable[Hit]) -> Hit | None:
    """The hit nearest to the root: by weight, recovered ones last."""
    loud = [hit for hit in hits if hit.finding.severity is not Severity.INFO]
    return max(loud, key=lambda hit: (not hit.recovered, hit.weight), default=None)


def attach(view: ClusterView, found: Sequence[Finding], reports: Sequence[LogReport]) -> Attached:
    """Give every log to its object.

    A pod that is ready vouches for itself: what its log says is kept as information. A log without objects around it is
    reported as it is.
    """
    hits: list[tuple[ObjectRef | None, Hit]] = []
    findings: list[Finding] = []
    for report in reports:
        writer = _writer(view, found, report.name)
        for hit in report.hits:
            hits.append((writer.ref if writer else None, hit))
            findings.append(_placed(view, writer, hit))
        if isinstance(writer, Pod) and (job := _failing_job(view, writer, report)) is not None:
            findings.append(job)
    unique = {(finding.condition, finding.subject.path, finding.title): finding for finding in findings}
    return Attached(tuple(hits), tuple(unique.values()))


def _placed(view: ClusterView, writer: Base | None, hit: Hit) -> Finding:
    if writer is None:
        quiet = view.count() > 0 and not _anything_unwell(view)
        return msgspec.structs.replace(hit.finding, severity=Severity.INFO) if quiet else hit.finding
    well = isinstance(writer, Pod) and _ready(writer)
    return msgspec.structs.replace(
        hit.finding,
        subject=writer.ref,
        owners=view.owners(writer),
        severity=Severity.INFO if well else hit.finding.severity,
    )


def _failing_job(view: ClusterView, writer: Pod, report: LogReport) -> Finding | None:
    """A Job whose pod writes errors and has not succeeded, before the Job's own counters say so."""
    hit = heaviest(report.hits)
    owner = next((view.find(Job, ref.namespace, ref.name) for ref in _job_owners(view, writer)), None)
    if hit is None or hit.recovered or owner is None or owner.status.succeeded or owner.status.failed or _ready(writer):
        return None
    entry = CATALOGUE["JobPodsFailing"]
    return Finding(
        condition=entry.id,
        family=entry.family,
        severity=entry.severity,
        subject=owner.ref,
        title=f"Job {owner.name}: its pod fails, by its own log",
        summary=f"The log of pod {writer.name} shows a failure: {hit.finding.title}.",
        owners=view.owners(owner),
        evidence=hit.finding.evidence[:2],
    )


def _job_owners(view: ClusterView, pod: Pod) -> list[ObjectRef]:
    owners = [ref for ref in view.owners(pod) if ref.kind == "Job"]
    named = pod.metadata.labels.get("batch.kubernetes.io/job-name") or pod.metadata.labels.get("job-name")
    return owners or ([ObjectRef("Job", named, pod.namespace)] if named else [])


def _writer(view: ClusterView, found: Sequence[Finding], name: str) -> Base | None:
    """Whose log this is: the pod its name names, else the only workload that could have written it."""
    pods = tuple(view.each(Pod))
    exact = [pod for pod in pods if name.split("/", maxsplit=1)[0] == pod.name]
    within = exact or sorted((pod for pod in pods if pod.name in name), key=lambda pod: -len(pod.name))
    if not within:
        tails = [pod for pod in pods if (tail := pod.name.rpartition("-")[2]) in name and len(tail) >= _SUFFIX]
        within = tails if len(tails) == 1 else []
    if within:
        return within[0]
    unwell = [pod for pod in pods if not _ready(pod) and pod.status.phase != "Succeeded"]
    if unwell and len({view.top(pod).path for pod in unwell}) == 1:
        return unwell[0]
    if len(pods) == 1:
        return pods[0]
    jobs = [job for job in view.each(Job) if any(finding.subject.path == job.ref.path for finding in found)]
    return jobs[0] if len(jobs) == 1 and not pods else None


def _ready(pod: Pod) -> bool:
    ready = condition(pod.status.conditions, "Ready")
    return ready is not None and ready.status == "True"


def _anything_unwell(view: ClusterView) -> bool:
    return any(not _ready(pod) and pod.status.phase != "Succeeded" for pod in view.each(Pod))
