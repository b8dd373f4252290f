"""From a playbook, a live object and parameters to a plan: values only, nothing in it is a template any more."""

import math
import re
from collections import Counter
from collections.abc import Sequence

import msgspec

from midwatch.domain.actions import ACTIONS
from midwatch.domain.errors import Refused
from midwatch.domain.objects.quantities import quantity
from midwatch.domain.observed import Observed
from midwatch.domain.playbooks import BlastRadius, Check, Evicted, Plan, PlanStep, Target
from midwatch.domain.reasons import Reason
from midwatch.domain.recipes import PLACES, Kind, Mode, Parameter, Playbook, RecipeStep, Taken, Value
from midwatch.domain.refs import ObjectRef

Scalar = str | int | float
_MI = 1024**2
_ENDED = ("Failed", "Succeeded")
_ROLLING = ("rollout_restart", "rollout_undo", "patch_resources")


def compile_plan(playbook: Playbook, seen: Observed, parameters: dict[str, str]) -> Plan:
    """Resolve every value against the live object.

    Raises :class:`Refused` with ``parameter-invalid`` for a parameter that is unknown, of the wrong type or out of
    bounds, and with ``precheck-failed`` where the object lacks what the step needs.
    """
    chosen = choose(playbook, parameters)
    target = Target(seen.ref, generation=seen.generation, resource_version=seen.resource_version)
    steps = tuple(_step(step, seen, target, chosen) for step in playbook.steps)
    blast = blast_radius(seen, steps)
    undone = sum(1 for step in steps if step.undo)
    return Plan(
        playbook=playbook.id,
        playbook_digest=playbook.digest,
        title=f"{playbook.title}: {seen.ref}",
        risk=playbook.risk,
        steps=steps,
        blast=blast,
        undo_summary=(
            "If the check afterwards fails, the changed fields are put back as they were."
            if undone
            else " ".join(dict.fromkeys(step.no_undo for step in playbook.steps if step.no_undo))
        ),
        warnings=_warnings(seen, blast),
        shadow=playbook.mode is Mode.SHADOW,
    )


def together(plans: Sequence[Plan]) -> Plan:
    """One plan with the steps of several plans of the same playbook; none of them has to succeed for the others."""
    first, *others = plans
    if not others:
        return first
    blasts = [plan.blast for plan in plans]
    steps = tuple(msgspec.structs.replace(step, required=False) for plan in plans for step in plan.steps)
    return msgspec.structs.replace(
        first,
        title=f"{first.title} and {len(others)} more",
        steps=steps,
        blast=msgspec.structs.replace(
            first.blast,
            pods=sum(blast.pods for blast in blasts),
            ready_now=sum(blast.ready_now for blast in blasts),
            pdb_headroom=min((each.pdb_headroom for each in blasts if each.pdb_headroom is not None), default=None),
            endpoints_left=min(
                (each.endpoints_left for each in blasts if each.endpoints_left is not None), default=None
            ),
            gitops_owner=next((blast.gitops_owner for blast in blasts if blast.gitops_owner), ""),
            human_edit_at=max((blast.human_edit_at for blast in blasts if blast.human_edit_at), default=None),
            owners=tuple(dict.fromkeys(owner for blast in blasts for owner in blast.owners)),
        ),
        warnings=tuple(dict.fromkeys(said for plan in plans for said in plan.warnings)),
    )


def choose(playbook: Playbook, parameters: dict[str, str]) -> dict[str, Scalar]:
    """The parameters given, checked for type and bounds, with defaults for the rest."""
    for name in parameters:
        if name not in playbook.parameters:
            known = ", ".join(playbook.parameters) or "none"
            raise Refused(Reason.PARAMETER_INVALID, f"{playbook.id} takes no parameter {name!r} (it takes: {known})")
    chosen: dict[str, Scalar] = {}
    for name, parameter in playbook.parameters.items():
        raw = parameters.get(name, parameter.default)
        if raw is None:
            raise Refused(Reason.PARAMETER_INVALID, f"{playbook.id} needs parameter {name!r}")
        chosen[name] = _parsed(name, parameter, raw)
    return chosen


