"""What explains what: related, of a kind that follows, and not before; all else stays apart."""

from datetime import timedelta

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from midwatch.domain import events as ev
from midwatch.domain.approvals import ApprovalOutcome
from midwatch.domain.board import Board
from midwatch.domain.grouping import adoptees, home_key, host_of, may_reopen, named_objects, place, related_of
from midwatch.domain.ids import ExecutionId, IncidentId, PlanDigest
from midwatch.domain.incidents import Incident, fold
from midwatch.domain.reasons import Reason
from midwatch.domain.refs import ObjectRef, Severity
from midwatch.domain.signals import Signal
from tests.fakes.runtime import NOON
from tests.fakes.samples import a_signal, approval_closed, cleared, proposed, report, requested, resolved

NODE, OTHER = ObjectRef("Node", "worker-7"), ObjectRef("Node", "worker-1")
WEB, PAY = ObjectRef("Deployment", "web", "shop"), ObjectRef("Deployment", "pay", "shop")
CLAIM, QUOTA = ObjectRef("PersistentVolumeClaim", "data", "shop"), ObjectRef("ResourceQuota", "cpu", "shop")


def seen(
    condition: str,
    subject: ObjectRef,
    owner: ObjectRef | None = None,
    *related: ObjectRef,
    after: float = 0,
    failure_class: str = "workload",
    source: str = "watch",
) -> Signal:
    return msgspec.structs.replace(
        a_signal(),
        condition=condition,
        subject=subject,
        owner=owner or subject,
        related=related,
        starts_at=NOON + timedelta(seconds=after),
        failure_class=failure_class,
        source=source,
    )


def pod(name: str = "web-1") -> ObjectRef:
    return ObjectRef("Pod", name, "shop")


def attached(signal: Signal) -> ev.SignalAttached:
    return ev.SignalAttached(
        reason=Reason.RULE_MATCHED,
        signal=signal.id,
        identity=signal.identity,
        episode=signal.episode,
        source=signal.source,
        condition=signal.condition,
        severity=signal.severity,
        subject=signal.subject,
        starts_at=signal.starts_at,
        related=related_of(signal),
    )


def incident(*signals: Signal, more: tuple[ev.AnyEvent, ...] = (), number: int = 1) -> Incident:
    first = signals[0]
    opened = ev.IncidentOpened(
        reason=Reason.RULE_MATCHED,
        key=home_key(first),
        cluster=first.cluster,
        condition=first.condition,
        severity=Severity.ERROR,
        title=first.title,
        subject=first.subject,
        owner=first.owner,
        rule="any",
    )
    id_ = IncidentId(f"{number:08x}-0000-7000-8000-000000000000")
    events = [opened, *map(attached, signals), *more]
    return fold(
        id_, [ev.Entry(incident=id_, seq=at, at=NOON, by="test", event=event) for at, event in enumerate(events, 1)]
    )


LOSS = seen("NodeNotReady", NODE, failure_class="node")


@pytest.mark.parametrize(
    "effect",
    [
        seen("PodNotReady", pod(), WEB, NODE),
        seen("PodEvicted", pod(), WEB, NODE),
        seen("DeploymentReplicasShort", WEB, None, NODE),
        seen("ServiceNoEndpoints", ObjectRef("Service", "web", "shop"), WEB, NODE, failure_class="network"),
        seen("PodSilent", pod(), WEB, NODE, source="alertmanager"),
        seen("FailedScheduling/InsufficientCPU", pod("web-2"), WEB, NODE),
        seen("PodNotReady", pod(), WEB, NODE, after=-60),
    ],
    ids=lambda signal: signal.condition,
)
def test_what_a_lost_node_brings_about_joins_it(effect: Signal) -> None:
    found = place(effect, Board([incident(LOSS)]))
    assert (found.incident, found.reason) == (incident(LOSS), Reason.CAUSE_IS_OPEN)


@pytest.mark.parametrize(
    "unrelated",
    [
        seen("CrashLoopBackOff", pod(), WEB, NODE),
        seen("ImagePullBackOff/NotFound", pod(), WEB, NODE),
        seen("OOMKilled", pod(), WEB, NODE),
        seen("PodNotReady", pod(), WEB, OTHER),
        seen("PodNotReady", pod(), WEB),
        seen("PodNotReady", pod(), WEB, NODE, after=-3600),
        msgspec.structs.replace(seen("PodNotReady", pod(), WEB, NODE), cluster="beta"),
        seen("HighErrorRate", WEB, None, NODE, source="alertmanager"),
        seen("HPAAtMaximum", ObjectRef("HorizontalPodAutoscaler", "web", "shop"), None, WEB, NODE),
    ],
    ids=["crash", "image", "oom", "other node", "no node", "long before", "other cluster", "unknown kind", "load"],
)
def test_what_it_does_not_bring_about_stays_apart(unrelated: Signal) -> None:
    found = place(unrelated, Board([incident(LOSS)]))
    assert (found.incident, found.key) == (None, home_key(unrelated))


