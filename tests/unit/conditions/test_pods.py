"""Conditions of pods and containers, and all that must stay quiet."""

from datetime import timedelta

import pytest

from tests.unit.conditions.objects import (
    NOW,
    Json,
    ago,
    container,
    deployment,
    event,
    healthy_pod,
    ids,
    live,
    live_ids,
    node,
    pod,
    replica_set,
    seen,
)

CRASHED = {"exitCode": 1, "reason": "Error", "startedAt": ago(40), "finishedAt": ago(30)}
OOM = {"exitCode": 137, "reason": "OOMKilled", "startedAt": ago(40), "finishedAt": ago(30)}


@pytest.mark.parametrize(
    ("states", "expected"),
    [
        ({"waiting": {"reason": "CrashLoopBackOff"}, "last": CRASHED, "restarts": 4}, "CrashLoopBackOff"),
        ({"waiting": {"reason": "CrashLoopBackOff"}, "last": OOM, "restarts": 4}, "OOMKilled"),
        ({"running": {"startedAt": ago(5)}, "last": CRASHED, "restarts": 4}, "CrashLoopBackOff"),
        ({"terminated": CRASHED, "restarts": 2}, "CrashLoopBackOff"),
        ({"terminated": CRASHED, "restarts": 0}, "ContainerExited"),
        ({"waiting": {"reason": "InvalidImageName"}}, "ImagePullBackOff/InvalidName"),
        ({"waiting": {"reason": "ErrImageNeverPull"}}, "ErrImageNeverPull"),
        ({"waiting": {"reason": "RunContainerError", "message": "exec: no such file"}}, "RunContainerError"),
        ({"waiting": {"reason": "CreateContainerError", "message": "name in use"}}, "CreateContainerError"),
        ({"waiting": {"reason": "PostStartHookError"}}, "LifecycleHookFailing"),
    ],
)
def test_a_container_in_trouble_is_named_by_the_most_telling_condition(states: Json, expected: str) -> None:
    assert ids(pod(containers=(container(**states),))) == [expected]


@pytest.mark.parametrize(
    ("message", "expected"),
    [
        ("manifest for web:9 not found: manifest unknown", "ImagePullBackOff/NotFound"),
        ("pull access denied, repository does not exist or may require authorization", "ImagePullBackOff/Unauthorized"),
        ("401 Unauthorized", "ImagePullBackOff/Unauthorized"),
        ("dial tcp: lookup registry.example: no such host", "ImagePullBackOff/Unreachable"),
        ("toomanyrequests: You have reached your pull rate limit", "ImagePullBackOff/RateLimited"),
        ("", "ImagePullBackOff"),
    ],
)
def test_why_an_image_does_not_come(message: str, expected: str) -> None:
    waiting = container(waiting={"reason": "ImagePullBackOff", "message": message})
    assert ids(pod(phase="Pending", containers=(waiting,))) == [expected]
    told = event("Pod", "web-7d9f8b6c5d-abcde", "Failed", f"Failed to pull image: {message}")
    silent = container(waiting={"reason": "ErrImagePull"})
    assert ids(pod(phase="Pending", containers=(silent,)), told) == [expected]


@pytest.mark.parametrize(
    ("message", "expected"),
    [
        ('configmap "settings" not found', "MissingConfigMap"),
        ('secret "credentials" not found', "MissingSecret"),
        ("couldn't find key url in ConfigMap shop/settings", "MissingConfigMap"),
        ("container has runAsNonRoot and image will run as root", "CreateContainerConfigError"),
    ],
)
def test_missing_configuration_is_named(message: str, expected: str) -> None:
    waiting = container(waiting={"reason": "CreateContainerConfigError", "message": message})
    assert ids(pod(phase="Pending", containers=(waiting,))) == [expected]


