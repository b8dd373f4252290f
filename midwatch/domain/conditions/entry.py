"""The form of one catalogue entry."""

import msgspec

from midwatch.domain.refs import Severity


class Condition(msgspec.Struct, frozen=True, kw_only=True):
    """A failure state with a name.

    ``family`` groups conditions of one cause; ``failure_class`` says which of them, on one top owner, are one incident.
    ``evidence`` names what to gather, ``remediation`` the first thing to try, ``playbook`` the one that does it (empty
    where no act is safe without a person). ``hold_s`` is how long the state must last before it counts.
    """

    id: str
    family: str
    severity: Severity
    failure_class: str
    title: str
    explanation: str
    evidence: tuple[str, ...]
    remediation: str
    playbook: str = ""
    hold_s: int = 0


INFO, WARNING, ERROR, CRITICAL = Severity.INFO, Severity.WARNING, Severity.ERROR, Severity.CRITICAL
POD = ("pod", "events", "logs", "previous logs", "recent changes")
SCHEDULING = ("pod", "events", "nodes", "quotas")
WORKLOAD = ("workload", "pods", "events", "rollout history", "recent changes")
NODE = ("node", "events", "pods on the node", "node logs")
NETWORK = ("object", "services", "endpoints", "events")
STORAGE = ("claim", "volume", "storage class", "events")


def entries(failure_class: str, *rows: Condition) -> tuple[Condition, ...]:
    """Rows of one failure class."""
    return tuple(msgspec.structs.replace(row, failure_class=failure_class) for row in rows)


def row(
    id_: str,
    family: str,
    severity: Severity,
    title: str,
    explanation: str,
    evidence: tuple[str, ...],
    remediation: str,
    *,
    playbook: str = "",
    hold_s: int = 0,
) -> Condition:
    """One entry, its failure class still to be set by :func:`entries`."""
    return Condition(
        id=id_,
        family=family,
        severity=severity,
        failure_class="",
        title=title,
        explanation=explanation,
        evidence=evidence,
        remediation=remediation,
        playbook=playbook,
        hold_s=hold_s,
    )
