"""Playbook files are read strictly, proved by their examples, and compiled within bounds."""

from pathlib import Path

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from midwatch.adapters.catalog.playbooks import FolderPlaybooks, load_playbooks
from midwatch.adapters.catalog.yaml_source import Faults
from midwatch.domain.actions import ACTIONS
from midwatch.domain.compiling import bytes_of, compile_plan
from midwatch.domain.errors import Refused
from midwatch.domain.observed import ContainerSeen, Observed
from midwatch.domain.playbooks import Plan, Risk, plan_digest
from midwatch.domain.reasons import Reason
from midwatch.domain.recipes import Playbook
from midwatch.domain.refs import ObjectRef

SHIPPED = load_playbooks(Path(__file__).parents[3] / "playbooks")
WEB = Observed(ref=ObjectRef("Deployment", "web", "shop", "u1"), generation=4, desired=2)

GOOD = """\
title: Restart
applies_to: [CrashLoopBackOff]
steps:
  - action: rollout_restart
    risk: MEDIUM
    verify: [{name: pods_ready, hold_s: 1, timeout_s: 10}]
    no_undo: nothing to put back
examples:
  - given: {ref: {kind: Deployment, name: web, namespace: shop, uid: u}}
    expect: {steps: [{}]}
"""

BAD = {
    "unknown key": (GOOD.replace("title:", "titel: x\ntitle:"), "unknown field `titel`"),
    "unknown action": (GOOD.replace("rollout_restart", "reboot"), "p.yaml:4: unknown action 'reboot'"),
    "unknown check": (GOOD.replace("pods_ready", "all_fine"), "p.yaml:6: unknown check 'all_fine'"),
    "risk too low": (GOOD.replace("MEDIUM", "LOW"), "p.yaml:5: rollout_restart is at least MEDIUM, not LOW"),
    "each of what is not LOW": (f"each: true\n{GOOD}", "p.yaml:1: only steps of LOW risk may be done to several"),
    "high without undo": (GOOD.replace("MEDIUM", "HIGH"), "p.yaml:5: a step of HIGH risk needs an undo"),
    "no reason for no undo": (GOOD.replace("    no_undo: nothing to put back\n", ""), "says why in no_undo"),
    "undo of what cannot be undone": (GOOD.replace("no_undo: nothing to put back", "undo: restore"), "p.yaml:7: "),
    "not verified": (GOOD.replace("[{name: pods_ready, hold_s: 1, timeout_s: 10}]", "[]"), "is not verified"),
    "hold longer than timeout": (GOOD.replace("hold_s: 1,", "hold_s: 11,"), "p.yaml:6: 0 <= hold_s <= timeout_s"),
    "unknown parameter": (
        GOOD.replace("    risk: MEDIUM\n", "    risk: MEDIUM\n    params: {force: 1}\n"),
        "takes no parameter 'force'",
    ),
    "no example": (GOOD.partition("examples:")[0] + "examples: []\n", "it has no examples"),
    "example that does not hold": (
        GOOD.replace("{steps: [{}]}", "{steps: [{a: 1}]}"),
        "p.yaml:9: example 1: its steps",
    ),
    "example of another kind": (GOOD.replace("kind: Deployment", "kind: Node"), "example 1: refused"),
    "not YAML": ("title: good\nsteps: }\n", "p.yaml:2: did not find expected"),
    "cycle": (GOOD.replace("steps:\n", "steps: &steps\n  - *steps\n"), "p.yaml:3: this part contains itself"),
    "cycle of keys": (GOOD + "parameters: &p\n  size: *p\n", "p.yaml:11: this part contains itself"),
    "key that is a list": (GOOD + "? [a, b]\n: c\n", "p.yaml:11: a key is one plain word"),
    "nested without end": (GOOD + f"checklist: {'[' * 5000}{']' * 5000}\n", "p.yaml: nested too deeply"),
    "aliases of aliases": (
        "".join(f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9) if n else 'x'}]\n" for n in range(12)),
        "p.yaml: its aliases stand for more than",
    ),
    "twice": (GOOD + "title: again\n", "stands twice"),
}


SCALE = """\
title: Scale
applies_to: []
parameters:
  who: {type: name, default: app}
  size: {type: quantity, default: 1Gi, maximum: 2Gi}
  by: {type: number, default: 1, maximum: 3}
steps:
  - action: scale
    risk: MEDIUM
    params:
      replicas: {live: replicas, plus: by}
    verify: [{name: exists}]
    undo: restore
examples:
  - given: {ref: {kind: Deployment, name: w, namespace: s, uid: u}, desired: 3, storage: 1Gi, containers: [{name: app}]}
    expect: {steps: [{replicas: 4}]}
"""
LIVE = "{live: replicas, plus: by}"
BAD |= {
    "a name for a number": (
        SCALE.replace(LIVE, "{live: failing_container}"),
        "p.yaml:11: 'failing_container' is a name",
    ),
    "times a name": (SCALE.replace(LIVE, "{live: replicas, times: who}"), "p.yaml:11: parameter 'who' is a name"),
    "a name as a number": (SCALE.replace(LIVE, "{parameter: who}"), "p.yaml:11: 'who' is a name"),
    "a quantity as a whole number": (SCALE.replace(LIVE, "{live: storage}"), "p.yaml:11: 'storage' is a quantity"),
    "a size as a whole number": (SCALE.replace(LIVE, "{parameter: size}"), "p.yaml:11: 'size' is a quantity"),
    "a bound that is none": (SCALE.replace("maximum: 3", "maximum: many"), "p.yaml:6: parameter 'by' is bounded by"),
    "a bound without end": (SCALE.replace("maximum: 3", "maximum: .nan"), "p.yaml:6: parameter 'by' is bounded by"),
    "an example without a size": (
        SCALE.replace("replicas: {live: replicas, plus: by}", "replicas: {live: memory_limit, plus: by}").replace(
            "{name: app}", "{name: app, memory_limit: much}"
        ),
        "p.yaml:15: example 1: refused (parameter-invalid: replicas of Deployment s/w cannot be told",
    ),
    "a proof that nothing fails": (
        SCALE.replace("{name: exists}", "{name: promql, query: up, at_most: .nan}"),
        "p.yaml:12: at_least and at_most are finite",
    ),
}