def test_a_node_under_pressure_evicts_but_is_not_lost() -> None:
    board = Board([incident(seen("NodeMemoryPressure", NODE, failure_class="node"))])
    assert place(seen("PodEvicted", pod(), WEB, NODE), board).incident is not None
    assert place(seen("PodNotReady", pod(), WEB, NODE), board).incident is None


def test_a_cause_that_is_over_explains_nothing_more() -> None:
    over = cleared().__class__(
        reason=Reason.SIGNAL_CLEARED, signal=LOSS.id, identity=LOSS.identity, episode=LOSS.episode
    )
    assert place(seen("PodNotReady", pod(), WEB, NODE), Board([incident(LOSS, more=(over,))])).incident is None


def test_two_deployments_that_crash_on_one_healthy_node_are_two_incidents() -> None:
    first = incident(seen("CrashLoopBackOff", pod(), WEB, NODE))
    found = place(seen("CrashLoopBackOff", pod("pay-1"), PAY, NODE), Board([first]))
    assert found.incident is None
    assert found.key != first.key


def test_a_workload_misses_the_pods_that_its_cause_took() -> None:
    """An alert about a Deployment names no node; that its pod is among the lost is known."""
    cause = incident(LOSS, seen("PodOnLostNode", pod(), NODE, WEB, failure_class="node"))
    board = Board([cause])
    assert place(seen("DeploymentReplicasShort", WEB, source="alertmanager"), board).incident == cause
    assert place(seen("DeploymentReplicasShort", PAY, source="alertmanager"), board).incident is None


def test_a_claim_and_the_pods_that_wait_for_it_are_one() -> None:
    board = Board([incident(seen("PVCPending", CLAIM, failure_class="volume"))])
    assert place(seen("FailedMount", pod(), WEB, OTHER, CLAIM), board).incident is not None
    assert place(seen("StatefulSetReplicasShort", WEB, None, CLAIM), board).incident is not None
    assert place(seen("CrashLoopBackOff", pod(), WEB, OTHER, CLAIM), board).incident is None
    assert place(seen("FailedMount", pod(), WEB, OTHER), board).incident is None


def test_a_quota_and_the_workloads_it_blocks_are_one_for_watch_and_alerts() -> None:
    cause = incident(seen("FailedCreate/Quota", ObjectRef("ReplicaSet", "web-1", "shop"), QUOTA, failure_class="quota"))
    board = Board([cause])
    assert place(seen("DeploymentReplicasShort", WEB, QUOTA, failure_class="quota"), board).incident == cause
    told = seen("QuotaExceeded", QUOTA, failure_class="namespace", source="alertmanager")
    assert place(told, board).incident == cause
    assert place(seen("DeploymentReplicasShort", PAY), board).incident is None


def test_a_bad_rollout_explains_the_service_in_front_of_it_but_no_other_workload() -> None:
    cause = incident(seen("ProgressDeadlineExceeded", WEB), seen("ImagePullBackOff", pod(), WEB))
    board = Board([cause])
    service = ObjectRef("Service", "web", "shop")
    assert place(seen("ServiceNoEndpoints", service, WEB, failure_class="network"), board).incident == cause
    assert place(seen("ServicePortMismatch", service, WEB, failure_class="network"), board).incident is None
    assert place(seen("DeploymentReplicasShort", PAY), board).incident is None


def test_what_is_a_member_already_stays_where_it_is() -> None:
    known = seen("CrashLoopBackOff", pod(), WEB, NODE)
    held = incident(known)
    assert place(msgspec.structs.replace(known, owner=PAY), Board([held])).incident == held


CHILD = seen("PodNotReady", pod(), WEB, NODE)


def test_a_late_cause_adopts_what_it_explains_and_nothing_else() -> None:
    child, other = incident(CHILD, number=2), incident(seen("CrashLoopBackOff", pod("pay-1"), PAY, NODE), number=3)
    mixed = incident(
        seen("PodNotReady", pod("api-1"), ObjectRef("Deployment", "api", "shop"), NODE),
        seen("OOMKilled", pod("api-1"), ObjectRef("Deployment", "api", "shop"), NODE),
        number=4,
    )
    cause = incident(LOSS)
    assert adoptees(cause.id, Board([child, other, mixed, cause])) == (child,)
    assert adoptees(child.id, Board([child, cause])) == (), "what lies higher adopts nothing below"


