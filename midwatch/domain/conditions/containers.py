"""Conditions of a pod's containers: what they wait for, how they ended, and whether they get ready."""

import re
from collections.abc import Iterator
from datetime import datetime, timedelta

from midwatch.domain.conditions import images
from midwatch.domain.conditions.look import Look, shown, told
from midwatch.domain.diagnosis import Evidence
from midwatch.domain.objects.meta import condition
from midwatch.domain.objects.pods import ContainerStatus, Pod, Terminated
from midwatch.domain.refs import Severity

EXIT_CODES = {
    1: "a general error of the application",
    2: "wrong usage or a shell error",
    126: "the command is not executable",
    127: "the command was not found",
    134: "it aborted (SIGABRT)",
    135: "a bus error (SIGBUS)",
    136: "an arithmetic error (SIGFPE)",
    137: "it was killed (SIGKILL)",
    139: "a segmentation fault (SIGSEGV)",
    143: "it was asked to stop (SIGTERM)",
}
"""What the usual exit codes mean."""

OOM_MEMORY = timedelta(minutes=10)
"""How long an out-of-memory kill stays news when the container runs well again."""
OOM_STORY = timedelta(hours=24)
"""How long it is part of the story that a snapshot tells."""
LONGEST_BACKOFF = timedelta(minutes=10)
"""The kubelet forgives a container that has run this long."""

_MISSING = re.compile(r"""(?i)(configmap|secret)s? ['"]?([^\s'"]+)['"]? not found""")
_MISSING_KEY = re.compile(r"(?i)couldn't find key (\S+) in (configmap|secret) (\S+)")
_MOUNT_REASONS = ("FailedMount", "FailedAttachVolume", "FailedMapVolume")
_SANDBOX_REASONS = ("FailedCreatePodSandBox", "FailedCreatePodSandbox", "FailedPodSandBoxStatus", "NetworkNotReady")


def statuses(item: Pod) -> Iterator[tuple[ContainerStatus, bool]]:
    """Every container's status, and whether it is an init container; those come first, as they run first."""
    for status in item.status.init_container_statuses:
        yield status, True
    for status in item.status.container_statuses:
        yield status, False


def troubled(look: Look, item: Pod) -> bool:
    """Report what keeps containers from running. Whether anything was said, or will be once it has lasted."""
    said = False
    for status, init in statuses(item):
        said = _waiting(look, item, status) or _crashing(look, item, status, init=init) or said
    return said or _blocked(look, item)


def ended(look: Look, item: Pod) -> bool:
    """Report how the containers of a failed pod ended."""
    said = False
    for status, init in statuses(item):
        end = status.state.terminated
        if end is not None and end.exit_code != 0:
            _report_end(look, item, status, end, init=init, again=False)
            said = True
    return said


def _waiting(look: Look, item: Pod, status: ContainerStatus) -> bool:
    waiting = status.state.waiting
    if waiting is None:
        return False
    reason, message = waiting.reason, waiting.message
    since = _unready_since(item)
    seen = [shown(item, f"status.containerStatuses[{status.name}].state.waiting", f"{reason} {message}".strip())]
    if images.is_image_trouble(reason):
        images.report(look, item, status, reason, message, since)
        return True
    if reason in ("CreateContainerConfigError", "CreateContainerError", "RunContainerError", "StartError"):
        _report_config(look, item, status, reason, message, since, seen)
        return True
    if reason in ("PostStartHookError", "PreStopHookError", "PreCreateHookError", "PreStartHookError"):
        look.report(
            "LifecycleHookFailing",
            item,
            f"Hook of container {status.name}: {message[:200]}",
            since=since,
            evidence=seen,
        )
        return True
    return False


def _report_config(
    look: Look,
    item: Pod,
    status: ContainerStatus,
    reason: str,
    message: str,
    since: datetime | None,
    seen: list[Evidence],
) -> None:
    text = message or " ".join(event.text for event in look.warnings(item, "Failed", "FailedMount"))
    if missing := missing_object(text):
        id_, what = missing
        look.report(
            id_, item, f"Container {status.name} needs {what}, which does not exist.", since=since, evidence=seen
        )
        return
    id_ = "RunContainerError" if reason == "StartError" else reason
    hint = " The command was not found in the image." if re.search(r"no such file|not found in \$PATH", text) else ""
    look.report(id_, item, f"Container {status.name} cannot be started ({reason}).{hint}", since=since, evidence=seen)


