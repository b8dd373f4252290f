"""Policy: what runs alone, what is asked, what is refused, and by which rule."""

from datetime import timedelta
from pathlib import Path

import msgspec
import pytest

from midwatch.adapters.catalog.policy import FilePolicy, load_policy
from midwatch.adapters.catalog.yaml_source import Faults
from midwatch.domain.brakes import Pause
from midwatch.domain.playbooks import BlastRadius, Evicted, Plan, PlanStep, Risk, Target, Verdict, VerdictKind
from midwatch.domain.policy import Ceiling, Context, Freeze, Policy, decide, faults
from midwatch.domain.reasons import Reason
from midwatch.domain.refs import ObjectRef
from midwatch.domain.signals import Tier
from tests.fakes.runtime import NOON

SURE = Context(tier=Tier.AUTONOMOUS, confidence=0.95, since=NOON - timedelta(minutes=10))


def plan(risk: Risk = Risk.LOW, namespace: str = "shop", action: str = "restart_pod", **blast: object) -> Plan:
    step = PlanStep(action=action, target=Target(ObjectRef("Pod", "web-1", namespace, "u")), risk=risk)
    return Plan(playbook="p", playbook_digest="d", title="t", risk=risk, steps=(step,), blast=BlastRadius(**blast))  # type: ignore[arg-type]


def verdict(made: Plan, policy: Policy | None = None, **context: object) -> Verdict:
    return decide(made, policy or Policy(), msgspec.structs.replace(SURE, **context), NOON)


def drain(*pods: Evicted) -> Plan:
    step = PlanStep(action="drain", target=Target(ObjectRef("Node", "node-1", "", "u")), risk=Risk.HIGH)
    blast = BlastRadius(evicts=pods)
    return Plan(playbook="p", playbook_digest="d", title="t", risk=Risk.HIGH, steps=(step,), blast=blast)


def lodger(namespace: str = "shop") -> Evicted:
    owners = (ObjectRef("ReplicaSet", "web-a", namespace), ObjectRef("Deployment", "web", namespace))
    return Evicted(ref=ObjectRef("Pod", "web-1", namespace), owners=owners)


def test_low_risk_runs_alone_where_everything_allows_it() -> None:
    assert verdict(plan()).kind is VerdictKind.AUTO


@pytest.mark.parametrize(
    ("made", "policy", "context", "rule"),
    [
        (plan(), Policy(), {"tier": Tier.SUPERVISED}, Reason.RISK_NEEDS_APPROVAL),
        (plan(), Policy(), {"confidence": 0.69}, Reason.CONFIDENCE_TOO_LOW),
        (plan(), Policy(low_runs_alone=False), {}, Reason.RISK_NEEDS_APPROVAL),
        (
            plan(),
            Policy(ceilings=(Ceiling(namespaces=("shop",), risk=Risk.HIGH, alone=False),)),
            {},
            Reason.RISK_NEEDS_APPROVAL,
        ),
        (plan(Risk.MEDIUM), Policy(), {}, Reason.RISK_NEEDS_APPROVAL),
        (plan(Risk.HIGH), Policy(), {}, Reason.RISK_NEEDS_APPROVAL),
    ],
    ids=["supervised", "unsure", "nothing-alone", "not-alone-here", "medium", "high"],
)
def test_what_is_asked(made: Plan, policy: Policy, context: dict[str, object], rule: Reason) -> None:
    said = verdict(made, policy, **context)
    assert (said.kind, said.rule) == (VerdictKind.ASK, rule)
    assert said.sentence