def test_the_number_that_is_reckoned_with_may_be_a_parameter(tmp_path: Path) -> None:
    (tmp_path / "p.yaml").write_text(SCALE)
    assert load_playbooks(tmp_path).ids == {"p"}


@pytest.mark.parametrize(("text", "said"), BAD.values(), ids=BAD.keys())
def test_a_bad_playbook_is_refused_with_its_line(tmp_path: Path, text: str, said: str) -> None:
    (tmp_path / "p.yaml").write_text(text)
    with pytest.raises(Faults) as caught:
        load_playbooks(tmp_path)
    assert said in str(caught.value)
    assert "p.yaml:" in str(caught.value)


def test_a_good_one_loads(tmp_path: Path) -> None:
    (tmp_path / "p.yaml").write_text(GOOD)
    assert load_playbooks(tmp_path).ids == {"p"}


def test_two_playbooks_for_one_condition_are_refused(tmp_path: Path) -> None:
    (tmp_path / "p.yaml").write_text(GOOD)
    (tmp_path / "q.yaml").write_text(GOOD)
    with pytest.raises(Faults, match="CrashLoopBackOff is taken by p already"):
        load_playbooks(tmp_path)


def test_a_bad_edit_leaves_the_old_set_in_force(tmp_path: Path) -> None:
    (tmp_path / "p.yaml").write_text(GOOD)
    folder = FolderPlaybooks(tmp_path)
    (tmp_path / "p.yaml").write_text(GOOD.replace("MEDIUM", "LOW"))
    assert folder.get("p") is not None
    assert "at least MEDIUM" in folder.fault
    (tmp_path / "p.yaml").write_text(SCALE.replace(LIVE, "{live: failing_container}"))
    assert folder.get("p") is not None
    assert "is a name" in folder.fault
    (tmp_path / "p.yaml").write_text(GOOD.replace("title: Restart", "title: Start anew"))
    assert folder.current().all[0].title == "Start anew"
    assert not folder.fault


def test_the_shipped_ones_are_asked_for_or_harmless() -> None:
    for playbook in SHIPPED.all:
        for step in playbook.steps:
            assert step.risk.rank >= ACTIONS[step.action].floor.rank
            assert step.undo or step.no_undo
    assert {"restart-workload", "rollback-deployment", "raise-memory-limit"} <= SHIPPED.ids


@pytest.mark.parametrize(
    ("condition", "playbook"),
    [
        ("CrashLoopBackOff", "restart-workload"),
        ("ImagePullBackOff/NotFound", "rollback-deployment"),
        ("ProgressDeadlineExceeded", "rollback-deployment"),
        ("OOMKilled", "raise-memory-limit"),
    ],
)
def test_conditions_find_their_playbook(condition: str, playbook: str) -> None:
    found = SHIPPED.for_condition(condition)
    assert found is not None
    assert found.id == playbook


def test_conditions_that_nothing_helps_against_find_none() -> None:
    assert SHIPPED.for_condition("ImagePullBackOff/Unauthorized") is None
    assert SHIPPED.for_condition("FailedScheduling/InsufficientMemory") is None


def test_the_digest_follows_what_is_done_and_to_what() -> None:
    restart = SHIPPED.get("restart-workload")
    assert restart is not None
    one = compile_plan(restart, WEB, {})
    assert plan_digest(one) == plan_digest(compile_plan(restart, msgspec.structs.replace(WEB, desired=9), {}))
    assert plan_digest(one) != plan_digest(compile_plan(restart, msgspec.structs.replace(WEB, generation=5), {}))
    edited = msgspec.structs.replace(restart, digest="edited")
    assert plan_digest(one) != plan_digest(compile_plan(edited, WEB, {}))


def attempted(playbook: Playbook, seen: Observed, parameters: dict[str, str]) -> Plan | Refused:
    """The plan, or why there is none."""
    try:
        return compile_plan(playbook, seen, parameters)
    except Refused as refused:
        return refused


@settings(deadline=None)  # the machine may be busy
@given(
    limit=st.integers(1, 64 * 1024).map(lambda size: f"{size}Mi"),
    factor=st.floats(0.1, 50, allow_nan=False).map(str) | st.sampled_from(["nan", "inf", "-1", "much"]),
    cap=st.sampled_from(["16Mi", "1Gi", "4Gi", "16Gi", "64Gi", "x"]),
)
def test_a_raised_limit_is_above_the_old_and_below_every_cap(limit: str, factor: str, cap: str) -> None:
    playbook = SHIPPED.get("raise-memory-limit")
    assert playbook is not None
    seen = msgspec.structs.replace(WEB, containers=(ContainerSeen(name="app", memory_limit=limit),))
    made = attempted(playbook, seen, {"factor": factor, "at_most": cap})
    if isinstance(made, Refused):
        assert made.reason in (Reason.PARAMETER_INVALID, Reason.PRECHECK_FAILED)
        return
    new = bytes_of(str(made.steps[0].params["memory_limit"]))
    assert bytes_of(limit) < new <= min(bytes_of(cap), bytes_of("16Gi"))
    assert made.risk is Risk.HIGH