def missing_object(text: str) -> tuple[str, str] | None:
    """Which ConfigMap or Secret a message says is missing: the condition's id and the thing's name in words."""
    if matched := _MISSING_KEY.search(text):
        kind, what = matched[2].lower(), f"key {matched[1]} of {matched[2]} {matched[3].rstrip('.,')}"
    elif matched := _MISSING.search(text):
        kind, what = matched[1].lower(), f"{matched[1]} {matched[2]}"
    else:
        return None
    return ("MissingConfigMap" if kind == "configmap" else "MissingSecret"), what


def _crashing(look: Look, item: Pod, status: ContainerStatus, *, init: bool) -> bool:
    """A container that ended badly and is down, or is up again but not yet for long enough to be believed."""
    state = status.state
    last = status.last_state.terminated
    if state.waiting is not None and state.waiting.reason == "CrashLoopBackOff":
        _report_end(look, item, status, last or Terminated(), init=init, again=True)
        return True
    if state.terminated is not None and state.terminated.exit_code != 0:
        again = status.restart_count > 0 and item.spec.restart_policy != "Never"
        _report_end(look, item, status, state.terminated, init=init, again=again)
        return True
    if last is None or not bad(last) or state.terminated is not None:
        return False
    memory = OOM_MEMORY if look.live else OOM_STORY
    if last.reason == "OOMKilled" and not (status.ready and _outlived(look, status, memory)):
        _report_end(look, item, status, last, init=init, again=not status.ready and status.restart_count > 1)
        return True
    # One restart is no loop. After more, the container is believed when it has run longer than its last back-off.
    patience = min(timedelta(seconds=30 * 2 ** min(status.restart_count - 1, 10)), LONGEST_BACKOFF)
    if status.restart_count < 2 or (status.ready and _outlived(look, status, patience, unknown=True)):
        return False
    if not status.ready and look.live and _outlived(look, status, LONGEST_BACKOFF):
        return False  # it runs, only it does not get ready: that is told elsewhere
    _report_end(look, item, status, last, init=init, again=True)
    return True


def _outlived(look: Look, status: ContainerStatus, patience: timedelta, *, unknown: bool = False) -> bool:
    """Whether the container has run longer than ``patience``; ``unknown`` is the answer where no time is given."""
    began = status.state.running.started_at if status.state.running else None
    age = look.age(began)
    if began is None or (age is None and not look.live):
        return unknown
    if age is None or age < patience:  # live, a start in the future is a start just now by another clock
        look.again(began + patience)
        return False
    return True


def bad(end: Terminated) -> bool:
    """Whether an end that is past counts as the container's own failure; a reboot of its node does not."""
    if end.reason in ("Unknown", "ContainerStatusUnknown", "Completed"):
        return False
    return end.exit_code != 0 or end.reason in (
        "OOMKilled",
        "Error",
        "ContainerCannotRun",
        "StartError",
        "DeadlineExceeded",
    )


def _report_end(look: Look, item: Pod, status: ContainerStatus, end: Terminated, *, init: bool, again: bool) -> None:
    loop = f", restarted {status.restart_count} times and in a crash loop" if again else ""
    code = f"exit code {end.exit_code}" if end.exit_code else "no exit code known"
    meaning = EXIT_CODES.get(end.exit_code, "")
    place = "initContainerStatuses" if init else "containerStatuses"
    seen = [
        shown(
            item, f"status.{place}[{status.name}]", f"{end.reason or 'ended'}, {code}, restarts {status.restart_count}"
        ),
        *(told(event) for event in look.warnings(item, "BackOff")[-1:]),
    ]
    what = "Init container" if init else "Container"
    if end.reason == "OOMKilled":
        limit = memory_limit(item, status.name)
        bound = f" of {limit}" if limit else ""
        summary = f"{what} {status.name} hit its memory limit{bound} and was OOM-killed ({code}){loop}."
        look.report("OOMKilled", item, summary, since=_unready_since(item) or end.finished_at, evidence=seen)
    elif init:
        summary = f"Init container {status.name} fails ({code}{': ' + meaning if meaning else ''}){loop}."
        look.report("InitContainerFailing", item, summary, since=_unready_since(item), evidence=seen)
    elif again or (status.state.waiting is not None and status.state.waiting.reason == "CrashLoopBackOff"):
        summary = f"Container {status.name} keeps crashing: {code}{' means ' + meaning if meaning else ''}{loop}."
        look.report("CrashLoopBackOff", item, summary, since=_unready_since(item), evidence=seen)
    else:
        summary = f"Container {status.name} ended with {code}{': ' + meaning if meaning else ''}."
        look.report("ContainerExited", item, summary, since=end.finished_at, evidence=seen)