@pytest.mark.parametrize(
    ("message", "expected"),
    [
        ("0/3 nodes are available: 3 Insufficient cpu.", "FailedScheduling/InsufficientCPU"),
        (
            "0/3 nodes are available: 3 Insufficient memory. preemption: 0/3 nodes",
            "FailedScheduling/InsufficientMemory",
        ),
        ("0/3 nodes are available: 3 Insufficient nvidia.com/gpu.", "FailedScheduling/InsufficientGPU"),
        ("0/1 nodes are available: 1 Too many pods.", "FailedScheduling/TooManyPods"),
        ("0/3 nodes are available: 3 node(s) had untolerated taint {gpu: true}.", "FailedScheduling/Taints"),
        (
            "0/3 nodes are available: 3 node(s) didn't match Pod's node affinity/selector.",
            "FailedScheduling/NodeSelector",
        ),
        ("0/3 nodes are available: 3 node(s) didn't match pod anti-affinity rules.", "FailedScheduling/AntiAffinity"),
        ("0/1 nodes are available: pod has unbound immediate PersistentVolumeClaims.", "FailedScheduling/Volume"),
        ("0/1 nodes are available: 1 node(s) were unschedulable.", "FailedScheduling/Cordoned"),
        ("something new", "FailedScheduling"),
    ],
)
def test_why_no_node_takes_a_pod(message: str, expected: str) -> None:
    refused = {
        "type": "PodScheduled",
        "status": "False",
        "reason": "Unschedulable",
        "message": message,
        "lastTransitionTime": ago(60),
    }
    assert ids(pod(phase="Pending", conditions=(refused,))) == [expected]


def test_a_pod_just_refused_is_held_back_until_it_has_lasted() -> None:
    refused = {
        "type": "PodScheduled",
        "status": "False",
        "reason": "Unschedulable",
        "message": "Insufficient cpu",
        "lastTransitionTime": ago(2),
    }
    young = pod(phase="Pending", conditions=(refused,))
    detection = live(young)
    assert detection.findings == ()
    assert detection.recheck == NOW + timedelta(seconds=8)
    assert live_ids(young, now=NOW + timedelta(seconds=8)) == ["FailedScheduling/InsufficientCPU"]


@pytest.mark.parametrize(
    "quiet",
    [
        healthy_pod(),
        pod(phase="Succeeded", containers=(container(terminated={"exitCode": 0, "reason": "Completed"}),)),
        pod(ready=True, containers=(container(ready=True, running={"startedAt": ago(30)}, restarts=1, last=CRASHED),)),
        pod(
            ready=True, containers=(container(ready=True, running={"startedAt": ago(1200)}, restarts=9, last=CRASHED),)
        ),
        pod(
            ready=True,
            containers=(
                container(
                    ready=True, running={"startedAt": ago(60)}, restarts=30, last={"exitCode": 255, "reason": "Unknown"}
                ),
            ),
        ),
    ],
    ids=["healthy", "finished", "one restart", "long recovered", "its node was rebooted"],
)
def test_what_is_well_stays_quiet(quiet: Json) -> None:
    assert ids(quiet) == []
    assert live_ids(quiet) == []


def test_a_crash_loop_does_not_flap_between_two_restarts() -> None:
    back_off = pod(containers=(container(waiting={"reason": "CrashLoopBackOff"}, restarts=5, last=CRASHED),))
    up = pod(ready=True, containers=(container(ready=True, running={"startedAt": ago(3)}, restarts=6, last=CRASHED),))
    down = pod(containers=(container(terminated=CRASHED, restarts=6, last=CRASHED),))
    assert [live_ids(each) for each in (back_off, up, down)] == [["CrashLoopBackOff"]] * 3
    detection = live(up)
    assert detection.recheck is not None
    assert live_ids(up, now=detection.recheck) == []


def test_an_out_of_memory_kill_is_news_for_a_while() -> None:
    again = container(ready=True, running={"startedAt": ago(60)}, restarts=1, last=OOM)
    assert live_ids(pod(ready=True, containers=(again,))) == ["OOMKilled"]
    assert live_ids(pod(ready=True, containers=(again,)), now=NOW + timedelta(minutes=11)) == []


def test_the_summary_of_a_kill_says_limit_and_exit_code() -> None:
    (finding,) = seen(pod(containers=(container(waiting={"reason": "CrashLoopBackOff"}, last=OOM, restarts=3),)))
    assert "256Mi" in finding.summary
    assert "exit code 137" in finding.summary
    assert [owner.kind for owner in finding.owners] == ["ReplicaSet", "Deployment"]
    assert finding.top_owner.name == "web"


def test_init_containers_are_told_apart() -> None:
    init = container("migrate", waiting={"reason": "CrashLoopBackOff"}, restarts=3, last=CRASHED)
    failing = pod(
        phase="Pending", containers=(container(waiting={"reason": "PodInitializing"}),), initContainerStatuses=[init]
    )
    assert ids(failing) == ["InitContainerFailing"]


