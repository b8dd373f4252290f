"""Journals for the tests of the edge: a crash loop, a bad release, and how far each came."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

from midwatch.domain import events as ev
from midwatch.domain.approvals import ApprovalOutcome, ApprovalRequest, Choice, Vote
from midwatch.domain.diagnosis import Diagnosis, Evidence
from midwatch.domain.ids import ApprovalId, ExecutionId, IncidentId, IncidentKey, PlanDigest, SignalId
from midwatch.domain.incidents import Incident
from midwatch.domain.playbooks import BlastRadius, Plan, PlanStep, Risk, Target, Verdict, VerdictKind
from midwatch.domain.reasons import Reason
from midwatch.domain.refs import ObjectRef, Severity
from midwatch.services.ports import Journal

T0 = datetime(2026, 11, 21, 3, 4, 5, tzinfo=UTC)
APPROVAL = ApprovalId("0192f0a0-0000-7000-8000-00000000aaaa")
DIGEST = PlanDigest("d" * 64)


def opened(
    *,
    title: str = "checkout keeps crashing",
    namespace: str = "shop",
    severity: Severity = Severity.CRITICAL,
    name: str = "checkout",
    kind: str = "Deployment",
    condition: str = "CrashLoopBackOff",
    began: datetime = T0,
) -> list[ev.AnyEvent]:
    pod = ObjectRef("Pod", f"{name}-6d5f-x2x9k", namespace)
    owner = ObjectRef(kind, name, namespace)
    return [
        ev.IncidentOpened(
            reason=Reason.RULE_MATCHED,
            key=IncidentKey(f"lab|workload|{owner.path}|{title}"),
            cluster="lab",
            condition=condition,
            severity=severity,
            title=title,
            subject=pod,
            owner=owner,
            rule="crashloop",
            began_at=began,
        ),
        ev.SignalAttached(
            reason=Reason.RULE_MATCHED,
            signal=SignalId("signal-1"),
            identity=f"watch|lab|{condition}|{pod.path}",
            episode=f"watch|lab|{condition}|{pod.path}@{began.isoformat()}",
            source="watch",
            condition=condition,
            severity=severity,
            subject=pod,
            title="container app restarts again and again",
        ),
    ]


def diagnosed(*, cause: str = "The database refuses connections on port 5432", log: str = "") -> list[ev.AnyEvent]:
    return [
        ev.InvestigationStarted(reason=Reason.NO_REPORT_YET, worker="rca-1"),
        ev.ToolCalled(
            reason=Reason.EVIDENCE_GATHERED,
            call_id="c1",
            tool="logs",
            input="pod checkout-6d5f-x2x9k, previous container",
            output=log or "03:04:01 INFO starting\n03:04:02 FATAL dial tcp 10.0.3.7:5432: connect: connection refused",
        ),
        ev.ReportMade(
            reason=Reason.BUILT_IN_ANALYSIS,
            diagnosis=Diagnosis(
                root_cause=cause,
                summary="The process ends with exit code 1 two seconds after its start, before it is ever ready.",
                confidence=0.86,
                condition="CrashLoopBackOff",
                subject=ObjectRef("Deployment", "checkout", "shop"),
                evidence=(
                    Evidence(
                        "logs:checkout-6d5f-x2x9k",
                        log or "FATAL dial tcp 10.0.3.7:5432: connect: refused",
                        line=2,
                        call_id="c1",
                    ),
                    Evidence(
                        "object:Pod/shop/checkout-6d5f-x2x9k",
                        "exit code 1, restarted 7 times",
                        path="status.containerStatuses[0].lastState",
                    ),
                ),
                factors=("The release of 02:58 changed the database's address.",),
                ruled_out=("Out of memory: the container used 90 Mi of 512 Mi.",),
                next_checks=("Is the database's Service reachable from namespace shop?",),
                playbook="rollback-deployment",
            ),
        ),
    ]


def plan(risk: Risk = Risk.HIGH, *, summary: str = "Roll back to revision 41") -> Plan:
    step = PlanStep(
        action="rollout_undo",
        target=Target(ObjectRef("Deployment", "checkout", "shop"), generation=42),
        risk=risk,
        undo="restore_template",
        summary=summary,
        diff=(
            "--- live\n+++ after\n@@ spec.template.spec.containers[0] @@\n   env:\n   - name: DATABASE_HOST\n"
            "-    value: db-new.shop.svc\n+    value: db.shop.svc\n   image: registry.example/checkout:2.8.1"
        ),
    )
    blast = BlastRadius(pods=3, ready_now=1, pdb_headroom=1, notes=("no GitOps owner",))
    return Plan(
        playbook="rollback-deployment",
        playbook_digest="p" * 64,
        title="Roll checkout back to revision 41",
        risk=risk,
        steps=(step,),
        blast=blast,
        undo_summary="Rolls forward to the template of revision 42 again.",
        warnings=("Two pods of the old release are still starting.",),
    )


def asked(risk: Risk = Risk.HIGH, *, approvers: tuple[str, ...] = ()) -> list[ev.AnyEvent]:
    confirm = risk is Risk.HIGH
    verdict = Verdict(
        kind=VerdictKind.ASK, rule="risk-needs-approval", sentence="HIGH risk needs a person.", confirm=confirm
    )
    request = ApprovalRequest(
        id=APPROVAL,
        digest=DIGEST,
        requested_at=T0 + timedelta(seconds=3),
        expires_at=T0 + timedelta(minutes=5),
        confirm=confirm,
        approvers=approvers,
    )
    return [
        ev.PlanProposed(reason=Reason.PLAYBOOK_COMPILED, plan=plan(risk), digest=DIGEST, verdict=verdict),
        ev.ApprovalRequested(reason=Reason.RISK_NEEDS_APPROVAL, request=request),
    ]


def voted() -> list[ev.AnyEvent]:
    vote = Vote("console:operator", Choice.APPROVE, T0 + timedelta(seconds=20))
    return [ev.ApprovalVoted(reason=Reason.CONFIRMATION_NEEDED, approval=APPROVAL, vote=vote)]


def fixed() -> list[ev.AnyEvent]:
    return [
        ev.ApprovalClosed(
            reason=Reason.QUORUM_REACHED, approval=APPROVAL, outcome=ApprovalOutcome.APPROVED, by="console:operator"
        ),
        ev.ExecutionStarted(reason=Reason.PLAN_APPROVED, execution=ExecutionId("execution-1"), digest=DIGEST),
        ev.StepStarted(reason=Reason.PRECHECK_PASSED, index=0, key="execution-1:0", generation=42),
        ev.StepActed(reason=Reason.APPLIED, index=0, detail="rolled back to revision 41"),
        ev.StepVerified(reason=Reason.VERIFY_PASSED, index=0, detail="3 of 3 pods ready for 10 s"),
        ev.Resolved(reason=Reason.ALL_STEPS_VERIFIED, detail="Rolled back to revision 41; all pods are ready again."),
    ]


def escalated(detail: str = "Nobody may change kube-system but a person.") -> list[ev.AnyEvent]:
    return [ev.Escalated(reason=Reason.PROTECTED_NAMESPACE, detail=detail)]


async def told(journal: Journal, incident_id: str, *chapters: Sequence[ev.AnyEvent], began: datetime = T0) -> Incident:
    """Write an incident's journal, one second an entry."""
    (first, *rest) = (event for chapter in chapters for event in chapter)
    incident = await journal.open(IncidentId(incident_id), [first], at=began, by="rule-engine")
    return await carried_on(journal, incident, rest)


async def carried_on(journal: Journal, incident: Incident, events: Sequence[ev.AnyEvent]) -> Incident:
    for event in events:
        assert incident.updated_at is not None
        at = incident.updated_at + timedelta(seconds=1)
        incident = await journal.append(incident, [event], at=at, by=_actor(event))
    return incident


def _actor(event: ev.AnyEvent) -> str:
    match event:
        case ev.SignalAttached() | ev.SignalCleared():
            return "rule-engine"
        case ev.InvestigationStarted() | ev.ToolCalled() | ev.ReportMade() | ev.PlanProposed():
            return "rca-pool"
        case ev.ApprovalRequested() | ev.ApprovalVoted() | ev.ApprovalClosed():
            return "approval-broker"
        case _:
            return "playbook-executor"
