"""Policy: may this plan run, must it be asked for, or is it refused? Code decides, by rules a person wrote down."""

from collections.abc import Iterator
from datetime import datetime, timedelta
from fnmatch import fnmatchcase

import msgspec

from midwatch.domain.actions import ACTIONS
from midwatch.domain.brakes import LONGEST_WINDOW, SHADOWS_KEPT, Pause
from midwatch.domain.playbooks import Plan, Risk, Verdict, VerdictKind
from midwatch.domain.reasons import Reason
from midwatch.domain.signals import Tier

_FROZEN = "All actions are paused by policy (frozen: true)."


class Ceiling(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The highest risk allowed in some namespaces, with or without an approval. The first ceiling that fits counts.

    ``namespaces`` are shell patterns; ``""`` stands for cluster-wide objects such as nodes. ``environments`` are names
    from the policy's ``environments``; left out: all. ``alone`` tells whether LOW may run there without asking.
    ``approvers`` take the place of the policy's own in these namespaces; a plan that touches several needs people who
    may approve in each.
    """

    risk: Risk
    namespaces: tuple[str, ...] = ("*",)
    environments: tuple[str, ...] = ()
    alone: bool = True
    approvers: tuple[str, ...] = ()


class Environment(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What belongs to an environment: clusters and namespaces by shell patterns; both must fit.

    Never told by a label of an alert: those may only lower authority.
    """

    clusters: tuple[str, ...] = ("*",)
    namespaces: tuple[str, ...] = ("*",)


class Rung(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Who is asked next when nobody answered in time. Names as in ``approvers``."""

    approvers: tuple[str, ...]


class Freeze(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A time in which nothing is changed. ``start`` and ``end`` are aware instants."""

    name: str
    start: datetime
    end: datetime
    namespaces: tuple[str, ...] = ("*",)


class Policy(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What Midwatch may do, as written in ``policy.yaml``.

    ``approvers`` are ``user:name``, ``channel:id`` or ``@group``; empty: anyone with the role approver.
    ``circuit_failures`` failed or undone executions within ``circuit_window_s`` seconds open the breaker: everything is
    refused until the oldest of them is that old. ``human_edit_s``: how long after a person's edit Midwatch stands down.
    ``environments`` are looked through in their order, the first that fits counts. ``ladder``: who is asked, one rung
    after another, when nobody answered in time. ``evict_from``: protected namespaces whose pods a drain may evict
    nevertheless. ``shadow``: patterns of playbooks that only say what they would do.
    ``alone_after_good``: a playbook runs alone only after so many good ones in a row in shadow mode (0: not asked).
    """

    escalate_threshold: float = 0.7
    low_runs_alone: bool = True
    approvers: tuple[str, ...] = ()
    groups: dict[str, tuple[str, ...]] = {}
    ceilings: tuple[Ceiling, ...] = ()
    protected_namespaces: tuple[str, ...] = ("kube-system", "kube-public", "kube-node-lease")
    evict_from: tuple[str, ...] = ()
    protected_objects: tuple[str, ...] = ()
    freezes: tuple[Freeze, ...] = ()
    actions_per_hour: int = 20
    circuit_failures: int = 3
    circuit_window_s: float = 1800.0
    human_edit_s: float = 300.0
    cooldown_s: float = 60.0
    frozen: bool = False
    environments: dict[str, Environment] = {}
    ladder: tuple[Rung, ...] = ()
    shadow: tuple[str, ...] = ()
    alone_after_good: int = 0


class Context(msgspec.Struct, frozen=True, kw_only=True):
    """What is known about the incident and the last hours, none of it from a model's prose.

    ``since`` is when the incident opened: a person's edit before it may be the cause, one after it is a person at
    work. ``acted_at`` and ``failed_at`` are the instants of recent executions, and of those that failed. ``pauses``
    are those that people called and that hold now. ``threshold`` is how sure a diagnosis must be by the alerts'
    word; it counts where it is higher than the policy's. ``shadow_good``: good ones in a row of this playbook in
    shadow mode.
    """

    tier: Tier
    confidence: float
    since: datetime | None = None
    acted_at: tuple[datetime, ...] = ()
    failed_at: tuple[datetime, ...] = ()
    cluster: str = ""
    threshold: float = 0.0
    pauses: tuple[Pause, ...] = ()
    shadow_good: int = 0


def faults(policy: Policy) -> Iterator[tuple[str, str]]:
    """What contradicts itself in a policy, as (path, sentence)."""
    if not 0.0 <= policy.escalate_threshold <= 1.0:
        yield "$.escalate_threshold", "it lies between 0 and 1"
    if policy.actions_per_hour < 1:
        yield "$.actions_per_hour", "it is at least 1; to stop all actions set frozen: true"
    if policy.circuit_failures < 1 or not policy.circuit_window_s > 0:
        yield "$.circuit_failures", "at least 1 failure within a window longer than 0 s opens the breaker"
    longest = LONGEST_WINDOW.total_seconds()
    if policy.circuit_window_s > longest:
        yield "$.circuit_window_s", f"what was done is counted for {LONGEST_WINDOW.days} days at the longest"
    if policy.alone_after_good > SHADOWS_KEPT:
        yield "$.alone_after_good", f"{SHADOWS_KEPT} good ones are the most that are counted"
    if policy.alone_after_good < 0:
        yield "$.alone_after_good", "it is not negative; 0 asks for none"
    for name, seconds in (("human_edit_s", policy.human_edit_s), ("cooldown_s", policy.cooldown_s)):
        if not 0 <= seconds <= longest:  # neither does what is no number
            yield f"$.{name}", f"it lies between 0 and {longest:.0f} s ({LONGEST_WINDOW.days} days)"
    for number, freeze in enumerate(policy.freezes):
        if freeze.start.tzinfo is None or freeze.end.tzinfo is None:
            yield f"$.freezes[{number}]", "start and end need a time zone (2026-12-24T18:00:00Z)"
        elif freeze.end <= freeze.start:
            yield f"$.freezes[{number}]", f"freeze {freeze.name!r} ends before it starts"
    for number, ceiling in enumerate(policy.ceilings):
        earlier = [other for other in policy.ceilings[:number] if _everywhere(other, ceiling)]
        patterns = [pattern for other in earlier for pattern in other.namespaces]
        hidden = [name for name in ceiling.namespaces if any(fnmatchcase(name, pattern) for pattern in patterns)]
        if hidden:
            yield f"$.ceilings[{number}]", f"{', '.join(hidden)} is taken by an earlier ceiling already"
        moot = [name for name in ceiling.namespaces if name and _fits(name, policy.protected_namespaces)]
        if moot := [name for name in moot if not _fits(name, policy.evict_from)]:
            yield f"$.ceilings[{number}].namespaces", f"{', '.join(moot)} is protected: no ceiling counts there"
        for name in ceiling.environments:
            if name not in policy.environments:
                known = ", ".join(policy.environments) or "none"
                yield f"$.ceilings[{number}].environments", f"unknown environment {name!r} (there are: {known})"
        yield from ((f"$.ceilings[{number}].approvers", said) for said in _group_faults(policy, ceiling.approvers))
    yield from (("$.approvers", said) for said in _group_faults(policy, policy.approvers))
    for number, rung in enumerate(policy.ladder):
        if not rung.approvers:
            yield f"$.ladder[{number}]", "a rung names at least one approver or group"
        yield from ((f"$.ladder[{number}].approvers", said) for said in _group_faults(policy, rung.approvers))
    for name, members in policy.groups.items():
        if wrong := [member for member in members if member.startswith("@") or ":" not in member]:
            yield f"$.groups.{name}", f"{', '.join(wrong)}: members are written channel:id"


def _everywhere(earlier: Ceiling, later: Ceiling) -> bool:
    """Whether the earlier ceiling counts in every environment that the later one is for."""
    return not earlier.environments or (
        bool(later.environments) and set(later.environments) <= set(earlier.environments)
    )


def _group_faults(policy: Policy, names: tuple[str, ...]) -> Iterator[str]:
    for name in names:
        if name.startswith("@") and not policy.groups.get(name[1:]):
            yield f"group {name} is unknown or empty"
        elif not name.startswith("@") and ":" not in name:
            yield f"{name!r} is no identity: write user:alice, channel:id (slack:U123) or @group"


def decide(plan: Plan, policy: Policy, context: Context, now: datetime) -> Verdict:
    """AUTO, ASK or REFUSE, with the rule's name (a :class:`Reason`) and a sentence for people."""
    refusal = refuse(plan, policy, context, now)
    if refusal is not None:
        return refusal
    namespaces = _namespaces(plan)
    found = {name: _ceiling(policy, name, context.cluster) for name in namespaces}
    ceilings = [ceiling for ceiling in found.values() if ceiling is not None]
    named = {
        name: _people(policy, (ceiling and ceiling.approvers) or policy.approvers) for name, ceiling in found.items()
    }
    approvers = _of_all(named)
    high = plan.risk is Risk.HIGH
    quorum = 2 if high and any(len(people) >= 2 for people in named.values()) else 1

    def ask(rule: Reason, sentence: str) -> Verdict:
        if any(named.values()) and len(approvers) < quorum:
            return Verdict(kind=VerdictKind.REFUSE, rule=Reason.NOBODY_MAY_APPROVE, sentence=_nobody(named, quorum))
        return Verdict(
            kind=VerdictKind.ASK,
            rule=rule,
            sentence=sentence,
            quorum=quorum,
            confirm=high,
            approvers=approvers,
            ladder=tuple(_people(policy, rung.approvers) for rung in policy.ladder),
        )

    if plan.risk is not Risk.LOW:
        more = ", confirmed in a second step" if high else ""
        people = f"{quorum} people" if quorum > 1 else "a person"
        return ask(Reason.RISK_NEEDS_APPROVAL, f"{plan.risk} risk: {people} must approve{more}.")
    threshold = max(policy.escalate_threshold, context.threshold)
    if context.confidence < threshold:
        return ask(
            Reason.CONFIDENCE_TOO_LOW,
            f"The diagnosis is {context.confidence:.0%} sure, below {threshold:.0%}: a person decides.",
        )
    if context.tier is not Tier.AUTONOMOUS:
        return ask(Reason.RISK_NEEDS_APPROVAL, "The rule's tier is supervised: a person must approve.")
    if not policy.low_runs_alone or not all(ceiling.alone for ceiling in ceilings):
        return ask(Reason.RISK_NEEDS_APPROVAL, "Policy lets nothing run alone here: a person must approve.")
    if context.shadow_good < policy.alone_after_good:
        return ask(
            Reason.RISK_NEEDS_APPROVAL,
            f"{plan.playbook} was right {context.shadow_good} times in a row in shadow mode; it runs alone after "
            f"{policy.alone_after_good}.",
        )
    return Verdict(
        kind=VerdictKind.AUTO,
        rule=Reason.LOW_RISK_ALLOWED,
        sentence="LOW risk, autonomous tier, and policy lets it run alone.",
    )


def refuse(plan: Plan, policy: Policy, context: Context, now: datetime) -> Verdict | None:
    """The first rule that forbids the plan, approval or not; ``None`` when none does. Asked again before acting."""
    for rule, sentence in _refusals(plan, policy, context, now):
        return Verdict(kind=VerdictKind.REFUSE, rule=rule, sentence=sentence)
    return None


def _refusals(plan: Plan, policy: Policy, context: Context, now: datetime) -> Iterator[tuple[Reason, str]]:
    if context.tier is Tier.HUMAN_ONLY:
        yield Reason.TIER_HUMAN_ONLY, "The rule's tier is human_only: Midwatch informs and does not act."
    if policy.frozen:
        yield Reason.FROZEN, _FROZEN
    if plan.shadow or _fits(plan.playbook, policy.shadow):
        yield Reason.SHADOW, "Shadow mode: this is what Midwatch would do; it only says so, and looks who does it."
    namespaces = _namespaces(plan)
    yield from _stops(policy, context.pauses, plan, now)
    for pod in plan.blast.evicts:
        if not pod.owners:
            yield Reason.PRECHECK_FAILED, f"{pod.ref} has no controller: evicted, it would never come back."
    for name in namespaces:
        ceiling = _ceiling(policy, name, context.cluster)
        if ceiling is not None and plan.risk.rank > ceiling.risk.rank:
            where = f"namespace {name}" if name else "cluster-wide objects"
            where += f" in {environment}" if (environment := environment_of(policy, name, context.cluster)) else ""
            yield Reason.ABOVE_RISK_CEILING, f"{plan.risk} risk is above the ceiling {ceiling.risk} of {where}."
    declared = [step for step in plan.steps if ACTIONS[step.action].declared]
    if plan.blast.gitops_owner and declared:
        yield (
            Reason.GITOPS_OWNED,
            f"{plan.blast.gitops_owner} owns this object and would set the change back: change it in its source.",
        )
    edited = plan.blast.human_edit_at
    fresh = edited is not None and now - edited < timedelta(seconds=policy.human_edit_s)
    if edited is not None and fresh and (context.since is None or edited > context.since):
        yield Reason.HUMAN_EDIT_RECENT, f"A person edited this object at {edited:%H:%M:%S} UTC: Midwatch stands down."
    window = timedelta(seconds=policy.circuit_window_s)
    failures = sum(1 for at in context.failed_at if now - at < window)
    if failures >= policy.circuit_failures:
        yield Reason.CIRCUIT_OPEN, f"{failures} actions failed in the last {window}: a person should look first."
    acted = sum(1 for at in context.acted_at if now - at < timedelta(hours=1))
    if acted >= policy.actions_per_hour:
        yield Reason.RATE_EXCEEDED, f"{acted} actions in the last hour; policy allows {policy.actions_per_hour}."


def stopped(policy: Policy, pauses: tuple[Pause, ...], plan: Plan, now: datetime) -> tuple[Reason, str] | None:
    """Why what the plan touches may not be changed now, whatever was allowed before: asked before each act."""
    return (Reason.FROZEN, _FROZEN) if policy.frozen else next(_stops(policy, pauses, plan, now), None)


def _stops(policy: Policy, pauses: tuple[Pause, ...], plan: Plan, now: datetime) -> Iterator[tuple[Reason, str]]:
    namespaces = _namespaces(plan)
    for pause in pauses:
        if pause.holds(now) and any(pause.covers(name) for name in namespaces):
            yield Reason.FROZEN, pause.sentence
    for freeze in policy.freezes:
        if freeze.start <= now < freeze.end and any(_fits(name, freeze.namespaces) for name in namespaces):
            yield Reason.FROZEN, f"Freeze {freeze.name!r} lasts until {freeze.end:%Y-%m-%d %H:%M} UTC."
    for ref in (ref for ref in plan.changed if ref.namespace and _fits(ref.namespace, policy.protected_namespaces)):
        said = f"Namespace {ref.namespace} is protected: Midwatch changes nothing there ({ref})."
        yield Reason.PROTECTED_NAMESPACE, said
    for ref in (ref for ref in plan.evicted if _fits(ref.namespace, policy.protected_namespaces)):
        if not _fits(ref.namespace, policy.evict_from):
            said = (
                f"Namespace {ref.namespace} is protected: {ref} is evicted only where evict_from of the policy says so."
            )
            yield Reason.PROTECTED_NAMESPACE, said
    for ref in plan.touched:
        if _fits(ref.path, policy.protected_objects):
            said = f"{ref} is protected: Midwatch does not change it, nor what belongs to it."
            yield Reason.PROTECTED_NAMESPACE, said


def _namespaces(plan: Plan) -> tuple[str, ...]:
    return tuple(dict.fromkeys(ref.namespace for ref in plan.touched))


def _fits(name: str, patterns: tuple[str, ...]) -> bool:
    return any(fnmatchcase(name, pattern) for pattern in patterns)


def environment_of(policy: Policy, namespace: str, cluster: str) -> str:
    """The environment that a namespace of a cluster belongs to, empty where the policy names none."""
    for name, scope in policy.environments.items():
        if _fits(namespace, scope.namespaces) and _fits(cluster, scope.clusters):
            return name
    return ""


def _ceiling(policy: Policy, namespace: str, cluster: str) -> Ceiling | None:
    environment = environment_of(policy, namespace, cluster)
    for ceiling in policy.ceilings:
        if _fits(namespace, ceiling.namespaces) and (not ceiling.environments or environment in ceiling.environments):
            return ceiling
    return None


def _of_all(named: dict[str, tuple[str, ...]]) -> tuple[str, ...]:
    """Who may approve in every one of these namespaces; empty: those of a namespace are no restriction."""
    first, *others = [people for people in named.values() if people] or [()]
    return tuple(name for name in first if all(name in people for people in others))


def _nobody(named: dict[str, tuple[str, ...]], quorum: int) -> str:
    who = "; ".join(
        f"{name or 'cluster-wide objects'}: {', '.join(people)}" for name, people in named.items() if people
    )
    few = "No two people may" if quorum > 1 else "Nobody may"
    return f"{few} approve all of it ({who}): name the same people in the approvers of the policy and its ceilings."


def _people(policy: Policy, named: tuple[str, ...]) -> tuple[str, ...]:
    people: list[str] = []
    for name in named:
        people += policy.groups[name[1:]] if name.startswith("@") else (name,)
    return tuple(dict.fromkeys(people))