@pytest.mark.parametrize(
    ("made", "policy", "context", "rule"),
    [
        (plan(), Policy(), {"tier": Tier.HUMAN_ONLY}, Reason.TIER_HUMAN_ONLY),
        (plan(), Policy(frozen=True), {}, Reason.FROZEN),
        (
            plan(),
            Policy(freezes=(Freeze(name="x", start=NOON, end=NOON + timedelta(hours=1)),)),
            {},
            Reason.FROZEN,
        ),
        (plan(namespace="kube-system"), Policy(), {}, Reason.PROTECTED_NAMESPACE),
        (plan(), Policy(protected_objects=("Pod/shop/*",)), {}, Reason.PROTECTED_NAMESPACE),
        (
            plan(Risk.HIGH),
            Policy(ceilings=(Ceiling(namespaces=("sh*",), risk=Risk.MEDIUM),)),
            {},
            Reason.ABOVE_RISK_CEILING,
        ),
        (plan(action="scale", gitops_owner="Argo CD"), Policy(), {}, Reason.GITOPS_OWNED),
        (plan(human_edit_at=NOON - timedelta(minutes=1)), Policy(), {}, Reason.HUMAN_EDIT_RECENT),
        (plan(), Policy(), {"failed_at": (NOON,) * 3}, Reason.CIRCUIT_OPEN),
        (plan(), Policy(actions_per_hour=2), {"acted_at": (NOON,) * 2}, Reason.RATE_EXCEEDED),
    ],
    ids=[
        "human-only",
        "paused",
        "freeze",
        "protected-namespace",
        "protected-object",
        "ceiling",
        "gitops",
        "human-edit",
        "circuit",
        "rate",
    ],
)
def test_what_is_refused(made: Plan, policy: Policy, context: dict[str, object], rule: Reason) -> None:
    said = verdict(made, policy, **context)
    assert (said.kind, said.rule) == (VerdictKind.REFUSE, rule)
    assert said.sentence


@pytest.mark.parametrize(
    ("pod", "policy", "context", "rule", "said"),
    [
        (
            lodger("kube-system"),
            Policy(),
            {},
            Reason.PROTECTED_NAMESPACE,
            "Namespace kube-system is protected: Pod kube-system/web-1 is evicted only where evict_from",
        ),
        (
            lodger(),
            Policy(protected_objects=("Deployment/shop/*",)),
            {},
            Reason.PROTECTED_NAMESPACE,
            "Deployment shop/web is protected",
        ),
        (
            lodger(),
            Policy(protected_objects=("Pod/shop/*",)),
            {},
            Reason.PROTECTED_NAMESPACE,
            "Pod shop/web-1 is protected",
        ),
        (
            lodger(),
            Policy(),
            {"pauses": (Pause(id="1", starts_at=NOON, by="ann", namespaces=("shop",)),)},
            Reason.FROZEN,
            "Actions in shop are paused by ann",
        ),
        (
            lodger(),
            Policy(freezes=(Freeze(name="x", start=NOON, end=NOON + timedelta(hours=1), namespaces=("shop",)),)),
            {},
            Reason.FROZEN,
            "Freeze 'x'",
        ),
        (
            lodger(),
            Policy(ceilings=(Ceiling(namespaces=("shop",), risk=Risk.MEDIUM),)),
            {},
            Reason.ABOVE_RISK_CEILING,
            "namespace shop",
        ),
        (
            Evicted(ref=ObjectRef("Pod", "alone", "shop")),
            Policy(),
            {},
            Reason.PRECHECK_FAILED,
            "Pod shop/alone has no controller",
        ),
    ],
    ids=["protected-namespace", "protected-owner", "protected-pod", "paused", "freeze", "ceiling", "no-controller"],
)
def test_a_drain_is_held_to_the_rules_of_every_pod_it_evicts(
    pod: Evicted, policy: Policy, context: dict[str, object], rule: Reason, said: str
) -> None:
    found = verdict(drain(lodger("other"), pod), policy, **context)
    assert (found.kind, found.rule) == (VerdictKind.REFUSE, rule)
    assert said in found.sentence
    assert verdict(drain(lodger("other")), policy, **context).kind is VerdictKind.ASK


def test_a_drain_may_evict_from_a_protected_namespace_where_policy_says_so() -> None:
    policy = Policy(evict_from=("kube-*",))
    assert verdict(drain(lodger(), lodger("kube-system")), policy).kind is VerdictKind.ASK
    assert verdict(plan(namespace="kube-system"), policy).rule == Reason.PROTECTED_NAMESPACE
    held = Policy(evict_from=("kube-*",), protected_objects=("Deployment/kube-system/*",))
    assert verdict(drain(lodger("kube-system")), held).rule == Reason.PROTECTED_NAMESPACE


def test_what_protects_an_owner_protects_what_belongs_to_it() -> None:
    policy = Policy(protected_objects=("StatefulSet/databases/*",))
    made = plan(namespace="databases", owners=(ObjectRef("StatefulSet", "db", "databases", "s"),))
    said = verdict(made, policy)
    assert (said.kind, said.rule) == (VerdictKind.REFUSE, Reason.PROTECTED_NAMESPACE)
    assert verdict(plan(namespace="databases"), policy).kind is VerdictKind.AUTO