def memory_limit(item: Pod, name: str) -> str:
    """A container's memory limit as written; empty where it has none."""
    for container in (*item.spec.containers, *item.spec.init_containers):
        if container.name == name:
            return str(container.resources.limits.get("memory", ""))
    return ""


def _blocked(look: Look, item: Pod) -> bool:
    """Containers that are not even created: volumes and sandbox, which only events tell of."""
    creating = item.status.phase in ("Pending", "") and not any(status.state.running for status, _ in statuses(item))
    if not creating:
        return False
    if events := look.warnings(item, *_MOUNT_REASONS, window=timedelta(minutes=15)):
        latest = events[-1]
        if missing := missing_object(latest.text):
            look.report(
                missing[0], item, f"A volume needs {missing[1]}, which does not exist.", evidence=[told(latest)]
            )
            return True
        id_ = "FailedAttachVolume" if latest.reason == "FailedAttachVolume" else "FailedMount"
        look.report(
            id_,
            item,
            "A volume of the pod cannot be provided, so its containers wait.",
            since=latest.began_at,
            evidence=[told(latest)],
        )
        return True
    if events := look.warnings(item, *_SANDBOX_REASONS, window=timedelta(minutes=15)):
        latest = events[-1]
        out = (
            " No address was left for it."
            if re.search(r"(?i)no (more |available )?ip|ip addresses? (left|available)", latest.text)
            else ""
        )
        look.report(
            "SandboxCreationFailed",
            item,
            f"The runtime cannot set up the pod's network or sandbox.{out}",
            since=latest.began_at,
            evidence=[told(latest)],
        )
        return True
    return False


def unready(look: Look, item: Pod) -> None:
    """A pod whose containers run and that still does not get ready, or that nothing explains."""
    ready = condition(item.status.conditions, "Ready")
    since = ready.last_transition_time if ready else None
    if item.status.phase == "Pending":
        began = item.status.start_time or item.metadata.creation_timestamp
        ageless = Severity.INFO if began is None and not look.live else None  # it may have been made this moment
        look.report("PodPending", item, "The pod is pending and nobody says why.", since=began, severity=ageless)
        return
    if item.status.phase != "Running":
        return
    if _counts_as_ready(item):
        _restarted_by_probe(look, item)
        return
    probes = look.warnings(item, "Unhealthy", "ProbeError")
    if probes:
        latest = probes[-1]
        kind = next(
            (name for name in ("Liveness", "Startup") if latest.text.lower().startswith(name.lower())), "Readiness"
        )
        look.report(
            f"{kind}ProbeFailing",
            item,
            f"The {kind.lower()} probe fails; the pod is not ready.",
            since=since,
            evidence=[told(latest)],
        )
        return
    names = ", ".join(status.name for status, init in statuses(item) if not init and not status.ready)
    look.report(
        "PodNotReady",
        item,
        f"Not ready: {names or 'the pod as a whole'}.",
        since=since,
        evidence=[shown(item, "status.conditions[Ready]", f"{ready.status} {ready.reason}" if ready else "none")],
    )


def _counts_as_ready(item: Pod) -> bool:
    """What the Ready condition says; where there is none, what the containers say."""
    ready = condition(item.status.conditions, "Ready")
    return ready.status == "True" if ready else all(status.ready for status in item.status.container_statuses)


def _restarted_by_probe(look: Look, item: Pod) -> None:
    if not any(status.restart_count for status, _ in statuses(item)):
        return
    failing = [
        event
        for event in look.warnings(item, "Unhealthy")
        if event.text.lower().startswith("liveness") and event.times > 2
    ]
    if failing and look.live:
        look.report(
            "LivenessProbeFailing",
            item,
            "The liveness probe fails again and again and has the container restarted.",
            since=failing[-1].began_at,
            evidence=[told(failing[-1])],
        )


def _unready_since(item: Pod) -> datetime | None:
    ready = condition(item.status.conditions, "Ready")
    return (ready.last_transition_time if ready and ready.status != "True" else None) or item.status.start_time
