"""Jobs and CronJobs."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime

from midwatch.sandbox.cluster.loop import Simulation
from midwatch.sandbox.cluster.recorder import Recorder
from midwatch.sandbox.cluster.replicas import make_pod, stop_pod
from midwatch.sandbox.cluster.workloads import owner_key
from midwatch.sandbox.defaults import complete
from midwatch.sandbox.objects import Obj, condition, copy, owner_reference, seconds_of, set_condition, stamp
from midwatch.sandbox.schema import CRONJOBS, JOBS, PODS
from midwatch.sandbox.store import Change, Key, Record


class Jobs:
    """Runs each Job to completion or to its back-off limit."""

    def __init__(self, simulation: Simulation, recorder: Recorder) -> None:
        self._sim = simulation
        self._recorder = recorder

    def concerns(self, change: Change) -> Iterable[Key]:
        return owner_key(change, JOBS)

    def sync(self, key: Key) -> None:
        record = self._sim.store.get(key)
        if record is None:
            return
        job, now = record.obj(), self._sim.clock.now()
        if job["metadata"].get("deletionTimestamp") or _over(job):
            return
        spec = job["spec"]
        labels = {"batch.kubernetes.io/job-name": key.name, "job-name": key.name}
        spec.setdefault("selector", {"matchLabels": {"batch.kubernetes.io/controller-uid": record.uid}})
        template_meta = spec["template"].setdefault("metadata", {})
        template_meta["labels"] = {
            **(template_meta.get("labels") or {}),
            **labels,
            "batch.kubernetes.io/controller-uid": record.uid,
        }
        pods = self._sim.store.owned(record.uid, PODS)
        active = [pod for pod in pods if pod.pod is not None and pod.pod.active]
        succeeded = _count(pods, "Succeeded")
        failed = _count(pods, "Failed")
        status = job.setdefault("status", {})
        if spec.get("suspend"):
            for pod in active:
                stop_pod(self._sim, pod)
            set_condition(job, "Suspended", "True", now, reason="JobSuspended", message="Job suspended")
            self._write(record, job, 0, succeeded, failed)
            return
        if condition(job, "Suspended"):
            set_condition(job, "Suspended", "False", now, reason="JobResumed", message="Job resumed")
        status.setdefault("startTime", stamp(now))
        if succeeded >= spec["completions"]:
            status["completionTime"] = stamp(now)
            self._finish(job, "Complete", "CompletionsReached", "Reached expected number of succeeded pods")
            self._recorder.normal(job, "Completed", "Job completed", source="job-controller")
        elif failed > spec["backoffLimit"]:
            self._finish(job, "Failed", "BackoffLimitExceeded", "Job has reached the specified backoff limit")
            message = "Job has reached the specified backoff limit"
            self._recorder.warning(job, "BackoffLimitExceeded", message, source="job-controller")
        else:
            room = min(spec["parallelism"], spec["completions"] - succeeded) - len(active)
            for _ in range(max(0, room)):
                pod = make_pod(self._sim.store, job, spec["template"])
                active.append(pod)
                self._recorder.normal(job, "SuccessfulCreate", f"Created pod: {pod.key.name}", source="job-controller")
        self._write(record, job, 0 if _over(job) else len(active), succeeded, failed)

    def _finish(self, job: Obj, kind: str, reason: str, message: str) -> None:
        set_condition(job, kind, "True", self._sim.clock.now(), reason=reason, message=message)

    def _write(self, record: Record, job: Obj, active: int, succeeded: int, failed: int) -> None:
        for name, count in (("active", active), ("succeeded", succeeded), ("failed", failed)):
            if count:
                job["status"][name] = count
            else:
                job["status"].pop(name, None)
        self._sim.store.replace(record, job)


class CronJobs:
    """Starts a Job in every minute its schedule names, and forgets old ones."""

    def __init__(self, simulation: Simulation, recorder: Recorder) -> None:
        self._sim = simulation
        self._recorder = recorder

    def start(self) -> None:
        """Begin to look at the clock every minute."""
        self._sim.after(60 - self._sim.clock.now() % 60, self._tick)

    def concerns(self, change: Change) -> Iterable[Key]:
        return owner_key(change, CRONJOBS) if change.record.key.resource is CRONJOBS else self._parent(change)

    def _parent(self, change: Change) -> Iterable[Key]:
        record = change.record
        if record.key.resource is not JOBS or not record.owner:
            return ()
        owner = next((r for r in record.obj()["metadata"]["ownerReferences"] if r["kind"] == "CronJob"), None)
        return (Key(CRONJOBS, record.key.namespace, owner["name"]),) if owner else ()

    def sync(self, key: Key) -> None:
        """Bring the status and the kept history in line with the Jobs there are."""
        record = self._sim.store.get(key)
        if record is None:
            return
        cronjob = record.obj()
        jobs = [(item, item.obj()) for item in self._sim.store.owned(record.uid, JOBS)]
        status = cronjob.setdefault("status", {})
        active = [
            {
                "apiVersion": "batch/v1",
                "kind": "Job",
                "name": item.key.name,
                "namespace": key.namespace,
                "uid": item.uid,
            }
            for item, obj in jobs
            if not _over(obj)
        ]
        status.pop("active", None)
        if active:
            status["active"] = active
        done = [seconds_of(obj["status"].get("completionTime")) for _, obj in jobs if obj.get("status")]
        if any(done):
            status["lastSuccessfulTime"] = stamp(max(done))
        self._sim.store.replace(record, cronjob)
        for kind, field in (("Complete", "successfulJobsHistoryLimit"), ("Failed", "failedJobsHistoryLimit")):
            ended = [item for item, obj in jobs if _is(obj, kind)]
            ended.sort(key=lambda item: item.key.name)
            for item in ended[: max(0, len(ended) - cronjob["spec"][field])]:
                self._sim.store.delete(item)

    def _tick(self) -> None:
        now = self._sim.clock.now()
        for record in list(self._sim.store.scan(CRONJOBS)):
            cronjob = record.obj()
            if not cronjob["spec"].get("suspend") and due(cronjob["spec"]["schedule"], now):
                self.trigger(record)
        self._sim.after(60 - now % 60, self._tick)

    def trigger(self, record: Record) -> Record | None:
        """Start the Job of this minute, unless it is there."""
        cronjob, now = record.obj(), self._sim.clock.now()
        key = Key(JOBS, record.key.namespace, f"{record.key.name}-{int(now // 60)}")
        if self._sim.store.get(key) is not None:
            return None
        template = copy(cronjob["spec"]["jobTemplate"])
        job: Obj = {
            "metadata": {
                "name": key.name,
                "namespace": key.namespace,
                "labels": (template.get("metadata") or {}).get("labels") or {},
                "ownerReferences": [owner_reference(cronjob)],
            },
            "spec": template["spec"],
        }
        complete(JOBS, job)
        created = self._sim.store.create(JOBS, job)
        self._recorder.normal(cronjob, "SuccessfulCreate", f"Created job {key.name}", source="cronjob-controller")
        fresh = self._sim.store.get(record.key)
        if fresh is not None:
            cronjob = fresh.obj()
            cronjob.setdefault("status", {})["lastScheduleTime"] = stamp(now - now % 60)
            self._sim.store.replace(fresh, cronjob)
        return created


def due(schedule: str, now: float) -> bool:
    """Whether a five-field cron schedule names the minute of ``now`` (UTC). Lists, ranges and steps are understood."""
    aliases = {"@hourly": "0 * * * *", "@daily": "0 0 * * *", "@midnight": "0 0 * * *", "@weekly": "0 0 * * 0"}
    fields = aliases.get(schedule, schedule).split()
    moment = datetime.fromtimestamp(now, UTC)
    values = (moment.minute, moment.hour, moment.day, moment.month, moment.isoweekday() % 7)
    lows = (0, 0, 1, 1, 0)
    highs = (59, 23, 31, 12, 6)
    if len(fields) != 5:
        return False
    return all(_in(*item) for item in zip(fields, values, lows, highs, strict=True))


def _in(field: str, value: int, low: int, high: int) -> bool:
    for part in field.split(","):
        span, _, step = part.partition("/")
        first, _, last = span.partition("-")
        start = low if first == "*" else int(first)
        end = high if first == "*" else int(last or (high if step else first))
        if start <= value <= end and (value - start) % int(step or 1) == 0:
            return True
    return False


def _is(job: Obj, kind: str) -> bool:
    found = condition(job, kind)
    return found is not None and found["status"] == "True"


def _over(job: Obj) -> bool:
    return _is(job, "Complete") or _is(job, "Failed")


def _count(pods: list[Record], phase: str) -> int:
    return sum(pod.pod is not None and pod.pod.phase == phase for pod in pods)
