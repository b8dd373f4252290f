"""Which objects of an incident are well again while others still fire."""

from midwatch.domain.actions import WORKLOADS
from midwatch.domain.incidents import Incident
from midwatch.domain.playbooks import Plan
from midwatch.domain.refs import ObjectRef


def recovered(incident: Incident, ref: ObjectRef) -> bool:
    """Whether every signal about this very object has cleared while others of the incident still fire.

    A workload that owns the whole incident is not well while any of its pods fires.
    """
    if ref.kind in WORKLOADS and ref.path == incident.owner.path:
        return False
    about = [member for member in incident.members if member.subject.path == ref.path]
    return bool(about) and bool(incident.active) and not any(member.active for member in about)


def needless(incident: Incident, plan: Plan) -> str:
    """Why the plan is not to be carried out any more (a target of it recovered), empty while it is still called for.

    A step that is not required holds up no other: it is looked at when its turn comes.
    """
    wanted = (step.target.ref for step in plan.steps if step.required)
    well = next((ref for ref in wanted if recovered(incident, ref)), None)
    return f"{well} has recovered; it is planned anew for what still fires." if well is not None else ""