@pytest.mark.parametrize(
    ("made", "policy", "context"),
    [
        (plan(), Policy(freezes=(Freeze(name="x", start=NOON - timedelta(hours=2), end=NOON),)), {}),
        (plan(action="rollout_restart", gitops_owner="Flux"), Policy(), {}),
        (plan(human_edit_at=NOON - timedelta(minutes=20)), Policy(), {}),
        (plan(human_edit_at=NOON - timedelta(minutes=4)), Policy(), {"since": NOON - timedelta(minutes=3)}),
        (plan(), Policy(), {"failed_at": (NOON - timedelta(hours=1),) * 9}),
        (plan(), Policy(actions_per_hour=2), {"acted_at": (NOON - timedelta(hours=2),) * 5}),
    ],
    ids=["freeze-over", "gitops-restart", "edit-long-ago", "edit-was-the-cause", "failures-long-ago", "rate-long-ago"],
)
def test_what_is_not_refused(made: Plan, policy: Policy, context: dict[str, object]) -> None:
    assert verdict(made, policy, **context).kind is VerdictKind.AUTO


@pytest.mark.parametrize(
    ("approvers", "risk", "quorum", "confirm"),
    [
        ((), Risk.MEDIUM, 1, False),
        ((), Risk.HIGH, 1, True),
        (("api:a",), Risk.HIGH, 1, True),
        (("api:a", "api:b"), Risk.HIGH, 2, True),
        (("@ops",), Risk.HIGH, 2, True),
        (("api:a", "api:b"), Risk.MEDIUM, 1, False),
    ],
)
def test_how_many_must_approve(approvers: tuple[str, ...], risk: Risk, quorum: int, confirm: bool) -> None:
    policy = Policy(approvers=approvers, groups={"ops": ("api:a", "slack:b")})
    said = verdict(plan(risk), policy)
    assert (said.quorum, said.confirm) == (quorum, confirm)
    assert not any(name.startswith("@") for name in said.approvers)


def test_a_ceiling_names_its_own_approvers() -> None:
    policy = Policy(
        approvers=("api:a",), ceilings=(Ceiling(namespaces=("shop",), risk=Risk.HIGH, approvers=("api:x",)),)
    )
    assert verdict(plan(Risk.MEDIUM), policy).approvers == ("api:x",)


SRE, DEV = ("user:sre1", "user:sre2"), ("user:dev",)


@pytest.mark.parametrize(
    ("everywhere", "shop", "quorum", "approvers"),
    [
        (("user:a", *SRE), (*reversed(SRE), *DEV), 2, SRE),
        (("@sre",), (*SRE, *DEV), 2, SRE),
        ((), DEV, 1, DEV),
        (DEV, (), 1, DEV),
        ((), (), 1, ()),
    ],
    ids=["some-in-both", "group", "anybody-elsewhere", "no-own-approvers", "anybody"],
)
def test_a_plan_in_several_namespaces_needs_approvers_of_each(
    everywhere: tuple[str, ...], shop: tuple[str, ...], quorum: int, approvers: tuple[str, ...]
) -> None:
    own = Ceiling(namespaces=("shop",), risk=Risk.HIGH, approvers=shop)
    policy = Policy(approvers=everywhere, groups={"sre": SRE}, ceilings=(own, Ceiling(risk=Risk.HIGH)))
    said = verdict(drain(lodger(), lodger("pay")), policy)
    assert (said.kind, said.quorum, said.approvers) == (VerdictKind.ASK, quorum, approvers)


@pytest.mark.parametrize(
    ("shop", "said"),
    [
        (DEV, "No two people may approve all of it (cluster-wide objects: user:sre1, user:sre2; shop: user:dev; pay: "),
        (SRE[:1], "No two people may approve all of it (cluster-wide objects: user:sre1, user:sre2; shop: user:sre1; "),
    ],
    ids=["nobody", "too-few"],
)
def test_a_plan_that_no_one_may_approve_whole_is_refused(shop: tuple[str, ...], said: str) -> None:
    own = Ceiling(namespaces=("shop",), risk=Risk.HIGH, approvers=shop)
    policy = Policy(approvers=SRE, ceilings=(own, Ceiling(risk=Risk.HIGH)))
    found = verdict(drain(lodger(), lodger("pay")), policy)
    assert (found.kind, found.rule) == (VerdictKind.REFUSE, Reason.NOBODY_MAY_APPROVE)
    assert found.sentence.startswith(said)
    one = verdict(drain(lodger(), lodger("pay")), msgspec.structs.replace(policy, approvers=("user:x",)))
    assert one.sentence.startswith("Nobody may approve all of it (cluster-wide objects: user:x; shop: user:")


