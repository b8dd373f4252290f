"""Small valid values: signals, and the events of an incident's usual way."""

from datetime import datetime, timedelta

from midwatch.domain import events as ev
from midwatch.domain.approvals import ApprovalOutcome, ApprovalRequest, Choice, Click
from midwatch.domain.diagnosis import Diagnosis, Evidence
from midwatch.domain.ids import ApprovalId, ClickId, IncidentKey, PlanDigest, SignalId
from midwatch.domain.playbooks import Plan, PlanStep, Risk, Target, Verdict, VerdictKind, plan_digest
from midwatch.domain.reasons import Reason
from midwatch.domain.refs import ObjectRef, Severity
from midwatch.domain.signals import Signal, SignalStatus
from tests.fakes.runtime import NOON

POD = ObjectRef("Pod", "web-1", "shop")
DEPLOYMENT = ObjectRef("Deployment", "web", "shop")


def a_signal(
    number: int = 1,
    *,
    status: SignalStatus = SignalStatus.FIRING,
    at: datetime = NOON,
    pod: str = "web-1",
    source: str = "watch",
    cluster: str = "alpha",
    starts_at: datetime = NOON,
) -> Signal:
    return Signal(
        id=SignalId(f"{number:08x}-0000-7000-8000-51601a000000"),
        source=source,
        cluster=cluster,
        status=status,
        condition="CrashLoopBackOff",
        severity=Severity.ERROR,
        subject=ObjectRef("Pod", pod, "shop"),
        owner=DEPLOYMENT,
        title=f"{pod} crashes",
        starts_at=starts_at,
        received_at=at,
        labels={"team": "shop"},
    )


def opened(key: str = "alpha|workload|Deployment/shop/web", severity: Severity = Severity.ERROR) -> ev.IncidentOpened:
    return ev.IncidentOpened(
        reason=Reason.RULE_MATCHED,
        key=IncidentKey(key),
        cluster="alpha",
        condition="CrashLoopBackOff",
        severity=severity,
        title="web crashes",
        subject=POD,
        owner=DEPLOYMENT,
        rule="crash-loop",
        began_at=NOON,
    )


def attached(number: int = 1, pod: str = "web-1", severity: Severity = Severity.ERROR) -> ev.SignalAttached:
    return ev.SignalAttached(
        reason=Reason.RULE_MATCHED,
        signal=SignalId(f"{number:08x}-0000-7000-8000-51601a000000"),
        identity=f"watch|alpha|CrashLoopBackOff|Pod/shop/{pod}",
        episode=f"watch|alpha|CrashLoopBackOff|Pod/shop/{pod}@{number}",
        source="watch",
        condition="CrashLoopBackOff",
        severity=severity,
        subject=ObjectRef("Pod", pod, "shop"),
        starts_at=NOON,
    )


def cleared(number: int = 1, pod: str = "web-1") -> ev.SignalCleared:
    of = attached(number, pod)
    return ev.SignalCleared(reason=Reason.SIGNAL_CLEARED, signal=of.signal, identity=of.identity, episode=of.episode)


def report(cause: str = "a bad release", *, refine: bool = False) -> ev.ReportMade:
    seen = Evidence("logs:web", "panic: no config", line=3)
    diagnosis = Diagnosis(
        root_cause=cause, summary=cause, confidence=0.9, evidence=(seen,), playbook="restart-workload"
    )
    return ev.ReportMade(reason=Reason.BUILT_IN_ANALYSIS, diagnosis=diagnosis, refine=refine)


def a_plan(title: str = "Restart web") -> Plan:
    step = PlanStep(action="rollout_restart", target=Target(DEPLOYMENT, generation=1), risk=Risk.MEDIUM)
    return Plan(playbook="restart-workload", playbook_digest="p1", title=title, risk=Risk.MEDIUM, steps=(step,))


def proposed(kind: VerdictKind = VerdictKind.ASK) -> ev.PlanProposed:
    plan = a_plan()
    verdict = Verdict(kind=kind, rule="risk-needs-approval", sentence="MEDIUM asks first.")
    return ev.PlanProposed(reason=Reason.PLAYBOOK_COMPILED, plan=plan, digest=plan_digest(plan), verdict=verdict)


def a_request(number: int = 1, at: datetime = NOON, lasts: timedelta = timedelta(minutes=5)) -> ApprovalRequest:
    return ApprovalRequest(
        id=ApprovalId(f"{number:08x}-0000-7000-8000-a99000000000"),
        digest=PlanDigest(plan_digest(a_plan())),
        requested_at=at,
        expires_at=at + lasts,
    )


def requested(number: int = 1, at: datetime = NOON) -> ev.ApprovalRequested:
    return ev.ApprovalRequested(reason=Reason.RISK_NEEDS_APPROVAL, request=a_request(number, at))


def approval_closed(number: int = 1, outcome: ApprovalOutcome = ApprovalOutcome.APPROVED) -> ev.ApprovalClosed:
    return ev.ApprovalClosed(
        reason=Reason.QUORUM_REACHED, approval=a_request(number).id, outcome=outcome, by="console:ann"
    )


def resolved() -> ev.Resolved:
    return ev.Resolved(reason=Reason.SIGNALS_CLEARED, detail="over")


def a_click(number: int = 1, approval: int = 1, at: datetime = NOON, choice: Choice = Choice.APPROVE) -> Click:
    return Click(
        id=ClickId(f"{number:08x}-0000-7000-8000-c11c00000000"),
        approval_id=a_request(approval).id,
        choice=choice,
        user="console:ann",
        channel="console",
        at=at,
    )
