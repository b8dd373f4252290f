"""Which of many findings is the root: causes stand before what they cause, and logs speak for those that cannot."""

import re
from collections.abc import Sequence

import msgspec

from midwatch.domain.analysis.logs import Attached
from midwatch.domain.diagnosis import Finding
from midwatch.domain.logs.report import Hit
from midwatch.domain.objects.cluster import PersistentVolumeClaim
from midwatch.domain.objects.pods import Pod
from midwatch.domain.objects.view import ClusterView
from midwatch.domain.refs import ObjectRef, Severity

_DEPTHS = (
    (("NodeNotReady", "NodeUnreachable"), 100),
    (("FailedCreate", "QuotaExceeded", "WebhookServiceMissing", "WebhookNoReceiver"), 96),
    (("PVCLost", "PVFailed", "PVCPending", "StorageClassMissing"), 94),
    (("NodeMemoryPressure", "NodeDiskPressure", "NodePIDPressure", "NodeNetworkUnavailable", "NodeProblem"), 93),
    (("MissingConfigMap", "MissingSecret"), 92),
    (("ImagePullBackOff", "ErrImageNeverPull"), 90),
    (("CreateContainer", "RunContainerError", "LifecycleHookFailing"), 89),
    (("OOMKilled",), 88),
    (("FailedScheduling", "SchedulingGated"), 86),
    (("FailedMount", "FailedAttachVolume", "SandboxCreationFailed"), 84),
    (("AccessDenied", "NetworkPolicyBlocks"), 80),
    (("LivenessProbeFailing", "StartupProbeFailing"), 76),
    (("InitContainerFailing", "CrashLoopBackOff", "ContainerExited"), 74),
    (("ReadinessProbeFailing", "PodEvicted", "PodDeadlineExceeded", "PodFailed"), 72),
    (("JobBackoffLimitExceeded", "JobDeadlineExceeded", "JobFailed", "JobPodsFailing"), 70),
    (("PodOnLostNode", "PodStuckTerminating", "PodNotReady", "PodPending", "PodPreempted"), 66),
    (("NodeAtPodCapacity", "NodeFlapping"), 64),
    (("Ingress", "Route", "Gateway", "APIServiceDown", "HPA", "CronJob", "TlsSecret", "Load"), 60),
    (("ServiceSelectorMismatch", "ServicePortMismatch", "ServiceNoEndpoints"), 58),
    (("ProgressDeadlineExceeded", "StatefulSetServiceMissing", "AntiAffinityImpossible"), 50),
    (("DeploymentUnavailable", "DeploymentReplicasShort", "StatefulSet", "DaemonSet", "GenerationNotObserved"), 40),
    (("PDB",), 30),
)
"""How near to the root a condition stands, by the beginning of its id. The higher explains the lower beside it."""

_NEEDS_LOG = frozenset(
    {"CrashLoopBackOff", "ContainerExited", "InitContainerFailing", "JobFailed", "JobBackoffLimitExceeded",
     "JobDeadlineExceeded", "JobPodsFailing", "PodNotReady", "ReadinessProbeFailing", "LivenessProbeFailing",
     "StartupProbeFailing", "PodFailed", "ProgressDeadlineExceeded", "DeploymentUnavailable", "DeploymentReplicasShort",
     "StatefulSetReplicasShort", "DaemonSetNotReady", "RunContainerError", "LifecycleHookFailing"}
)  # fmt: skip
"""Conditions that say that something failed, not why: the log does."""

_LOST_NODE = ("NodeNotReady", "NodeUnreachable")
_OF_ITS_OWN = ("ImagePullBackOff", "ErrImageNeverPull", "CreateContainer", "RunContainerError", "MissingConfigMap",
               "MissingSecret", "OOMKilled", "CrashLoopBackOff", "FailedScheduling")  # fmt: skip
"""Troubles that a silent node does not explain, though its pods be among the workload's."""

_UNREACHED = re.compile(
    r"(?i)refused|timed? ?out|unreachable|no route|no such host|connect|upstream|unavailable|lookup|resolve"
)
_LOOKS_LIKE_HOST = re.compile(r"[a-z0-9](?:[-a-z0-9]*[a-z0-9])?")


class Cause(msgspec.Struct, frozen=True, kw_only=True):
    """The root: its finding, the log's word on it, what it follows from, what follows from it, how sure that is."""

    finding: Finding
    sentence: str
    confidence: float
    log: Hit | None = None
    chain: tuple[Finding, ...] = ()
    effects: tuple[Finding, ...] = ()
    related: tuple[Finding, ...] = ()


def find(view: ClusterView, findings: Sequence[Finding], attached: Attached, focus: ObjectRef | None) -> Cause | None:
    """The root of what is wrong, or of what is wrong with ``focus``; ``None`` where nothing is."""
    # Of manifests nothing has happened yet: there, what should not be is all there is to find.
    drawn = view.sees("*")
    raised = [item for item in findings if drawn or item.severity is not Severity.INFO] or list(findings)
    related = [item for item in raised if focus is None or _touches(view, item, focus)]
    known = _explaining([item for item in related if depth(item)], focus)
    if not known:
        return None
    worst = max(known, key=lambda item: (item.severity.rank, depth(item), _near(item, focus)))
    joined = (
        known if focus is not None or drawn else [item for item in known if item is worst or _joined(view, item, worst)]
    )
    root = max(joined, key=lambda item: (depth(item), item.severity.rank, _near(item, focus)))
    beside = [item for item in related if item is not root and _touches(view, item, root.top_owner)]
    log = attached.of(_writers(view, root)) if root.condition.split("/", maxsplit=1)[0] in _NEEDS_LOG else None
    chain = _missing_backend(findings, log, root) if log is not None else ()
    return _from(root, beside, log, chain)