def _parsed(name: str, parameter: Parameter, raw: Scalar) -> Scalar:
    value: Scalar
    try:
        match parameter.type:
            case Kind.INTEGER:
                value = int(str(raw))
                size = float(value)
            case Kind.NUMBER:
                value = size = float(raw)
            case Kind.QUANTITY:
                value, size = str(raw), bytes_of(str(raw))
            case Kind.NAME:
                value, size = str(raw), 0.0
                if not value or len(value) > 253 or not all(c.isalnum() or c in "-._" for c in value):
                    raise ValueError("not a name")
    except ValueError as error:
        raise Refused(Reason.PARAMETER_INVALID, f"parameter {name} is {raw!r}: {error}") from error
    if not math.isfinite(size):
        raise Refused(Reason.PARAMETER_INVALID, f"parameter {name} is {raw!r}: not a finite number")
    low, high = parameter.minimum, parameter.maximum
    if low is not None and size < bytes_of(low):
        raise Refused(Reason.PARAMETER_INVALID, f"parameter {name} is {raw}, the least allowed is {low}")
    if high is not None and size > bytes_of(high):
        raise Refused(Reason.PARAMETER_INVALID, f"parameter {name} is {raw}, the most allowed is {high}")
    return value


def bytes_of(value: Scalar) -> float:
    """The number a quantity stands for. Raises ``ValueError``."""
    size = quantity(value)
    if size is None:
        raise ValueError(f"{value!r} is no quantity such as 512Mi")
    return size


def _step(step: RecipeStep, seen: Observed, target: Target, chosen: dict[str, Scalar]) -> PlanStep:
    action = ACTIONS[step.action]
    if seen.ref.kind not in action.kinds:
        kinds = ", ".join(action.kinds)
        raise Refused(Reason.PRECHECK_FAILED, f"{step.action} works on {kinds}; {seen.ref} is none")
    params = {name: _fitting(name, value, seen, chosen, action.params[name]) for name, value in step.params.items()}
    said = action.says.format(ref=seen.ref, **params)
    changes = ", ".join(
        f"{name.replace('_', ' ')} → {value}" for name, value in params.items() if name not in action.required
    )
    if step.action == "drain" and (evicts := evicts_of(seen)):
        # What is approved is evictions from these namespaces: the act makes none elsewhere.
        params["namespaces"] = ",".join(sorted({pod.ref.namespace for pod in evicts}))
    return PlanStep(
        action=step.action,
        target=target,
        risk=step.risk,
        params=params,
        precheck=tuple(resolved(check, seen.ref) for check in step.precheck),
        verify=tuple(resolved(check, seen.ref) for check in step.verify),
        undo=step.undo,
        summary=f"{said} ({changes})" if changes else said,
        required=step.required,
        on_failure=step.on_failure,
    )


def resolved(check: Check, ref: ObjectRef) -> Check:
    """The check with its query about this very object. Raises :class:`Refused` for a name that is none."""
    if not check.query:
        return check
    query = check.query
    for place in PLACES:
        value = str(getattr(ref, place))
        if not all(char.isalnum() or char in "-._" for char in value):
            raise Refused(Reason.PARAMETER_INVALID, f"{value!r} cannot stand in a query")
        query = re.sub(rf"\${place}\b", value, query)
    return msgspec.structs.replace(check, query=query)


def _fitting(name: str, value: Value, seen: Observed, chosen: dict[str, Scalar], kind: type) -> str | int:
    try:
        return _value(value, seen, chosen, kind)
    except (ValueError, OverflowError) as error:
        raise Refused(Reason.PARAMETER_INVALID, f"{name} of {seen.ref} cannot be told: {error}") from error


def _value(value: Value, seen: Observed, chosen: dict[str, Scalar], kind: type) -> str | int:
    if not isinstance(value, Taken):
        return value
    taken: Scalar = chosen[value.parameter] if value.parameter else live_value(value.live, seen)
    if value.times or value.plus or value.at_most:
        base = size = bytes_of(taken)
        if value.times:
            size *= bytes_of(chosen[value.times])
        if value.plus:
            size += bytes_of(chosen[value.plus])
        if value.at_most:
            size = min(size, bytes_of(chosen[value.at_most]))
        if size <= base and (value.times or value.plus):
            cap = chosen[value.at_most] if value.at_most else taken
            raise Refused(Reason.PRECHECK_FAILED, f"{seen.ref} is at {taken} already, no room below {cap}")
        taken = int(size) if kind is int else cores(size) if value.live.startswith("cpu") else written(size)
    return int(taken) if kind is int else str(taken)