def test_what_runs_alone_needs_nobody_who_may_approve() -> None:
    own = Ceiling(namespaces=("shop",), risk=Risk.HIGH, approvers=DEV)
    made = plan(owners=(ObjectRef("Node", "node-1"),))
    assert verdict(made, Policy(approvers=SRE, ceilings=(own,))).kind is VerdictKind.AUTO


def test_a_ceiling_counts_where_a_drain_may_evict_from_what_is_protected() -> None:
    own = Ceiling(namespaces=("kube-system",), risk=Risk.HIGH, approvers=DEV)
    assert list(faults(Policy(ceilings=(own,))))
    policy = Policy(ceilings=(own,), evict_from=("kube-*",))
    assert not list(faults(policy))
    assert verdict(drain(lodger("kube-system")), policy).approvers == DEV


BAD = {
    "unknown key": ("escalate_treshold: 0.5\n", "policy.yaml:1: Object contains unknown field `escalate_treshold`"),
    "wrong type": ("frozen: maybe\n", "policy.yaml:1"),
    "out of range": ("frozen: false\nescalate_threshold: 7\n", "policy.yaml:2: it lies between 0 and 1"),
    "counted too far back": ("circuit_window_s: 9000000\n", "policy.yaml:1: what was done is counted for 30 days"),
    "counted for no time that is one": ("circuit_window_s: .nan\n", "policy.yaml:1: at least 1 failure within"),
    "edit that is never old": ("frozen: false\nhuman_edit_s: .nan\n", "policy.yaml:2: it lies between 0 and 2592000 s"),
    "edit of another age": ("human_edit_s: 1.0e+15\n", "policy.yaml:1: it lies between 0 and 2592000 s (30 days)"),
    "rest without end": ("frozen: false\ncooldown_s: .inf\n", "policy.yaml:2: it lies between 0 and 2592000 s"),
    "negative rest": ("frozen: false\ncooldown_s: -1\n", "policy.yaml:2: it lies between 0 and 2592000 s"),
    "ends first": (
        "freezes:\n  - {name: x, start: 2026-01-02T00:00:00Z, end: 2026-01-01T00:00:00Z}\n",
        "policy.yaml:2: freeze 'x' ends before it starts",
    ),
    "hidden ceiling": (
        "ceilings:\n  - {namespaces: ['*'], risk: LOW}\n  - {namespaces: [shop], risk: HIGH}\n",
        "policy.yaml:3: shop is taken by an earlier ceiling",
    ),
    "ceiling where nothing is changed": (
        "protected_namespaces: [vault-*]\nceilings:\n  - {namespaces: [shop, vault-a], risk: LOW}\n",
        "policy.yaml:3: vault-a is protected: no ceiling counts there",
    ),
    "cycle": ("groups: &g\n  ops: *g\n", "policy.yaml:1: this part contains itself"),
    "group of groups": ("groups: {a: ['@b'], b: ['@a']}\n", "policy.yaml:1: @b: members are written channel:id"),
    "unknown group": ("approvers: ['@ops']\n", "policy.yaml:1: group @ops is unknown"),
    "no identity": ("approvers: [alice]\n", "policy.yaml:1: 'alice' is no identity"),
}


@pytest.mark.parametrize(("text", "said"), BAD.values(), ids=BAD.keys())
def test_a_bad_policy_is_refused_with_its_line(tmp_path: Path, text: str, said: str) -> None:
    path = tmp_path / "policy.yaml"
    path.write_text(text)
    with pytest.raises(Faults) as caught:
        load_policy(path)
    assert said in str(caught.value)


def test_a_bad_edit_leaves_the_old_policy_in_force(tmp_path: Path) -> None:
    path = tmp_path / "policy.yaml"
    path.write_text("frozen: false\n")
    source = FilePolicy(path)
    path.write_text("frozen: perhaps so\n")
    assert source.current().frozen is False
    assert "policy.yaml:1" in source.fault
    path.write_text("frozen: true # now\n")
    assert source.current().frozen is True
    assert not source.fault


def test_the_shipped_policy_is_sound() -> None:
    assert load_policy(Path(__file__).parents[3] / "cluster_config" / "policy.yaml").escalate_threshold == 0.7