def _explaining(known: list[Finding], focus: ObjectRef | None) -> list[Finding]:
    """Without a lost node, where a workload has a trouble of its own that no node brings about."""
    if focus is None or focus.kind == "Node":
        return known
    own = any(item.condition.startswith(_OF_ITS_OWN) for item in known)
    return [item for item in known if not item.condition.startswith(_LOST_NODE)] if own else known


def depth(finding: Finding) -> int:
    """How near to the root a finding stands; 0 for what is no condition of objects."""
    return next((rank for names, rank in _DEPTHS if finding.condition.startswith(names)), 0)


def _from(root: Finding, beside: Sequence[Finding], log: Hit | None, chain: tuple[Finding, ...]) -> Cause:
    effects = tuple(
        item for item in beside if item is not root and item.title != root.title and 0 < depth(item) <= depth(root)
    )
    return Cause(
        finding=root,
        sentence=_sentence(root, log, chain),
        confidence=_confidence(root, log, chain),
        log=log,
        chain=chain,
        effects=effects,
        related=tuple(beside),
    )


def _sentence(root: Finding, log: Hit | None, chain: tuple[Finding, ...]) -> str:
    """One short sentence for a card; the summary says the rest."""
    if chain:
        return f"{chain[0].title}, and {root.subject.name} depends on it"
    if log is not None:
        return f"{log.finding.title} (says the log of {root.subject.name})"
    return root.summary.rstrip(".") or root.title


def _confidence(root: Finding, log: Hit | None, chain: tuple[Finding, ...]) -> float:
    if root.severity is Severity.INFO:
        return 0.3
    if chain:
        return 0.85
    if root.condition.split("/", maxsplit=1)[0] in _NEEDS_LOG:
        return 0.5 if log is None else (0.6 if log.recovered else 0.8)
    return 0.9 if "/" in root.condition or depth(root) >= 84 else 0.7


def _writers(view: ClusterView, root: Finding) -> list[ObjectRef]:
    """Whose logs may explain a finding: the object's own, and those of the pods below it or beside it."""
    refs = [root.subject]
    for ref in (root.subject, root.top_owner):
        item = view.get(ref.kind, ref.namespace, ref.name)
        if item is not None and not isinstance(item, Pod):
            refs += [pod.ref for pod in view.pods_of(item)]
    if root.subject.kind == "Job":
        refs += [
            pod.ref for pod in view.each(Pod, root.subject.namespace)
            if pod.metadata.labels.get("job-name") == root.subject.name or pod.name.startswith(f"{root.subject.name}-")
        ]  # fmt: skip
    return refs


def _missing_backend(findings: Sequence[Finding], log: Hit, root: Finding) -> tuple[Finding, ...]:
    """The Service without endpoints that a failing connection was meant for, by the name in the log's lines."""
    text = " ".join(piece.text for piece in log.finding.evidence)
    if not _UNREACHED.search(f"{text} {log.finding.condition} {log.finding.family}"):
        return ()
    words = set(_LOOKS_LIKE_HOST.findall(text.lower()))
    empty = [
        item for item in findings
        if item.condition in ("ServiceNoEndpoints", "ServiceSelectorMismatch", "ServicePortMismatch")
        and item.subject.name in words and item.subject.path != root.subject.path
    ]  # fmt: skip
    return tuple(empty[:1])


def _near(finding: Finding, focus: ObjectRef | None) -> bool:
    return focus is not None and focus.path in {finding.subject.path, finding.top_owner.path}


def _joined(view: ClusterView, one: Finding, other: Finding) -> bool:
    """Whether two findings may be of one trouble."""
    return _touches(view, one, other.top_owner) or _touches(view, other, one.top_owner)


def _touches(view: ClusterView, finding: Finding, focus: ObjectRef) -> bool:
    """Whether a finding belongs to what ``focus`` stands for: itself, its owners or pods, its node, claim or quota."""
    mine = {finding.subject.path, *(owner.path for owner in finding.owners)}
    if focus.path in mine:
        return True
    item = view.get(focus.kind, focus.namespace, focus.name)
    if item is None:
        return False
    around = {ref.path for ref in view.owners(item)}
    pods = (item,) if isinstance(item, Pod) else view.pods_of(item)
    for pod in pods:
        around |= {pod.ref.path, *(ref.path for ref in view.owners(pod))}
        around.add(ObjectRef("Node", pod.spec.node_name).path)
        for volume in pod.spec.volumes:
            if volume.persistent_volume_claim is not None:
                claim = view.find(PersistentVolumeClaim, pod.namespace, volume.persistent_volume_claim.claim_name)
                around |= {claim.ref.path} if claim else set()
    around |= {child.ref.path for child in view.children(item)}
    return finding.subject.path in around or (
        finding.subject.kind == "ResourceQuota" and finding.subject.namespace == focus.namespace
    )