_STARTED = ev.ExecutionStarted(reason=Reason.PLAN_APPROVED, execution=ExecutionId("x"), digest=PlanDigest("d"))


@pytest.mark.parametrize(
    ("more", "may"),
    [
        ((report(), proposed(), requested()), True),
        ((report(), proposed(), requested(), approval_closed(outcome=ApprovalOutcome.EXPIRED)), True),
        ((report(), proposed(), requested(), approval_closed()), False),
        ((report(), proposed(), requested(), approval_closed(outcome=ApprovalOutcome.REJECTED)), False),
        ((report(), proposed(), _STARTED), False),
        ((ev.Escalated(reason=Reason.NO_PLAYBOOK),), True),
    ],
    ids=["asked", "expired", "approved", "rejected", "acting", "escalated"],
)
def test_what_a_person_decided_or_what_is_acted_on_is_not_adopted(more: tuple[ev.AnyEvent, ...], may: bool) -> None:
    cause = incident(LOSS)
    assert bool(adoptees(cause.id, Board([incident(CHILD, more=more, number=2), cause]))) is may


def test_only_what_recovered_by_itself_is_reopened_and_only_for_the_same_condition() -> None:
    crash = seen("CrashLoopBackOff", pod(), WEB)
    over = resolved()
    fixed = ev.Resolved(reason=Reason.ALL_STEPS_VERIFIED)
    assert may_reopen(incident(crash, more=(over,)), [seen("CrashLoopBackOff", pod("web-9"), WEB)])
    assert not may_reopen(incident(crash, more=(over,)), [seen("OOMKilled", pod(), WEB)])
    assert not may_reopen(incident(crash), [crash]), "it is open"
    assert not may_reopen(incident(crash, more=(report(), proposed(), _STARTED, fixed)), [crash])
    human = ev.Closed(reason=Reason.CLOSED_BY_HUMAN, by="console:ann")
    assert not may_reopen(incident(crash, more=(human,)), [crash])


def test_the_instance_of_a_workloads_alert_is_not_where_it_runs() -> None:
    labels = {"instance": "10.0.0.7:8080", "node": "worker-7"}
    told = msgspec.structs.replace(seen("DeploymentReplicasShort", WEB), labels=labels)
    assert named_objects(told) == (WEB, NODE)
    bare = msgspec.structs.replace(seen("Odd", ObjectRef("Instance", "10.0.0.7")), labels=labels)
    assert ObjectRef("Node", "10.0.0.7") in named_objects(bare)


@pytest.mark.parametrize(
    ("instance", "host"),
    [
        ("10.0.0.7:9100", "10.0.0.7"),
        ("worker-7", "worker-7"),
        ("[fd00::7]:9100", "fd00::7"),
        ("http://x/y", "http://x/y"),
    ],
)
def test_hosts(instance: str, host: str) -> None:
    assert host_of(instance) == host


_OWN_FAULTS = (
    "CrashLoopBackOff",
    "OOMKilled",
    "ImagePullBackOff",
    "PodNotReady",
    "DeploymentUnavailable",
    "HighLatency",
)
_STRANGERS = st.lists(
    st.tuples(
        st.sampled_from(_OWN_FAULTS),
        st.sampled_from(["web", "pay", "api"]),
        st.sampled_from([NODE, OTHER]),
        st.integers(0, 3),
        st.sampled_from(["watch", "alertmanager"]),
    ),
    max_size=12,
)


@given(_STRANGERS)
def test_without_a_common_cause_workloads_never_share_an_incident(
    drawn: list[tuple[str, str, ObjectRef, int, str]],
) -> None:
    """On the same nodes, in the same namespace, at the same time."""
    board, held = Board(), dict[str, list[Signal]]()
    for condition, name, on, number, source in drawn:
        owner = ObjectRef("Deployment", name, "shop")
        subject = owner if condition.startswith("Deployment") else pod(f"{name}-{number}")
        signal = seen(condition, subject, owner, on, CLAIM, after=number, source=source)
        found = place(signal, board)
        assert (found.incident is None) == (found.key not in held), "one open incident a key"
        held.setdefault(found.key, []).append(signal)
        board.put(incident(*held[found.key], number=list(held).index(found.key) + 1))
    for signals in held.values():
        assert len({signal.owner for signal in signals}) == 1
    for each in board:
        assert adoptees(each.id, board) == ()