def test_an_unready_pod_is_told_after_a_while_and_with_its_probe() -> None:
    running = (container(running={"startedAt": ago(600)}),)
    assert live_ids(pod(unready_for=30, containers=running)) == []
    assert live_ids(pod(unready_for=600, containers=running)) == ["PodNotReady"]
    told = event("Pod", "web-7d9f8b6c5d-abcde", "Unhealthy", "Readiness probe failed: HTTP probe failed with 503")
    assert live_ids(pod(unready_for=90, containers=running), told) == ["ReadinessProbeFailing"]


def test_mounts_that_fail_are_told_by_their_events() -> None:
    creating = pod(phase="Pending", containers=(container(waiting={"reason": "ContainerCreating"}),))
    mount = event(
        "Pod", "web-7d9f8b6c5d-abcde", "FailedMount", 'MountVolume.SetUp failed: configmap "settings" not found'
    )
    assert ids(creating, mount) == ["MissingConfigMap"]
    attach = event("Pod", "web-7d9f8b6c5d-abcde", "FailedAttachVolume", "Multi-Attach error for volume")
    assert ids(creating, attach) == ["FailedAttachVolume"]
    sandbox = event(
        "Pod", "web-7d9f8b6c5d-abcde", "FailedCreatePodSandBox", "plugin type=cni failed: no IP addresses available"
    )
    assert ids(creating, sandbox) == ["SandboxCreationFailed"]


def test_an_old_scheduling_failure_says_nothing_of_a_running_pod() -> None:
    told = event("Pod", "web-7d9f8b6c5d-fffff", "FailedScheduling", "0/2 nodes are available: 2 Insufficient cpu")
    assert ids(healthy_pod(), told) == []


def test_evictions_and_deadlines() -> None:
    evicted = pod(phase="Failed", reason="Evicted", message="The node was low on resource: memory.")
    assert ids(evicted) == ["PodEvicted"]
    assert ids(pod(phase="Failed", reason="DeadlineExceeded")) == ["PodDeadlineExceeded"]


def test_a_pod_that_does_not_go_is_told_and_one_that_is_going_is_not() -> None:
    def going(seconds: float) -> Json:
        item = pod(containers=(container(running={"startedAt": ago(900)}),))
        item["metadata"] |= {"deletionTimestamp": ago(seconds), "deletionGracePeriodSeconds": 30}
        return item

    assert live_ids(going(10)) == []
    assert live_ids(going(-3600)) == []  # an hour of grace
    assert ids(going(-3600)) == []
    assert live_ids(going(300)) == ["PodStuckTerminating"]


def test_pods_of_a_lost_node_belong_to_the_node() -> None:
    lost = pod(containers=(container(running={"startedAt": ago(900)}),))
    (finding,) = live(lost, node(ready="Unknown"), replica_set(), deployment()).findings
    assert finding.condition == "PodOnLostNode"
    assert finding.top_owner.kind == "Node"


def test_a_remnant_of_an_older_revision_is_no_trouble() -> None:
    old = pod(
        "web-5c6f7d8b9f-zzzzz",
        owner="web-5c6f7d8b9f",
        containers=(container(waiting={"reason": "CrashLoopBackOff"}, restarts=2),),
    )
    old["metadata"]["creationTimestamp"] = ago(90_000)
    new = [healthy_pod(f"web-7d9f8b6c5d-{tail}") for tail in ("aaaaa", "bbbbb")]
    sets = [replica_set("web-5c6f7d8b9f"), replica_set(revision=2)]
    assert ids(old, *new, *sets, deployment()) == []
    assert "CrashLoopBackOff" in ids(old, *sets, deployment(available=1))


def test_a_clock_far_ahead_of_ours_is_no_reason_to_hurry() -> None:
    """Times that lie in the future say nothing about age: then it counts when the watch saw it first."""
    starting = pod(unready_for=-900, containers=(container(running={"startedAt": ago(-900)}),))
    (finding,) = live(starting).findings
    assert finding.condition == "PodNotReady"
    assert finding.since is None
    up = container(ready=True, running={"startedAt": ago(-900)}, restarts=6, last=CRASHED)
    assert live_ids(pod(ready=True, containers=(up,))) == ["CrashLoopBackOff"]
