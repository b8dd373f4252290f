"""Conditions of Jobs and CronJobs."""

from datetime import datetime, timedelta

from midwatch.domain.conditions.look import Look, shown, told
from midwatch.domain.conditions.schedules import BadSchedule, last_due, parse_schedule
from midwatch.domain.objects.meta import condition
from midwatch.domain.objects.pods import Pod
from midwatch.domain.objects.workloads import CronJob, Job
from midwatch.domain.refs import Severity

LONG = timedelta(hours=12)
"""How long a Job may run before somebody should look."""
NEWS = timedelta(hours=6)
"""How long a failed Job is news while it is watched; its remains may lie about for days."""
LATE = timedelta(minutes=5)
"""How late a run may start before it counts as missed."""


def job(look: Look, item: Job) -> None:
    """A Job: failed, failing, suspended, or running too long."""
    status = item.status
    failed = condition(status.conditions, "Failed")
    complete = condition(status.conditions, "Complete")
    if item.spec.suspend:
        look.report("JobSuspended", item, "Nobody has resumed it.", evidence=[shown(item, "spec.suspend", "true")])
    if complete is not None and complete.status == "True":
        return
    if failed is not None and failed.status == "True":
        if (
            look.live
            and (failed.last_transition_time is not None)
            and not look.within(failed.last_transition_time, NEWS)
        ):
            return
        id_ = {"BackoffLimitExceeded": "JobBackoffLimitExceeded", "DeadlineExceeded": "JobDeadlineExceeded"}.get(
            failed.reason, "JobFailed"
        )
        look.report(
            id_,
            item,
            f"The Job failed after {status.failed} failed attempts ({failed.reason or 'no reason given'}).",
            since=failed.last_transition_time,
            evidence=[shown(item, "status.conditions[Failed]", f"{failed.reason} {failed.message}".strip())],
        )
        return
    if status.failed and (not status.succeeded or item.spec.completions not in (None, 1)):
        look.report(
            "JobPodsFailing",
            item,
            f"{status.failed} pods of the Job failed so far, {status.active} run.",
            since=_first_failure(look, item),
            evidence=[shown(item, "status.failed", status.failed)],
        )
    elif status.active and status.start_time is not None:
        deadline = item.spec.active_deadline_seconds
        age = look.age(status.start_time)
        if not deadline and age is not None and age > LONG:
            look.report(
                "JobRunningLong",
                item,
                f"It has been active for {int(age.total_seconds() // 3600)} hours.",
                since=status.start_time + LONG,
                evidence=[shown(item, "status.startTime", status.start_time)],
            )
        elif not deadline:
            look.again(status.start_time + LONG + timedelta(seconds=1))


def _first_failure(look: Look, item: Job) -> datetime | None:
    ends = [
        state.state.terminated.finished_at
        for child in look.view.children(item)
        if isinstance(child, Pod) and child.status.phase == "Failed"
        for state in child.status.container_statuses
        if state.state.terminated and state.state.terminated.finished_at
    ]
    return min(ends, default=item.status.start_time)


def cron_job(look: Look, item: CronJob) -> None:
    """A CronJob: suspended, never due, or not started when due."""
    if item.spec.suspend:
        # Somebody did this on purpose; whoever asks for a diagnosis should hear of it, nobody should be woken.
        look.report(
            "CronJobSuspended",
            item,
            "It is suspended, so no runs are started.",
            evidence=[shown(item, "spec.suspend", "true")],
            severity=None if look.live else Severity.WARNING,
        )
    if (item.spec.starting_deadline_seconds or 0) < 0:
        look.report(
            "CronJobBadDeadline",
            item,
            "The starting deadline is negative, so every run counts as missed.",
            evidence=[shown(item, "spec.startingDeadlineSeconds", item.spec.starting_deadline_seconds)],
        )
    try:
        schedule = parse_schedule(item.spec.schedule, item.spec.time_zone)
    except BadSchedule as error:
        look.report(
            "CronJobInvalidSchedule",
            item,
            f"The schedule cannot be parsed: {error}.",
            evidence=[shown(item, "spec.schedule", item.spec.schedule)],
        )
        return
    if item.spec.suspend or item.metadata.creation_timestamp is None:
        return
    _missed(look, item, last_due(schedule, look.now - LATE))


def _missed(look: Look, item: CronJob, due: datetime | None) -> None:
    """A run fell due after the last one that was started (or after the CronJob was made) and was not started."""
    last = item.status.last_schedule_time or item.metadata.creation_timestamp
    if due is None or last is None or due <= last:
        return
    if item.status.active and item.spec.concurrency_policy == "Forbid":
        return  # the run before is still at work, and runs must not overlap
    events = look.warnings(item, "FailedNeedsStart", "MissSchedule", "TooManyMissedTimes", "FailedCreate")
    look.report(
        "CronJobMissedRuns",
        item,
        "A run was due and was not started.",
        since=due,
        evidence=[shown(item, "status.lastScheduleTime", last), *(told(event) for event in events[-1:])],
    )