def written(size: float) -> str:
    """Bytes as people write memory: whole ``Mi``, ``Gi`` where it comes out even."""
    whole = math.ceil(size / _MI)
    return f"{whole // 1024}Gi" if whole % 1024 == 0 else f"{whole}Mi"


def cores(size: float) -> str:
    """Processor cores as people write them: whole millicores, whole cores where it comes out even."""
    whole = math.ceil(size * 1000)
    return str(whole // 1000) if whole % 1000 == 0 else f"{whole}m"


def live_value(name: str, seen: Observed) -> str | int:
    """Something about the object itself. Raises :class:`Refused` (``precheck-failed``) where it has none."""
    if name == "replicas":
        return seen.desired
    if name == "storage":
        if not seen.storage:
            raise Refused(Reason.PRECHECK_FAILED, f"{seen.ref} asks for no size")
        return seen.storage
    if name == "previous_revision":
        if seen.previous_revision is None:
            raise Refused(Reason.PRECHECK_FAILED, f"{seen.ref} has no earlier revision to go back to")
        return seen.previous_revision
    container = seen.failing_container
    if container is None:
        raise Refused(Reason.PRECHECK_FAILED, f"which container of {seen.ref} is in trouble cannot be told")
    if name == "failing_container":
        return container.name
    value: str = getattr(container, name)
    if not value:
        said = name.replace("_", " ")
        raise Refused(Reason.PRECHECK_FAILED, f"container {container.name} of {seen.ref} has no {said} to raise")
    return value


def blast_radius(seen: Observed, steps: tuple[PlanStep, ...]) -> BlastRadius:
    """How much these steps touch, when they are done to this object."""
    ready = sum(pod.ready for pod in seen.living_pods) if seen.pods else seen.ready
    lost = max((_lost(step, seen, ready) for step in steps), default=0)
    left = None if seen.endpoints_ready is None else max(0, seen.endpoints_ready - lost)
    evicts = evicts_of(seen)
    return BlastRadius(
        pods=int(seen.state not in _ENDED) if seen.ref.kind == "Pod" else len(seen.living_pods) or seen.desired,
        ready_now=ready,
        min_available=seen.min_available,
        pdb_headroom=seen.pdb_headroom,
        endpoints_left=left,
        gitops_owner=seen.gitops_owner,
        human_edit_at=seen.human_edit_at,
        notes=(_told(evicts),) if evicts else (),
        evicts=evicts,
        owners=seen.owners,
    )


def _lost(step: PlanStep, seen: Observed, ready: int) -> int:
    """How many ready pods the step takes away at once, at the worst."""
    if seen.ref.kind == "Pod":
        return ready
    if step.action == "scale":
        return max(0, ready - int(step.params["replicas"]))
    if step.action not in _ROLLING:
        return 0
    away = seen.desired if seen.max_unavailable is None else seen.max_unavailable
    if seen.ref.kind == "StatefulSet":
        return min(ready, away)
    return max(0, ready - max(0, seen.desired - away))


def evicts_of(seen: Observed) -> tuple[Evicted, ...]:
    """The pods that draining the node evicts; none for what is no node."""
    if seen.ref.kind != "Node":
        return ()
    pods = seen.living_pods
    return tuple(Evicted(ref=ObjectRef("Pod", pod.name, pod.namespace, pod.uid), owners=pod.owners) for pod in pods)


def _told(evicts: tuple[Evicted, ...]) -> str:
    counts = Counter(pod.ref.namespace for pod in evicts)
    where = ", ".join(f"{count} in {name}" for name, count in sorted(counts.items()))
    return f"evicts {len(evicts)} pods: {where}"


def _warnings(seen: Observed, blast: BlastRadius) -> tuple[str, ...]:
    said = []
    if seen.gitops_owner:
        said.append(f"{seen.gitops_owner} owns this object and may set a changed spec back.")
    if seen.human_edit_at is not None:
        said.append(f"Edited by {seen.human_edit_by or 'a person'} at {seen.human_edit_at:%H:%M:%S} UTC.")
    if seen.endpoints_ready and blast.endpoints_left == 0:
        said.append("No ready endpoint stays meanwhile: the service is interrupted.")
    elif seen.desired == 1 and seen.ref.kind != "Pod":
        said.append("It has a single replica: a restart may interrupt the service.")
    if seen.pdb_headroom == 0:
        said.append("Its disruption budget allows no further pod to be away.")
    return tuple(said)
